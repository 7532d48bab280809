"""Images in messages: small, encoded once, in front of the text, and never too many.

State and calls carry `image_ref` blocks; just before a model is called they become data URLs. One
image is asked about many times a run, so its encoding is kept by the hash of its bytes, and it
stands before the question, so that a server's prefix cache serves all questions about it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from PIL import Image, ImageOps

from ..errors import ArtifactError
from ..settings import get_settings
from .contact_sheet import contact_sheet

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from ..records import ImageRef

Load = Callable[["ImageRef"], Awaitable[bytes]]
"""Gives the stored bytes of an image."""

VisionFormat = Literal["jpeg", "webp"]
Overflow = Literal["sheet", "latest"]


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


def image_block(ref: ImageRef, label: str = "") -> dict[str, Any]:
    """Returns the content block that stands for an image until the model is called.

    Args:
        ref: The stored image.
        label: What it is, e.g. `round 2, candidate 1`; the model reads it in front of the image.
    """
    return {"type": "image_ref", "ref": ref, "label": label}


def count_images(messages: list[BaseMessage]) -> int:
    """Returns how many `image_ref` blocks the messages hold."""
    return sum(_is_ref(block) for message in messages for block in _blocks(message))


async def with_images(
    messages: list[BaseMessage],
    load: Load,
    *,
    max_side: int,
    quality: int,
    image_format: VisionFormat = "jpeg",
    max_images: int | None = None,
    overflow: Overflow = "sheet",
) -> list[BaseMessage]:
    """Returns copies of the messages in which data URLs stand for the `image_ref` blocks.

    In each message the images come before the text, each with its label as a short text block in
    front. The given messages are not changed.

    Args:
        messages: Any messages; only list contents with `image_ref` blocks are touched.
        load: Gives the stored bytes of an image.
        max_side: Longest side in pixels.
        quality: JPEG or WebP quality, 1..100.
        image_format: `jpeg` or `webp`.
        max_images: How many images all messages together may hold; None means any number.
        overflow: What is done with more: `sheet` puts the oldest into one labelled contact sheet,
            `latest` leaves the oldest out.

    Raises:
        ArtifactError: An image can't be loaded or decoded.
    """
    encoding = Encoding(max_side, quality, image_format)
    places = [
        (row, column)
        for row, message in enumerate(messages)
        for column, block in enumerate(_blocks(message))
        if _is_ref(block)
    ]
    if not places:
        return messages
    refs = [cast("dict[str, Any]", _blocks(messages[row])[column]) for row, column in places]
    crowd = 0 if max_images is None else _crowd(len(refs), max_images, overflow)
    swapped: dict[tuple[int, int], list[dict[str, Any]]] = {place: [] for place in places[:crowd]}
    if crowd and overflow == "sheet" and max_images:
        swapped[places[crowd - 1]] = await _sheet_blocks(refs[:crowd], load, encoding)
    shown = await asyncio.gather(*(_image_blocks(ref, load, encoding) for ref in refs[crowd:]))
    swapped.update(zip(places[crowd:], shown, strict=True))
    result = []
    for row, message in enumerate(messages):
        if not any(place[0] == row for place in places):
            result.append(message)
            continue
        blocks = _blocks(message)
        images = [new for column in range(len(blocks)) for new in swapped.get((row, column), [])]
        texts = [block for block in blocks if not _is_ref(block)]
        result.append(message.model_copy(update={"content": [*images, *texts]}))
    return result


def _crowd(count: int, max_images: int, overflow: Overflow) -> int:
    """Returns how many of the oldest images lose their own place."""
    if count <= max_images:
        return 0
    if overflow == "latest" or max_images == 0:
        return count - max_images
    return count - max_images + 1  # one place goes to the sheet


def _blocks(message: BaseMessage) -> list[str | dict[str, Any]]:
    return message.content if isinstance(message.content, list) else []


def _is_ref(block: str | dict[str, Any]) -> bool:
    return isinstance(block, dict) and block.get("type") == "image_ref"


def _with_label(label: str, url: str) -> list[dict[str, Any]]:
    image = {"type": "image_url", "image_url": {"url": url}}
    return [{"type": "text", "text": f"{label}:"}, image] if label else [image]


async def _image_blocks(
    block: dict[str, Any], load: Load, encoding: Encoding
) -> list[dict[str, Any]]:
    ref: ImageRef = block["ref"]

    async def encode() -> str:
        data = await load(ref)
        return await asyncio.to_thread(data_url, data, encoding)

    return _with_label(
        block.get("label", ""), await _encoded.get((ref["sha256"], encoding), encode)
    )


async def _sheet_blocks(
    blocks: list[dict[str, Any]], load: Load, encoding: Encoding
) -> list[dict[str, Any]]:
    labels = [block.get("label") or f"image {number}" for number, block in enumerate(blocks, 1)]
    refs: list[ImageRef] = [block["ref"] for block in blocks]

    async def encode() -> str:
        images = await asyncio.gather(*(load(ref) for ref in refs))
        return await asyncio.to_thread(_sheet_url, images, labels, encoding)

    names = "\n".join([*labels, *(ref["sha256"] for ref in refs)])
    key = hashlib.sha256(names.encode()).hexdigest()
    lines = "; ".join(f"{number} = {label}" for number, label in enumerate(labels, 1))
    return _with_label(
        f"One sheet with {len(labels)} images, numbered from the top left ({lines})",
        await _encoded.get((key, encoding), encode),
    )


def _sheet_url(images: list[bytes], labels: list[str], encoding: Encoding) -> str:
    numbered = [f"{number}: {label}" for number, label in enumerate(labels, 1)]
    sheet = contact_sheet([opened(data) for data in images], numbered, side=encoding.max_side)
    return _url(_compressed(sheet, encoding), encoding.format)


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


_encoded = EncodedImages()


def forget_images() -> None:
    """Empties the process's cache of encoded images."""
    _encoded.clear()
