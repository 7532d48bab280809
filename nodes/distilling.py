"""Distilling: what a finished run taught, and whether what it was told had helped.

Pure functions of the state; the finalizer stores what they return.
"""

from __future__ import annotations

from ..graph.state import State, attempts_of_turn
from ..memory.experiences import Lesson, LessonDraft
from ..records import Attempt, Requirement
from .scorer import best_attempt
from .tagged import cut_to_words

MAX_WORDS = 60


def draft_lesson(state: State) -> LessonDraft | None:
    """Returns what the run taught; None when it met everything at once, or learned nothing.

    What failed are the requirements that the first round missed; the remedy is why the prompt that
    then did best was written as it was; the gain is the difference of their scores. A run that
    never did better teaches which remedy did not help.
    """
    attempts = attempts_of_turn(state)
    first = best_attempt([item for item in attempts if item["round"] == 1])
    if first is None or len({item["round"] for item in attempts}) < 2:
        return None
    missed = _missed(first, state["requirements"])
    if not missed:
        return None
    best = best_attempt(attempts) or first
    shown = best if best["round"] > 1 else attempts[-1]
    remedy = _remedy(shown, missed)
    if not remedy:
        return None
    return LessonDraft(
        task=state["prompt"],
        kinds=sorted({item["kind"] for item in missed}),
        failed=cut_to_words(
            "Missed at first: " + " ".join(q["question"] for q in missed), MAX_WORDS
        ),
        remedy=remedy,
        skill=", ".join(shown["skills"]),
        gain=round(shown["score"] - first["score"], 4),
    )


def _remedy(attempt: Attempt, missed: list[Requirement]) -> str:
    """Returns why the attempt's prompt was written as it was, and how it begins."""
    opening = cut_to_words(attempt["prompt"], 25)
    why = cut_to_words(attempt["rationale"], MAX_WORDS)
    return f"{why} The prompt began: {opening}" if why else f"The prompt began: {opening}"


def _missed(attempt: Attempt, requirements: list[Requirement]) -> list[Requirement]:
    answers = {verdict["requirement"]: verdict["answer"] for verdict in attempt["verdicts"]}
    return [item for item in requirements if answers.get(item["id"]) == "no"]


def lessons_that_helped(state: State) -> tuple[list[Lesson], list[Lesson]]:
    """Returns the recalled lessons that helped, and those that did not.

    A lesson is about kinds of requirements that failed at first; it helped when none of these kinds
    failed in this run's first round.
    """
    first = best_attempt([item for item in attempts_of_turn(state) if item["round"] == 1])
    if first is None:
        return [], []
    failed = {item["kind"] for item in _missed(first, state["requirements"])}
    helped = [item for item in state["lessons"] if not failed & set(item["kinds"])]
    return helped, [item for item in state["lessons"] if item not in helped]
