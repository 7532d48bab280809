"""No leakage: of an item the loop sees the prompt, and nothing else of it anywhere.

Every reference and tag holds a canary, a word that is nowhere else. After a run whose models,
checkpoints, images and memory are all recorded, no canary may be in any of them. That the tripwire
works is shown by runs that leak on purpose.
"""

from __future__ import annotations

import sqlite3
from io import BytesIO

import pytest
from eval_runs import Bench, ToyJudge
from PIL import Image
from scripted import ScriptedChat

from gems.evals import trajectory
from gems.evals.ledger import read_rows
from gems.graph.run import agenerate
from gems.memory import experiences
from gems.memory.store_factory import open_store
from gems.models.chat import register_chat_model
from gems.settings import get_settings

QUESTION = "canaryquestion7q3"
TAG = "canarytag8k1"
ID = "canaryid5w9"
CANARIES = (QUESTION, TAG, ID)


class Recording(ScriptedChat):
    """Keeps every word of every call: messages, tools, options."""

    said: list[str]

    def _generate(self, messages, stop=None, run_manager=None, **options):
        self.said.append(repr([message.model_dump() for message in messages]) + repr(options))
        return super()._generate(messages, stop, run_manager, **options)


@pytest.fixture
def bench(tmp_path, world):
    world.script.verdict = lambda question, round_: (
        "yes" if "hat" not in question or round_ >= 2 else "no"
    )
    made = Bench(tmp_path)
    made.write(
        *(
            {
                "id": f"{ID}{number}",
                "prompt": f"a black cat number {number} with a hat",
                "tags": {"skill": TAG, TAG: "x"},
                "reference": {"questions": [{"question": QUESTION, "answer": QUESTION}]},
            }
            for number in range(3)
        )
    )
    return made


async def run(bench, world):
    """A run of everything that the loop can keep: checkpoints, images, lessons of its own."""
    chat = Recording(script=world.script, said=[])
    register_chat_model("scripted", chat)
    judge = ToyJudge()
    await bench.run(judge, strategy="gems+recall", keep=True, concurrency=1)
    rows = read_rows(bench.out)
    assert len(rows) == 3
    return chat, judge


def places(bench, world, chat):
    """Yields every place where the loop has put something, with its contents as bytes."""
    for number, said in enumerate(chat.said):
        yield f"call {number} of the chat model", said.encode()
    for number, request in enumerate(world.generator.requests):
        yield f"call {number} of the generator", repr(request).encode()
    files = [path for path in get_settings().data_dir.rglob("*") if path.is_file()]
    files += [path for path in bench.out.iterdir() if path.name.startswith("checkpoints")]
    files += [path for path in (bench.out / "memory.chroma").rglob("*") if path.is_file()]
    for path in files:
        yield str(path), path.read_bytes()
        if path.suffix == ".png":
            with Image.open(BytesIO(path.read_bytes())) as image:
                yield f"text of {path}", repr(image.info).encode()


def leaks(bench, world, chat):
    return [
        (canary, place)
        for place, content in places(bench, world, chat)
        for canary in CANARIES
        if canary.encode() in content
    ]


async def test_nothing_of_an_item_but_its_prompt_reaches_the_loop(bench, world):
    chat, judge = await run(bench, world)
    assert leaks(bench, world, chat) == []
    # The tripwire saw what it should: calls of every role, checkpoints, images and lessons.
    seen = dict(places(bench, world, chat))
    text = b"".join(seen.values())
    for word in (b"black cat number 2", b"You are the verifier", b"You are the summarizer"):
        assert word in text
    checkpoints = seen[str(bench.out / "checkpoints.sqlite")]
    assert b"black cat number 2" in checkpoints
    with sqlite3.connect(bench.out / "checkpoints.sqlite") as database:
        assert database.execute("select count(distinct thread_id) from checkpoints").fetchone() == (
            3,
        )
    assert any("memory.chroma" in place for place in seen)
    assert sum(place.startswith("text of") for place in seen) >= 3
    # Only the judge was told.
    assert judge.calls == 3


@pytest.mark.parametrize("way", ["requirements", "prompt", "thread"])
async def test_the_tripwire_finds_a_leak(bench, world, monkeypatch, way):
    real = trajectory.run_input
    if way == "requirements":
        monkeypatch.setattr(
            trajectory,
            "run_input",
            lambda prompt, seed: real(prompt, seed=seed, requirements=[f"Is there {QUESTION}?"]),
        )
    elif way == "prompt":
        monkeypatch.setattr(
            trajectory, "run_input", lambda prompt, seed: real(f"{prompt} {TAG}", seed=seed)
        )
    else:
        monkeypatch.setattr(
            "gems.evals.runner.thread_of", lambda sample, run: sample.key.replace("#", "-")
        )
    chat, _ = await run(bench, world)
    found = leaks(bench, world, chat)
    expected = {"requirements": QUESTION, "prompt": TAG, "thread": ID}[way]
    assert {canary for canary, _ in found} == {expected}
    where = " ".join(place for _, place in found)
    assert "checkpoints" in where
    if way != "thread":
        assert "chat model" in where


async def test_a_run_reads_and_writes_no_lessons_but_its_own(bench, world):
    async def lessons():
        async with open_store() as store:
            return [lesson async for lesson in experiences.lessons(store)]

    await agenerate("a black cat number 1 with a hat", context=world.context(user="me"))
    before = await lessons()
    assert before, "the user has learned something"
    chat, _ = await run(bench, world)
    assert await lessons() == before
    assert (bench.out / "memory.chroma").is_dir()
    lesson = before[0]["remedy"] or before[0]["failed"]
    planner = [said for said in chat.said if "You are the planner" in said]
    assert lesson not in planner[0], "the first prompt of a run has nothing to recall"
