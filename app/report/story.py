"""A thread as its report tells it: turns, rounds, attempts, the grid of verdicts, the curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from ...records import Attempt, Requirement, Usage
from ...show.score_curve import Point, bounded, score_curve
from ...show.verdicts import ANSWERS, met_count, outcome, percent, source_text, verdict_of
from ...show.word_diff import Piece, word_diff
from .pictures import Picture
from .readable import Readable


@dataclass(frozen=True)
class Cell:
    """A verdict in the grid, or in an attempt's list.

    Attributes:
        answer: `yes`, `no`, `unknown`, or `none` where the requirement was not asked.
        words: The answer as people read it.
        question: The requirement.
        rationale: What the verifier saw.
        source: What decided it, with its confidence.
    """

    answer: str
    words: str
    question: str = ""
    rationale: str = ""
    source: str = ""


@dataclass(frozen=True)
class AttemptStory:
    """One attempt.

    Attributes:
        record: As the state has it.
        name: `Round 2`, or `Round 2, candidate 1`.
        picture: Its image.
        best: Whether it is the one that was handed over.
        score: `7 of 9 met`, or that it was not judged.
        compared: What `pieces` compares its prompt with.
        pieces: Its prompt as changes.
        cells: Its verdicts.
    """

    record: Attempt
    name: str
    picture: Picture
    best: bool
    score: str
    compared: str
    pieces: list[Piece]
    cells: list[Cell]


@dataclass(frozen=True)
class RoundStory:
    """One round: its attempts, and what it taught."""

    number: int
    attempts: list[AttemptStory]
    experience: str


@dataclass(frozen=True)
class Row:
    """A requirement and its verdicts, one for each attempt of the turn."""

    requirement: Requirement
    cells: list[Cell]


@dataclass(frozen=True)
class TurnStory:
    """One turn.

    Attributes:
        number: 1-based.
        message: The user's own words; empty where they are not kept or are the task itself.
        outcome: How it ended, in one sentence.
        rounds: Its rounds.
        grid: Verdicts, requirement by attempt.
        curve: Scores over its rounds; empty with fewer than two.
    """

    number: int
    message: str
    outcome: str
    rounds: list[RoundStory]
    grid: list[Row]
    curve: Markup

    @property
    def attempts(self) -> list[AttemptStory]:
        """Its attempts in order."""
        return [attempt for round_ in self.rounds for attempt in round_.attempts]


@dataclass(frozen=True)
class RoleRow:
    """What a role used; shares are of the largest role, 0..100."""

    role: str
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    image_bytes: int
    share: float


def best_of(state: Readable) -> Attempt | None:
    """Returns the attempt that the thread hands over, or would now."""
    for attempt in state.attempts:
        if attempt["id"] == state.best:
            return attempt
    latest = max((item["turn"] for item in state.attempts), default=0)
    return _highest([item for item in state.attempts if item["turn"] == latest])


def turns_of(state: Readable, pictures: Mapping[str, Picture]) -> list[TurnStory]:
    """Returns the turns in order; a turn that has no attempt yet is left out."""
    numbers = sorted({item["turn"] for item in state.attempts})
    latest = max([state.turn, *numbers], default=0)
    before: list[Attempt] = []
    made = []
    for number in numbers:
        attempts = [item for item in state.attempts if item["turn"] == number]
        made.append(_turn(state, number, attempts, before, pictures, is_latest=number == latest))
        before = attempts
    return made


def cost_rows(usage: Usage) -> list[RoleRow]:
    """Returns what each role used, with its share of the slowest role's seconds for a bar."""
    longest = max((used["seconds"] for used in usage.values()), default=0.0)
    return [
        RoleRow(
            role,
            used["calls"],
            used["input_tokens"],
            used["output_tokens"],
            used["seconds"],
            used["image_bytes"],
            100 * bounded(used["seconds"] / longest) if longest > 0 else 0.0,
        )
        for role, used in usage.items()
    ]


