"""An image server that paints what the sandbox would, as fast or as badly as a test wants."""

from __future__ import annotations

import asyncio
import io
from typing import Any

from aiohttp import web

from gems.sandbox.generator import painted

from .images_server import ImagesServer


class PainterServer(ImagesServer):
    """`http:<url>` of this server paints the same pixels as the generator `sandbox`.

    Attributes:
        allowed: How many more images may go out before the next one waits; None for no limit.
            Setting it lets the waiting ones go on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.allowed: int | None = None

    def reset(self) -> None:
        """Back to a server that works and does not wait."""
        self.fault = ""
        self.seconds = 0.0
        self.allowed = None

    async def _served(self, request: web.Request, answer: Any) -> web.StreamResponse:
        try:
            while self.allowed == 0:  # noqa: ASYNC110 - it is set from a test's own thread
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            answer.close()
            self.stopped += 1
            raise
        if self.allowed is not None:
            self.allowed -= 1
        return await super()._served(request, answer)

    def _data(self, prompt: str, seed: int, width: int, height: int) -> bytes:
        image, _ = painted(prompt, seed, width, height)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()
