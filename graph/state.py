"""The channels of the graph, with the reducers that parallel nodes need.

Values are the plain records of `gems.records`. Image bytes never enter a channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, NotRequired

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from pydantic import Field
from typing_extensions import TypedDict

from ..memory.experiences import Lesson
from ..records import (
    Attempt,
    Comparison,
    Experience,
    ImageRef,
    Requirement,
    RoleUsage,
    Usage,
    Verdict,
)

StopReason = Literal[
    "",
    "accepted",
    "accepted_by_reviewer",
    "stopped_by_reviewer",
    "max_rounds",
    "max_model_calls",
    "max_seconds",
    "max_images",
    "max_tokens",
    "not_verified",
    "generator_failed",
    "model_failed",
]
"""Why a run ended; empty while it goes on."""

SAME_STRETCH = 2.0
"""Seconds between two nodes up to which they count as one stretch of work: LangGraph's own
bookkeeping takes milliseconds, a person's answer or a restart takes longer."""


class AttemptVerdict(Verdict):
    """A verdict on its way from a verifier to the scorer.

    Attributes:
        attempt: Id of the attempt it is about.
        joint: True when it came from a call about many requirements, and may be asked again
            singly (`recheck`); absent otherwise.
    """

    attempt: str
    joint: NotRequired[bool]


def merge_attempts(old: list[Attempt] | None, new: list[Attempt] | None) -> list[Attempt]:
    """Returns the attempts by id: later ones replace earlier ones, the order stays."""
    merged = {attempt["id"]: attempt for attempt in old or ()}
    merged.update((attempt["id"], attempt) for attempt in new or ())
    return list(merged.values())


def merge_requirements(
    old: list[Requirement] | None, new: list[Requirement] | None
) -> list[Requirement]:
    """Returns the requirements by id, the first wording of each."""
    merged = {item["id"]: item for item in new or ()}
    merged.update((item["id"], item) for item in old or ())
    return sorted(merged.values(), key=lambda item: int(item["id"].removeprefix("r")))


def merge_experiences(
    old: list[Experience] | None, new: list[Experience] | None
) -> list[Experience]:
    """Returns one experience for each round: a later one for the same round replaces it."""
    merged = {(item["turn"], item["round"]): item for item in old or ()}
    merged.update(((item["turn"], item["round"]), item) for item in new or ())
    return list(merged.values())


def merge_verdicts(
    old: list[AttemptVerdict] | None, new: list[AttemptVerdict] | None
) -> list[AttemptVerdict]:
    """Returns the pending verdicts, one for each attempt and requirement."""
    merged = {(item["attempt"], item["requirement"]): item for item in old or ()}
    merged.update(((item["attempt"], item["requirement"]), item) for item in new or ())
    return list(merged.values())


_NOTHING = RoleUsage(calls=0, input_tokens=0, output_tokens=0, seconds=0.0, image_bytes=0)


def add_usage(old: Usage | None, new: Usage | None) -> Usage:
    """Returns the sum of both, role by role."""
    total = dict(old or {})
    for role, used in (new or {}).items():
        so_far = total.get(role) or _NOTHING
        total[role] = RoleUsage(
            calls=used["calls"] + so_far["calls"],
            input_tokens=used["input_tokens"] + so_far["input_tokens"],
            output_tokens=used["output_tokens"] + so_far["output_tokens"],
            seconds=round(used["seconds"] + so_far["seconds"], 6),
            # Threads from before this field lack it.
            image_bytes=used.get("image_bytes", 0) + so_far.get("image_bytes", 0),
        )
    return total


def add_notices(old: list[str] | None, new: list[str] | None) -> list[str]:
    """Returns each notice once, in the order of first appearance."""
    return list(dict.fromkeys([*(old or ()), *(new or ())]))


def merge_comparisons(
    old: list[Comparison] | None, new: list[Comparison] | None
) -> list[Comparison]:
    """Returns each comparison of two attempts once, in the order they were made."""
    merged = {(item["incumbent"], item["challenger"]): item for item in old or ()}
    merged.update(((item["incumbent"], item["challenger"]), item) for item in new or ())
    return list(merged.values())


def merge_stretches(
    old: list[list[float]] | None, new: list[list[float]] | None
) -> list[list[float]]:
    """Returns stretches of work `[start, end]` (epoch seconds), disjoint and in order.

    Stretches closer than `SAME_STRETCH` seconds become one, so that a run without pauses keeps a
    single pair. Waiting for a person, and the time between a crash and the resume, stay outside.
    """
    merged: list[list[float]] = []
    for start, end in sorted([*(old or ()), *(new or ())]):
        if merged and start - merged[-1][1] <= SAME_STRETCH:
            merged[-1] = [merged[-1][0], max(merged[-1][1], end)]
        else:
            merged.append([start, end])
    return merged


def worked_seconds(stretches: Iterable[list[float]]) -> float:
    """Returns the seconds of work in all stretches."""
    return sum(end - start for start, end in stretches)


