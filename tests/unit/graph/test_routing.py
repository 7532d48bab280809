"""Routing and dispatch are pure functions of the state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gems.graph.budget import calls_left, stop_reason
from gems.graph.context import Context
from gems.graph.routing import after_recall, after_review
from gems.nodes.dispatch import next_questions
from gems.nodes.requirements import fold_dependencies, settle_requirements

ANSWERS = st.sampled_from(["yes", "no", "unknown"])
GIVEN = st.lists(
    st.fixed_dictionaries(
        {
            "question": st.sampled_from([f"Is there a {name}?" for name in "abcdefgh"]),
            "depends_on": st.lists(st.integers(1, 10), max_size=3),
        }
    ),
    min_size=1,
    max_size=10,
)


def verdict(requirement, answer):
    return {
        "requirement": requirement,
        "answer": answer,
        "confidence": 0.9,
        "rationale": "",
        "source": "model",
    }


def state_with(requirements, **more):
    attempt = {"id": "t1r1c1", "turn": 1, "round": 1, "image": {}, "verdicts": []}
    return {
        "turn": 1,
        "round": 1,
        "requirements": requirements,
        "attempts": [attempt],
        "verdicts": [],
        "stopped_because": "",
        "usage": {},
        **more,
    }


@given(GIVEN)
def test_settled_requirements_are_unique_and_have_an_order(given_items):
    settled = settle_requirements(given_items, "decomposer")
    ids = [item["id"] for item in settled]
    assert ids == [f"r{number}" for number in range(1, len(ids) + 1)]
    assert len({item["question"] for item in settled}) == len(settled)
    done: set[str] = set()
    for _ in settled:
        done |= {item["id"] for item in settled if set(item["depends_on"]) <= done}
    assert done == set(ids)  # no circle: everything can be asked some time


@given(GIVEN, st.data())
def test_staged_waves_end_with_every_requirement_decided(given_items, data):
    requirements = settle_requirements(given_items, "decomposer")
    context = Context(verification="staged")
    state = state_with(requirements)
    asked: list[str] = []
    while tasks := next_questions(state, context):
        for task in tasks:
            (requirement,) = task["asked"]
            asked.append(requirement["id"])
            answer = data.draw(ANSWERS)
            state["verdicts"].append({**verdict(requirement["id"], answer), "attempt": "t1r1c1"})
    assert len(asked) == len(set(asked))
    known = {item["requirement"]: item for item in state["verdicts"]}
    folded = fold_dependencies(requirements, known)
    by_id = {item["requirement"]: item for item in folded}
    for requirement in requirements:
        met = by_id[requirement["id"]]["answer"] == "yes"
        above = [by_id[name]["answer"] for name in requirement["depends_on"]]
        assert not met or all(answer == "yes" for answer in above)
        if "no" in above:
            assert by_id[requirement["id"]]["answer"] == "no"


@given(GIVEN, st.integers(0, 30), st.integers(1, 5), st.sampled_from(["each", "staged", "joint"]))
def test_no_more_is_asked_than_calls_are_left(given_items, used, votes, verification):
    context = Context(verification=verification, votes=votes, max_model_calls=20)
    usage = {"planner": {"calls": used, "input_tokens": 0, "output_tokens": 0, "seconds": 0.0}}
    requirements = settle_requirements(given_items, "decomposer")
    state = state_with(requirements, usage=usage)
    tasks = next_questions(state, context)
    assert len(tasks) * votes <= calls_left(state, context)


def test_generations_are_no_model_calls_and_earlier_turns_do_not_count():
    used = {"input_tokens": 0, "output_tokens": 0, "seconds": 0.0}
    state = {
        "usage": {"generator": {"calls": 9, **used}, "verifier": {"calls": 7, **used}},
        "calls_before": 5,
    }
    assert calls_left(state, Context(max_model_calls=10)) == 8
    assert calls_left(state, Context()) is None


def test_acceptance_comes_before_every_budget():
    state = {"round": 5, "stretches": [[0.0, 100.0]], "usage": {}}
    spent = Context(max_rounds=5, max_seconds=10, max_model_calls=3)
    assert stop_reason(state, spent, 1.0) == "accepted"
    assert stop_reason(state, spent, 0.9) == "max_seconds"
    assert stop_reason(state, Context(max_rounds=5), 0.9) == "max_rounds"
    assert stop_reason(state, Context(max_rounds=6), 0.9) == ""
    assert stop_reason(state, Context(max_rounds=6, accept_score=0.8), 0.9) == "accepted"


def test_given_requirements_go_past_the_decomposer():
    given = [{"id": "r1"}]
    assert after_recall({"requirements": [], "prompts": []}) == ["planner", "decomposer"]
    assert after_recall({"requirements": given, "prompts": []}) == ["planner"]
    assert after_recall({"requirements": [], "prompts": ["edit it"]}) == ["decomposer"]
    assert after_recall({"requirements": given, "prompts": ["edit it"]}) == ["approval"]


def test_after_a_review_the_run_ends_when_there_is_a_reason():
    assert after_review({"stopped_because": "accepted_by_reviewer"}) == "finalizer"
    assert after_review({"stopped_because": ""}) == "summarizer"
