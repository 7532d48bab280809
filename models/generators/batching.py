"""Dynamic batching: concurrent requests that agree in their settings share one call.

A GPU makes four images of equal size and steps in less time than four calls of one image each.
Trajectories run concurrently and ask within a few milliseconds of one another, so the batcher
holds the oldest request back for a moment, collects those with the same key, and hands them to one
worker thread. Under load nothing waits on purpose: while a worker is busy the queue fills up.

Nothing here knows about torch or images. Each worker is one thread that owns one replica of the
model; results travel through `concurrent.futures`, so callers may live on different event loops
(the synchronous face of the package starts a loop for each call).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

StopCheck = Callable[[], bool]
"""True once nobody waits for the running batch any more; a runner asks between its steps."""

Runner = Callable[[Sequence[Item], StopCheck], Sequence[Result | BaseException]]
"""Makes one batch in the worker's thread: a result, or an exception, for each item in order."""


class BatchStopped(Exception):  # noqa: N818 - not a failure: the runner obeyed its stop check
    """A runner raises this when its stop check told it to give up."""


class BatcherClosed(Exception):  # noqa: N818 - the state it met, named like asyncio's QueueShutDown
    """The batcher was closed before the item was done."""


@dataclass(frozen=True)
class BatchStats:
    """What a batcher did so far.

    Attributes:
        batches: Calls of a runner.
        items: Items in those calls.
        largest: Items in the largest call.
        waiting: Items in the queue now.
        running: Batches being made now.
    """

    batches: int
    items: int
    largest: int
    waiting: int
    running: int


class _Ticket(Generic[Item, Result]):
    """One item's place in the queue."""

    __slots__ = ("abandoned", "arrived", "future", "item", "key")

    def __init__(self, item: Item, key: Hashable) -> None:
        self.item = item
        self.key = key
        self.arrived = time.monotonic()
        self.future: Future[Result] = Future()
        self.abandoned = False


class DynamicBatcher(Generic[Item, Result]):
    """Collects items with equal keys into batches, one worker thread for each runner.

    Args:
        runners: One for each replica; each is called from its own thread only, one batch at a time.
        key: What items of one batch must have in common.
        max_size: Items in a batch, at least 1.
        max_wait: Seconds that the oldest item waits for company while a worker is free, at least 0.
        name: Prefix of the threads' names.
    """

    def __init__(
        self,
        runners: Sequence[Runner[Item, Result]],
        *,
        key: Callable[[Item], Hashable],
        max_size: int,
        max_wait: float,
        name: str = "batcher",
    ) -> None:
        if not runners:
            raise ValueError("a batcher needs at least one runner")
        if max_size < 1 or max_wait < 0:
            raise ValueError("max_size must be at least 1 and max_wait at least 0")
        self._runners = tuple(runners)
        self._key = key
        self._max_size = max_size
        self._max_wait = max_wait
        self._name = name
        self._changed = threading.Condition()
        self._queue: deque[_Ticket[Item, Result]] = deque()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._batches = 0
        self._items = 0
        self._largest = 0
        self._closed = False

    @property
    def stats(self) -> BatchStats:
        """Returns the counters as they are now."""
        with self._changed:
            return BatchStats(
                self._batches, self._items, self._largest, len(self._queue), self._running
            )

    async def submit(self, items: Sequence[Item]) -> list[Result]:
        """Queues `items` together and waits for all their results, in order.

        Cancelling the caller takes items that have not started out of the queue; a running batch
        is stopped once every one of its items is abandoned.

        Raises:
            BatcherClosed: The batcher is or was closed.
            Exception: What the runner raised or returned for one of the items; the other items
                of this call are then given up.
        """
        tickets = self._enqueue(items)
        try:
            return list(
                await asyncio.gather(*(asyncio.wrap_future(ticket.future) for ticket in tickets))
            )
        except BaseException:
            self._abandon(tickets)
            raise

    def close(self, timeout: float | None = None) -> None:
        """Fails what is waiting, asks running batches to stop, and joins the threads.

        Args:
            timeout: Seconds to wait for each thread; None waits until its batch has stopped.
        """
        with self._changed:
            self._closed = True
            waiting = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for ticket in waiting:
            if ticket.future.set_running_or_notify_cancel():
                ticket.future.set_exception(BatcherClosed("closed while waiting"))
        for thread in self._threads:
            thread.join(timeout)

    def _enqueue(self, items: Sequence[Item]) -> list[_Ticket[Item, Result]]:
        tickets = [_Ticket[Item, Result](item, self._key(item)) for item in items]
        with self._changed:
            if self._closed:
                raise BatcherClosed("the batcher is closed")
            self._queue.extend(tickets)
            if not self._threads:
                # Daemons: an image that takes minutes must not keep a finished program alive.
                self._threads = [
                    threading.Thread(
                        target=self._work, args=(runner,), name=f"{self._name}-{i}", daemon=True
                    )
                    for i, runner in enumerate(self._runners)
                ]
                for thread in self._threads:
                    thread.start()
            self._changed.notify_all()
        return tickets

    def _abandon(self, tickets: Sequence[_Ticket[Item, Result]]) -> None:
        with self._changed:
            for ticket in tickets:
                ticket.abandoned = True
                if ticket in self._queue:
                    self._queue.remove(ticket)
                    ticket.future.cancel()
            self._changed.notify_all()

    def _work(self, runner: Runner[Item, Result]) -> None:
        while (batch := self._next_batch()) is not None:
            results = self._run(runner, batch)
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
            for ticket, result in zip(batch, results, strict=True):
                if isinstance(result, BaseException):
                    ticket.future.set_exception(result)
                else:
                    ticket.future.set_result(result)
            # Else the last images stay in memory until the next request.
            del batch, results, ticket, result

    def _next_batch(self) -> list[_Ticket[Item, Result]] | None:
        """Waits for work; returns None once closed."""
        with self._changed:
            while not self._closed:
                if not self._queue:
                    self._changed.wait()
                    continue
                oldest = self._queue[0]
                alike = sum(ticket.key == oldest.key for ticket in self._queue)
                free = len(self._runners) - self._running
                left = oldest.arrived + self._max_wait - time.monotonic()
                if alike < self._max_size * free and left > 0:
                    self._changed.wait(left)
                    continue
                # Free replicas share the work: two halves at once beat one whole batch.
                if batch := self._take(oldest.key, min(self._max_size, -(-alike // free))):
                    self._running += 1
                    self._batches += 1
                    self._items += len(batch)
                    self._largest = max(self._largest, len(batch))
                    return batch
            return None

    def _take(self, key: Hashable, size: int) -> list[_Ticket[Item, Result]]:
        """Takes up to `size` items with this key out of the queue, oldest first."""
        taken: list[_Ticket[Item, Result]] = []
        kept: deque[_Ticket[Item, Result]] = deque()
        for ticket in self._queue:
            if len(taken) == size or ticket.key != key:
                kept.append(ticket)
            elif ticket.future.set_running_or_notify_cancel():
                taken.append(ticket)
        self._queue = kept
        return taken

    def _run(
        self, runner: Runner[Item, Result], batch: list[_Ticket[Item, Result]]
    ) -> Sequence[Result | BaseException]:
        def stop() -> bool:
            return self._closed or all(ticket.abandoned for ticket in batch)

        try:
            results = runner([ticket.item for ticket in batch], stop)
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
        except BatchStopped:
            return [BatcherClosed("stopped before it was done")] * len(batch)
        except BaseException as error:  # noqa: BLE001 - whoever waits hears of it; the thread lives on
            return [error] * len(batch)
        return results
