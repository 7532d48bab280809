"""`comfyui:<url>?workflow=<file>` against a server that speaks ComfyUI's protocol on loopback."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import blockbuster_ctx
from PIL import Image
from servers.comfyui_server import ComfyUIServer, workflow
from servers.images_server import picture
from servers.loopback import until

from gems.errors import GenerationError, GeneratorBusyError
from gems.models.generators import comfyui_job
from gems.models.generators.base import GenerationRequest
from gems.models.generators.comfyui import create
from gems.models.limits import forget_limits
from gems.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gems.models.generators.comfyui import ComfyUIGenerator

    Connect = Callable[..., ComfyUIGenerator]

pytestmark = pytest.mark.integration

EDITING = {
    "5": {"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0]}},
    "10": {"class_type": "LoadImage", "inputs": {"image": "{image}"}},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ComfyUIServer]:
    monkeypatch.setenv("GEMS_GENERATOR_TIMEOUT", "20")
    get_settings.cache_clear()
    forget_limits()
    with ComfyUIServer() as running:
        yield running
    get_settings.cache_clear()
    forget_limits()


@pytest.fixture
def connect(server: ComfyUIServer, tmp_path: Path) -> Connect:
    def make(
        nodes: dict[str, Any] | None = None, edit: dict[str, Any] | None = None
    ) -> ComfyUIGenerator:
        path = tmp_path / "draw & paint.json"
        path.write_text(json.dumps(nodes or workflow()))
        spec = f"{server.url}?workflow={str(path).replace('&', '%26')}"
        if edit is not None:
            (tmp_path / "edit.json").write_text(json.dumps(edit))
            spec += f"&edit_workflow={tmp_path / 'edit.json'}"
        return create(spec)

    return make


def request(**changes: object) -> GenerationRequest:
    return GenerationRequest(
        **({"prompt": "a cat", "seed": 7, "width": 64, "height": 48} | changes)
    )  # type: ignore[arg-type]  # values vary by test


def same(image: Image.Image, data: bytes) -> bool:
    return image.tobytes() == Image.open(io.BytesIO(data)).tobytes()


async def test_a_request_fills_the_workflow_and_its_image_comes_back(
    server: ComfyUIServer, connect: Connect
) -> None:
    generator = connect()
    steps: list[tuple[int, int]] = []
    prompt = 'a cat named "{seed}" \\ 猫'  # a prompt is never searched for placeholders itself
    (made,) = await generator.generate(
        request(prompt=prompt, steps=3, guidance=1.5, progress=lambda *at: steps.append(at))
    )
    assert same(made.image, picture(f"photo, {prompt}", 7, 64, 48))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert made.parameters == {"width": 64, "height": 48, "steps": 3, "guidance": 1.5}
    assert made.notices == ()
    assert generator.name == f"comfyui:{server.url}?workflow=draw & paint.json"
    assert not generator.can_edit
    await generator.aclose()


async def test_several_images_are_jobs_with_consecutive_seeds(connect: Connect) -> None:
    generator = connect()
    steps: list[tuple[int, int]] = []
    made = await generator.generate(request(n=3, progress=lambda *at: steps.append(at)))
    assert [each.seed for each in made] == [7, 8, 9]
    assert same(made[2].image, picture("photo, a cat", 9, 64, 48))
    assert steps[-1] == (12, 12)  # 3 images of 4 steps
    await generator.aclose()


async def test_references_are_uploaded_and_edited(server: ComfyUIServer, connect: Connect) -> None:
    generator = connect(workflow(), workflow(**EDITING))
    assert generator.can_edit
    base = Image.new("RGB", (8, 8), "red")
    (edited,) = await generator.generate(request(references=(base, base), width=64, height=64))
    (name,) = server.uploads
    assert Image.open(io.BytesIO(server.uploads[name])).getpixel((0, 0)) == (255, 0, 0)
    (drawn,) = await generator.generate(request(width=64, height=64))
    assert edited.image.tobytes() != drawn.image.tobytes()
    assert edited.notices == ("The workflow takes 1 of the 2 reference images.",)
    await generator.aclose()


async def test_a_rejected_workflow_is_told_in_comfyuis_words(connect: Connect) -> None:
    wrong = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "no.safetensors"}}
    generator = connect(workflow(**{"4": {**wrong, "_meta": {"title": "My model"}}}))
    with pytest.raises(
        GenerationError,
        match=r"Prompt outputs failed validation; My model \(node 4\): Value not in list: "
        r"ckpt_name: 'no\.safetensors' not in",
    ) as caught:
        await generator.generate(request())
    assert not caught.value.transient
    await generator.aclose()
    generator = connect(workflow(**{"4": {"class_type": "MyNode", "inputs": {}}}))
    with pytest.raises(GenerationError, match="node MyNode does not exist"):
        await generator.generate(request())
    await generator.aclose()


@pytest.mark.parametrize("websocket", [True, False])
async def test_a_failing_node_is_told_in_comfyuis_words(
    server: ComfyUIServer, connect: Connect, websocket: bool
) -> None:
    server.websocket = websocket
    server.fail = ("VAEDecode", "RuntimeError", "mat1 and mat2 shapes cannot be multiplied")
    generator = connect()
    with pytest.raises(
        GenerationError, match=r"VAEDecode \(node 8\): RuntimeError: mat1 and mat2 shapes"
    ):
        await generator.generate(request())
    server.fail = ("KSampler", "torch.OutOfMemoryError", "Allocation on device 0")
    with pytest.raises(GenerationError, match="smaller size"):
        await generator.generate(request())
    await generator.aclose()


@pytest.mark.parametrize("websocket", [True, False])
async def test_a_job_interrupted_on_the_server_is_no_image(
    server: ComfyUIServer, connect: Connect, websocket: bool
) -> None:
    server.websocket = websocket
    server.step_seconds = 0.1
    generator = connect()
    task = asyncio.create_task(generator.generate(request(steps=100)))
    await until(lambda: server.running)
    server._interrupt = True  # somebody pressed Cancel in ComfyUI
    with pytest.raises(GenerationError, match=r"interrupted on the ComfyUI server, at KSampler"):
        await task
    assert server.stops == []
    await generator.aclose()


async def test_a_cancelled_run_stops_its_job_and_no_other(
    server: ComfyUIServer, connect: Connect
) -> None:
    server.step_seconds = 0.05
    generator = connect()
    running = asyncio.create_task(generator.generate(request(steps=60)))
    await until(lambda: server.running)
    waiting = asyncio.create_task(generator.generate(request(seed=8)))
    staying = asyncio.create_task(generator.generate(request(seed=9)))
    await until(lambda: len(server.pending) == 2)

    waiting.cancel()  # in the queue: taken out of it, and what runs is left alone
    await asyncio.wait([waiting])
    assert len(server.pending) == 1
    assert [kind for kind, _ in server.stops] == ["delete"]

    running.cancel()  # being drawn: interrupted
    await asyncio.wait([running])
    await until(lambda: server.interrupted)
    assert [kind for kind, _ in server.stops] == ["delete", "delete", "interrupt"]

    assert len(await staying) == 1
    assert len(server.executed) == 1
    await generator.aclose()


async def test_a_run_cancelled_while_it_queues_leaves_nothing_behind(
    server: ComfyUIServer, connect: Connect
) -> None:
    server.prompt_seconds, server.step_seconds = 0.2, 0.05
    generator = connect()
    task = asyncio.create_task(generator.generate(request(steps=100)))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: server.interrupted)
    assert server.executed == []
    await generator.aclose()


async def test_a_callers_progress_that_raises_ends_the_job(
    server: ComfyUIServer, connect: Connect
) -> None:
    def progress(done: int, total: int) -> None:
        raise ZeroDivisionError

    server.step_seconds = 0.02
    generator = connect()
    with pytest.raises(ZeroDivisionError):
        await generator.generate(request(steps=100, progress=progress))
    await until(lambda: server.interrupted)
    await generator.aclose()


async def test_the_timeout_stops_the_job_too(
    server: ComfyUIServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMS_GENERATOR_TIMEOUT", "0.5")
    get_settings.cache_clear()
    server.step_seconds = 0.05
    generator = connect()
    with pytest.raises(GeneratorBusyError, match=r"within 0\.5 s"):
        await generator.generate(request(steps=200))
    await until(lambda: server.interrupted)
    await generator.aclose()


@pytest.mark.parametrize("trouble", ["no websocket", "cut", "silent"])
async def test_without_the_websocket_the_history_tells_the_end(
    server: ComfyUIServer, connect: Connect, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(comfyui_job, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(comfyui_job, "QUIET_SECONDS", 0.2)
    server.websocket = trouble != "no websocket"
    server.drop_at = 2 if trouble == "cut" else None
    server.silent = trouble == "silent"
    server.step_seconds = 0.05
    generator = connect()
    (made,) = await generator.generate(request())
    assert same(made.image, picture("photo, a cat", 7, 64, 48))
    await generator.aclose()


@pytest.mark.parametrize("websocket", [True, False])
async def test_a_job_that_the_server_lost_may_be_tried_again(
    server: ComfyUIServer, connect: Connect, monkeypatch: pytest.MonkeyPatch, websocket: bool
) -> None:
    monkeypatch.setattr(comfyui_job, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(comfyui_job, "HISTORY_SECONDS", 0.3)
    server.websocket, server.forget = websocket, True
    generator = connect()
    with pytest.raises(GeneratorBusyError, match="lost the job"):
        await generator.generate(request())
    await generator.aclose()


async def test_a_server_that_dies_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui_job, "POLL_SECONDS", 0.02)
    forget_limits()
    path = tmp_path / "w.json"
    path.write_text(json.dumps(workflow()))
    with ComfyUIServer() as server:
        server.step_seconds = 0.1
        generator = create(f"{server.url}?workflow={path}")
        task = asyncio.create_task(generator.generate(request(steps=100)))
        await until(lambda: server.running)
    with pytest.raises(GeneratorBusyError, match="can't be reached"):
        await task
    with pytest.raises(GeneratorBusyError, match="can't be reached"):
        await generator.generate(request())
    await generator.aclose()


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"status": 500}, GeneratorBusyError, "HTTP 500"),
        ({"status": 429}, GeneratorBusyError, "HTTP 429"),
        ({"status": 413}, GenerationError, "HTTP 413"),
        ({"body": b"<html>"}, GenerationError, "no PNG, JPEG or WebP"),
        ({"body": picture("x", 1, 64, 64)[:60]}, GeneratorBusyError, "damaged image"),
    ],
)
async def test_other_faults_become_typed_errors(
    server: ComfyUIServer,
    connect: Connect,
    fault: dict[str, Any],
    kind: type[GenerationError],
    words: str,
) -> None:
    vars(server).update(fault)
    generator = connect()
    with pytest.raises(GenerationError, match=words) as caught:
        await generator.generate(request())
    assert type(caught.value) is kind
    await generator.aclose()


async def test_the_image_is_the_saved_one_or_that_of_the_node_titled_output(
    connect: Connect,
) -> None:
    other = {
        "13": {**workflow()["3"], "inputs": {**workflow()["3"]["inputs"], "seed": 99}},
        "18": {"class_type": "VAEDecode", "inputs": {"samples": ["13", 0]}},
    }
    preview = {"class_type": "PreviewImage", "inputs": {"images": ["18", 0]}}
    generator = connect({"2": preview, **workflow(**other)})
    (made,) = await generator.generate(request())
    assert same(made.image, picture("photo, a cat", 7, 64, 48))  # saved goes before previewed
    await generator.aclose()
    save = {"class_type": "SaveImage", "inputs": {"images": ["18", 0], "filename_prefix": "x"}}
    generator = connect(workflow(**other, **{"19": save}))
    (made,) = await generator.generate(request())
    assert "Title the wanted node 'output'" in made.notices[0]
    await generator.aclose()
    generator = connect(workflow(**other, **{"19": {**save, "_meta": {"title": "Output"}}}))
    (made,) = await generator.generate(request())
    assert same(made.image, picture("photo, a cat", 99, 64, 48))
    assert made.notices == ()
    await generator.aclose()


async def test_fifty_at_once_each_get_their_own_image(
    server: ComfyUIServer, connect: Connect
) -> None:
    generator = connect()
    with blockbuster_ctx("gems.models"):  # raises on any blocking call within the event loop
        made = await asyncio.gather(*(generator.generate(request(seed=seed)) for seed in range(50)))
    for seed, (image,) in enumerate(made):
        assert same(image.image, picture("photo, a cat", seed, 64, 48))
    assert server.queued_at_once <= 8  # GEMS_GENERATOR_CONCURRENCY
    await generator.aclose()


def test_one_generator_serves_several_event_loops(connect: Connect) -> None:
    generator = connect()
    for _ in range(2):
        assert len(asyncio.run(generator.generate(request()))) == 1
