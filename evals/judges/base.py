"""What a task may ask of a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...records import ImageRef, RoleUsage


@dataclass(frozen=True)
class FirstToken:
    """The first token of an answer, with what the judge knows of its alternatives.

    Attributes:
        text: The token that was chosen.
        probabilities: Token text (leading space kept) -> probability, 0..1; the whole vocabulary
            of a local model need not be there, an endpoint gives 20 at most.
        floor: What a token that is not among them may have at most: the smallest probability given.
    """

    text: str
    probabilities: Mapping[str, float]
    floor: float


class Judge(Protocol):
    """A multimodal model that looks at images and answers.

    It gets every image as it was generated, never our reduced copy. Every method may raise
    `JudgeError`; transient failures have been retried by then.
    """

    @property
    def spec(self) -> str:
        """What results name it by: `openai:gpt-4o`, `qwen3-vl:Qwen/Qwen3-VL-8B-Instruct`."""
        ...

    async def probe(self) -> None:
        """Finds out whether it gives real log-probabilities.

        Raises:
            JudgeError: It gives none, or sampled ones.
        """
        ...

    async def first_token(self, images: Sequence[ImageRef], question: str) -> FirstToken:
        """Returns the first token of a greedy answer (temperature 0, one token)."""
        ...

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
        """Returns a whole answer in text."""
        ...

    def take_usage(self) -> RoleUsage:
        """Returns what this object has used since the last call, and begins at zero again."""
        ...
