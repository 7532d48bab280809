"""The sandbox's truth as a judge: it knows what was painted, so it is asked nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ...records import ImageRef, RoleUsage
from ..errors import JudgeError
from .base import FirstToken
from .metering import Meter

PAINTER = "painter"
"""Its spec. The task `sandbox` judges by plain data; see `gems.evals.tasks.sandbox`."""


class PainterJudge:
    """Stands for the painter's truth where a run names its judge; no image is looked at."""

    spec = PAINTER

    def __init__(self) -> None:
        self._meter = Meter()

    async def probe(self) -> None:
        """Raises JudgeError: it gives no log-probabilities."""
        raise _refusal()

    async def first_token(self, images: Sequence[ImageRef], question: str) -> FirstToken:
        """Raises JudgeError."""
        raise _refusal()

    async def text(
        self,
        images: Sequence[ImageRef],
        prompt: str,
        *,
        system: str = "",
        temperature: float = 0.0,
        max_tokens: int = 1024,
        seed: int | None = None,
    ) -> str:
        """Raises JudgeError."""
        raise _refusal()

    def take_usage(self) -> RoleUsage:
        """Returns zeros: the truth costs nothing."""
        return self._meter.take()


def _refusal() -> JudgeError:
    return JudgeError(
        "The painter's truth answers no questions about images.",
        hint="It judges the task 'sandbox' only; name a chat model for this one.",
    )
