"""Judging the images of a run: durable, resumable, and apart from making them.

An image is judged once for each (row, attempt, judge). While a run goes on, each sample is judged
as it ends; `gems eval judge` does the same later, with the same or another judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import GemsError, InputError
from ..models.failures import redacted
from ..records import ImageRef
from .breaker import Breaker
from .judges.painter import PAINTER
from .judges.registry import judge_name, open_judge
from .ledger import JudgmentKey, Ledger
from .records import Item, JudgedPart, Judgment, Row

if TYPE_CHECKING:
    from .judges.base import Judge
    from .tasks.base import Task

LONGEST_ANSWER = 500
"""Characters kept of what a judge said about one part."""


def judge_for(task: Task, spec: str) -> str:
    """Returns the spec of the judge for a task: the one that was asked for, else the truth.

    Returns:
        Empty when nothing is to be judged now: no model judges unless it is named.

    Raises:
        InputError: The task can't be judged by that.
    """
    if task.judging == "truth":
        if spec not in ("", PAINTER):
            raise InputError(
                f"{task.name} is judged by the painter's truth, not by {spec}.",
                hint="Leave --judge away.",
            )
        return PAINTER
    if spec and task.judging == "official":
        raise InputError(
            f"{task.name} is scored by its official scorer only.",
            hint=f"`gems eval fetch-instructions {task.name}` says how to run it.",
        )
    return spec


@dataclass
class Judging:
    """Judges rows of one run with one judge.

    Attributes:
        task: What judges.
        items: The items by id, with their references.
        judge: The judge.
        name: What results name it by.
        ledger: Where judgments go.
        known: Judgments that are there already.
        rounds: Whether the best image after each round is judged, too.
        retry_failed: Whether failed judgments are tried again.
        done: Is told each new judgment.
        breaker: Ends the judging when every judgment fails alike.
    """

    task: Task
    items: Mapping[str, Item]
    judge: Judge
    name: str
    ledger: Ledger
    known: dict[JudgmentKey, Judgment]
    rounds: bool = False
    retry_failed: bool = False
    done: Callable[[Judgment], None] = lambda judgment: None
    breaker: Breaker = field(default_factory=Breaker)

    def wanted(self, row: Row) -> list[tuple[str, ImageRef]]:
        """Returns the attempts of a row that are still to be judged, with their images."""
        if row["status"] != "done" or row["image"] is None:
            return []
        if not self.task.can_judge(self.items[row["item"]]):
            return []
        images = {attempt["id"]: attempt["image"] for attempt in row["attempts"]}
        images[row["best"]] = row["image"]
        by_round = row.get("best_by_round", []) if self.rounds else []
        wanted = dict.fromkeys([row["best"], *by_round])
        return [
            (attempt, images[attempt])
            for attempt in wanted
            if attempt in images and self._open(row["key"], attempt)
        ]

    def _open(self, key: str, attempt: str) -> bool:
        known = self.known.get((key, attempt, self.name))
        return known is None or (self.retry_failed and known["status"] == "failed")

    async def row(self, row: Row) -> None:
        """Judges what is still to be judged of a row; nothing once the breaker has opened."""
        for attempt, image in self.wanted(row):
            if self.breaker.open:
                return
            judgment = self._same_image(row, attempt, image) or await self._judge(
                row, attempt, image
            )
            await self.ledger.append(judgment)
            self.known[row["key"], attempt, self.name] = judgment
            self.breaker.note(judgment["error_code"], judgment["error"])
            self.done(judgment)

    def _same_image(self, row: Row, attempt: str, image: ImageRef) -> Judgment | None:
        """Another attempt's judgment, where it had the very same image: it is not paid twice."""
        for other in row["attempts"]:
            known = self.known.get((row["key"], other["id"], self.name))
            if known is None or known["status"] == "failed":
                continue
            if other["image"]["sha256"] == image["sha256"]:
                free = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "seconds": 0.0}
                return Judgment(**{**known, **free, "attempt": attempt})  # type: ignore[typeddict-item]  # mypy takes no ** of a dict
        return None

    async def _judge(self, row: Row, attempt: str, image: ImageRef) -> Judgment:
        self.judge.take_usage()  # what is counted from here on is this image's (see `Meter`)
        judgment = Judgment(
            key=row["key"],
            attempt=attempt,
            judge=self.name,
            status="failed",
            score=0.0,
            metrics={},
            parts=[],
            calls=0,
            input_tokens=0,
            output_tokens=0,
            seconds=0.0,
            error="",
            error_code="",
        )
        try:
            item = self.items[row["item"]]
            judged = await self.task.judge(item, row, image, self.judge)
            judgment["score"] = judged.score
            judgment["metrics"] = dict(judged.metrics)
            judgment["parts"] = [_short(part) for part in judged.parts]
            judgment["status"] = "done"
        except GemsError as error:
            judgment["error"], judgment["error_code"] = redacted(str(error)), error.code
        except Exception as error:  # noqa: BLE001 - a task's bug must not end the run
            judgment["error"] = redacted(f"{type(error).__name__}: {error}")
            judgment["error_code"] = "unexpected"
        used = self.judge.take_usage()
        judgment["calls"] = used["calls"]
        judgment["input_tokens"] = used["input_tokens"]
        judgment["output_tokens"] = used["output_tokens"]
        judgment["seconds"] = round(used["seconds"], 3)
        return judgment


@asynccontextmanager
async def opened_judge(
    task: Task, spec: str, given: Judge | None = None
) -> AsyncIterator[tuple[Judge, str]]:
    """Opens a judge, probes it where the task needs log-probabilities, and closes it at the end.

    Args:
        task: What it judges.
        spec: The judge.
        given: An open judge to use in its place; named by its own spec.

    Yields:
        The judge, and what results name it by.

    Raises:
        JudgeError: It gives no log-probabilities, and the task needs them.
        ConfigurationError: `spec` names nothing, or a package or key is missing.
    """
    if given is not None:
        if task.needs_logprobs():
            await given.probe()
        yield given, judge_name(given.spec)
        return
    async with open_judge(spec) as judge:
        if task.needs_logprobs():
            await judge.probe()
        yield judge, judge_name(spec)


async def judge_all(judging: Judging, rows: Sequence[Row], concurrency: int) -> None:
    """Judges rows, so many at a time, in their order."""
    left = iter([row for row in rows if judging.wanted(row)])

    async def work() -> None:
        for row in left:
            await judging.row(row)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())


def _short(part: JudgedPart) -> JudgedPart:
    answer = part.get("answer", "")
    if len(answer) <= LONGEST_ANSWER:
        return part
    return {**part, "answer": answer[: LONGEST_ANSWER - 1] + "…"}
