"""Connections per event loop, received images, and what failed statuses become."""

from __future__ import annotations

import asyncio
import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gems.errors import ConfigurationError, GenerationError, GeneratorBusyError
from gems.models.generators.endpoint import PerLoop, all_of, parse_url, public_url, status_error
from gems.models.generators.received import decode_image
from gems.settings import get_settings


class Resource:
    def __init__(self) -> None:
        self.closed_in: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        self.closed_in = asyncio.get_running_loop()


def test_each_loop_has_its_own_resource_and_closes_it_at_its_end() -> None:
    held = PerLoop(Resource, Resource.close)
    loops: list[asyncio.AbstractEventLoop] = []

    async def use() -> Resource:
        loops.append(asyncio.get_running_loop())
        first, second = await asyncio.gather(held.get(), held.get())
        assert first is second
        assert first is await held.get()
        assert first.closed_in is None
        return first

    made = [asyncio.run(use()) for _ in range(2)]
    assert made[0] is not made[1]
    assert [each.closed_in for each in made] == loops


async def test_closing_reaches_the_loops_of_other_threads() -> None:
    held = PerLoop(Resource, Resource.close)
    ready, over = threading.Event(), threading.Event()
    theirs: list[Resource] = []

    async def use() -> None:
        theirs.append(await held.get())
        ready.set()
        while not over.is_set() or theirs[0].closed_in is None:  # noqa: ASYNC110 - set by a thread
            await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(use()))
    thread.start()
    mine = await held.get()
    await asyncio.to_thread(ready.wait, 5)
    await held.aclose()
    over.set()
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
    assert mine.closed_in is asyncio.get_running_loop()
    assert theirs[0].closed_in not in (None, mine.closed_in)
    assert await held.get() is not mine  # and it can be used again
    await held.aclose()


async def test_the_first_failure_cancels_the_rest_and_comes_as_it_is() -> None:
    cancelled = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def fails() -> None:
        await asyncio.sleep(0)
        raise GenerationError("no")

    with pytest.raises(GenerationError, match="no"):
        await all_of([waits(), fails()])
    assert cancelled.is_set()


@pytest.mark.parametrize(
    ("status", "transient"),
    [(400, False), (401, False), (404, False), (408, True), (429, True), (500, True), (503, True)],
)
def test_a_status_says_whether_trying_again_may_help(status: int, transient: bool) -> None:
    error = status_error(status, {"retry-after": "3"}, "no sk-abcdefgh123", server="there")
    assert error.transient is transient
    assert error.retry_after == (3.0 if transient else None)
    assert "sk-abcdefgh123" not in str(error)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    public_url(text)
    try:
        parts = parse_url(text, what="x")
    except ConfigurationError:
        return
    assert parts.scheme in ("http", "https")
    assert parts.hostname


def png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


async def test_a_picture_arrives_as_rgb_without_metadata() -> None:
    info = PngInfo()
    info.add_text("workflow", "secret")
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    for source in (
        Image.new("RGB", (4, 4)),
        Image.new("L", (4, 4)),
        Image.new("P", (4, 4)),
        Image.new("I;16", (4, 4)),
        clear,
    ):
        image = await decode_image(png(source, pnginfo=info), server="s")
        assert (image.mode, image.size, image.info) == ("RGB", (4, 4), {})
    assert (await decode_image(png(clear), server="s")).getpixel((0, 0)) == (255, 255, 255)


async def test_every_cut_of_a_png_is_an_error() -> None:
    whole = png(Image.effect_noise((24, 24), 80).convert("RGB"))
    for length in range(0, len(whole) - 12, 7):  # the last 12 bytes are the end marker
        with pytest.raises(GenerationError) as caught:
            await decode_image(whole[:length], server="s")
        assert isinstance(caught.value, GeneratorBusyError) == (length >= 8)


async def test_other_formats_and_too_many_pixels_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "TIFF")
    with pytest.raises(GenerationError, match="no PNG, JPEG or WebP"):
        await decode_image(buffer.getvalue(), server="s")
    monkeypatch.setenv("GEMS_GENERATOR_MAX_PIXELS", "5000")
    get_settings.cache_clear()
    with pytest.raises(GenerationError, match="100x51 pixels; 5000 pixels"):
        await decode_image(png(Image.new("RGB", (100, 51))), server="s")
    get_settings.cache_clear()
