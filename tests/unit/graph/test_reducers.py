"""Reducers: parallel nodes may write in any order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gems.graph.state import (
    add_notices,
    add_usage,
    merge_attempts,
    merge_experiences,
    merge_stretches,
    merge_verdicts,
    worked_seconds,
)

TIMES = st.floats(min_value=0, max_value=10_000, allow_nan=False)
STRETCHES = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: [min(pair), max(pair)]), max_size=12)
ROLES = st.sampled_from(["planner", "verifier", "generator"])
USED = st.fixed_dictionaries(
    {
        "calls": st.integers(0, 9),
        "input_tokens": st.integers(0, 999),
        "output_tokens": st.integers(0, 999),
        "seconds": st.integers(0, 100).map(float),
    }
)
USAGE = st.dictionaries(ROLES, USED)


@given(STRETCHES, STRETCHES)
def test_stretches_are_disjoint_ordered_and_in_any_order_the_same(one, other):
    merged = merge_stretches(merge_stretches([], one), other)
    assert merged == merge_stretches(merge_stretches([], other), one)
    assert all(start <= end for start, end in merged)
    assert all(left[1] < right[0] for left, right in pairwise(merged))


@given(STRETCHES)
def test_parallel_work_counts_once(stretches):
    longest = max((end - start for start, end in stretches), default=0.0)
    span = max((s[1] for s in stretches), default=0) - min((s[0] for s in stretches), default=0)
    worked = worked_seconds(merge_stretches([], stretches))
    assert longest - 1e-6 <= worked <= span + 1e-6


def test_a_pause_is_no_work():
    merged = merge_stretches([[0.0, 10.0]], [[10.5, 12.0], [500.0, 501.0]])
    assert merged == [[0.0, 12.0], [500.0, 501.0]]
    assert worked_seconds(merged) == 13.0


@given(USAGE, USAGE, USAGE)
def test_usage_adds_up_in_any_order(a, b, c):
    assert add_usage(add_usage(a, b), c) == add_usage(a, add_usage(c, b))
    total = add_usage(add_usage(a, b), c)
    for role, used in total.items():
        assert used["calls"] == sum(part.get(role, {}).get("calls", 0) for part in (a, b, c))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=10))
def test_an_attempt_is_replaced_in_place_by_its_later_self(writes):
    merged = []
    for name, score in writes:
        merged = merge_attempts(merged, [{"id": name, "score": score}])
    assert [item["id"] for item in merged] == list(dict.fromkeys(name for name, _ in writes))
    assert {item["id"]: item["score"] for item in merged} == dict(writes)


def test_verdicts_and_experiences_have_one_entry_a_key():
    verdict = {"attempt": "a", "requirement": "r1", "answer": "yes"}
    later = {**verdict, "answer": "no"}
    assert merge_verdicts([verdict], [later, {**verdict, "requirement": "r2"}]) == [
        later,
        {**verdict, "requirement": "r2"},
    ]
    learned = {"turn": 1, "round": 1, "text": "a"}
    assert merge_experiences([learned], [{**learned, "text": "b"}]) == [{**learned, "text": "b"}]


def test_a_notice_is_said_once():
    assert add_notices(["a", "b"], ["b", "c", "c"]) == ["a", "b", "c"]
