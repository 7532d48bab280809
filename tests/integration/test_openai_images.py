"""`openai:<model>` against a real server that speaks the Images API on loopback."""

from __future__ import annotations

import asyncio
import io
import time
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from servers.images_server import KEY, ImagesServer, heavy_picture, picture
from servers.loopback import until

from gems.errors import (
    ConfigurationError,
    GenerationError,
    GenerationRefusedError,
    GeneratorBusyError,
)
from gems.models.generators.base import GenerationRequest
from gems.models.generators.downloads import check_download
from gems.models.generators.openai_images import OpenAIImages, create
from gems.models.generators.openai_models import drawn_size, image_model
from gems.models.limits import forget_limits
from gems.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImagesServer]:
    forget_limits()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMS_GENERATOR_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with ImagesServer() as running:
        configure(monkeypatch, GEMS_GENERATOR_BASE_URL=f"{running.url}/v1/")
        yield running
    get_settings.cache_clear()
    forget_limits()


def configure(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()


def request(**changes: object) -> GenerationRequest:
    return GenerationRequest(
        **({"prompt": "a cat", "seed": 7, "width": 64, "height": 48} | changes)
    )  # type: ignore[arg-type]  # values vary by test


def same(image: Image.Image, data: bytes) -> bool:
    return image.tobytes() == Image.open(io.BytesIO(data)).tobytes()


async def test_an_open_server_gets_seed_steps_guidance_and_negative_prompt(
    server: ImagesServer,
) -> None:
    generator = create("Tongyi-MAI/Z-Image-Turbo")
    made = await generator.generate(request(n=2, negative_prompt="blur", steps=9, guidance=1.5))
    assert sorted(server.requests, key=lambda asked: asked["seed"]) == [
        {
            "model": "Tongyi-MAI/Z-Image-Turbo",
            "prompt": "a cat",
            "n": 1,
            "size": "64x48",
            "response_format": "b64_json",
            "seed": seed,
            "negative_prompt": "blur",
            "num_inference_steps": 9,
            "guidance_scale": 1.5,
            "images": (),
        }
        for seed in (7, 8)  # one call per image: each can be made again from its own seed
    ]
    assert [each.seed for each in made] == [7, 8]
    assert same(made[1].image, picture("a cat", 8, 64, 48))
    assert made[0].notices == ()
    assert made[0].parameters["seeded"] is True
    assert made[0].parameters["num_inference_steps"] == 9
    await generator.aclose()


@pytest.mark.parametrize("fastapi", [False, True])
async def test_a_refused_field_is_left_out_remembered_and_reported(
    server: ImagesServer, fastapi: bool
) -> None:
    server.extras, server.fastapi = {"seed"}, fastapi
    generator = create("picky-model")
    asked = request(negative_prompt="blur", guidance=3.0)
    (first,) = await generator.generate(asked)
    assert len(server.requests) == 3  # two fields refused, one call each to learn it
    (second,) = await generator.generate(asked)
    assert len(server.requests) == 4
    assert first.notices == (
        "picky-model takes no negative prompt.",
        "picky-model takes no guidance scale.",
    )
    assert first.notices == second.notices
    assert same(second.image, picture("a cat", 7, 64, 48))
    await generator.aclose()


async def test_a_server_without_seeds_makes_n_images_in_one_call_and_says_so(
    server: ImagesServer,
) -> None:
    server.extras = set()
    generator = create("seedless-model")
    await generator.generate(request())  # learns it
    server.requests.clear()
    made = await generator.generate(request(n=3))
    assert [asked["n"] for asked in server.requests] == [3]
    assert len(made) == 3
    assert made[0].parameters["seeded"] is False
    assert any("seed" in notice for notice in made[0].notices)
    await generator.aclose()


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        ("gpt-image-1-mini", (1024, 1024), "1024x1024"),
        ("gpt-image-1.5", (1920, 1080), "1536x1024"),
        ("gpt-image-1.5", (600, 1200), "1024x1536"),
        ("chatgpt-image-latest", (512, 512), "1024x1024"),
        ("gpt-image-2", (1000, 700), "992x688"),
        ("gpt-image-2.5-flare", (1536, 864), "1536x864"),
        ("gpt-image-2", (4000, 500), "1440x480"),
        ("gpt-image-2", (5000, 5000), "2880x2880"),
        ("qwen-image", (1328, 1328), "1328x1328"),
    ],
)
async def test_the_size_is_one_that_the_model_draws(
    server: ImagesServer, model: str, asked: tuple[int, int], sent: str
) -> None:
    server.body = picture("any", 0, 32, 32)
    generator = create(model)
    (made,) = await generator.generate(request(width=asked[0], height=asked[1]))
    assert server.requests[0]["size"] == sent
    assert ("response_format" in server.requests[0]) == (model == "qwen-image")
    changed = sent != f"{asked[0]}x{asked[1]}"
    assert any("was asked for" in notice for notice in made.notices) == changed
    await generator.aclose()


