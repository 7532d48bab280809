"""Distilling: what a finished run taught, and whether what it was told had helped.

Pure functions of the state; the finalizer stores what they return. A lesson says which wording of
the generator's prompt a requirement was missed with, and which new wording it passed with: that is
what a planner can use again for another task, and it needs no model call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..graph.state import State, attempts_of_turn
from ..memory.experiences import Lesson, LessonDraft
from ..records import Attempt, Requirement
from .quotes import quotes_in
from .scorer import best_attempt
from .tagged import cut_to_words

MAX_WORDS = 60
MAX_REPAIRS = 3
"""Requirements that one lesson speaks of; what is stored of a lesson ends at 600 characters."""

WORDING_WORDS = 24
"""Words kept of one quoted sentence."""

ABOUT, SURELY_ABOUT = 0.5, 0.6
"""Shares of a question's words. Of three words two are enough, so that a relation told from its
other side is known again; of two words one is enough only where no sentence has both, so that a
synonym does not hide a sentence and a noun alone does not stand for its colour."""

_SENTENCE = re.compile(r'(?:"[^"\n]*"|“[^”\n]*”|[^.!?;\n])+[.!?;]*')
_WORD = re.compile(r"[^\W_]+")
_ASKING = frozenset(
    _WORD.findall(
        "is are was were do does did has have can there any a an the of to in on at it its they "
        "this that these those all both each exactly visible shown image picture scene with and or"
    )
)


@dataclass(frozen=True)
class _Repair:
    """A requirement that was missed at first and met later.

    Attributes:
        requirement: Which one.
        missed: The sentence it was missed with; may be empty.
        passed: The new sentence it passed with.
    """

    requirement: Requirement
    missed: str
    passed: str


def draft_lesson(state: State) -> LessonDraft | None:
    """Returns what the run taught; None when it met everything at once, or learned nothing.

    The lesson is about the requirements that the first round missed and a later one met in other
    words; its gain is what these add to the score. Where the words do not tell (an edit, a prompt
    that speaks of it in no sentence of its own), the remedy is why the best later prompt was
    written as it was. A run that never met any of them teaches which wordings did not help.
    """
    attempts = attempts_of_turn(state)
    first = best_attempt([item for item in attempts if item["round"] == 1])
    later = [item for item in attempts if item["round"] > 1]
    if first is None or not later:
        return None
    missed = _missed(first, state["requirements"])
    if not missed:
        return None
    repairs = [found for item in missed if (found := _repair(item, first, attempts))]
    if repairs:
        return _taught(state, first, repairs[:MAX_REPAIRS])
    shown = best_attempt(later)
    if shown is None:
        return None
    gain = round(shown["score"] - first["score"], 4)
    remedy = _in_vain(missed, later) if gain <= 0 else ""
    remedy = remedy or _why(shown)
    return LessonDraft(
        task=state["prompt"],
        kinds=sorted({item["kind"] for item in missed}),
        failed=cut_to_words(
            "Missed at first: " + " ".join(q["question"] for q in missed), MAX_WORDS
        ),
        remedy=remedy,
        skill=", ".join(shown["skills"]),
        gain=gain,
    )


def _taught(state: State, first: Attempt, repairs: list[_Repair]) -> LessonDraft:
    questions: dict[str, list[str]] = {}
    for item in repairs:
        questions.setdefault(item.missed, []).append(item.requirement["question"])
    failed = [
        " ".join(asked) + (f" (said {_quoted(missed)})" if missed else "")
        for missed, asked in questions.items()
    ]
    said = list(dict.fromkeys(_quoted(item.passed) for item in repairs))
    return LessonDraft(
        task=state["prompt"],
        kinds=sorted({item.requirement["kind"] for item in repairs}),
        failed="Missed at first: " + " ".join(failed),
        remedy="saying " + " and ".join(said),
        skill=", ".join(first["skills"]),
        gain=round(len(repairs) / len(state["requirements"]), 4),
    )


def _repair(requirement: Requirement, first: Attempt, attempts: list[Attempt]) -> _Repair | None:
    """Returns how a missed requirement was met, in the best attempt that met it by new words."""
    vain: list[str] = []
    met: list[Attempt] = []
    for attempt in attempts:
        answer = _answers(attempt).get(requirement["id"])
        if answer == "yes" and not attempt["edited_from"]:
            met.append(attempt)
        elif answer == "no":
            vain += about(requirement["question"], attempt["prompt"])
    for attempt in sorted(met, key=lambda item: (-item["score"], item["round"])):
        for sentence in about(requirement["question"], attempt["prompt"]):
            if sentence not in vain:
                tried = about(requirement["question"], first["prompt"])
                return _Repair(requirement, tried[0] if tried else "", sentence)
    return None


def _in_vain(missed: list[Requirement], later: list[Attempt]) -> str:
    """Returns the last wordings of what was never met; "" where no sentence tells."""
    said = []
    for requirement in missed[:MAX_REPAIRS]:
        said += [
            _quoted(sentence)
            for attempt in later[-1:]
            if not attempt["edited_from"]
            for sentence in about(requirement["question"], attempt["prompt"])[:1]
        ]
    return "saying " + " and ".join(dict.fromkeys(said)) if said else ""


def _why(attempt: Attempt) -> str:
    """Returns why the attempt's prompt was written as it was, and how it begins."""
    opening = cut_to_words(attempt["prompt"], 25)
    why = cut_to_words(attempt["rationale"], MAX_WORDS)
    return f"{why} The prompt began: {opening}" if why else f"The prompt began: {opening}"


