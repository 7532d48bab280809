"""Images in messages: small, encoded once, in front of the text, and never too many.

State and calls carry `image_ref` blocks; just before a model is called they become data URLs. One
image is asked about many times a run, so its encoding is kept by the hash of its bytes, and it
stands before the question, so that a server's prefix cache serves all questions about it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from .encoding import EncodedImages, Encoding, VisionFormat, data_url, sheet_url

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from ..records import ImageRef

Load = Callable[["ImageRef"], Awaitable[bytes]]
"""Gives the stored bytes of an image."""

Overflow = Literal["sheet", "latest"]


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


def image_refs(messages: list[BaseMessage]) -> list[ImageRef]:
    """Returns the references that the messages hold, in order."""
    return [
        cast("dict[str, Any]", block)["ref"]
        for message in messages
        for block in _blocks(message)
        if _is_ref(block)
    ]


def sent_image_bytes(messages: list[BaseMessage]) -> int:
    """Returns the bytes of the images in messages that `with_images` made, before base64."""
    total = 0
    for message in messages:
        for block in _blocks(message):
            if isinstance(block, dict) and block.get("type") == "image_url":
                encoded = block["image_url"]["url"].partition(",")[2]
                total += len(encoded) * 3 // 4 - encoded[-2:].count("=")
    return total


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
    front; a message of nothing but text becomes a plain string. The given messages are not changed.

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
        return [_flat(message) for message in messages]
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
            result.append(_flat(message))
            continue
        blocks = _blocks(message)
        images = [new for column in range(len(blocks)) for new in swapped.get((row, column), [])]
        texts = [block for block in blocks if not _is_ref(block)]
        result.append(message.model_copy(update={"content": [*images, *texts]}))
    return result


def _flat(message: BaseMessage) -> BaseMessage:
    """Returns a message of plain text blocks as one string: many chat templates take no list."""
    texts: list[str] = []
    for block in _blocks(message):
        if isinstance(block, str):
            texts.append(block)
        elif block.keys() == {"type", "text"} and block["type"] == "text":
            texts.append(block["text"])
        else:
            return message
    return message.model_copy(update={"content": "\n\n".join(texts)}) if texts else message


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
        return await asyncio.to_thread(sheet_url, images, labels, encoding)

    names = "\n".join([*labels, *(ref["sha256"] for ref in refs)])
    key = hashlib.sha256(names.encode()).hexdigest()
    lines = "; ".join(f"{number} = {label}" for number, label in enumerate(labels, 1))
    return _with_label(
        f"One sheet with {len(labels)} images, numbered from the top left ({lines})",
        await _encoded.get((key, encoding), encode),
    )


_encoded = EncodedImages()


def forget_images() -> None:
    """Empties the process's cache of encoded images."""
    _encoded.clear()
