"""`diffusers:<folder>` on the CPU with tiny random-weight pipelines of the real classes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import numpy as np
import pytest
import pytest_asyncio
import tiny_pipelines
import torch
from PIL import Image

from gems.errors import (
    ConfigurationError,
    GenerationError,
    GenerationRefusedError,
    GeneratorBusyError,
    InputError,
)
from gems.models.generators import diffusers_local
from gems.models.generators.base import GenerationRequest, ImageGenerator
from gems.models.generators.diffusers_local import DiffusersGenerator
from gems.models.generators.diffusers_source import explain
from gems.settings import Settings

Folders = Callable[[str], Path]
Make = Callable[..., DiffusersGenerator]

TOLERANCE = 2
"""Levels of 255 by which an image may differ from the same image made in a batch: matrix products
of another shape add in another order, so float32 results differ in their last bits, which the
rounding to 8 bits may turn into one level (measured: at most 1)."""


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Returns the folder of a tiny pipeline, built once per session."""
    base = tmp_path_factory.mktemp("pipelines")
    built: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in built:
            built[name] = getattr(tiny_pipelines, name)(base / name)
        return built[name]

    return folder


@pytest.fixture(autouse=True)
def quiet_and_single_threaded() -> Iterator[None]:
    """Tiny matrices gain nothing from threads, which only fight over busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    diffusers.utils.logging.disable_progress_bar()
    yield
    diffusers.utils.logging.enable_progress_bar()
    torch.set_num_threads(threads)


@pytest.fixture
def copied(folders: Folders, tmp_path: Path) -> Folders:
    """Returns a copy of a tiny pipeline that a test may damage."""
    return lambda name: Path(shutil.copytree(folders(name), tmp_path / name))


def settings(**changes: Any) -> Settings:
    return Settings(
        diffusers_device=changes.pop("device", "cpu"),
        diffusers_batch_size=changes.pop("batch_size", 8),
        diffusers_batch_wait_ms=changes.pop("wait_ms", 5),
        **changes,
    )


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    made: list[DiffusersGenerator] = []

    def make(folder: Path | str, **changes: Any) -> DiffusersGenerator:
        made.append(diffusers_local.create(str(folder), settings(**changes)))
        return made[-1]

    yield make
    for generator in made:
        await generator.aclose()


def request(prompt: str = "a red cube", seed: int = 7, **changes: Any) -> GenerationRequest:
    return GenerationRequest(
        prompt=prompt, seed=seed, **{"width": 32, "height": 32, "steps": 2, **changes}
    )


def difference(left: Image.Image, right: Image.Image) -> int:
    assert left.size == right.size
    return int(np.abs(np.asarray(left).astype(int) - np.asarray(right).astype(int)).max())


ALL = ("stable_diffusion", "z_image", "qwen_image", "flux2_klein")


@pytest.mark.parametrize("name", ALL)
async def test_a_batch_of_four_equals_four_singles(name: str, folders: Folders, make: Make) -> None:
    generator = make(folders(name))
    assert isinstance(generator, ImageGenerator)
    batch = await generator.generate(request(n=4))
    assert generator.stats.batches == 1
    assert [image.seed for image in batch] == [7, 8, 9, 10]
    assert all(image.image.mode == "RGB" for image in batch)
    for i, image in enumerate(batch):
        single = (await generator.generate(request(seed=7 + i)))[0]
        assert difference(image.image, single.image) <= TOLERANCE
    # Without this a model that draws the same for everything would pass.
    assert all(difference(batch[0].image, image.image) > 20 for image in batch[1:])


async def test_a_seed_gives_the_same_image_again(folders: Folders, make: Make) -> None:
    first = await make(folders("z_image")).generate(request())
    second = await make(folders("z_image")).generate(request())
    assert difference(first[0].image, second[0].image) == 0


@pytest.mark.parametrize("name", ALL)
async def test_prompts_of_one_batch_keep_their_own_images(
    name: str, folders: Folders, make: Make
) -> None:
    # The tiny weights hear little of the prompt; much guidance makes it count.
    generator = make(folders(name), wait_ms=300)
    prompts = ("a red cube", "x", "three blue balls left of a tree, and a long sentence more")
    asked = [request(prompt, guidance=12.0) for prompt in prompts]
    together = await asyncio.gather(*(generator.generate(r) for r in asked))
    assert generator.stats.batches == 1
    alone = [await generator.generate(r) for r in asked]
    for joint, single in zip(together, alone, strict=True):
        assert difference(joint[0].image, single[0].image) <= 2 * TOLERANCE
    assert difference(alone[0][0].image, alone[1][0].image) > 2 * TOLERANCE


async def test_twenty_concurrent_requests_share_three_calls(folders: Folders, make: Make) -> None:
    generator = make(folders("stable_diffusion"), wait_ms=300)
    results = await asyncio.gather(
        *(generator.generate(request(f"prompt {i}", seed=i)) for i in range(20))
    )
    assert [images[0].seed for images in results] == list(range(20))
    assert (generator.stats.batches, generator.stats.items) == (3, 20)
    assert [replica.calls for replica in generator._replicas] == [3]
    assert sorted({images[0].parameters["batch"] for images in results}) == [4, 8]


async def test_the_model_is_loaded_once_for_concurrent_first_requests(
    folders: Folders, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    original = diffusers.DiffusionPipeline.from_pretrained.__func__

    def counted(cls: Any, model: str, **options: Any) -> Any:
        loads.append(model)
        assert options["use_safetensors"] is True
        assert "trust_remote_code" not in options
        return original(cls, model, **options)

    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", classmethod(counted))
    generator = make(folders("stable_diffusion"), wait_ms=0)
    await asyncio.gather(*(generator.generate(request(steps=1 + i % 2)) for i in range(6)))
    assert loads == [str(folders("stable_diffusion"))]


async def test_each_device_gets_a_replica_and_they_draw_the_same(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("stable_diffusion"), device="cpu,cpu", wait_ms=100)
    images = await generator.generate(request(n=4))
    assert [replica.calls for replica in generator._replicas] == [1, 1]
    alone = await make(folders("stable_diffusion")).generate(request(n=4))
    for left, right in zip(images, alone, strict=True):
        assert difference(left.image, right.image) <= TOLERANCE


async def test_progress_tells_each_step_from_the_event_loop(folders: Folders, make: Make) -> None:
    generator = make(folders("z_image"))
    told: list[tuple[int, int]] = []
    loops: set[Any] = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        loops.add(asyncio.get_running_loop())

    await generator.generate(request(n=2, steps=4, progress=progress))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert loops == {asyncio.get_running_loop()}


async def test_the_event_loop_runs_on_while_images_are_made(folders: Folders, make: Make) -> None:
    generator = make(folders("stable_diffusion"))
    await generator.generate(request())
    ticks = 0
    running = asyncio.create_task(generator.generate(request(steps=40)))
    while not running.done():
        await asyncio.sleep(0.005)
        ticks += 1
    assert len(await running) == 1
    assert ticks > 20


async def test_cancelling_stops_the_pipeline_and_frees_the_slot(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("stable_diffusion"))
    first_step = asyncio.Event()
    steps: list[int] = []

    def progress(done: int, total: int) -> None:
        steps.append(done)
        first_step.set()

    endless = asyncio.create_task(generator.generate(request(steps=900, progress=progress)))
    async with asyncio.timeout(30):
        await first_step.wait()
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless
    start = time.monotonic()
    assert len(await generator.generate(request(steps=1))) == 1
    assert time.monotonic() - start < 10
    assert max(steps) < 500
    assert generator.stats.running == 0


async def test_cancelling_one_of_two_leaves_the_other_its_image(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("stable_diffusion"), wait_ms=200)
    began = asyncio.Event()
    kept = asyncio.create_task(
        generator.generate(request("kept", steps=12, progress=lambda *_: began.set()))
    )
    doomed = asyncio.create_task(generator.generate(request("doomed", steps=12)))
    async with asyncio.timeout(30):
        await began.wait()
    doomed.cancel()
    images = await kept
    assert images[0].parameters["batch"] == 2
    alone = await generator.generate(request("kept", steps=12))
    assert difference(images[0].image, alone[0].image) <= TOLERANCE


async def test_closing_fails_later_requests_and_drops_the_weights(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("stable_diffusion"))
    await generator.generate(request())
    await generator.aclose()
    with pytest.raises(GenerationError, match="closed"):
        await generator.generate(request())
    assert generator._replicas == []


def test_it_serves_one_event_loop_after_another(folders: Folders) -> None:
    generator = diffusers_local.create(str(folders("stable_diffusion")), settings())
    first = asyncio.run(generator.generate(request()))
    second = asyncio.run(generator.generate(request()))
    assert difference(first[0].image, second[0].image) == 0
    asyncio.run(generator.aclose())


# What was asked for and what was really used


async def test_sizes_are_rounded_to_the_models_grid_with_a_notice(
    folders: Folders, make: Make
) -> None:
    image = (await make(folders("z_image")).generate(request(width=33, height=47)))[0]
    assert image.image.size == (32, 48)
    assert (image.parameters["width"], image.parameters["height"]) == (32, 48)
    assert any("33x47 was rounded to 32x48" in notice for notice in image.notices)


async def test_the_preset_fills_in_what_was_not_asked_for(folders: Folders, make: Make) -> None:
    image = (await make(folders("z_image")).generate(request(steps=None)))[0]
    used = image.parameters
    assert (used["steps"], used["guidance"], used["dtype"]) == (8, 0.0, "float32")
    assert used["pipeline"] == "ZImagePipeline"
    assert image.notices == ()


async def test_negative_prompts_count_where_the_model_has_guidance(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("stable_diffusion"))
    plain = (await generator.generate(request(guidance=12.0)))[0]
    negative = (await generator.generate(request(guidance=12.0, negative_prompt="blurred")))[0]
    assert difference(plain.image, negative.image) > 0
    assert negative.notices == ()
    turbo = (await make(folders("z_image")).generate(request(negative_prompt="blurred")))[0]
    assert any("negative prompt was not used" in notice for notice in turbo.notices)


async def test_a_blanked_image_is_a_refusal_of_that_image_only(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("stable_diffusion"), wait_ms=200)
    await generator.generate(request())
    pipeline = generator._replicas[0]._pipeline
    pipeline.run_safety_checker = lambda image, device, dtype: (image, [False, True])
    fine, refused = await asyncio.gather(
        generator.generate(request("fine")),
        generator.generate(request("bad")),
        return_exceptions=True,
    )
    assert isinstance(fine, list)
    assert isinstance(refused, GenerationRefusedError)


# Editing


def picture(color: str) -> Image.Image:
    return Image.new("RGB", (64, 64), color)


async def test_reference_images_reach_the_model(folders: Folders, make: Make) -> None:
    generator = make(folders("flux2_klein"))
    assert generator.can_edit
    none = (await generator.generate(request()))[0]
    red = await generator.generate(request(references=(picture("red"),), n=2))
    blue = (await generator.generate(request(references=(picture("blue"),))))[0]
    both = (await generator.generate(request(references=(picture("blue"), picture("red")))))[0]
    assert generator._replicas[0].calls == 4, "two images of one edit share a call"
    images = [none.image, red[0].image, blue.image, both.image]
    for i, left in enumerate(images):
        for right in images[i + 1 :]:
            assert difference(left, right) > TOLERANCE
    second = (await generator.generate(request(seed=8, references=(picture("red"),))))[0]
    assert difference(red[1].image, second.image) <= TOLERANCE


async def test_edits_of_different_images_do_not_mix(folders: Folders, make: Make) -> None:
    generator = make(folders("flux2_klein"), wait_ms=200)
    colors = ("red", "green", "blue")
    asked = [request(references=(picture(color),)) for color in colors]
    together = await asyncio.gather(*(generator.generate(r) for r in asked))
    for r, joint in zip(asked, together, strict=True):
        alone = await generator.generate(r)
        assert difference(alone[0].image, joint[0].image) <= TOLERANCE


async def test_a_model_that_only_edits_says_so_without_a_reference(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("instruct_pix2pix"))
    assert generator.can_edit
    with pytest.raises(GenerationError, match="needs a reference image"):
        await generator.generate(request())
    edited = await generator.generate(request(references=(picture("red"),), n=2))
    assert len(edited) == 2
    extra = await generator.generate(request(references=(picture("red"), picture("blue"))))
    assert any("takes 1 reference" in notice for notice in extra[0].notices)


async def test_a_model_that_cannot_edit_says_so(folders: Folders, make: Make) -> None:
    generator = make(folders("z_image"))
    assert not generator.can_edit
    with pytest.raises(InputError, match="can't edit"):
        await generator.generate(request(references=(picture("red"),)))


# Errors


async def test_an_image_too_large_for_memory_is_one_clear_error(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("stable_diffusion"))
    with pytest.raises(GenerationError, match="Out of memory on cpu") as caught:
        await generator.generate(request(width=2**24, height=2**24))
    assert "GEMS_DIFFUSERS_OFFLOAD" in caught.value.hint
    assert len(await generator.generate(request())) == 1


async def test_a_batch_too_large_for_memory_is_halved_and_the_limit_remembered(
    folders: Folders, make: Make
) -> None:
    generator = make(folders("stable_diffusion"))
    await generator.generate(request())
    replica = generator._replicas[0]
    sizes: list[int] = []

    def small_device(module: Any, args: tuple[Any, ...]) -> None:
        images = len(args[0]) // 2  # guidance doubles the batch
        sizes.append(images)
        if images > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    replica._pipeline.unet.register_forward_pre_hook(small_device)
    images = await generator.generate(request(n=7, steps=1))
    assert [image.seed for image in images] == list(range(7, 14))
    assert sizes == [7, 4, 2, 2, 2, 1]
    sizes.clear()
    await generator.generate(request(n=4, steps=1))
    assert sizes == [2, 2]


async def test_one_bad_request_does_not_spoil_its_neighbours(folders: Folders, make: Make) -> None:
    generator = make(folders("stable_diffusion"), wait_ms=200)
    await generator.generate(request())
    pipeline = generator._replicas[0]._pipeline
    encode = pipeline.encode_prompt

    def picky(prompt: list[str], *args: Any, **kwargs: Any) -> Any:
        if "bad" in prompt:
            raise ValueError("can't encode this")
        return encode(prompt, *args, **kwargs)

    pipeline.encode_prompt = picky
    good, bad, other = await asyncio.gather(
        *(generator.generate(request(prompt)) for prompt in ("good", "bad", "other")),
        return_exceptions=True,
    )
    assert isinstance(good, list)
    assert isinstance(other, list)
    assert isinstance(bad, GenerationError)
    assert "can't encode this" in str(bad)


async def test_missing_and_pickled_weights_are_one_clear_error(copied: Folders, make: Make) -> None:
    folder = copied("stable_diffusion")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    generator = make(folder)
    for _ in range(2):
        with pytest.raises(GenerationError, match="lacks weights in the safetensors format"):
            await generator.generate(request())


async def test_truncated_weights_are_one_clear_error(copied: Folders, make: Make) -> None:
    folder = copied("stable_diffusion")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(GenerationError, match=r"can't be loaded|safetensors"):
        await make(folder).generate(request())


def test_wrong_folders_are_told_at_once(tmp_path: Path, folders: Folders) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model_index.json").write_text("{", encoding="utf-8")
    for target, message in (
        (str(tmp_path / "nowhere"), "neither an existing folder nor a repo id"),
        (str(tmp_path), "no model_index.json"),
        (str(folders("stable_diffusion") / "unet"), "no model_index.json"),
        (str(file), "single file"),
        (str(tmp_path / "broken"), "can't be read"),
        ("just-a-name", "neither an existing folder nor a repo id"),
        ("../up/and/away", "neither an existing folder nor a repo id"),
        ("", "names no model"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            diffusers_local.create(target, settings())


@pytest.mark.parametrize(
    ("class_name", "message"),
    [
        ("WanPipeline", "not for text to image: it makes videos"),
        ("DDPMPipeline", "not for text to image: it takes no prompt"),
        ("FuturePipeline", "which diffusers .* does not have"),
        ("UNet2DModel", "which diffusers .* does not have"),
        (["pipeline", "MyPipeline"], "brings its own pipeline code"),
    ],
)
async def test_what_is_no_text_to_image_pipeline_is_refused_before_weights_are_read(
    class_name: str | list[str], message: str, copied: Folders, make: Make
) -> None:
    folder = tiny_pipelines.rename_class(copied("stable_diffusion"), class_name)
    shutil.rmtree(folder / "unet")
    with pytest.raises(GenerationError, match=message):
        await make(folder).generate(request())


# diffusers 0.42 passes an argument to huggingface_hub that is deprecated there
@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks` argument:UserWarning")
async def test_a_repo_that_is_not_cached_says_that_the_hub_is_off(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    generator = make("no-such-owner/Qwen-Image-Edit-nothing@v1")
    assert generator.can_edit, "guessed from the name"
    with pytest.raises(GenerationError, match=r"not in the local cache|can't be reached"):
        await generator.generate(request())


def test_hub_errors_say_what_to_do() -> None:
    import httpx
    from huggingface_hub import errors

    asked = httpx.Request("GET", "https://huggingface.co/x")
    forbidden = httpx.Response(403, request=asked)
    overloaded = httpx.Response(503, request=asked)
    gated = explain(errors.GatedRepoError("no", response=forbidden), "x/y")
    assert "HF_TOKEN" in gated.hint
    wrapped = OSError("wrapped")
    wrapped.__cause__ = errors.RepositoryNotFoundError("no", response=forbidden)
    assert "not found" in str(explain(wrapped, "x/y"))
    for passing in (
        ConnectionError("reset"),
        httpx.ConnectError("refused"),
        errors.HfHubHTTPError("busy", response=overloaded),
    ):
        assert isinstance(explain(passing, "x/y"), GeneratorBusyError)
    assert "sentencepiece" in str(explain(ImportError("needs sentencepiece"), "x/y"))


async def test_qwen_image_edit_names_the_package_that_its_processor_needs(
    copied: Folders, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_pipelines.rename_class(copied("qwen_image"), "QwenImageEditPipeline")
    index = folder / "model_index.json"
    config = json.loads(index.read_text(encoding="utf-8"))
    config["processor"] = ["transformers", "Qwen2VLProcessor"]
    index.write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    generator = make(folder)
    assert generator.can_edit
    with pytest.raises(GenerationError, match="torchvision") as caught:
        await generator.generate(request(references=(picture("red"),)))
    assert "pip install torchvision" in caught.value.hint


@pytest.mark.parametrize("package", ["torch", "diffusers"])
def test_without_the_extra_the_error_names_it(
    package: str, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folders("stable_diffusion")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=package) as caught:
        diffusers_local.create(str(folder), settings())
    assert "gems-graph[local]" in caught.value.hint


async def test_a_device_that_is_not_there_is_one_clear_error(
    folders: Folders, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GenerationError, match="finds no CUDA device"):
        await make(folders("stable_diffusion"), device="cuda:3").generate(request())


@pytest.mark.parametrize("changes", [{"n": 0}, {"width": 0}, {"steps": 0}])
async def test_impossible_requests_are_refused(
    changes: dict[str, int], folders: Folders, make: Make
) -> None:
    with pytest.raises(InputError):
        await make(folders("stable_diffusion")).generate(request(**changes))
