"""Routing quality: the labelled set, the runner over the real planner, and the scores."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scripted import Script, ScriptedChat

from gems.errors import ConfigurationError, InputError, ModelError
from gems.evals.routing import Routed, RoutingCase, check_labels, load_cases, route, sample
from gems.evals.routing_scores import score_routing
from gems.graph.context import Context
from gems.models.chat import register_chat_model
from gems.skills.loader import BUILTIN, SkillSource, load_library


def test_the_set_covers_every_built_in_skill_none_two_and_near_misses() -> None:
    cases = load_cases()
    builtin = set(load_library([SkillSource("builtin", BUILTIN)]).skills)
    check_labels(cases, builtin)
    assert {name for case in cases for name in case.also | case.near} <= builtin
    assert len({case.prompt for case in cases}) == len(cases) >= 150
    labelled = Counter(name for case in cases for name in case.skills)
    assert set(labelled) == builtin
    assert min(labelled.values()) >= 8
    assert {name for case in cases for name in case.near} == builtin
    sizes = Counter(len(case.skills) for case in cases)
    assert sizes[0] >= 40
    assert sizes[2] >= 20


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ('{"prompt": "a cat"}', "needs"),
        ('{"prompt": " ", "skills": []}', "empty"),
        ('{"prompt": "a cat", "skills": "counting"}', "'skills' must be a list"),
        ('{"prompt": "a cat", "skills": ["a"], "near": ["a"]}', "both"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "x", "skills": []}\n\n' + line, "utf-8")
    with pytest.raises(InputError, match=says) as caught:
        load_cases(path)
    assert f"{path}:3" in str(caught.value)


def test_labels_of_skills_that_there_are_not_are_refused() -> None:
    with pytest.raises(InputError, match="b-skill"):
        check_labels([RoutingCase("x", frozenset({"a-skill", "b-skill"}))], ["a-skill"])


def case(needed: str = "", also: str = "", near: str = "") -> RoutingCase:
    return RoutingCase("x", *(frozenset(names.split()) for names in (needed, also, near)))


def test_scores() -> None:
    report = score_routing(
        [
            Routed(case("a"), ("a",), tokens=10),
            Routed(case("a", also="c"), ("a", "c"), tokens=30),
            Routed(case("a b"), ("a",)),
            Routed(case("b"), ("a",)),
            Routed(case(), ()),
            Routed(case(near="b"), ("b",)),
            Routed(case("b"), error="no answer"),
        ]
    )
    assert report.failed == 1
    assert (report.exact.value, report.exact.cases) == (0.5, 6)
    assert report.exact.low is not None
    assert report.exact.high is not None
    assert 0 <= report.exact.low < 0.5 < report.exact.high <= 1
    assert report.one.value == pytest.approx(2 / 3)
    assert report.two.value == 0.0
    assert report.none.value == 0.5
    assert report.near_misses.value == 0.0
    assert report.over_triggering.value == pytest.approx(2 / 6)
    by_name = {item.skill: item for item in report.skills}
    assert (by_name["a"].precision, by_name["a"].recall) == (0.75, 1.0)
    assert (by_name["b"].precision, by_name["b"].recall) == (0.0, 0.0)
    assert by_name["c"].precision is None  # loaded only where it was allowed
    assert report.tokens == pytest.approx(40 / 6)
    assert json.loads(json.dumps(report.to_json()))["exact"]["cases"] == 6
    assert score_routing([]).exact.value is None


class CountingChat(ScriptedChat):
    """Notes how many calls are in work at the same time."""

    busy: list[int] = [0, 0]  # noqa: RUF012 - a pydantic field, copied for each model

    async def _agenerate(self, *args: Any, **options: Any) -> Any:
        self.busy[0] += 1
        self.busy[1] = max(self.busy)
        try:
            return await super()._agenerate(*args, **options)
        finally:
            self.busy[0] -= 1


async def test_the_real_planner_runs_on_each_case_within_the_bound() -> None:
    chat = CountingChat(script=Script(skills=["counting"], delay=0.05))
    register_chat_model("scripted", chat)
    cases = [RoutingCase(f"prompt {number}", frozenset()) for number in range(8)]
    seen: list[Routed] = []
    context = Context(planner_mllm="scripted")
    outcomes = await route(cases, context, concurrency=3, progress=seen.append)
    assert [item.case for item in outcomes] == cases
    assert sorted(item.loaded for item in outcomes) == [*[()] * 7, ("counting",)]
    assert sum(item.tokens for item in outcomes) == 10 * 9  # one loaded a skill: one call more
    assert len(seen) == 8
    assert chat.busy[0] == 0
    assert 1 < chat.busy[1] <= 3


async def test_a_case_without_an_answer_is_kept_apart_and_a_missing_model_ends_it() -> None:
    def fail(role: str, number: int) -> Exception | None:
        return ModelError("out of order") if number <= 2 else None

    register_chat_model("scripted", ScriptedChat(script=Script(fail=fail)))
    cases = [RoutingCase("one", frozenset()), RoutingCase("two", frozenset())]
    outcomes = await route(cases, Context(planner_mllm="scripted"), concurrency=1)
    assert [bool(item.error) for item in outcomes] == [True, False]
    with pytest.raises(ConfigurationError):
        await asyncio.wait_for(route(cases, Context(planner_mllm="openai:gpt-5")), 30)


def test_a_sample_is_the_same_each_time() -> None:
    cases = load_cases()
    assert sample(cases, 20) == sample(cases, 20)
    assert len(sample(cases, 20)) == 20
    assert sample(cases, None) == cases
