"""How fast this process may call one endpoint: concurrency, pauses, waits between attempts."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

FIRST_WAIT = 0.5
"""Seconds before the second attempt, before jitter; doubled for each further one."""


class EndpointLimit:
    """A process-wide limit on the calls that one endpoint gets at the same time.

    `asyncio.Semaphore` belongs to one event loop; a process may run several (a sync caller in a
    thread, a server), so the count lives behind a plain lock and waiters are woken in their own
    loop. First come, first served.

    Attributes:
        size: How many calls may run at the same time.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._free = size
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._paused_until = 0.0

    def pause(self, seconds: float) -> None:
        """Lets no new call start for so many seconds (the endpoint asked for it)."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds one of the places; waits for a free one and for the end of a pause."""
        await self._acquire()
        try:
            while (left := self._paused_until - time.monotonic()) > 0:  # noqa: ASYNC110 - a clock
                # A little apart, so that the waiting calls do not come back all at once.
                await asyncio.sleep(left + random.uniform(0, 0.1))  # noqa: S311 - not for secrets
            yield
        finally:
            self._release()

    async def _acquire(self) -> None:
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            loop = asyncio.get_running_loop()
            turn: asyncio.Future[None] = loop.create_future()
            self._waiters.append((loop, turn))
        try:
            await turn
        except asyncio.CancelledError:
            with self._lock:
                waiting = (loop, turn) in self._waiters
                if waiting:
                    self._waiters.remove((loop, turn))
            if not waiting:  # the place was already handed over to this call
                self._release()
            raise

    def _release(self) -> None:
        with self._lock:
            while self._waiters:
                loop, turn = self._waiters.popleft()
                try:
                    loop.call_soon_threadsafe(_wake, turn)
                except RuntimeError:  # that loop was closed while its call waited
                    continue
                return
            self._free += 1


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


_limits: dict[str, EndpointLimit] = {}
_limits_lock = threading.Lock()


def limit_for(endpoint: str, size: int) -> EndpointLimit:
    """Returns the one limit of an endpoint in this process; `size` counts at the first call."""
    with _limits_lock:
        return _limits.setdefault(endpoint, EndpointLimit(size))


def forget_limits() -> None:
    """Forgets all limits; for tests and for a process that changes its settings."""
    with _limits_lock:
        _limits.clear()


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Returns how many seconds the endpoint asks to wait, or None.

    Reads `retry-after-ms` (OpenAI) and `Retry-After` as seconds or as an HTTP date (RFC 9110,
    section 10.2.3); what can't be read counts as not there.
    """
    lower = {key.lower(): value for key, value in headers.items()}
    try:
        return max(0.0, float(lower["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        pass
    value = lower.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def backoff(attempt: int, longest: float) -> float:
    """Returns the seconds to wait after failed attempt number `attempt` (from 1).

    Exponential with full jitter in its upper half, so that parallel calls spread out.
    """
    ceiling = min(longest, FIRST_WAIT * 2 ** (attempt - 1))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - not for secrets
