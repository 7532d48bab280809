"""Log-probabilities as servers send them: what is read, and what is not believed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gems.evals.judges.base import FirstToken
from gems.evals.judges.logprobs import (
    Doubt,
    doubt_one,
    doubt_sharpened,
    doubt_two,
    read_first_token,
)


def entry(token, p, *, raw=None):
    logprob = math.log(p) if p > 0 else -9999.0
    return {"token": token, "logprob": logprob, "bytes": list((raw or token).encode())}


def answer(chosen, *others):
    return {"content": [{**chosen, "top_logprobs": [chosen, *others]}], "refusal": None}


def token(probabilities, text=None):
    first = text or max(probabilities, key=probabilities.get)
    return FirstToken(text=first, probabilities=probabilities, floor=1e-6)


@pytest.mark.parametrize(
    ("spelled", "raw", "text"),
    [
        (" Yes", " Yes", " Yes"),
        ("▁Yes", None, " Yes"),
        ("ĠYes", None, " Yes"),
        ("token_id:7414", " Yes", " Yes"),
        ("Ġyes", "Ġyes", " yes"),
        ("Ċ", None, "\n"),
    ],
)
def test_the_space_in_front_is_kept_however_it_is_spelled(spelled, raw, text):
    one = {**entry(spelled, 0.6), "bytes": list(raw.encode()) if raw else None}
    read = read_first_token(answer(one, entry("No", 0.3)))
    assert read.text == text
    assert read.probabilities == pytest.approx({text: 0.6, "No": 0.3})


def test_a_piece_of_a_character_is_named_as_the_server_names_it():
    broken = {"token": "�", "logprob": -1.0, "bytes": [0xF0, 0x9F]}
    assert read_first_token(answer(broken, entry("No", 0.3))).text == "�"


def test_tokens_that_look_the_same_count_together():
    read = read_first_token(answer(entry("Yes", 0.5), entry("Yes", 0.25), entry("No", 0.125)))
    assert read.probabilities == pytest.approx({"Yes": 0.75, "No": 0.125})


def test_the_chosen_token_counts_when_it_is_not_in_the_list():
    chosen = {**entry("Yes", 0.1), "top_logprobs": [entry("No", 0.6), entry("It", 0.2)]}
    read = read_first_token({"content": [chosen]})
    assert read.probabilities == pytest.approx({"No": 0.6, "It": 0.2, "Yes": 0.1})


@pytest.mark.parametrize("value", [-9999.0, -100.5, float("-inf"), float("nan"), None, True, "-1"])
def test_what_stands_for_none_is_not_a_probability(value):
    odd = {"token": "Maybe", "logprob": value, "bytes": None}
    read = read_first_token(answer(entry("Yes", 0.9), odd, entry("No", 0.05)))
    assert set(read.probabilities) == {"Yes", "No"}


@given(st.lists(st.floats(1e-9, 1), min_size=2, max_size=20))
def test_the_floor_is_what_a_token_that_is_not_listed_can_have_at_most(weights):
    total = sum(weights) * 1.05
    shares = [weight / total for weight in weights]
    listed = [entry(f"t{number}", share) for number, share in enumerate(shares)]
    read = read_first_token(answer(*listed))
    assert 0 < read.floor <= min(shares) * (1 + 1e-9)
    assert read.floor <= 1 - sum(shares) + 1e-6


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        [],
        {"content": None},
        {"content": []},
        {"content": ["Yes"]},
        {"content": [{"token": "Yes", "logprob": None, "top_logprobs": None}]},
        {"content": [{"token": "Yes", "logprob": -9999.0, "top_logprobs": []}]},
    ],
)
def test_no_log_probabilities_are_no_answer(logprobs):
    assert isinstance(read_first_token(logprobs), Doubt)


_odd = st.none() | st.floats() | st.integers() | st.text(max_size=3) | st.booleans()
_entry = st.fixed_dictionaries(
    {},
    optional={
        "token": _odd,
        "logprob": _odd,
        "bytes": _odd | st.lists(st.integers(-1, 300) | _odd, max_size=3),
    },
)
_entries = st.lists(_entry | _odd, max_size=3) | _odd
_logprobs = st.fixed_dictionaries(
    {
        "content": _odd
        | st.lists(st.builds(lambda one, top: {**one, "top_logprobs": top}, _entry, _entries))
    }
)


@given(_logprobs)
def test_nothing_that_a_server_sends_breaks_the_reader(value):
    read = read_first_token(value)
    assert isinstance(read, FirstToken | Doubt)
    if isinstance(read, FirstToken):
        assert all(0 < p <= 4 for p in read.probabilities.values())  # as many as have that text
        assert read.floor > 0


@pytest.mark.parametrize(
    ("probabilities", "text", "believed"),
    [
        ({"Yes": 0.9, "No": 0.06}, "Yes", True),
        ({"Yes": 1.0, "No": 1e-9}, "Yes", True),  # very sure, and real
        ({"Yes": 0.48, "No": 0.5}, "Yes", True),  # a tie broken by rounding
        ({"Yes": 1.0}, "Yes", False),
        ({"Yes": 0.8, "No": 0.7}, "Yes", False),
        ({"Yes": 0.2, "No": 0.2, "It": 0.2}, "Yes", False),
        ({"Yes": 0.7, "No": 0.2}, "No", False),
        ({"Yes": 0.7, "No": 0.2}, "Perhaps", False),
    ],
)
def test_one_answer(probabilities, text, believed):
    assert (doubt_one(token(probabilities, text)) is None) == believed


def test_two_answers_may_differ_by_noise_and_not_by_samples():
    first = token({"Yes": 0.81, "No": 0.15})
    assert doubt_two(first, token({"Yes": 0.78, "No": 0.18})) is None
    assert doubt_two(first, token({"Yes": 0.6, "No": 0.4})) is not None
    assert doubt_two(first, token({"Yes": 0.8})) is not None


def test_the_temperature_must_not_sharpen():
    plain = token({"Yes": 0.7, "No": 0.2})
    assert doubt_sharpened(plain, plain) is None
    assert doubt_sharpened(token({"Yes": 0.9999, "No": 1e-6}), plain) is not None
    # top-k or top-p cut the warm answer; the greedy one is whole.
    assert doubt_sharpened(plain, token({"Yes": 1.0})) is None
