"""Requirements as the graph uses them: atomic questions, unique, with a dependency order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from ..errors import InputError
from ..evidence.registry import settle_evidence
from ..records import EvidenceCheck, Requirement, RequirementKind, RequirementOrigin, Verdict

MAX_REQUIREMENTS = 60
"""More questions than this about one image is a mistake or an attack; GenEval2 has at most 12."""

MAX_EVIDENCE = 8
"""Checks by tools for one requirement."""

_SPACES = re.compile(r"\s+")


def settle_requirements(
    given: Sequence[str | Mapping[str, Any]],
    origin: RequirementOrigin,
    earlier: Sequence[Requirement] = (),
) -> list[Requirement]:
    """Returns checked requirements with ids, duplicates dropped and dependency circles cut.

    Args:
        given: Questions as strings, or mappings with `question` and optionally `id`, `kind` and
            `depends_on` (ids, or 1-based numbers of requirements in this list) and `evidence` (a
            list of checks by tools, see `gems.evidence`).
        origin: Who asked for them.
        earlier: Requirements of the thread's earlier turns: a question that was asked before keeps
            its id, a new one gets a new id, so that old verdicts keep their meaning.

    Raises:
        InputError: An entry has no question or evidence that is none, or there are too many.
    """
    if len(given) > MAX_REQUIREMENTS:
        raise InputError(
            f"There are {len(given)} requirements; at most {MAX_REQUIREMENTS} are checked.",
            hint="Join or drop some of them.",
        )
    settled: list[Requirement] = []
    wanted: list[list[str]] = []
    final_id: dict[str, str] = {}
    by_question: dict[str, str] = {}
    known_ids = {item["question"].casefold(): item["id"] for item in earlier}
    last = max((int(item["id"].removeprefix("r")) for item in earlier), default=0)
    for number, entry in enumerate(given, start=1):
        record: Mapping[str, Any] = {"question": entry} if isinstance(entry, str) else entry
        question = record.get("question")
        if not isinstance(question, str) or not question.strip():
            raise InputError(
                f"Requirement {number} has no question.",
                hint='Give a yes/no question, e.g. "Is the ball blue?".',
            )
        question = _SPACES.sub(" ", question).strip()
        names = {str(number), str(record.get("id") or f"r{number}")}
        known = by_question.get(question.casefold())
        if known is not None:
            final_id.update((name, known) for name in names)
            continue
        own = known_ids.get(question.casefold(), "")
        if not own:
            last += 1
            own = f"r{last}"
        by_question[question.casefold()] = own
        final_id.update((name, own) for name in names)
        requirement = Requirement(
            id=own,
            question=question,
            kind=_kind(record.get("kind")),
            depends_on=[],
            origin=origin,
        )
        if record.get("evidence"):
            requirement["evidence"] = _evidence(record["evidence"], number)
        settled.append(requirement)
        wanted.append([str(name) for name in record.get("depends_on") or ()])
    edges = {
        requirement["id"]: [final_id[name] for name in names if name in final_id]
        for requirement, names in zip(settled, wanted, strict=True)
    }
    for requirement in settled:
        for needed in dict.fromkeys(edges[requirement["id"]]):
            if not _reaches(needed, requirement["id"], settled):
                requirement["depends_on"].append(needed)
    return settled


def _evidence(given: Any, number: int) -> list[EvidenceCheck]:
    """Returns the checked evidence of one requirement."""
    if not isinstance(given, list) or len(given) > MAX_EVIDENCE:
        raise InputError(f"Requirement {number}: evidence is a list of at most {MAX_EVIDENCE}.")
    try:
        return [settle_evidence(item) for item in given]
    except InputError as error:
        raise InputError(f"Requirement {number}: {error.args[0]}", hint=error.hint) from None


def _kind(given: Any) -> RequirementKind:
    """Returns the kind, `other` for what is none."""
    kinds: tuple[RequirementKind, ...] = get_args(RequirementKind)
    return next((kind for kind in kinds if kind == given), "other")


def _reaches(start: str, goal: str, requirements: list[Requirement]) -> bool:
    """Returns whether `goal` is `start` or something that `start` depends on."""
    depends = {requirement["id"]: requirement["depends_on"] for requirement in requirements}
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        current = waiting.pop()
        if current == goal:
            return True
        if current not in seen:
            seen.add(current)
            waiting.extend(depends.get(current, ()))
    return False


def next_wave(
    requirements: list[Requirement], verdicts: Mapping[str, Verdict]
) -> list[Requirement]:
    """Returns the requirements to ask now in staged verification.

    Those without a verdict whose dependencies have all been answered with yes. A requirement
    below a failed one is never asked; `fold_dependencies` counts it as failed.
    """
    return [
        requirement
        for requirement in requirements
        if requirement["id"] not in verdicts
        and all(
            needed in verdicts and verdicts[needed]["answer"] == "yes"
            for needed in requirement["depends_on"]
        )
    ]


def fold_dependencies(
    requirements: list[Requirement], verdicts: Mapping[str, Verdict]
) -> list[Verdict]:
    """Returns one verdict for each requirement, in order.

    When "is there a cat" is no, "is the cat black" is no as well, whatever a model said of it.
    A requirement without an answer is unknown: no budget was left to ask.
    """
    by_id = {requirement["id"]: requirement for requirement in requirements}
    folded: dict[str, Verdict] = {}

    def fold(requirement: Requirement) -> Verdict:
        own = requirement["id"]
        if own in folded:
            return folded[own]
        for needed in requirement["depends_on"]:
            above = fold(by_id[needed])
            if above["answer"] == "no":
                folded[own] = Verdict(
                    requirement=own,
                    answer="no",
                    confidence=above["confidence"],
                    rationale=f"It depends on: {by_id[needed]['question']}",
                    source="dependency",
                )
                return folded[own]
        unasked = Verdict(
            requirement=own,
            answer="unknown",
            confidence=0.0,
            rationale="It was not asked.",
            source="budget",
        )
        blocked = any(
            fold(by_id[needed])["answer"] != "yes" for needed in requirement["depends_on"]
        )
        if own not in verdicts and blocked:
            unasked["rationale"] = "What it depends on is unknown."
            unasked["source"] = "dependency"
        folded[own] = verdicts.get(own, unasked)
        return folded[own]

    return [fold(requirement) for requirement in requirements]
