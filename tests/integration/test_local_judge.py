"""The local judge: the real Qwen3-VL classes with tiny random weights."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import tiny_pipelines
from PIL import Image

from gems.errors import ConfigurationError
from gems.evals.judges.registry import open_judge
from gems.evals.tasks.registry import task
from gems.memory.artifacts import artifact_store

if TYPE_CHECKING:
    from pathlib import Path

    from gems.records import ImageRef

pytestmark = pytest.mark.integration

VQA = [["How many cats are in the image?", "three"], ["Are the cats red?", "Yes"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipelines.qwen3_vl(tmp_path_factory.mktemp("qwen3-vl"))


async def stored(color: str) -> ImageRef:
    out = io.BytesIO()
    Image.new("RGB", (96, 64), color).save(out, "PNG")
    return await artifact_store().put(out.getvalue())


def by_hand(folder: Path, color: str, question: str, forms: list[str]) -> float:
    """Scores one question the way the official script describes it, without our code.

    The prompt is written out, the image's tokens are counted from its size, and the logits are
    taken from a plain forward pass instead of `generate`.
    """
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, Qwen3VLForConditionalGeneration

    model = Qwen3VLForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pixels = AutoImageProcessor.from_pretrained(folder)(
        images=[Image.new("RGB", (96, 64), color)], return_tensors="pt"
    )
    pads = "<|image_pad|>" * ((96 // 32) * (64 // 32))
    text = (
        f"<|im_start|>user\n<|vision_start|>{pads}<|vision_end|>{question} Answer in one word."
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = torch.tensor([tokenizer.encode(text)])
    kinds = (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    with torch.no_grad():
        logits = model(input_ids=ids, mm_token_type_ids=kinds, **pixels).logits[0, -1]
    probabilities = torch.softmax(logits.float(), dim=-1)
    return sum(float(probabilities[tokenizer.encode(form)[0]]) for form in forms)


@pytest.mark.parametrize("color", ["red", "blue"])
async def test_scores_are_those_of_the_official_way_of_asking(folder, color, tmp_path):
    line = {"prompt": "p", "atom_count": 3, "vqa_list": VQA, "skills": ["count", "attribute"]}
    (tmp_path / "data.jsonl").write_text(json.dumps(line))
    geneval2 = task("geneval2")
    (item,) = geneval2.read(tmp_path / "data.jsonl")
    image = await stored(color)
    row: Any = {"key": "0000#0", "attempts": []}
    async with open_judge(f"qwen3-vl:{folder}") as judge:
        await judge.probe()
        judged = await geneval2.judge(item, row, image, judge)
        usage = judge.take_usage()
    expected = [
        by_hand(folder, color, VQA[0][0], ["three", "Three", " three", " Three", "3", " 3"]),
        by_hand(folder, color, VQA[1][0], ["Yes", "yes", " yes", " Yes"]),
    ]
    assert [part["score"] for part in judged.parts] == pytest.approx(expected, rel=1e-5)
    assert all(0 < score < 1 for score in expected)
    assert judged.metrics["floored_atoms"] == 0
    assert usage["calls"] == 2
    assert usage["input_tokens"] > 2 * 40


async def test_the_image_matters_and_the_loop_stays_free(folder):
    async with open_judge(f"qwen3-vl:{folder}") as judge:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.002)

        pulse = asyncio.create_task(beat())
        red, blue = await asyncio.gather(
            *[judge.first_token([await stored(color)], "Is it red?") for color in ("red", "blue")]
        )
        pulse.cancel()
    assert beats > 3
    assert red.probabilities["Yes"] != blue.probabilities["Yes"]
    assert red.text == next(iter(red.probabilities))
    assert sum(red.probabilities[token] for token in red.probabilities) <= 1 + 1e-6


async def test_texts_are_repeatable(folder):
    image = await stored("red")
    async with open_judge(f"qwen3-vl:{folder}") as judge:
        options: Any = {"system": "You grade.", "max_tokens": 6}
        greedy = [await judge.text([image, image], "Describe.", **options) for _ in range(2)]
        warm = [
            await judge.text([image], "Describe.", temperature=1.0, seed=seed, **options)
            for seed in (1, 1, 2)
        ]
    assert greedy[0] == greedy[1]
    assert warm[0] == warm[1] != warm[2]


@pytest.mark.parametrize("name", ["", "{folder}/nothing", "{empty}"])
async def test_a_model_that_is_not_there_is_said_so(folder, name, tmp_path):
    spec = "qwen3-vl:" + name.format(folder=folder, empty=tmp_path)
    with pytest.raises(ConfigurationError, match="qwen3-vl"):
        async with open_judge(spec):
            pass
