"""Money: what a trajectory and a judgment cost by a table, and what has no price."""

from __future__ import annotations

import pytest

from gems.evals.errors import DataError
from gems.evals.pricing import read_prices
from gems.evals.progress import Tally, duration, money, status_line


def used(calls=1, read=0, written=0, seconds=0.0):
    return {
        "calls": calls,
        "input_tokens": read,
        "output_tokens": written,
        "seconds": seconds,
        "image_bytes": 0,
    }


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(
        "date: 2026-11-21\n"
        "chat:\n"
        "  openai:big: {input: 2, output: 10}\n"
        "  openai:small*: {input: 0.1, output: 0.2}\n"
        "  openai:small-pro*: {input: 1, output: 1}\n"
        "images:\n"
        "  diffusers:*: {hour: 3.6}\n"
        "  mine: {image: 0.04, hour: 3.6}\n"
    )
    return read_prices(path)


def test_each_role_pays_its_own_model_and_images_their_generator(prices):
    usage = {
        "planner": used(1, 1_000_000, 100_000),
        "verifier": used(9, 2_000_000, 0),
        "generator": used(3, seconds=10),
    }
    models = {"planner": "openai:big", "verifier": "openai:small-2026"}
    assert prices.of_usage(usage, models, "mine") == pytest.approx(2 + 1 + 0.2 + 0.12 + 0.01)
    assert prices.of_usage(usage, models, "diffusers:z") == pytest.approx(3.2 + 0.01)
    # The longest beginning counts; a role without a model of its own speaks with the planner's.
    longest = {"verifier": "openai:small-pro-1"}
    assert prices.of_usage({"verifier": used(1, 10**6)}, longest, "") == 1
    assert prices.of_usage({"reviser": used(1, 10**6)}, {"planner": "openai:big"}, "") == 2


def test_what_has_no_price_makes_the_sum_unknown_not_free(prices):
    assert prices.of_usage({"planner": used(1, 5)}, {"planner": "other"}, "mine") is None
    assert prices.of_usage({"generator": used()}, {}, "other") is None
    assert prices.missing(["openai:big", "b", "a", "a"], "c") == ["a", "b", "c"]
    assert prices.missing(["sandbox"], "sandbox") == [], "the built-in table is behind it"
    judgment = {"judge": "other", "calls": 1, "input_tokens": 5, "output_tokens": 1}
    assert prices.of_judgment(judgment) is None
    assert prices.of_judgment({**judgment, "calls": 0}) == 0


def test_a_table_of_ones_own_comes_first_and_gives_its_date(prices, tmp_path):
    assert prices.date == "2026-11-21"
    path = tmp_path / "all.yaml"
    path.write_text("date: now\nchat: {'openai:*': {input: 7, output: 7}}\n")
    own = read_prices(path)
    assert own.of_usage({"planner": used(1, 10**6)}, {"planner": "openai:gpt-4o"}, "") == 7
    assert "verified" in read_prices().source, "the built-in prices say what they are"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("chat: [", "not YAML"),
        ("chat: {}", "date"),
        ("date: x\nchat: {a: {input: -1, output: 1}}", "chat.a.input"),
        ("date: x\nchat: {a: {input: 1}}", "chat.a.output"),
        ("date: x\nimages: {a: {picture: 1}}", "images.a.picture"),
        ("date: x\nimages: {a: {image: .inf}}", "images.a.image"),
        ("- 1", "the file"),
    ],
)
def test_what_is_no_table_is_refused_with_the_entry(tmp_path, text, says):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match="--prices") as refused:
        read_prices(path)
    assert says in str(refused.value)
    with pytest.raises(DataError, match="can't be read"):
        read_prices(tmp_path / "none.yaml")


def test_the_status_says_rate_time_left_failures_and_money():
    tally = Tally(planned=100, before=20, done=30, failed=2, images=70, calls=300, cost=1.5)
    line = status_line(tally, 60)
    assert line == (
        "50/100 (50%) · 30.0/min · 2 min left · 2 failed · 70 images · 300 calls · $1.50"
    )
    tally.spend(None)
    tally.spend(1.0)
    assert tally.cost is None
    assert "$" not in status_line(tally, 60)
    assert [money(0), money(0.0123), money(12.34)] == ["$0.00", "$0.0123", "$12.34"]
    assert [duration(5), duration(600), duration(12_000)] == ["5 s", "10 min", "3 h 20 min"]
