"""RapidOCR as a judge: it reads what stands in an image, whatever it is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from ...errors import ConfigurationError
from ...evidence.base import Picture
from ...evidence.ocr import OcrTool, read_lines
from ...memory.artifacts import ArtifactStore, artifact_store
from ...records import ImageRef, RoleUsage
from ..errors import JudgeError
from ..judges.base import FirstToken
from ..judges.metering import Meter
from .longtext import NO_TEXT

RAPIDOCR = "rapidocr"
"""Its spec."""


class OcrJudge:
    """Reads images with the OCR model of the evidence tools; fit for LongText-Bench only.

    It needs no endpoint and no key: the model comes with the extra `ocr` and runs in this process,
    one image at a time, about a second each.
    """

    spec = RAPIDOCR

    def __init__(self, store: ArtifactStore | None = None) -> None:
        """Makes a reader.

        Args:
            store: Where the images are; None takes the process's.

        Raises:
            ConfigurationError: The extra `ocr` is not installed.
        """
        missing = OcrTool().missing()
        if missing:
            raise ConfigurationError("The judge rapidocr needs an OCR model.", hint=missing)
        self._store = store or artifact_store()
        self._meter = Meter()

    async def probe(self) -> None:
        """Raises JudgeError: it gives no log-probabilities."""
        raise _refusal()

    async def first_token(self, images: Sequence[ImageRef], question: str) -> FirstToken:
        """Raises JudgeError: it answers no questions."""
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
        """Returns the lines read in the images, top to bottom, or `NO TEXT` where there are none.

        Raises:
            JudgeError: A file is no image.
        """
        lines = []
        for image in images:
            data = await self._store.load(image)
            began = time.monotonic()
            try:
                found = await asyncio.to_thread(read_lines, Picture(image["sha256"], data))
            except OSError:
                raise JudgeError(f"Image {image['sha256'][:12]} can't be decoded.") from None
            self._meter.add(time.monotonic() - began)
            lines += [line.text for line in found]
        return "\n".join(lines) or NO_TEXT

    def take_usage(self) -> RoleUsage:
        """Returns calls and seconds since the last take; an OCR model has no tokens."""
        return self._meter.take()


def _refusal() -> JudgeError:
    return JudgeError(
        "The judge rapidocr reads text and answers no questions.",
        hint="It is for longtext-en and longtext-zh; name a chat model for this task.",
    )
