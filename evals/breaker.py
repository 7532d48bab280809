"""When a run stops by itself: the same failure again and again is no longer a sample's affair."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import GenerationRefusedError, InputError
from .errors import DataError

IN_A_ROW = 10
"""Failures of one kind, with nothing that worked between them, after which no more are made: an
endpoint that is down fails every sample, and each failure has its own waits and retries behind it.
"""

OF_THE_SAMPLE = {GenerationRefusedError.code, InputError.code, DataError.code}
"""Failures that say something about a prompt and nothing about the models."""


@dataclass
class Breaker:
    """Counts failures of one kind in a row.

    Attributes:
        limit: How many open it.
        code: Of the last failure.
        count: How many of that code in a row.
        why: Message of the failure that opened it; empty while it is closed.
    """

    limit: int = IN_A_ROW
    code: str = ""
    count: int = 0
    why: str = ""

    @property
    def open(self) -> bool:
        """Whether no more should be started."""
        return bool(self.why)

    def note(self, code: str, message: str) -> None:
        """Takes note of an outcome; an empty code is one that worked."""
        if code in OF_THE_SAMPLE:
            return
        self.count = self.count + 1 if code and code == self.code else int(bool(code))
        self.code = code
        if self.count >= self.limit and not self.why:
            self.why = message or code
