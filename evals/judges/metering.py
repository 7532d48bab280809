"""What a judge has used, counted apart for images that are judged at the same time."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock

from ...records import RoleUsage


class Meter:
    """Counts calls, tokens, bytes and seconds of one judge.

    A judge is shared by all images of a run. `take` begins a count of its own for the current
    asyncio task and the tasks that it starts, so a task that takes once before it judges and once
    after gets what its own image has used. Without the first take, one common count is used.
    """

    def __init__(self) -> None:
        self._common = _nothing()
        self._own: ContextVar[RoleUsage | None] = ContextVar("judge_usage", default=None)
        self._lock = Lock()

    def add(
        self, seconds: float, input_tokens: int = 0, output_tokens: int = 0, image_bytes: int = 0
    ) -> None:
        """Counts one call."""
        with self._lock:
            used = self._own.get() or self._common
            used["calls"] += 1
            used["seconds"] += seconds
            used["input_tokens"] += input_tokens
            used["output_tokens"] += output_tokens
            used["image_bytes"] += image_bytes

    def take(self) -> RoleUsage:
        """Returns what was counted here since the last take, and begins at zero again."""
        with self._lock:
            used = self._own.get()
            if used is None:
                used, self._common = self._common, _nothing()
            self._own.set(_nothing())
            return used


def _nothing() -> RoleUsage:
    return RoleUsage(calls=0, input_tokens=0, output_tokens=0, seconds=0.0, image_bytes=0)
