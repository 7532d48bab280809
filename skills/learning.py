"""Drafts a skill from trajectories: which wordings came with a requirement that turned to yes.

What is found is evidence, not proof: from one round to the next the seed changes together with
the wording. So each piece also counts how often the requirement stayed met afterwards and what was
lost with it, and a draft says that a person must edit it. Nothing here installs a skill or calls a
model.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from .document import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..records import Attempt, Requirement, Verdict

_LOOKED = frozenset({"logprobs", "votes", "model", "evidence"})
"""Sources of verdicts that looked at the image; a failed dependency or budget taught nothing."""

MAX_EVIDENCE = 40
"""Pieces of evidence in one draft, the best first: more than a person reads."""


@dataclass(frozen=True)
class Trajectory:
    """One turn of a thread.

    Attributes:
        thread: The thread's id.
        prompt: What the user asked for.
        requirements: What was checked.
        attempts: In order, with their verdicts.
    """

    thread: str
    prompt: str
    requirements: tuple[Requirement, ...]
    attempts: tuple[Attempt, ...]

    @property
    def gain(self) -> float:
        """Score of the best attempt less the best of round one, 0..1."""
        first = [item["score"] for item in self.attempts if item["round"] == 1]
        best = max((item["score"] for item in self.attempts), default=0.0)
        return best - max(first, default=best)


@dataclass(frozen=True)
class Evidence:
    """A requirement that was failed in one round and met in the next.

    Attributes:
        number: 1-based, what a draft's rules refer to.
        trajectory: Where it happened.
        requirement: Which one.
        failed: The better attempt of the round in which it failed.
        met: The better attempt of the next round, in which it was met.
        wording: The new sentence of the prompt that speaks most of the requirement; empty when
            only the order of the sentences changed.
        held: In how many of `checked` attempts it was met, counted from `met` on.
        checked: Attempts from `met` on whose image was looked at for it.
        lost: Questions that were met before and failed then.
    """

    number: int
    trajectory: Trajectory
    requirement: Requirement
    failed: Attempt
    met: Attempt
    wording: str
    held: int
    checked: int
    lost: tuple[str, ...]

    @property
    def where(self) -> str:
        """The thread and the two attempts: `thread/t1r1c1 → t1r2c1`."""
        return f"{self.trajectory.thread}/{self.failed['id']} → {self.met['id']}"

    @property
    def same_seed(self) -> bool:
        """Whether only the wording changed."""
        return self.failed["seed"] == self.met["seed"]


class DraftRule(BaseModel):
    """One instruction and where it comes from."""

    rule: str = Field(description="What to do to a prompt, concrete, one or two sentences.")
    evidence: list[int] = Field(
        default_factory=list, description="Numbers of the evidence that it rests on."
    )


class SkillDraft(BaseModel):
    """A skill as it is drafted."""

    name: str = Field(description="Lower-case words joined by dashes.")
    description: str = Field(
        description="What the skill does to a prompt and when to use it: 'Use when … Not for …'."
    )
    idea: str = Field(description="What goes wrong without it and what puts it right, 3 sentences.")
    rules: list[DraftRule] = Field(min_length=1, description="The instructions.")
    failure_signs: list[str] = Field(
        default_factory=list, description="What to look for in an image that went wrong."
    )


def find_evidence(trajectories: Iterable[Trajectory]) -> list[Evidence]:
    """Returns what the successful trajectories teach, the surest first.

    A trajectory is successful when a later round beat its first one. Rounds that edit an image are
    left out: their prompt says what to change, not what to show.
    """
    found = [
        piece
        for trajectory in trajectories
        if trajectory.gain > 0
        for piece in _turnings(trajectory)
    ]
    found.sort(key=lambda piece: (not piece.same_seed, -piece.held / piece.checked, -piece.checked))
    return [
        replace(piece, number=number) for number, piece in enumerate(found[:MAX_EVIDENCE], start=1)
    ]


def _turnings(trajectory: Trajectory) -> list[Evidence]:
    best: dict[int, Attempt] = {}
    for attempt in trajectory.attempts:
        known = best.get(attempt["round"])
        if known is None or _worth(attempt) > _worth(known):
            best[attempt["round"]] = attempt
    rounds = [best[number] for number in sorted(best)]
    pairs = [
        (failed, met)
        for failed, met in pairwise(rounds)
        if not met.get("edited_from") and failed["prompt"] != met["prompt"]
    ]
    return [
        _piece(trajectory, requirement, failed, met)
        for failed, met in pairs
        for requirement in trajectory.requirements
        if _answer(failed, requirement) == "no" and _answer(met, requirement) == "yes"
    ]


def _piece(
    trajectory: Trajectory, requirement: Requirement, failed: Attempt, met: Attempt
) -> Evidence:
    later = [
        _answer(item, requirement)
        for item in trajectory.attempts
        if item["round"] >= met["round"] and not item.get("edited_from")
    ]
    return Evidence(
        number=0,
        trajectory=trajectory,
        requirement=requirement,
        failed=failed,
        met=met,
        wording=telling_part(requirement["question"], failed["prompt"], met["prompt"]),
        held=later.count("yes"),
        checked=len(later) - later.count(""),
        lost=tuple(
            other["question"]
            for other in trajectory.requirements
            if _answer(failed, other) == "yes" and _answer(met, other) == "no"
        ),
    )


def _worth(attempt: Attempt) -> tuple[float, float]:
    return attempt["score"], attempt["confidence"]


def _answer(attempt: Attempt, requirement: Requirement) -> str:
    """Returns the answer of a verdict that looked at the image, else an empty string."""
    verdict = _verdict(attempt, requirement)
    return verdict["answer"] if verdict is not None and verdict["source"] in _LOOKED else ""


def _verdict(attempt: Attempt, requirement: Requirement) -> Verdict | None:
    own = (item for item in attempt["verdicts"] if item["requirement"] == requirement["id"])
    return next(own, None)


_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ASKING = frozenset(
    ("is", "are", "there", "the", "a", "an", "does", "do", "of", "in", "on", "it", "its", "any")
)
"""Words that every question has."""


def telling_part(question: str, before: str, after: str) -> str:
    """Returns the sentence of `after` that is not in `before` and shares most with the question.

    Of equals the first, since what comes first weighs most; empty when there is no new sentence
    (only the order changed).
    """
    old = {_folded(part) for part in _SENTENCE_END.split(before)}
    new = [
        part.strip()
        for part in _SENTENCE_END.split(after)
        if part.strip() and _folded(part) not in old
    ]
    asked = _words(question) - _ASKING
    return max(new, key=lambda part: len(asked & _words(part)), default="")


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!?;。！？；")


def _words(text: str) -> set[str]:
    """Returns the words; single characters where a script has no spaces."""
    found: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        found |= set(word) if _CJK.search(word) else {word}
    return found


# --- a draft by rules ---------------------------------------------------------------------------


def draft_by_rules(evidence: Sequence[Evidence], name: str = "") -> SkillDraft:
    """Returns a plain draft that lists what was seen, without a model's generalisation.

    Args:
        evidence: At least one piece.
        name: The skill's name; empty: made from the kinds of requirements.
    """
    counted = Counter(item.requirement["kind"] for item in evidence)
    kinds = [kind for kind, _ in counted.most_common()]
    asked = " ".join(dict.fromkeys(item.requirement["question"] for item in evidence))
    description = (
        "Wordings that came with failed requirements being met in the next image, of the kind "
        f"{', '.join(kinds)}: {asked}"
    )
    alike: dict[tuple[str, str], list[Evidence]] = {}
    for item in evidence:
        alike.setdefault((item.requirement["question"], _folded(item.wording)), []).append(item)
    rules = [
        DraftRule(rule=_seen_rule(group), evidence=[item.number for item in group])
        for group in sorted(alike.values(), key=len, reverse=True)
    ]
    signs = []
    for item in evidence:
        verdict = _verdict(item.failed, item.requirement)
        seen = f" ({verdict['rationale']})" if verdict and verdict["rationale"] else ""
        signs.append(f'"{item.requirement["question"]}" is answered with no{seen}')
    return SkillDraft(
        name=name or usable_name(f"learned-{'-'.join(kinds[:2])}"),
        description=f"{description[:900]} Use when a prompt asks for such things.",
        idea="These wordings were found by comparing rounds of runs; nobody has generalised them "
        "yet. Say what they have in common and why it helps, and delete what was chance.",
        rules=rules,
        failure_signs=list(dict.fromkeys(signs)),
    )


def _seen_rule(group: Sequence[Evidence]) -> str:
    item = group[0]
    question, kind = item.requirement["question"], item.requirement["kind"]
    if not item.wording:
        return f'For {kind} ("{question}"): the same sentences in another order.'
    before = [telling_part(question, "", other.failed["prompt"]) for other in group]
    instead = " or ".join(f'"{part}"' for part in list(dict.fromkeys(before))[:3])
    return f'For {kind} ("{question}"): "{item.wording}" in place of {instead}.'


def usable_name(wanted: str, fallback: str = "learned-skill") -> str:
    """Returns `wanted` as a valid skill name: lower case, dashes for what may not stand in one."""
    folded = unicodedata.normalize("NFKC", wanted).lower()
    name = re.sub(r"[^\w]+|_", "-", folded).strip("-")[:64].strip("-")
    name = re.sub(r"-{2,}", "-", name)
    return fallback if check_name(name) else name


def evidence_lines(evidence: Sequence[Evidence]) -> str:
    """Returns the evidence as text for a model: one block of lines a piece."""
    return "\n\n".join(
        "\n".join(
            [
                f"[{item.number}] {item.requirement['kind']}: {item.requirement['question']}",
                f"user's prompt: {item.trajectory.prompt}",
                f"failed with: {item.failed['prompt']}",
                f"met with: {item.met['prompt']}",
                f"met in {item.held} of {item.checked} images from then on; "
                f"{'the same seed' if item.same_seed else 'the seed changed as well'}",
                *(f"lost with it: {question}" for question in item.lost),
            ]
        )
        for item in evidence
    )
