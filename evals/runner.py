"""The runner: one process that drives many trajectories at a time, and loses none that ended.

All samples go through one graph, one checkpointer and, where there is one, one store. A sample is
finished when its row is on the disk; what was finished is not done again, and a trajectory that a
kill cut off goes on from its last checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langgraph.store.base import BaseStore

from ..errors import GemsError, InputError
from ..graph.build import build_graph
from ..memory.checkpoints import open_checkpointer
from ..memory.store_factory import open_store
from ..memory.threads import thread_tables
from ..models.generators.registry import image_generator
from ..settings import get_settings
from . import manifest as manifests
from .breaker import Breaker
from .images import check_layout
from .judges.registry import judge_name
from .judging import Judging, judge_for, opened_judge
from .ledger import Ledger, open_ledger, part_name, read_judgments, read_rows
from .manifest import Manifest
from .order import Order, Outcome
from .plan import Sample, check_items, samples_of, thread_of
from .pricing import Prices, read_prices
from .progress import Progress, Silent, Tally, count_judgment
from .records import Item, Row
from .settling import settle_run
from .trajectory import CUT_SHORT, Trajectories

if TYPE_CHECKING:
    from .judges.base import Judge
    from .tasks.base import Task


async def run_task(
    task: Task, order: Order, progress: Progress | None = None, judge: Judge | None = None
) -> Outcome:
    """Runs a benchmark, or goes on with a run.

    Args:
        task: The benchmark.
        order: What is asked for.
        progress: Shows it; nothing by default.
        judge: An open judge to use in place of the one that `order` names.

    Raises:
        InputError: The data can't be used, or the folder holds another run.
        ConfigurationError: A setting is wrong, or a model is not there.
        GemsError: The folder can't be written.
    """
    progress = progress or Silent()
    items = await asyncio.to_thread(task.read, order.data)
    check_items(items)
    spec = judge_for(task, judge.spec if judge else order.judge)
    try:
        async with AsyncExitStack() as stack:
            run = await _open(task, order, items, spec, progress, judge, stack)
            await run.work()
            return await run.outcome()
    except OSError as error:
        raise GemsError(
            f"The folder {order.out} can't be written: {error}.",
            hint="Free some space or mend its permissions; the same command then goes on.",
        ) from None


@dataclass
class _Run:
    """A command at work."""

    task: Task
    order: Order
    manifest: Manifest
    items: list[Item]
    samples: list[Sample]
    threads: dict[str, str]
    rows: dict[str, Row]
    ledger: Ledger
    trajectories: Trajectories
    judging: Judging | None
    prices: Prices
    progress: Progress
    tally: Tally
    breaker: Breaker = field(default_factory=Breaker)
    stopped: str = ""

    def open_samples(self) -> list[Sample]:
        """Samples that have no row yet, or one that is to be made again."""
        return [sample for sample in self.samples if self._is_open(self.rows.get(sample.key))]

    def _is_open(self, row: Row | None) -> bool:
        if row is None:
            return True
        failed = row["status"] == "failed" or row["stopped_because"] in CUT_SHORT
        return failed and self.order.retry_failed

    async def work(self) -> None:
        """Makes every open sample, and judges what is not judged."""
        todo = self.open_samples()
        self.tally.before = len(self.samples) - len(todo)
        self.progress.begin(self.tally)
        await self._forget_finished(todo)
        queue: asyncio.Queue[Row | None] = asyncio.Queue()
        again = {sample.key for sample in todo}
        for sample in self.samples:
            row = self.rows.get(sample.key)
            if row is not None and sample.key not in again:
                queue.put_nowait(row)
        left = iter(todo)

        async def make() -> None:
            for sample in left:
                if self._must_stop():
                    return
                row = await self._make(sample)
                queue.put_nowait(row)

        async def judge() -> None:
            while (row := await queue.get()) is not None:
                if self.judging is not None:
                    await self.judging.row(row)

        judges = max(1, self.order.judge_concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(judges):
                    group.create_task(judge())
                async with asyncio.TaskGroup() as makers:
                    for _ in range(max(1, self.order.concurrency)):
                        makers.create_task(make())
                for _ in range(judges):
                    queue.put_nowait(None)
        except* GemsError as group_error:
            raise _first(group_error) from None
        except* OSError as group_error:
            raise _first(group_error) from None

    def _must_stop(self) -> bool:
        """Whether no more trajectories are begun; says why, once."""
        if not self.stopped:
            limit = self.order.max_cost
            if self.breaker.open:
                self.stopped = (
                    f"{self.breaker.count} samples in a row failed alike, so no more were begun: "
                    f"{self.breaker.why}"
                )
            elif limit is not None and (self.tally.cost is None or self.tally.cost >= limit):
                self.stopped = (
                    f"--max-cost {limit:g} is used up."
                    if self.tally.cost is not None
                    else "Something that was used has no price, so --max-cost can't be kept."
                )
            if self.stopped:
                self.progress.say(self.stopped)
        return bool(self.stopped)

    async def _make(self, sample: Sample) -> Row:
        old = self.rows.get(sample.key)
        thread = self.threads[sample.key]
        row = await self.trajectories.run(
            sample,
            thread,
            self.task.layout(sample.item, sample.position, sample.number),
            again=old is not None and old["status"] == "done",
        )
        cut_short = row["stopped_because"] in CUT_SHORT
        self.breaker.note(
            row["error_code"] or (row["stopped_because"] if cut_short else ""),
            row["error"] or (row["notices"][-1] if cut_short and row["notices"] else ""),
        )
        # A second try that has nothing to show does not take away the image of the first.
        if row["status"] == "done" or old is None or old["status"] == "failed":
            await self.ledger.append(row)
            self.rows[sample.key] = row
        if row["status"] == "done":
            await self.trajectories.forget(thread)
        else:
            self.progress.say(f"{sample.key} failed: {row['error']}")
        cost = self._cost(row)
        before = self._cost(old) if old is not None and old["status"] == "failed" else 0.0
        if cost is not None and before is not None:
            cost = max(0.0, cost - before)  # a resumed thread goes on counting
        self.tally.row(row, cost, cut_short=cut_short)
        self.progress.update(self.tally)
        return self.rows[sample.key]

    def _cost(self, row: Row) -> float | None:
        return self.prices.of_usage(
            row["usage"], self.manifest["models"], self.manifest["generator"]
        )

    async def _forget_finished(self, todo: list[Sample]) -> None:
        """Deletes checkpoints of samples that were killed between their row and this."""
        ahead = {sample.key for sample in todo}
        finished = [self.threads[sample.key] for sample in self.samples if sample.key not in ahead]
        if self.order.keep or not finished:
            return
        found = await _threads_in(self.trajectories)
        failed = {row["thread_id"] for row in self.rows.values() if row["status"] == "failed"}
        for thread in found.intersection(finished) - failed:
            await self.trajectories.forget(thread)

    async def outcome(self) -> Outcome:
        """Writes what the official scorer wants, and sums up."""
        out = self.order.out
        rows = await asyncio.to_thread(read_rows, out)
        done = [row for row in rows.values() if row["status"] == "done"]
        exported = await asyncio.to_thread(self.task.export, out, self.items, done)
        mine = [rows[sample.key] for sample in self.samples if sample.key in rows]
        if self.judging is not None and self.judging.breaker.open:
            self.stopped = self.stopped or (
                f"{self.judging.breaker.count} judgments in a row failed alike, so no more were "
                f"made: {self.judging.breaker.why}"
            )
        return Outcome(
            manifest=self.manifest,
            tally=self.tally,
            failed=[row for row in mine if row["status"] == "failed"],
            cut_short=[row for row in mine if row["stopped_because"] in CUT_SHORT],
            left=len(self.samples) - len(mine),
            stopped=self.stopped,
            exported=exported,
        )


async def _open(
    task: Task,
    order: Order,
    items: list[Item],
    spec: str,
    progress: Progress,
    given: Judge | None,
    stack: AsyncExitStack,
) -> _Run:
    """Checks everything that can be checked before something costs money, and opens the rest."""
    prices = await asyncio.to_thread(read_prices, order.prices)
    samples = order.samples or task.samples
    everything = list(samples_of(items, samples=samples, seeds=order.seeds))
    check_layout(task, everything)
    await asyncio.to_thread(order.out.mkdir, parents=True, exist_ok=True)
    ledger = stack.enter_context(open_ledger(order.out, "results", order.shard))
    manifest, context = await asyncio.to_thread(settle_run, task, order, items, spec, prices)
    for warning in manifest["warnings"]:
        progress.say(f"Note: {warning}")
    missing = prices.missing(
        [*manifest["models"].values(), *([judge_name(spec)] if spec else [])],
        manifest["generator"],
    )
    if order.max_cost is not None and missing:
        raise InputError(
            f"--max-cost needs the prices of {', '.join(missing)}.",
            hint="Give a table of them with --prices; evals/prices.yaml shows the format.",
        )
    await asyncio.to_thread(image_generator, context.image_generator())
    rows = await asyncio.to_thread(read_rows, order.out)
    judgments = await asyncio.to_thread(read_judgments, order.out)
    saver = await stack.enter_async_context(open_checkpointer(_checkpoints(order)))
    store: BaseStore | None = None
    if context.memory == "on":
        store = await stack.enter_async_context(_own_store(order))
    mine = list(
        samples_of(
            items,
            samples=samples,
            seeds=order.seeds,
            shard=order.shard,
            limit=order.limit,
        )
    )
    fixed = {name: manifest[name] for name in manifests.FIXED}  # type: ignore[literal-required]  # names of its fields
    fixed["data"] = manifest["data"]["sha256"]
    # The user is drawn for each run; equal commands have equal threads.
    fixed["context"] = {**manifest["context"], "user": ""}
    tally = Tally(planned=len(mine))
    for row in rows.values():
        tally.spend(prices.of_usage(row["usage"], manifest["models"], manifest["generator"]))
    for judgment in judgments.values():
        tally.spend(prices.of_judgment(judgment))
    judging: Judging | None = None
    if spec:
        judge, name = await stack.enter_async_context(opened_judge(task, spec, given))
        judging = Judging(
            task=task,
            items={item["id"]: item for item in items},
            judge=judge,
            name=name,
            ledger=stack.enter_context(open_ledger(order.out, "judgments", order.shard)),
            known=judgments,
            rounds=order.judge_rounds,
            retry_failed=order.retry_failed,
            done=lambda judgment: count_judgment(judgment, tally, prices, progress),
        )
    return _Run(
        task=task,
        order=order,
        manifest=manifest,
        items=items,
        samples=mine,
        threads={sample.key: thread_of(sample, fixed) for sample in mine},
        rows=rows,
        ledger=ledger,
        trajectories=Trajectories(
            build_graph(checkpointer=saver, store=store), saver, context, order.out, order.keep
        ),
        judging=judging,
        prices=prices,
        progress=progress,
        tally=tally,
    )


def _checkpoints(order: Order) -> str:
    path = (order.out / part_name("checkpoints", order.shard, "sqlite")).resolve()
    return f"sqlite:///{path}"


@asynccontextmanager
async def _own_store(order: Order) -> AsyncIterator[BaseStore]:
    """The cross-run memory of this run alone: nothing of the user's own is read or written.

    A folder in the run's own, one for each shard; on a Chroma server the user's name keeps apart.
    """
    settings = get_settings()
    if not (settings.store or "").startswith(("http://", "https://")):
        folder = order.out / part_name("memory", order.shard, "chroma")
        settings = settings.model_copy(update={"store": str(folder)})
    async with open_store(settings) as store:
        yield store


async def _threads_in(trajectories: Trajectories) -> set[str]:
    return {found.thread_id for found in await thread_tables(trajectories.saver).sizes()}


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """Returns the first error of a group of tasks, however deep it lies."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
