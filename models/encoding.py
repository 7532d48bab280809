"""Images as chat models get them: small, re-encoded once, kept by hash."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import Image, ImageOps

from ..errors import ArtifactError
from ..settings import get_settings
from .contact_sheet import contact_sheet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

VisionFormat = Literal["jpeg", "webp"]


@dataclass(frozen=True)
class Encoding:
    """How images are shown to a chat model.

    Attributes:
        max_side: Longest side in pixels; larger images are scaled down, smaller ones left.
        quality: JPEG or WebP quality, 1..100.
        format: How images are encoded; a smaller original is sent as it is.
    """

    max_side: int = 1024
    quality: int = 80
    format: VisionFormat = "jpeg"


def opened(data: bytes) -> Image.Image:
    """Returns the picture in `data` as RGB, upright, transparent parts on white.

    Raises:
        ArtifactError: The bytes are no image, damaged, or an image bomb.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.has_transparency_data:
                layer = upright.convert("RGBA")
                white = Image.new("RGBA", layer.size, "white")
                return Image.alpha_composite(white, layer).convert("RGB")
            return upright.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ArtifactError(f"An image can't be shown to the chat model: {error}.") from None


def data_url(data: bytes, encoding: Encoding) -> str:
    """Returns an image as a data URL, scaled down and re-encoded.

    A PNG or JPEG original that is small enough on both counts is sent as it is: a flat picture is
    smaller as PNG.

    Raises:
        ArtifactError: The bytes are no image.
    """
    picture = opened(data)
    fits = max(picture.size) <= encoding.max_side
    if not fits:
        picture.thumbnail((encoding.max_side, encoding.max_side), Image.Resampling.LANCZOS)
    compressed = _compressed(picture, encoding)
    kind = _sendable(data, encoding) if fits and len(data) <= len(compressed) else None
    return _url(data, kind) if kind else _url(compressed, encoding.format)


def _sendable(data: bytes, encoding: Encoding) -> str | None:
    """Returns the original's format where every server reads it as we see it, else None."""
    with Image.open(io.BytesIO(data)) as picture:
        plain = picture.mode in ("RGB", "L") and not picture.has_transparency_data
        turned = picture.getexif().get(0x0112, 1) != 1
        known = picture.format in ("PNG", "JPEG", encoding.format.upper())
        return picture.format.lower() if picture.format and plain and known and not turned else None


def _compressed(picture: Image.Image, encoding: Encoding) -> bytes:
    out = io.BytesIO()
    if encoding.format == "jpeg":
        picture.save(out, "JPEG", quality=encoding.quality, optimize=True)
    else:
        picture.save(out, "WEBP", quality=encoding.quality, method=4)
    return out.getvalue()


def _url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def sheet_url(images: list[bytes], labels: list[str], encoding: Encoding) -> str:
    """Returns one contact sheet of several images as a data URL.

    Raises:
        ArtifactError: Some of the bytes are no image.
    """
    numbered = [f"{number}: {label}" for number, label in enumerate(labels, 1)]
    sheet = contact_sheet([opened(data) for data in images], numbered, side=encoding.max_side)
    return _url(_compressed(sheet, encoding), encoding.format)


class EncodedImages:
    """The latest encoded images, by hash and encoding, bounded in bytes; one per process.

    An image that several calls want at the same time is encoded once.
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, Encoding], str] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._running: dict[tuple[int, str, Encoding], asyncio.Task[str]] = {}

    @property
    def size(self) -> int:
        """Bytes kept now."""
        return self._bytes

    async def get(self, key: tuple[str, Encoding], encode: Callable[[], Awaitable[str]]) -> str:
        """Returns the kept encoding, else makes it with `encode` and keeps it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        name = (id(asyncio.get_running_loop()), *key)
        task = self._running.get(name)
        if task is None:
            task = asyncio.ensure_future(self._make(key, encode))
            self._running[name] = task
            task.add_done_callback(lambda done: self._finished(name, done))
        # Shielded: another call may wait for the same image when this one is cancelled.
        return await asyncio.shield(task)

    def clear(self) -> None:
        """Forgets all encodings."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _finished(self, name: tuple[int, str, Encoding], task: asyncio.Task[str]) -> None:
        self._running.pop(name, None)
        if not task.cancelled():
            task.exception()  # read, so that asyncio does not report it when nobody waits any more

    async def _make(self, key: tuple[str, Encoding], encode: Callable[[], Awaitable[str]]) -> str:
        url = await encode()
        limit = get_settings().vision_cache_bytes if self._max_bytes is None else self._max_bytes
        with self._lock:
            if len(url) <= limit and key not in self._kept:
                self._kept[key] = url
                self._bytes += len(url)
            while self._bytes > limit:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest)
        return url
