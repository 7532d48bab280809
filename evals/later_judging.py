"""Judging a run after it was made, with the same or with another judge."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .judging import Judging, judge_all, judge_for, opened_judge
from .ledger import open_ledger, read_judgments, read_manifest, read_rows
from .manifest import Manifest
from .pricing import read_prices
from .progress import Progress, Silent, Tally, count_judgment
from .records import Item
from .settling import note_judge

if TYPE_CHECKING:
    from .judges.base import Judge
    from .tasks.base import Task


async def judge_run(
    task: Task,
    out: Path,
    spec: str,
    *,
    data: Path | None = None,
    rounds: bool = False,
    retry_failed: bool = False,
    concurrency: int = 8,
    prices: Path | None = None,
    progress: Progress | None = None,
    judge: Judge | None = None,
) -> Tally:
    """Judges the images of a run that were not judged by this judge yet.

    Args:
        task: The run's benchmark.
        out: The run's folder.
        spec: The judge.
        data: Where the data file is now; where the manifest says, by default.
        rounds: Judge the best image after each round, too.
        retry_failed: Try failed judgments again.
        concurrency: Images judged at the same time.
        prices: A price table besides the built-in one.
        progress: Shows it.
        judge: An open judge to use in place of the one that `spec` names.

    Returns:
        What was judged.

    Raises:
        InputError: The folder holds no run, or the data file is not the run's.
        JudgeError: The judge can't be used for this task.
    """
    progress = progress or Silent()
    manifest = await asyncio.to_thread(read_manifest, out)
    items = await asyncio.to_thread(_items_of, task, manifest, data)
    spec = judge_for(task, judge.spec if judge else spec)
    if not spec:
        raise InputError("No judge is named.", hint="Give --judge, for example openai:gpt-4o.")
    table = await asyncio.to_thread(read_prices, prices)
    tally = Tally()
    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(open_ledger(out, "judgments", (1, 1)))
        rows = await asyncio.to_thread(read_rows, out)
        opened, name = await stack.enter_async_context(opened_judge(task, spec, judge))
        for warning in await asyncio.to_thread(note_judge, out, name):
            progress.say(f"Note: {warning}")
        judging = Judging(
            task=task,
            items={item["id"]: item for item in items},
            judge=opened,
            name=name,
            ledger=ledger,
            known=await asyncio.to_thread(read_judgments, out),
            rounds=rounds,
            retry_failed=retry_failed,
            done=lambda judgment: count_judgment(judgment, tally, table, progress),
        )
        tally.planned = sum(len(judging.wanted(row)) for row in rows.values())
        progress.say(f"{tally.planned} images to judge.")
        await judge_all(judging, list(rows.values()), concurrency)
        if judging.breaker.open:
            progress.say(
                f"{judging.breaker.count} judgments in a row failed alike, so no more were made: "
                f"{judging.breaker.why}"
            )
    return tally


def _items_of(task: Task, manifest: Manifest, data: Path | None) -> list[Item]:
    path = data or Path(manifest["data"]["path"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"The run's data file {path} can't be read: {error.strerror}.",
            hint="Say where it is with --data.",
        ) from None
    if hashlib.sha256(content).hexdigest() != manifest["data"]["sha256"]:
        raise InputError(f"{path} is not the data file of this run: its content differs.")
    return task.read(path)