def about(question: str, prompt: str) -> list[str]:
    """Returns the sentences of a prompt that are most about a question, in their order.

    Words decide, in singular or plural: a sentence with `SURELY_ABOUT` of the question's words is
    about it, and where there is none, those with the largest share from `ABOUT` on. Text that the
    question quotes must stand in the sentence, and is enough.
    """
    quoted = quotes_in(question)
    asked = _words(question)
    shares: list[tuple[float, str]] = []
    for match in _SENTENCE.finditer(prompt):
        sentence = match[0].strip()
        if quoted:
            share = float(all(passage in sentence for passage in quoted))
        else:
            share = len(asked & _words(sentence)) / len(asked) if asked else 0.0
        shares.append((share, sentence))
    enough = max(ABOUT, min(SURELY_ABOUT, max((share for share, _ in shares), default=0.0)))
    return [sentence for share, sentence in shares if share >= enough]


def _words(text: str) -> set[str]:
    words = (word.lower() for word in _WORD.findall(text))
    return {word.removesuffix("s") for word in words if word not in _ASKING}


def _quoted(sentence: str) -> str:
    plain = cut_to_words(sentence.rstrip(" .;"), WORDING_WORDS)
    return "“" + plain.replace("“", '"').replace("”", '"') + "”"


def _answers(attempt: Attempt) -> dict[str, str]:
    return {verdict["requirement"]: verdict["answer"] for verdict in attempt["verdicts"]}


def _missed(attempt: Attempt, requirements: list[Requirement]) -> list[Requirement]:
    answers = _answers(attempt)
    return [item for item in requirements if answers.get(item["id"]) == "no"]


def lessons_that_helped(state: State) -> tuple[list[Lesson], list[Lesson]]:
    """Returns the recalled lessons that helped, and those that did not.

    A lesson is about kinds of requirements that failed at first; it helped when most requirements
    of these kinds passed in this run's first round. Where the run has none of these kinds, nothing
    is said about the lesson.
    """
    first = best_attempt([item for item in attempts_of_turn(state) if item["round"] == 1])
    if first is None:
        return [], []
    failed = [item["kind"] for item in _missed(first, state["requirements"])]
    asked = [item["kind"] for item in state["requirements"]]
    helped: list[Lesson] = []
    idle: list[Lesson] = []
    for lesson in state["lessons"]:
        of_its_kinds = sum(kind in lesson["kinds"] for kind in asked)
        if of_its_kinds:
            missed = sum(kind in lesson["kinds"] for kind in failed)
            (helped if 2 * missed < of_its_kinds else idle).append(lesson)
    return helped, idle