@given(width=st.integers(16, 9000), height=st.integers(16, 9000))
def test_any_size_becomes_one_that_gpt_image_2_takes(width: int, height: int) -> None:
    wide, high = drawn_size(image_model("gpt-image-2"), width, height)
    assert wide % 16 == high % 16 == 0
    assert max(wide, high) <= 3 * min(wide, high)
    assert wide * high <= 3840 * 2160
    assert max(wide, high) <= 3840


async def test_ten_images_are_the_most_that_one_call_asks_for(server: ImagesServer) -> None:
    generator = create("gpt-image-2")
    made = await generator.generate(request(n=12))
    assert len(made) == 12
    assert sorted(asked["n"] for asked in server.requests) == [2, 10]
    await generator.aclose()


async def test_references_go_to_the_edits_endpoint_in_order(server: ImagesServer) -> None:
    generator = create("edit-model")
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGBA", (8, 8), "blue")
    assert generator.can_edit
    await generator.generate(request(references=(red,), steps=4))
    await generator.generate(request(references=(red, blue)))
    one, two = server.requests
    assert (len(one["images"]), one["num_inference_steps"], one["seed"]) == (1, "4", 7)
    assert [
        Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0)) for data in two["images"]
    ] == [
        (255, 0, 0),
        (0, 0, 255),
    ]
    await generator.aclose()


async def test_a_server_without_edits_says_so_once_and_for_all(server: ImagesServer) -> None:
    server.edits = False
    generator = create("text-only")
    with pytest.raises(GenerationError, match="no edits endpoint"):
        await generator.generate(request(references=(Image.new("RGB", (8, 8)),)))
    assert not generator.can_edit
    assert len(await generator.generate(request())) == 1
    await generator.aclose()


async def test_a_url_answer_is_fetched_without_the_key(
    server: ImagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, GEMS_GENERATOR_API_KEY=KEY)
    server.key = KEY
    server.answer = "url"  # the file route asserts that no Authorization comes with it
    generator = create("url-model")
    (made,) = await generator.generate(request())
    assert same(made.image, picture("a cat", 7, 64, 48))
    configure(monkeypatch, GEMS_GENERATOR_MAX_BYTES="1024")
    server.body = heavy_picture()
    server.fault = ""
    with pytest.raises(GenerationError, match="more than 1024 bytes"):
        await generator.generate(request())
    await generator.aclose()


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("file:///etc/passwd", "not http or https"),
        ("ftp://127.0.0.1/x.png", "not http or https"),
        ("http://169.254.169.254/latest/meta-data", "inside a private network"),
        ("{url}/missing.png", "HTTP 404"),
        ("http://127.0.0.1:9/x.png", "can't be reached"),
    ],
)
async def test_a_url_answer_that_leads_elsewhere_is_an_error(
    server: ImagesServer, link: str, words: str
) -> None:
    server.answer, server.link = "url", link
    generator = create("url-model")
    with pytest.raises(GenerationError, match=words):
        await generator.generate(request())
    await generator.aclose()


