"""Images as models get them: small, once, in front, few enough."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from PIL import Image

from gems.errors import ArtifactError
from gems.models.contact_sheet import contact_sheet
from gems.models.encoding import EncodedImages, Encoding, data_url
from gems.models.vision import forget_images, image_block, with_images
from gems.records import ImageRef


@pytest.fixture(autouse=True)
def _fresh() -> None:
    forget_images()


def png(
    size: tuple[int, int], mode: str = "RGB", color: Any = "red", seed: int | None = None
) -> bytes:
    picture = Image.new(mode, size, color)
    if seed is not None:
        noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


STORE: dict[str, bytes] = {}


def ref_of(data: bytes) -> ImageRef:
    sha = hashlib.sha256(data).hexdigest()
    STORE[sha] = data
    return ImageRef(uri="", sha256=sha, mime="image/png", width=1, height=1, size=len(data))


async def load(ref: ImageRef) -> bytes:
    return STORE[ref["sha256"]]


async def shown(messages: list[BaseMessage], **options: Any) -> list[BaseMessage]:
    return await with_images(messages, load, **{"max_side": 256, "quality": 80, **options})


def picture_in(block: dict[str, Any]) -> Image.Image:
    data = base64.b64decode(block["image_url"]["url"].partition(",")[2])
    return Image.open(io.BytesIO(data)).convert("RGB")


def pictures(messages: list[BaseMessage]) -> list[Image.Image]:
    blocks = [b for m in messages if isinstance(m.content, list) for b in m.content]
    return [picture_in(b) for b in blocks if isinstance(b, dict) and b["type"] == "image_url"]


async def test_images_come_first_with_their_labels_and_the_rest_is_untouched() -> None:
    ref = ref_of(png((600, 300)))
    given: list[BaseMessage] = [
        SystemMessage("Look."),
        HumanMessage([{"type": "text", "text": "Q?"}, image_block(ref, "best")]),
    ]
    result = await shown(given)
    assert result[0] is given[0]
    label, image, question = result[1].content
    assert (label["text"], question["text"]) == ("best:", "Q?")
    assert picture_in(image).size == (256, 128)
    assert given[1].content[1]["type"] == "image_ref", "state keeps the reference"


async def test_text_alone_becomes_a_string() -> None:
    (message,) = await shown([HumanMessage([{"type": "text", "text": "Q?"}])])
    assert message.content == "Q?"


def test_transparent_parts_are_white_and_small_flat_pictures_stay_png() -> None:
    url = data_url(png((20, 20), "RGBA", (0, 0, 0, 0)), Encoding())
    assert picture_in({"image_url": {"url": url}}).getpixel((5, 5)) == (255, 255, 255)
    flat = png((64, 64))
    assert data_url(flat, Encoding()) == "data:image/png;base64," + base64.b64encode(flat).decode()
    assert data_url(png((64, 64), seed=1), Encoding()).startswith("data:image/jpeg")
    assert data_url(png((64, 64), seed=1), Encoding(format="webp")).startswith("data:image/webp")


def test_a_turned_photo_is_shown_upright() -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(out, "JPEG", exif=exif)
    assert picture_in({"image_url": {"url": data_url(out.getvalue(), Encoding())}}).size == (20, 40)


@pytest.mark.parametrize("data", [b"", b"no image", png((64, 64), seed=1)[:300]])
def test_what_is_no_image_is_an_artifact_error(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="can't be shown"):
        data_url(data, Encoding())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(64, 512))
def test_no_side_is_longer_than_asked(width: int, height: int, side: int) -> None:
    url = data_url(png((width, height)), Encoding(max_side=side))
    assert max(picture_in({"image_url": {"url": url}}).size) <= max(1, side)


def three(*, labels: bool = True) -> list[BaseMessage]:
    colors = ["red", "lime", "blue"]
    blocks = [
        image_block(ref_of(png((80, 80), color=color)), f"round {n}" if labels else "")
        for n, color in enumerate(colors, 1)
    ]
    return [
        HumanMessage([blocks[0], {"type": "text", "text": "First."}]),
        HumanMessage([*blocks[1:], {"type": "text", "text": "Which is best?"}]),
    ]


async def test_too_many_images_become_a_sheet_of_the_older_ones() -> None:
    result = await shown(three(), max_images=2)
    sheet, last = pictures(result)
    assert result[0].content == [{"type": "text", "text": "First."}]
    seen = {color for _, color in sheet.getcolors(100_000) or [] if max(color) - min(color) > 200}
    assert {(254, 0, 0), (255, 0, 0)} & seen
    assert not any(color[2] > 200 > color[0] for color in seen), "the newest is not in it"
    assert last.getpixel((40, 40))[2] > 200
    assert "1 = round 1; 2 = round 2" in result[1].content[0]["text"]


@pytest.mark.parametrize(("limit", "left"), [(1, 1), (2, 2), (3, 3), (None, 3)])
async def test_never_more_images_than_allowed(limit: int | None, left: int) -> None:
    for overflow in ("sheet", "latest"):
        result = await shown(three(labels=False), max_images=limit, overflow=overflow)
        assert len(pictures(result)) == left
        assert "Which is best?" in str(result[1].content)


async def test_no_images_at_all_leaves_the_question() -> None:
    result = await shown(three(), max_images=0)
    assert pictures(result) == []
    assert "Which is best?" in str(result[1].content)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_a_sheet_shows_every_picture(count: int) -> None:
    colors = [(30 * n + 20, 250 - 30 * n, 120) for n in range(count)]
    images = [Image.new("RGB", (90 + 10 * n, 60), color) for n, color in enumerate(colors)]
    sheet = contact_sheet(images, [f"round {n}" for n in range(count)], side=512)
    assert max(sheet.size) <= 512
    found = {color for _, color in sheet.getcolors(1_000_000) or []}
    assert set(colors) <= found


async def test_the_cache_is_bounded_and_forgets_the_oldest() -> None:
    cache, made = EncodedImages(max_bytes=250), []

    async def get(name: str, text: str = "x" * 100) -> str:
        async def encode() -> str:
            made.append(name)
            await asyncio.sleep(0)
            return text

        return await cache.get((name, Encoding()), encode)

    await asyncio.gather(get("a"), get("a"), get("b"))
    assert made == ["a", "b"]
    await get("a")
    await get("c")  # "b" is the oldest now
    await get("a")
    await get("b")
    assert made == ["a", "b", "c", "b"]
    await get("huge", "x" * 1000)
    assert cache.size <= 250


async def test_a_failed_or_cancelled_encoding_does_not_stay() -> None:
    cache = EncodedImages(max_bytes=1000)

    async def broken() -> str:
        await asyncio.sleep(0.01)
        raise ArtifactError("gone")

    async def fine() -> str:
        await asyncio.sleep(0.01)
        return "ok"

    key = ("a", Encoding())
    results = await asyncio.gather(
        cache.get(key, broken), cache.get(key, broken), return_exceptions=True
    )
    assert [type(result) for result in results] == [ArtifactError] * 2
    first = asyncio.create_task(cache.get(key, fine))
    second = asyncio.create_task(cache.get(key, broken))  # joins the first one's encoding
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "ok"
