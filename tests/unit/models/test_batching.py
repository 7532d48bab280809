"""Dynamic batching: what shares a call, what waits, and what cancelling frees."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from gems.models.generators.batching import BatcherClosed, BatchStopped, DynamicBatcher, StopCheck

Item = tuple[str, int]
Runner = Callable[[Sequence[Item], StopCheck], Sequence[int | BaseException]]


class Recorder:
    """A runner that doubles numbers, remembers its batches, and can be held back by a gate."""

    def __init__(self) -> None:
        self.batches: list[list[Item]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.stopped = threading.Event()

    def __call__(self, items: Sequence[Item], stop: StopCheck) -> list[int | BaseException]:
        self.batches.append(list(items))
        self.threads.add(threading.current_thread().name)
        self.began.set()
        while not self.gate.wait(0.002):
            if stop():
                self.stopped.set()
                raise BatchStopped
        return [number * 2 for _, number in items]


Batcher = DynamicBatcher[Item, int]
Make = Callable[..., Batcher]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Batcher] = []

    def make(*runners: Runner, max_size: int = 4, max_wait: float = 0.05) -> Batcher:
        batcher = Batcher(
            runners, key=lambda item: item[0], max_size=max_size, max_wait=max_wait, name="test"
        )
        made.append(batcher)
        return batcher

    yield make
    for batcher in made:
        batcher.close(5)
    assert not [t for t in threading.enumerate() if t.name.startswith("test-")]


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - worker threads set no asyncio event
            await asyncio.sleep(0.002)


async def test_concurrent_requests_share_calls_and_get_their_own_results(make: Make) -> None:
    runner = Recorder()
    batcher = make(runner)
    results = await asyncio.gather(*(batcher.submit([("a", i)]) for i in range(8)))
    assert results == [[i * 2] for i in range(8)]
    assert [len(batch) for batch in runner.batches] == [4, 4]
    assert runner.threads == {"test-0"}
    stats = batcher.stats
    assert (stats.batches, stats.items, stats.largest, stats.waiting) == (2, 8, 4, 0)


async def test_different_settings_never_share_a_call(make: Make) -> None:
    runner = Recorder()
    batcher = make(runner)
    await asyncio.gather(*(batcher.submit([("ab"[i % 2], i)]) for i in range(6)))
    assert sorted(runner.batches) == [
        [("a", 0), ("a", 2), ("a", 4)],
        [("b", 1), ("b", 3), ("b", 5)],
    ]


async def test_one_call_with_more_items_than_fit_is_split_in_order(make: Make) -> None:
    runner = Recorder()
    results = await make(runner).submit([("a", i) for i in range(10)])
    assert results == [i * 2 for i in range(10)]
    assert [len(batch) for batch in runner.batches] == [4, 4, 2]


async def test_a_full_batch_does_not_wait_and_a_lone_request_waits_only_so_long(
    make: Make,
) -> None:
    batcher = make(Recorder(), max_size=2, max_wait=0.3)
    start = time.monotonic()
    await batcher.submit([("a", 1), ("a", 2)])
    assert time.monotonic() - start < 0.25
    start = time.monotonic()
    await batcher.submit([("a", 3)])
    assert 0.29 <= time.monotonic() - start < 2


async def test_what_arrives_while_the_worker_is_busy_goes_together_without_a_further_wait(
    make: Make,
) -> None:
    runner = Recorder()
    runner.gate.clear()
    batcher = make(runner, max_wait=0.0)
    first = asyncio.create_task(batcher.submit([("a", 0)]))
    await asyncio.to_thread(runner.began.wait, 5)
    rest = [asyncio.create_task(batcher.submit([("a", i)])) for i in range(1, 4)]
    await until(lambda: batcher.stats.waiting == 3)
    runner.gate.set()
    await asyncio.gather(first, *rest)
    assert [len(batch) for batch in runner.batches] == [1, 3]


async def test_free_replicas_share_the_work(make: Make) -> None:
    left, right = Recorder(), Recorder()
    for runner in (left, right):
        runner.gate.clear()
    batcher = make(left, right, max_size=4, max_wait=0.2)
    task = asyncio.create_task(batcher.submit([("a", i) for i in range(4)]))
    await until(lambda: batcher.stats.running == 2)
    assert [len(left.batches[0]), len(right.batches[0])] == [2, 2]
    left.gate.set()
    right.gate.set()
    assert await task == [0, 2, 4, 6]


async def test_cancelling_a_waiter_takes_its_request_out_of_the_queue(make: Make) -> None:
    runner = Recorder()
    runner.gate.clear()
    batcher = make(runner, max_wait=0.0)
    running = asyncio.create_task(batcher.submit([("a", 0)]))
    await asyncio.to_thread(runner.began.wait, 5)
    doomed = asyncio.create_task(batcher.submit([("a", 1)]))
    kept = asyncio.create_task(batcher.submit([("a", 2)]))
    await until(lambda: batcher.stats.waiting == 2)
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    assert batcher.stats.waiting == 1
    runner.gate.set()
    assert await asyncio.gather(running, kept) == [[0], [4]]
    assert runner.batches == [[("a", 0)], [("a", 2)]]


async def test_a_running_batch_stops_once_all_its_waiters_are_gone_and_frees_the_worker(
    make: Make,
) -> None:
    runner = Recorder()
    runner.gate.clear()
    batcher = make(runner)
    tasks = [asyncio.create_task(batcher.submit([("a", i)])) for i in range(2)]
    await asyncio.to_thread(runner.began.wait, 5)
    tasks[0].cancel()
    await asyncio.sleep(0.05)
    assert not runner.stopped.is_set(), "one waiter is left"
    tasks[1].cancel()
    await asyncio.to_thread(runner.stopped.wait, 5)
    assert runner.stopped.is_set()
    assert all(
        isinstance(r, asyncio.CancelledError)
        for r in await asyncio.gather(*tasks, return_exceptions=True)
    )
    runner.gate.set()
    assert await batcher.submit([("a", 5)]) == [10]


async def test_an_error_for_one_item_leaves_the_others_their_results(make: Make) -> None:
    def picky(items: Sequence[Item], stop: StopCheck) -> list[int | BaseException]:
        return [ValueError("odd") if number % 2 else number for _, number in items]

    batcher = make(picky)
    results = await asyncio.gather(
        *(batcher.submit([("a", i)]) for i in range(3)), return_exceptions=True
    )
    assert results[0] == [0]
    assert results[2] == [2]
    assert isinstance(results[1], ValueError)


async def test_a_runner_that_raises_fails_its_batch_and_the_thread_lives_on(make: Make) -> None:
    calls: list[int] = []

    def broken_once(items: Sequence[Item], stop: StopCheck) -> list[int | BaseException]:
        calls.append(len(items))
        if len(calls) == 1:
            raise OSError("disk")
        return [number for _, number in items]

    batcher = make(broken_once)
    with pytest.raises(OSError, match="disk"):
        await batcher.submit([("a", 1), ("a", 2)])
    assert await batcher.submit([("a", 3)]) == [3]


async def test_closing_fails_the_queue_and_stops_the_running_batch(make: Make) -> None:
    runner = Recorder()
    runner.gate.clear()
    batcher = make(runner, max_wait=0.0)
    running = asyncio.create_task(batcher.submit([("a", 0)]))
    await asyncio.to_thread(runner.began.wait, 5)
    waiting = asyncio.create_task(batcher.submit([("a", 1)]))
    await until(lambda: batcher.stats.waiting == 1)
    await asyncio.to_thread(batcher.close, 5)
    results = await asyncio.gather(running, waiting, return_exceptions=True)
    assert all(isinstance(result, BatcherClosed) for result in results)
    with pytest.raises(BatcherClosed):
        await batcher.submit([("a", 2)])


def test_callers_on_different_event_loops_share_one_batcher(make: Make) -> None:
    batcher = make(Recorder())
    assert asyncio.run(batcher.submit([("a", 1)])) == [2]
    assert asyncio.run(batcher.submit([("a", 2)])) == [4]
