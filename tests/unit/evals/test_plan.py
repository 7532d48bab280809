"""Which samples a run has: shards are a partition, seeds are repeatable, names are unique."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gems.errors import ConfigurationError, InputError
from gems.evals.plan import (
    check_items,
    read_seeds,
    read_shard,
    sample_seed,
    samples_of,
    thread_of,
)
from gems.evals.strategies import STRATEGIES, settings_of, strategy


def items(count):
    return [
        {"id": f"i{n}", "prompt": "the same", "tags": {}, "reference": {}} for n in range(count)
    ]


@given(
    count=st.integers(0, 40),
    shards=st.integers(1, 9),
    samples=st.integers(1, 3),
    seeds=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3, unique=True),
    limit=st.none() | st.integers(1, 50),
)
def test_the_union_of_all_shards_is_the_whole(count, shards, samples, seeds, limit):
    options = {"samples": samples, "seeds": seeds, "limit": limit}
    whole = list(samples_of(items(count), **options))
    parts = [
        list(samples_of(items(count), shard=(number, shards), **options))
        for number in range(1, shards + 1)
    ]
    assert (
        sorted((s for part in parts for s in part), key=lambda s: (s.position, s.number)) == whole
    )
    assert len({sample.key for sample in whole}) == len(whole)
    assert len(whole) == min(count, limit or count) * samples * len(seeds)
    # A limit or another number of shards moves nothing to another seed or place.
    everything = {s.key: s for s in samples_of(items(count), samples=samples, seeds=seeds)}
    assert all(everything[sample.key] == sample for sample in whole)


def test_seeds_follow_from_run_item_and_number_and_stay_as_they_are():
    # Documented: changing the rule would change every run.
    assert sample_seed(1, "0001", 0) == 2036316001
    found = {sample_seed(s, i, n) for s in (1, 2) for i in ("a", "b") for n in range(3)}
    assert len(found) == 12
    assert all(0 <= seed < 2**31 for seed in found)


def test_prompts_that_stand_there_twice_are_samples_of_their_own():
    first, second = samples_of(items(2), samples=1, seeds=[1])
    assert first.item["prompt"] == second.item["prompt"]
    assert first.seed != second.seed
    assert thread_of(first, {}) != thread_of(second, {})
    assert thread_of(first, {"strategy": "gems"}) != thread_of(first, {"strategy": "loop"})
    assert thread_of(first, {"a": 1, "b": 2}) == thread_of(first, {"b": 2, "a": 1})


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(InputError, match="--shard"):
        read_shard(text)


@pytest.mark.parametrize("text", ["", "1,", "1,1", "x", "-1", "2147483648", "²"])
def test_what_are_no_seeds_is_refused(text):
    with pytest.raises(InputError, match="--seeds"):
        read_seeds(text)


def test_shards_and_seeds_are_read():
    assert read_shard("2/8") == (2, 8)
    assert read_seeds("1, 2,30") == (1, 2, 30)


def test_a_file_without_prompts_or_with_an_id_twice_is_refused():
    with pytest.raises(InputError, match="no prompts"):
        check_items([])
    with pytest.raises(InputError, match="id 'i0'"):
        check_items([*items(1), *items(1)])


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_a_valid_setting_of_the_graph(name):
    context = settings_of(strategy(name), size=(512, 256), user="eval-x")
    assert (context.width, context.height, context.user) == (512, 256, "eval-x")
    # No lessons of other runs, except where learning is what is measured.
    assert context.memory == ("on" if name == "gems+recall" else "off")


def test_a_strategy_gives_way_to_what_is_set_but_not_to_what_the_runner_decides():
    chosen = strategy("search")
    assert (
        settings_of(chosen, size=(512, 512), user="u", overrides={"candidates": 3}).candidates == 3
    )
    for name, value in (("seed", 1), ("user", "me"), ("review", "all")):
        with pytest.raises(InputError, match=name):
            settings_of(chosen, size=(512, 512), user="u", overrides={name: value})
    with pytest.raises(ConfigurationError, match="no such setting"):
        settings_of(chosen, size=(512, 512), user="u", overrides={"rounds": 3})
    with pytest.raises(InputError, match="no strategy 'best'"):
        strategy("best")
