"""Routing quality: does the planner load the skills that a prompt needs, and no others?

`routing_prompts.jsonl` holds prompts in our own words, labelled by reading each skill's description
as a person would: prompts for one skill, for two at once, plain ones, and near misses that share a
word with a skill and do not need it. The labels were written before any model was run on them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from ..errors import ConfigurationError, GemsError, InputError
from ..graph.context import Context

PROMPTS = Path(__file__).with_name("routing_prompts.jsonl")
"""The labelled set that comes with the package."""


@dataclass(frozen=True)
class RoutingCase:
    """A prompt with the skills that it needs.

    Attributes:
        prompt: What a user asks for.
        skills: The skills it needs; empty: none.
        also: Skills that a careful person might load as well: neither asked for nor wrong.
        near: Skills that it looks like and does not need.
        note: Why it is labelled so.
    """

    prompt: str
    skills: frozenset[str]
    also: frozenset[str] = frozenset()
    near: frozenset[str] = frozenset()
    note: str = ""


@dataclass(frozen=True)
class Routed:
    """What the planner did with one case.

    Attributes:
        case: The case.
        loaded: The skills that it loaded, in order.
        error: Why there is no answer; empty when there is one.
        tokens: Input tokens of the planner's calls, as the endpoint reports them.
        seconds: Summed wall time of the planner's calls.
    """

    case: RoutingCase
    loaded: tuple[str, ...] = ()
    error: str = ""
    tokens: int = 0
    seconds: float = 0.0
    written: tuple[str, ...] = field(default=(), repr=False)
    """The prompts that the planner wrote."""

    @property
    def unwanted(self) -> frozenset[str]:
        """The loaded skills that the case neither needs nor allows."""
        return frozenset(self.loaded) - self.case.skills - self.case.also

    @property
    def exact(self) -> bool:
        """Whether all needed skills and no unwanted ones were loaded."""
        return self.case.skills <= set(self.loaded) and not self.unwanted


def load_cases(path: Path = PROMPTS) -> list[RoutingCase]:
    """Returns the cases of a JSONL file.

    Args:
        path: Each line is `{"prompt": …, "skills": […]}`, with `also`, `near` and `note` optional;
            empty lines are skipped.

    Raises:
        InputError: The file can't be read or a line does not fit; the message names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: it can't be read ({type(error).__name__}).") from None
    cases = [
        _case(line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not cases:
        raise InputError(f"{path}: there are no prompts in it.")
    return cases


def _case(line: str, where: str) -> RoutingCase:
    try:
        row = json.loads(line)
    except ValueError:
        raise InputError(f"{where}: the line is not JSON.") from None
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str) or "skills" not in row:
        raise InputError(f'{where}: needs "prompt" (a text) and "skills" (a list of names).')
    if not row["prompt"].strip():
        raise InputError(f"{where}: the prompt is empty.")
    named = {key: _names(row.get(key, []), f"{where}: {key!r}") for key in _LISTS}
    if named["skills"] & (named["also"] | named["near"]):
        raise InputError(f"{where}: a skill is both needed and not needed.")
    return RoutingCase(row["prompt"], **named, note=str(row.get("note", "")))


_LISTS = ("skills", "also", "near")


def _names(value: Any, where: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"{where} must be a list of skill names.")
    return frozenset(value)


def sample(cases: Sequence[RoutingCase], limit: int | None, seed: int = 0) -> list[RoutingCase]:
    """Returns `limit` cases drawn at random, the same ones for the same seed; all when None."""
    if limit is None or limit >= len(cases):
        return list(cases)
    chosen = sorted(Random(seed).sample(range(len(cases)), limit))  # noqa: S311 - no secret
    return [cases[index] for index in chosen]


def check_labels(cases: Sequence[RoutingCase], known: Collection[str]) -> None:
    """Checks that the labels name skills that can be loaded.

    Raises:
        InputError: A case needs a skill that there is not.
    """
    missing = sorted({name for case in cases for name in case.skills} - set(known))
    if missing:
        raise InputError(
            f"The prompts are labelled with skills that there are not: {', '.join(missing)}.",
            hint="`gems skills list` shows what there is; --prompts takes a set of your own.",
        )


async def route(
    cases: Sequence[RoutingCase],
    context: Context,
    *,
    concurrency: int = 8,
    progress: Callable[[Routed], None] = lambda routed: None,
) -> list[Routed]:
    """Runs the planner on each case, as a run of the graph would.

    Args:
        cases: The prompts.
        context: The run's settings; `planner_mllm`, `mllm`, `skills` and `max_skills` matter.
        concurrency: Cases in work at the same time, at least 1.
        progress: Called after each case, in the order in which they finish.

    Returns:
        One outcome for each case, in order. A case whose model failed carries the error.

    Raises:
        ConfigurationError: The model can't be had (no key, no such name).
    """
    from ..nodes.planner import planner_graph

    graph = planner_graph()
    places = asyncio.Semaphore(concurrency)

    async def one(case: RoutingCase) -> Routed:
        async with places:
            try:
                done = await graph.ainvoke({"prompt": case.prompt}, context=context)
            except ConfigurationError:
                raise
            except GemsError as error:
                routed = Routed(case, error=str(error))
            else:
                used = done.get("usage", {}).get("planner")
                routed = Routed(
                    case,
                    loaded=tuple(done.get("skills", ())),
                    tokens=used["input_tokens"] if used else 0,
                    seconds=used["seconds"] if used else 0.0,
                    written=tuple(done.get("prompts", ())),
                )
        progress(routed)
        return routed

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(case)) for case in cases]
    except* ConfigurationError as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
