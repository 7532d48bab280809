"""The sandbox's benchmark: the shipped prompts, and the painter's truth about an image."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from gems.evals.errors import DataError, JudgeError
from gems.evals.judges.registry import open_judge
from gems.evals.tasks.sandbox import Sandbox, shipped_prompts
from gems.memory.artifacts import artifact_store
from gems.models.generators.base import GenerationRequest
from gems.sandbox.generator import SandboxGenerator, painted
from gems.sandbox.grammar import read
from gems.sandbox.questions import claims_of, true_of


async def attempt(prompt, seed, size=256, text=None):
    """Returns what a row keeps of an image that the sandbox's generator made."""
    request = GenerationRequest(prompt=prompt, seed=seed, width=size, height=size)
    (made,) = await SandboxGenerator().generate(request)
    image = await artifact_store().put_image(made.image, text or {"parameters": prompt})
    return {"id": "t1r1c1", "prompt": prompt, "seed": made.seed, "image": image}


def test_the_shipped_file_is_what_the_fixed_seed_gives():
    lines = Sandbox.default_data.read_text().splitlines()
    assert [json.loads(line) for line in lines] == shipped_prompts()


def test_there_are_fifty_different_prompts_of_each_atomicity():
    items = Sandbox().read(Sandbox.default_data)
    assert Counter(item["tags"]["atomicity"] for item in items) == {
        str(n): 50 for n in range(3, 11)
    }
    assert [int(item["tags"]["atomicity"]) for item in items[:9]] == [3, 4, 5, 6, 7, 8, 9, 10, 3]
    assert len({item["prompt"] for item in items}) == len({item["id"] for item in items}) == 400
    for item in items:
        assert len(item["reference"]["facts"]) == int(item["tags"]["atomicity"])
    kinds = Counter(fact["kind"] for item in items for fact in item["reference"]["facts"])
    assert set(kinds) == {"object", "attribute", "count", "relation", "text"}
    assert min(kinds.values()) >= 50


async def test_the_truth_is_what_the_painter_was_told_to_paint():
    task = Sandbox()
    items = task.read(Sandbox.default_data)[::17]
    shares = []
    async with open_judge("painter") as judge:
        for seed, item in enumerate(items):
            made = await attempt(item["prompt"], seed)
            judged = await task.judge(item, {"key": "k", "attempts": [made]}, made["image"], judge)
            _, scene = painted(item["prompt"], seed, 256, 256)
            reading = read(item["prompt"])
            facts = [true_of(claim, reading, scene) is not False for claim in claims_of(reading)]
            assert judged.metrics["facts_met"] == pytest.approx(100 * sum(facts) / len(facts))
            assert judged.score == 100 * all(facts)
            assert [part["score"] for part in judged.parts] == [float(fact) for fact in facts]
            shares.append(judged.metrics["facts_met"])
        assert judge.take_usage()["calls"] == 0
    assert 0 < min(shares) < max(shares) == 100  # the sandbox errs, and not always


async def test_the_facts_are_those_of_the_item_and_not_of_the_rewritten_prompt():
    task = Sandbox()
    (item,) = [i for i in task.read(Sandbox.default_data) if i["id"] == "a03-00"]
    other = await attempt("A green cube on a white background.", 1)
    judged = await task.judge(item, {"key": "k", "attempts": [other]}, other["image"], None)
    assert judged.score == 0
    assert judged.metrics["facts_met"] < 50


async def test_each_attempt_is_judged_by_its_own_prompt_and_seed():
    task = Sandbox()
    (item,) = [i for i in task.read(Sandbox.default_data) if i["id"] == "a10-49"]
    attempts = [await attempt(item["prompt"], seed) for seed in range(6)]
    row = {"key": "k", "attempts": attempts}
    found = []
    for seed, made in enumerate(attempts):
        judged = await task.judge(item, row, made["image"], None)
        _, scene = painted(item["prompt"], seed, 256, 256)
        reading = read(item["prompt"])
        met = [true_of(claim, reading, scene) is not False for claim in claims_of(reading)]
        assert judged.metrics["facts_met"] == pytest.approx(100 * sum(met) / len(met))
        found.append(judged.metrics["facts_met"])
    assert len(set(found)) > 1


async def test_an_image_that_the_sandbox_did_not_make_is_not_judged():
    task = Sandbox()
    item = task.read(Sandbox.default_data)[0]
    made = await attempt(item["prompt"], 1)
    foreign = await attempt("A green cube on a white background.", 1)
    row = {"key": "k", "attempts": [{**foreign, "prompt": item["prompt"]}]}
    with pytest.raises(JudgeError, match="did not make this image"):
        await task.judge(item, row, foreign["image"], None)
    with pytest.raises(JudgeError, match="no attempt"):
        await task.judge(item, row, made["image"], None)


def test_own_lines_need_a_prompt_that_the_sandbox_can_read(tmp_path):
    path = tmp_path / "own.jsonl"
    lines = [
        {"prompt": "Two red cubes on a white background."},
        {"prompt": "The sound of silence."},
        {"prompt": "A cube.", "facts": [{"question": "Is there a ball?", "kind": "object"}]},
        {"atomicity": 3},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match=r"line 2: .*line 3: .*line 4: ") as caught:
        Sandbox().read(path)
    assert "line 1" not in str(caught.value)
    path.write_text(json.dumps(lines[0]))
    (item,) = Sandbox().read(path)
    assert (item["id"], item["tags"]) == ("0001", {"atomicity": "4"})


def test_figures_are_by_atomicity_and_by_kind():
    items = Sandbox().read(Sandbox.default_data)[:9:8]

    def judgment(number, scores):
        parts = [
            {"name": fact["question"], "score": score, "tags": {"kind": fact["kind"]}}
            for fact, score in zip(items[number]["reference"]["facts"], scores, strict=True)
        ]
        met = 100 * sum(scores) / len(scores)
        metrics = {"all_facts": 100.0 * (met == 100), "facts_met": met}
        key = f"{items[number]['id']}#0"
        return {
            "key": key, "status": "done", "score": metrics["all_facts"],
            "metrics": metrics, "parts": parts,
        }  # fmt: skip

    figures = Sandbox().figures(items, [], [judgment(0, [1, 1, 1]), judgment(1, [1, 0, 0])])
    found = {(f.name, f.group, f.member): f.value for f in figures}
    assert figures[0].name == Sandbox.metric
    assert found["all_facts", "", ""] == found["all_facts", "atomicity", "3"] == 50
    assert found["facts_met", "", ""] == pytest.approx(100 * (1 + 1 / 3) / 2)
    assert found["facts_met", "kind", "object"] == 100
    assert found["facts_met", "kind", "attribute"] == 50