def _turn(
    state: Readable,
    number: int,
    attempts: list[Attempt],
    before: list[Attempt],
    pictures: Mapping[str, Picture],
    *,
    is_latest: bool,
) -> TurnStory:
    best = best_of(state) if is_latest else _highest(attempts)
    taught = {item["round"]: item["text"] for item in state.experiences if item["turn"] == number}
    asked = {item["id"]: item for item in state.requirements}
    stories = {
        item["id"]: _attempt(
            item, _earlier(item, attempts, before), asked, pictures, state, best=item is best
        )
        for item in attempts
    }
    rounds = [
        RoundStory(
            round_,
            [stories[item["id"]] for item in attempts if item["round"] == round_],
            taught.get(round_, ""),
        )
        for round_ in sorted({item["round"] for item in attempts})
    ]
    return TurnStory(
        number,
        _message(state, number, is_latest=is_latest),
        outcome(
            # A later turn may not have an image of its own yet.
            best if best in attempts else _highest(attempts),
            attempts,
            state.stopped_because if is_latest else "",
        ),
        rounds,
        _grid(asked, attempts),
        score_curve(
            [
                Point(
                    item["round"],
                    f"round {item['round']}",
                    f"{_name(item, attempts)}: {percent(bounded(item['score']))}",
                    item["score"],
                    item is best,
                )
                for item in attempts
                if item["verdicts"]
            ]
        ),
    )


def _attempt(
    attempt: Attempt,
    earlier: tuple[str, str],
    asked: Mapping[str, Requirement],
    pictures: Mapping[str, Picture],
    state: Readable,
    *,
    best: bool,
) -> AttemptStory:
    met, number = met_count(attempt["verdicts"])
    of_turn = [item for item in state.attempts if item["turn"] == attempt["turn"]]
    return AttemptStory(
        record=attempt,
        name=_name(attempt, of_turn),
        picture=pictures[attempt["image"]["sha256"]],
        best=best,
        score=f"{met} of {number} met" if number else "not judged",
        compared=earlier[0],
        pieces=word_diff(earlier[1], attempt["prompt"]),
        cells=[_cell(attempt, asked[key]) for key in asked if verdict_of(attempt, key)],
    )


def _earlier(attempt: Attempt, turn: list[Attempt], before: list[Attempt]) -> tuple[str, str]:
    """Returns the name and the prompt of the attempt that a prompt is compared with.

    It is the image that was edited, else the same candidate of the round before, else its first;
    for further candidates of a first round the first candidate; for a later turn's first one the
    best attempt of the turn before. The thread's first prompt has nothing before it.
    """
    by_id = {item["id"]: item for item in [*before, *turn]}
    found = by_id.get(attempt["edited_from"])
    last = max((i["round"] for i in turn if i["round"] < attempt["round"]), default=None)
    if found is None and last is not None:
        of_round = [item for item in turn if item["round"] == last]
        same = [item for item in of_round if item["candidate"] == attempt["candidate"]]
        found = (same or of_round)[0]
    if found is None and turn[0] is not attempt:
        found = turn[0]
    if found is None:
        found = _highest(before)
    return (found["id"], found["prompt"]) if found is not None else ("", attempt["prompt"])


def _grid(asked: Mapping[str, Requirement], attempts: list[Attempt]) -> list[Row]:
    rows = [
        Row(requirement, [_cell(attempt, requirement) for attempt in attempts])
        for requirement in asked.values()
    ]
    return [row for row in rows if any(cell.answer != "none" for cell in row.cells)]


def _cell(attempt: Attempt, requirement: Requirement) -> Cell:
    verdict = verdict_of(attempt, requirement["id"])
    if verdict is None:
        return Cell("none", "not asked" if attempt["verdicts"] else "not judged")
    return Cell(
        verdict["answer"],
        ANSWERS[verdict["answer"]],
        requirement["question"],
        verdict["rationale"],
        f"{source_text(verdict)}, {percent(bounded(verdict['confidence']))} sure",
    )


def _name(attempt: Attempt, of_turn: list[Attempt]) -> str:
    several = any(item["candidate"] > 1 for item in of_turn)
    name = f"Round {attempt['round']}"
    return f"{name}, candidate {attempt['candidate']}" if several else name


def _message(state: Readable, number: int, *, is_latest: bool) -> str:
    if is_latest and state.message:
        return state.message
    if len(state.messages) == state.turn and 0 < number <= len(state.messages):
        return state.messages[number - 1]  # a chat, from its first turn on
    return ""


def _highest(attempts: list[Attempt]) -> Attempt | None:
    return max(
        attempts,
        key=lambda item: (bounded(item["score"]), bounded(item["confidence"])),
        default=None,
    )