class GemsInput(TypedDict, total=False):
    """What a caller gives: a `prompt`, or chat `messages` whose last human one is the prompt.

    Each field says what it is in the schema that forms and tools show.
    """

    prompt: Annotated[str, Field(description="What the image must show.")]
    messages: Annotated[
        list[AnyMessage],
        Field(description="A chat; a new human message in it wins over the prompt."),
        add_messages,
    ]
    requirements: Annotated[
        list[str | dict[str, Any]],
        Field(
            description="Yes/no questions that the image must answer with yes, as text or records; "
            "left out, the decomposer makes them from the prompt."
        ),
    ]
    negative_prompt: Annotated[str, Field(description="What the image must not show.")]
    seed: Annotated[int, Field(description="Seed of the run; wins over the setting.")]


class GemsOutput(TypedDict):
    """What a finished run returns.

    Attributes:
        image: The best image of the turn.
        score: Fraction of the requirements that it meets, 0..1.
        requirements: Each with its `verdict` on that image.
        attempts: Every attempt of this thread, in order.
        best: Id of the attempt that made `image`.
        stopped_because: Why the run ended.
        usage: Calls, tokens and seconds by role.
        notices: Sentences for the user about what was not done as asked.
        prompt: The prompt that was worked on.
        seed: The run's seed.
        messages: The chat, with the answer as an AI message when there was a chat.
    """

    image: ImageRef
    score: float
    requirements: list[Requirement]
    attempts: list[Attempt]
    best: str
    stopped_because: StopReason
    usage: Usage
    notices: list[str]
    prompt: str
    seed: int
    messages: list[AnyMessage]


class State(TypedDict, total=False):
    """All channels of a thread.

    The run's own channels are set anew by `intake` for each turn; `messages`, `attempts`,
    `experiences` and `usage` go on through the turns of a thread.

    Attributes:
        turn: 1-based number of the current turn.
        chat: Whether this turn came as a chat message (then the answer is one too).
        answered: Id of the last human message that became a turn.
        round: 1-based number of the current round.
        prompts: Wordings for the current round, one for each candidate.
        thought: The raw reasoning behind `prompts`; emptied once it is compressed.
        skills: Names of the skills that the planner loaded.
        rationale: Why `prompts` are what they are, in the model's words.
        lessons: What similar past tasks taught.
        verdicts: Verdicts that the scorer has not folded in yet.
        feedback: What a person said about the last round.
        edit_of: Id of the attempt whose image the next round edits; empty to make new ones.
        refused: What the generator's moderation said to the last prompts; empty if nothing.
        refusals: How often it refused in this turn.
        message: The user's own words of this turn; `prompt` is the whole task they stand for.
        previous: Id of the best attempt of the turn before; empty in the first.
        worked_on: The whole task of the turn before.
        carried: The best attempt of the turn before, as facts for the planner.
        digest: What the thread's earlier turns taught, compressed into one experience.
        asked: Every requirement of the thread by its id; `requirements` are the current ones.
        stretches: When nodes of this turn were at work.
        calls_before: Model calls of the thread's earlier turns (budgets count one turn).
        tokens_before: Their tokens, read and written.
        comparisons: Attempts that tied, compared side by side; why the best is the best.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    prompt: str
    negative_prompt: str
    seed: int
    requirements: list[Requirement]
    turn: int
    chat: bool
    answered: str
    round: int
    prompts: list[str]
    thought: str
    rationale: str
    skills: list[str]
    lessons: list[Lesson]
    attempts: Annotated[list[Attempt], merge_attempts]
    verdicts: Annotated[list[AttemptVerdict], merge_verdicts]
    experiences: Annotated[list[Experience], merge_experiences]
    feedback: str
    edit_of: str
    refused: str
    refusals: int
    message: str
    previous: str
    worked_on: str
    carried: str
    digest: str
    asked: Annotated[list[Requirement], merge_requirements]
    best: str
    image: ImageRef
    score: float
    stopped_because: StopReason
    usage: Annotated[Usage, add_usage]
    notices: Annotated[list[str], add_notices]
    stretches: Annotated[list[list[float]], merge_stretches]
    calls_before: int
    tokens_before: int
    comparisons: Annotated[list[Comparison], merge_comparisons]


class VerifierTask(TypedDict):
    """What one verifier is sent: an image and the questions it must answer.

    Attributes:
        attempt: Id of the attempt.
        image: The image to look at.
        asked: One requirement; several with `verification=joint`.
        doubted: The joint verdict that is asked again singly; it stays if that fails.
        seconds_left: Working seconds left in the run's budget; absent without a budget.
        tokens_left: Tokens left in it; likewise.
    """

    attempt: str
    image: ImageRef
    asked: list[Requirement]
    doubted: NotRequired[AttemptVerdict]
    seconds_left: NotRequired[float | None]
    tokens_left: NotRequired[int | None]


def attempts_of_turn(state: State) -> list[Attempt]:
    """Returns the attempts of the current turn, in order."""
    return [item for item in state.get("attempts", []) if item["turn"] == state["turn"]]


def experiences_of_turn(state: State) -> list[Experience]:
    """Returns the experiences of the current turn, in order."""
    return [item for item in state.get("experiences", []) if item["turn"] == state["turn"]]
