"""`http:<url>` against a real server on loopback."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from PIL import Image
from servers.images_server import ImagesServer, heavy_picture, picture
from servers.loopback import until

from gems.errors import (
    ConfigurationError,
    GenerationError,
    GeneratorBusyError,
)
from gems.models.generators.base import GenerationRequest
from gems.models.generators.http_protocol import create
from gems.models.limits import forget_limits
from gems.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GEMS_GENERATOR_TIMEOUT", "20")
    get_settings.cache_clear()
    forget_limits()
    yield
    get_settings.cache_clear()
    forget_limits()


@pytest.fixture
def server() -> Iterator[ImagesServer]:
    with ImagesServer() as running:
        yield running


def request(**changes: object) -> GenerationRequest:
    return GenerationRequest(
        **({"prompt": "a cat", "seed": 7, "width": 64, "height": 48} | changes)
    )  # type: ignore[arg-type]  # values vary by test


async def test_the_prompt_travels_in_the_query_and_a_png_comes_back(server: ImagesServer) -> None:
    generator = create(server.url)
    prompt = 'a sign that says "50% off & more?" – 猫 #1'

    (made,) = await generator.generate(
        request(prompt=prompt, negative_prompt="blur", steps=9, guidance=1.5)
    )

    assert server.requests == [
        {
            "prompt": prompt,
            "seed": "7",
            "width": "64",
            "height": "48",
            "negative_prompt": "blur",
            "steps": "9",
            "guidance": "1.5",
        }
    ]
    expected = Image.open(io.BytesIO(picture(prompt, 7, 64, 48)))
    assert made.image.tobytes() == expected.tobytes()
    assert (made.image.mode, made.seed, made.notices) == ("RGB", 7, ())
    await generator.aclose()


async def test_several_images_have_consecutive_seeds_and_equal_single_calls(
    server: ImagesServer,
) -> None:
    generator = create(f"{server.url}/generate")
    together = await generator.generate(request(n=3))
    (alone,) = await generator.generate(request(seed=9))
    assert [made.seed for made in together] == [7, 8, 9]
    assert together[2].image.tobytes() == alone.image.tobytes()
    await generator.aclose()


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("429", GeneratorBusyError, "HTTP 429: "),
        ("500", GeneratorBusyError, "illegal memory access"),
        ("drop", GeneratorBusyError, "broke"),
        ("truncated", GeneratorBusyError, "broke"),
        ("cut image", GeneratorBusyError, "damaged image"),
        ("bomb", GenerationError, "pixels"),
        ("page", GenerationError, "It works!"),
        ("error in 200", GenerationError, "the worker died"),
    ],
)
async def test_a_fault_becomes_a_typed_error(
    server: ImagesServer, fault: str, kind: type[GenerationError], words: str
) -> None:
    server.fault = fault
    generator = create(server.url)
    with pytest.raises(GenerationError, match=words) as caught:
        await generator.generate(request(n=2))
    assert type(caught.value) is kind
    assert caught.value.retry_after == (7.0 if fault == "429" else None)
    server.fault = ""
    assert len(await generator.generate(request())) == 1  # and the generator still works
    await generator.aclose()


async def test_a_hanging_server_costs_the_timeout_and_no_more(
    server: ImagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMS_GENERATOR_TIMEOUT", "0.3")
    get_settings.cache_clear()
    server.fault = "hang"
    generator = create(server.url)
    with pytest.raises(GeneratorBusyError, match=r"within 0\.3 s"):
        await generator.generate(request())
    await generator.aclose()


async def test_a_server_that_is_not_there_is_named() -> None:
    generator = create("http://user:hunter2@127.0.0.1:9/")
    with pytest.raises(GeneratorBusyError, match=r"127\.0\.0\.1:9") as caught:
        await generator.generate(request())
    assert "hunter2" not in str(caught.value) + repr(generator) + generator.name
    await generator.aclose()


async def test_the_content_decides_not_its_label(server: ImagesServer) -> None:
    server.content_type = "text/plain"
    generator = create(server.url)
    assert (await generator.generate(request()))[0].image.size == (64, 48)
    await generator.aclose()


async def test_a_large_image_passes_until_the_limit_says_no(
    server: ImagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = heavy_picture()
    generator = create(server.url)
    (made,) = await generator.generate(request())
    assert made.image.size == (1870, 1870)
    assert made.notices == ("The server made 1870x1870 pixels, not 64x48.",)
    monkeypatch.setenv("GEMS_GENERATOR_MAX_BYTES", "1000000")
    get_settings.cache_clear()
    with pytest.raises(GenerationError, match="more than 1000000 bytes"):
        await generator.generate(request())
    await generator.aclose()


@pytest.mark.parametrize("words", [2_000, 20_000])  # too long for the server, for any server
async def test_a_prompt_too_long_for_an_address_says_so(server: ImagesServer, words: int) -> None:
    generator = create(server.url)
    with pytest.raises(GenerationError, match=r"[Ss]horten"):
        await generator.generate(request(prompt="very " * words))
    await generator.aclose()


async def test_fifty_at_once_share_the_limit_and_never_block_the_loop(
    server: ImagesServer,
) -> None:
    server.seconds = 0.05
    generator = create(server.url)
    with blockbuster_ctx("gems.models"):  # raises on any blocking call within the event loop
        made = await asyncio.gather(*(generator.generate(request(seed=seed)) for seed in range(50)))
    assert len({images[0].image.tobytes() for images in made}) == 50
    assert 2 <= server.most_at_once <= 8  # GEMS_GENERATOR_CONCURRENCY
    assert len(server.connections) <= 25  # connections are reused
    await generator.aclose()


async def test_a_cancelled_call_frees_its_slot(
    server: ImagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMS_GENERATOR_CONCURRENCY", "1")
    get_settings.cache_clear()
    server.fault = "hang"
    generator = create(server.url)
    hanging = asyncio.create_task(generator.generate(request()))
    waiting = asyncio.create_task(generator.generate(request()))
    await until(lambda: server.requests)
    server.fault = ""
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert len(await asyncio.wait_for(waiting, 5)) == 1
    assert server.stopped == 1
    await generator.aclose()


def test_one_generator_serves_several_event_loops(server: ImagesServer) -> None:
    generator = create(server.url)
    for _ in range(3):  # as the command line does; nothing is closed by hand
        assert len(asyncio.run(generator.generate(request(n=2)))) == 2


@pytest.mark.parametrize("target", ["", "localhost:8000", "ftp://host/x", "http://", "http://h:x"])
def test_what_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(ConfigurationError, match="http or https address"):
        create(target)
