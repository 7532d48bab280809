"""The records of an evaluation, as they stand in its files: plain JSON values, nothing imported.

A run's folder holds `manifest.json` (what was run with what), `results*.jsonl` (one `Row` for each
finished or failed sample, one file for each shard), `judgments*.jsonl` (one `Judgment` for each
judged image) and `images/` (in the layout that the benchmark's official scorer reads).
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ..records import Answer, ImageRef, RequirementKind, Usage


class Item(TypedDict):
    """One prompt of a benchmark.

    Attributes:
        id: Unique within the task; made of letters, digits, `_`, `-` and `.` only.
        prompt: What the loop is given. It sees nothing else of an item.
        tags: What results are broken down by: `skill`, `atomicity`, `category`, `language` …
        reference: What only the judge may see: questions, answers, rubrics, expected text.
    """

    id: str
    prompt: str
    tags: dict[str, str]
    reference: dict[str, Any]


class AttemptFacts(TypedDict):
    """What a row keeps of one attempt.

    Attributes:
        id: As in the trajectory: `t1r2c1`.
        round: 1-based.
        candidate: 1-based.
        prompt: What the generator was given.
        seed: Likewise.
        score: By the run's own verifier, 0..1; not the benchmark's.
        image: Where the image is.
    """

    id: str
    round: int
    candidate: int
    prompt: str
    seed: int
    score: float
    image: ImageRef


class CheckedRequirement(TypedDict):
    """One requirement of the run's own decomposer, with its verdict on the best image."""

    question: str
    kind: RequirementKind
    answer: Answer


class Row(TypedDict):
    """One sample: one trajectory on one prompt with one seed.

    Attributes:
        key: `<item>#<sample>`, unique within a run.
        item: The item's id.
        sample: 0-based.
        seed: The run's seed.
        prompt: The item's prompt.
        tags: The item's tags.
        status: `done` has an image; `failed` has none, and says why in `error`.
        thread_id: The trajectory's thread in the run's checkpoints.
        image: The best image; None when failed.
        file: The image relative to the run's folder, in the official layout; empty when failed.
        best: Id of the attempt whose image it is.
        best_by_round: Ids of the attempts that were the best after round 1, 2 …; absent when
            failed.
        score: The run's own score of that image, 0..1 (what the loop believed).
        stopped_because: Why the run ended.
        rounds: Rounds made.
        attempts: Every attempt, in order.
        requirements: What the run itself checked; empty without verification.
        usage: Calls, tokens and seconds by role.
        image_bytes: Bytes of images sent to chat models.
        seconds: Wall time of the trajectory, waiting for free slots included; sums over resumes.
        notices: What was not done as asked.
        error: Message of the failure; empty when done.
        error_code: Its stable code.
        finished: UTC time, ISO 8601.
    """

    key: str
    item: str
    sample: int
    seed: int
    prompt: str
    tags: dict[str, str]
    status: Literal["done", "failed"]
    thread_id: str
    image: ImageRef | None
    file: str
    best: str
    best_by_round: NotRequired[list[str]]
    score: float
    stopped_because: str
    rounds: int
    attempts: list[AttemptFacts]
    requirements: list[CheckedRequirement]
    usage: Usage
    image_bytes: int
    seconds: float
    notices: list[str]
    error: str
    error_code: str
    finished: str


class JudgedPart(TypedDict):
    """One judged question, criterion or text of an image.

    Attributes:
        name: What was judged: the question, the criterion.
        score: 0..1.
        tags: What parts are broken down by (`skill`, `dimension` …).
        answer: What the judge said, cut to 500 characters.
    """

    name: str
    score: float
    tags: NotRequired[dict[str, str]]
    answer: NotRequired[str]


class Judgment(TypedDict):
    """What a judge found about one image.

    Attributes:
        key: The row's key.
        attempt: Which attempt's image; the row's `best` unless rounds are judged, too.
        judge: Spec of the judge (`openai:gpt-4o`, `painter` …).
        status: `failed` says why in `error`, and counts as missing, never as zero.
        score: The task's main figure for this image, in the task's own range.
        metrics: Every figure of the task for this image by name, the main one included.
        parts: The single answers it was computed from.
        calls: Judge calls.
        input_tokens: Of these calls.
        output_tokens: Likewise.
        seconds: Summed wall time of these calls.
        error: Message of the failure.
        error_code: Its stable code.
    """

    key: str
    attempt: str
    judge: str
    status: Literal["done", "failed"]
    score: float
    metrics: dict[str, float]
    parts: list[JudgedPart]
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    error: str
    error_code: str