async def test_a_public_server_cannot_send_us_into_the_private_network() -> None:
    with pytest.raises(GenerationError, match="inside a private network"):
        await check_download("http://10.0.0.5/x.png", "https://8.8.8.8/v1")
    await check_download("http://10.0.0.5/x.png", "http://192.168.1.2:8000/v1")
    await check_download("https://1.1.1.1/x.png", "https://8.8.8.8/v1")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("429", GeneratorBusyError, "Slow down"),
        ("500", GeneratorBusyError, "illegal memory access"),
        ("drop", GeneratorBusyError, "broke"),
        ("truncated", GeneratorBusyError, "broke"),
        ("cut image", GeneratorBusyError, "damaged image"),
        ("broken base64", GenerationError, "base64"),
        ("bomb", GenerationError, "pixels"),
        ("page", GenerationError, "It works!"),
        ("moderation", GenerationRefusedError, "violence"),
        ("quota", GenerationError, "no credit"),
        ("empty", GenerationError, "without an image"),
        ("error in 200", GenerationError, "the worker died"),
    ],
)
async def test_a_fault_becomes_a_typed_error(
    server: ImagesServer, fault: str, kind: type[GenerationError], words: str
) -> None:
    server.fault = fault
    generator = create("some-model")
    with pytest.raises(GenerationError, match=words) as caught:
        await generator.generate(request())
    assert type(caught.value) is kind
    assert caught.value.retry_after == (7.0 if fault == "429" else None)
    assert len(server.requests) == 1  # retries belong to the graph, where budgets are counted
    server.fault = ""
    assert len(await generator.generate(request())) == 1
    await generator.aclose()


async def test_a_hanging_server_costs_the_timeout_and_no_more(
    server: ImagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, GEMS_GENERATOR_TIMEOUT="0.4")
    server.fault = "hang"
    generator = create("slow-model")
    start = time.perf_counter()
    with pytest.raises(GeneratorBusyError, match=r"within 0\.4 s"):
        await generator.generate(request())
    assert time.perf_counter() - start < 5
    await generator.aclose()


async def test_the_key_is_sent_and_never_shown(
    server: ImagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "another"
    configure(monkeypatch, GEMS_GENERATOR_API_KEY=KEY)
    generator = create("some-model")
    with pytest.raises(
        GenerationError, match="Incorrect API key"
    ) as caught:  # the server echoes it
        await generator.generate(request())
    shown = "".join((str(caught.value), repr(caught.value), repr(generator), repr(vars(generator))))
    assert KEY not in shown
    assert "GEMS_GENERATOR_API_KEY" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    server.key = KEY
    assert len(await generator.generate(request())) == 1
    await generator.aclose()


def test_openais_key_goes_to_openai_and_openais_base_url_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def key_for(**variables: str) -> str | None:
        for name in ("OPENAI_BASE_URL", "GEMS_GENERATOR_BASE_URL", "GEMS_GENERATOR_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        configure(monkeypatch, OPENAI_API_KEY="openais", **variables)
        made: OpenAIImages = create("m")
        return made._key.get_secret_value() if made._key else None

    assert key_for() == "openais"
    assert key_for(OPENAI_BASE_URL="http://127.0.0.1:1/v1") == "openais"
    assert key_for(GEMS_GENERATOR_BASE_URL="http://127.0.0.1:1/v1") is None
    assert (
        key_for(GEMS_GENERATOR_BASE_URL="http://127.0.0.1:1/v1", GEMS_GENERATOR_API_KEY="own")
        == "own"
    )
    monkeypatch.delenv("OPENAI_API_KEY")
    for name in ("GEMS_GENERATOR_BASE_URL", "GEMS_GENERATOR_API_KEY"):
        monkeypatch.delenv(name)
    get_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="needs a key"):
        create("gpt-image-2")
    get_settings.cache_clear()


async def test_fifty_at_once_share_the_limit(server: ImagesServer) -> None:
    server.seconds = 0.05
    generator = create("busy-model")
    with blockbuster_ctx("gems.models"):  # raises on any blocking call within the event loop
        made = await asyncio.gather(*(generator.generate(request(seed=seed)) for seed in range(50)))
    assert len({images[0].image.tobytes() for images in made}) == 50
    assert 2 <= server.most_at_once <= 8
    assert len(server.connections) <= 25
    await generator.aclose()


async def test_a_cancelled_call_stops_at_the_server_too(server: ImagesServer) -> None:
    server.fault = "hang"
    generator = create("slow-model")
    task = asyncio.create_task(generator.generate(request(n=3)))
    await until(lambda: len(server.requests) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: server.stopped == 3)
    await generator.aclose()


def test_one_generator_serves_several_event_loops(server: ImagesServer) -> None:
    generator = create("some-model")
    for _ in range(2):
        assert len(asyncio.run(generator.generate(request()))) == 1
