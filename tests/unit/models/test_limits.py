"""One limit per endpoint for the whole process; waits as the endpoint words them."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gems.models.limits import EndpointLimit, backoff, retry_after_seconds


async def test_places_are_given_in_turn_and_never_more() -> None:
    limit, inside, most, order = EndpointLimit(2), 0, 0, []

    async def one(number: int) -> None:
        nonlocal inside, most
        async with limit.slot():
            order.append(number)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.002)
            inside -= 1

    await asyncio.gather(*(one(number) for number in range(20)))
    assert (most, order) == (2, list(range(20)))


async def test_cancelled_waiters_lose_no_place() -> None:
    limit = EndpointLimit(1)

    async def hold(seconds: float) -> None:
        async with limit.slot():
            await asyncio.sleep(seconds)

    for _ in range(5):
        tasks = [asyncio.create_task(hold(0.01)) for _ in range(6)]
        await asyncio.sleep(0.005)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.wait_for(hold(0), 1)


def test_a_limit_holds_across_event_loops() -> None:
    limit, lock = EndpointLimit(3), threading.Lock()
    inside, most = 0, 0

    async def one() -> None:
        nonlocal inside, most
        async with limit.slot():
            with lock:
                inside += 1
                most = max(most, inside)
            await asyncio.sleep(0.005)
            with lock:
                inside -= 1

    async def many() -> None:
        await asyncio.gather(*(one() for _ in range(10)))

    threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (most, inside) == (3, 0)


async def test_a_pause_holds_back_new_calls() -> None:
    limit = EndpointLimit(5)
    limit.pause(0.1)
    began = time.monotonic()
    async with limit.slot():
        assert time.monotonic() - began >= 0.1


def test_retry_after_in_all_its_forms() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)
    assert retry_after_seconds({"Retry-After": "7"}) == 7
    assert retry_after_seconds({"retry-after": "1.5"}) == 1.5
    assert retry_after_seconds({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert retry_after_seconds({"retry-after": soon}) == pytest.approx(30, abs=2)
    assert retry_after_seconds({"retry-after": past}) == 0
    assert retry_after_seconds({"retry-after": "-3"}) == 0
    assert retry_after_seconds({}) is None


@given(st.text())
def test_a_strange_retry_after_is_no_error(value: str) -> None:
    found = retry_after_seconds({"retry-after": value})
    assert found is None or found >= 0


@given(st.integers(1, 50), st.floats(0, 100))
def test_waits_grow_and_are_bounded(attempt: int, longest: float) -> None:
    assert 0 <= backoff(attempt, longest) <= longest
    assert backoff(1, 100) <= 0.5
    assert backoff(6, 100) >= 8
