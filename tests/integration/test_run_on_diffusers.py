"""The whole graph on real diffusers pipelines with tiny random weights, in this process."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from io import BytesIO
from pathlib import Path

import diffusers
import pytest
import tiny_pipelines
import torch
from PIL import Image

from gems.graph.build import build_graph
from gems.memory.artifacts import artifact_store
from gems.models.generators.registry import close_all, image_generator
from gems.settings import get_settings

pytestmark = pytest.mark.integration


@pytest.fixture
async def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The spec of a tiny Z-Image pipeline on this machine's CPU."""
    monkeypatch.setenv("GEMS_DIFFUSERS_DEVICE", "cpu")
    monkeypatch.setenv("GEMS_DIFFUSERS_BATCH_WAIT_MS", "100")
    monkeypatch.setenv("GEMS_DIFFUSERS_BATCH_SIZE", "8")
    get_settings.cache_clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    diffusers.utils.logging.disable_progress_bar()
    folder = await asyncio.to_thread(tiny_pipelines.z_image, tmp_path / "z-image")
    yield f"diffusers:{folder}"
    await close_all()
    diffusers.utils.logging.enable_progress_bar()
    torch.set_num_threads(threads)


async def test_a_run_refines_on_a_real_pipeline(world, pipeline):
    world.script.verdict = lambda question, round_: "no" if round_ == 1 else "yes"
    progress = []
    graph = build_graph()
    context = world.context(generator=pipeline, width=256, height=256, steps=2)
    async for mode, event in graph.astream(
        {"prompt": "a cat"}, context=context, stream_mode=["custom", "values"]
    ):
        if mode == "custom":
            progress.append((event["attempt"], event["step"], event["steps"]))
        else:
            result = event
    assert result["stopped_because"] == "accepted"
    assert progress == [("t1r1c1", 1, 2), ("t1r1c1", 2, 2), ("t1r2c1", 1, 2), ("t1r2c1", 2, 2)]
    with Image.open(BytesIO(await artifact_store().load(result["image"]))) as image:
        assert image.size == (256, 256)
        assert "Steps: 2" in image.text["parameters"]


async def test_concurrent_runs_share_pipeline_calls(world, pipeline):
    calls = []
    generator = await asyncio.to_thread(image_generator, pipeline)
    context = world.context(generator=pipeline, width=256, height=256, steps=1)
    graph = build_graph()
    whole_call = diffusers.ZImagePipeline.__call__

    @functools.wraps(whole_call)
    def counted(self, *args, **kwargs):
        calls.append(len(kwargs["prompt"]))
        return whole_call(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusers.ZImagePipeline, "__call__", counted)
        results = await asyncio.gather(
            *(graph.ainvoke({"prompt": "a cat", "seed": n}, context=context) for n in range(8))
        )
    assert generator.name.startswith("diffusers:")
    assert sum(calls) == 8
    assert len(calls) <= 4
    assert len({result["image"]["sha256"] for result in results}) == 8


async def test_a_cancelled_run_stops_the_pipeline_and_frees_it(world, pipeline):
    graph = build_graph()
    context = world.context(generator=pipeline, width=256, height=256, steps=500)
    started = asyncio.Event()

    async def run():
        async for _ in graph.astream({"prompt": "a cat"}, context=context, stream_mode="custom"):
            started.set()

    running = asyncio.create_task(run())
    await asyncio.wait_for(started.wait(), 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # 500 steps take minutes; the next run gets the pipeline at once.
    quick = dataclasses.replace(context, steps=1)
    result = await asyncio.wait_for(graph.ainvoke({"prompt": "a dog"}, context=quick), 60)
    assert result["stopped_because"] == "accepted"
