"""Turns of a thread, refinement by editing, refusals, and memory across runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from scripted import TinyGenerator

from gems.errors import GenerationError, GenerationRefusedError, MemoryStoreError
from gems.graph.build import build_graph
from gems.memory import experiences
from gems.memory.store import ChromaStore
from gems.memory.store_factory import open_store
from gems.models.generators.registry import register_generator


@dataclass
class TinyEditor(TinyGenerator):
    can_edit: bool = True
    edited: list[int] = field(default_factory=list)

    async def generate(self, request):
        self.edited.append(len(request.references))
        return await super().generate(request)


@pytest.fixture
def editor(world):
    made = TinyEditor()
    register_generator("tiny", made)
    return made


def heard(world, role):
    return [text for who, text in world.script.heard if who == role]


# --- turns ---------------------------------------------------------------------------------------


async def test_a_follow_up_keeps_the_task_and_the_ids_of_what_it_still_asks(world):
    first = await world.run({"messages": [HumanMessage("a black cat with a hat")]})
    world.script.revise = lambda message: {
        "related": True,
        "prompt": "a green cat with a hat",
        "digest": "Say the hat first.",
    }
    world.script.requirements = [
        {"question": "Is there a cat?", "kind": "object", "depends_on": []},
        {"question": "Is the cat green?", "kind": "attribute", "depends_on": [1]},
        {"question": "Is there a hat?", "kind": "object", "depends_on": []},
    ]
    second = await world.run({"messages": [HumanMessage("make the cat green, keep the rest")]})
    assert second["prompt"] == "a green cat with a hat"
    ids = [
        {item["question"]: item["id"] for item in run["requirements"]} for run in (first, second)
    ]
    assert ids[0]["Is there a cat?"] == ids[1]["Is there a cat?"] == "r1"
    assert ids[1]["Is the cat green?"] == "r4"
    assert len((await world.state()).values["asked"]) == 4
    (told,) = heard(world, "reviser")
    assert "a black cat with a hat" in told
    assert "Is the cat black?" in told
    planned = heard(world, "planner")[-1]
    assert "a green cat with a hat" in planned
    assert "<earlier_attempt>" in planned


async def test_an_unrelated_message_starts_afresh(world):
    await world.run("a black cat with a hat")
    result = await world.run("a white dog")
    assert result["prompt"] == "a white dog"
    assert "<earlier_attempt>" not in heard(world, "planner")[-1]


async def test_the_same_prompt_again_needs_no_reviser(world):
    await world.run("a black cat")
    await world.run("a black cat")
    assert "reviser" not in world.script.calls


async def test_what_the_models_are_sent_stays_bounded_over_thirty_turns(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.summary = "lesson " * 90
    world.script.revise = lambda message: {
        "related": True,
        "prompt": f"a cat, {message}",
        "digest": "word " * 400,
    }
    sizes = []
    for turn in range(30):
        before = len(world.script.heard)
        await world.run({"messages": [HumanMessage(f"change {turn}")]}, max_rounds=2)
        sizes.append(max(len(text) for _, text in world.script.heard[before:]))
    assert max(sizes[10:]) <= max(sizes[2:6]) * 1.1
    values = (await world.state()).values
    assert len(values["attempts"]) == 60  # the facts are all there
    assert len(values["experiences"]) == 30


async def test_only_the_latest_answer_keeps_its_preview(world):
    for turn in range(3):
        result = await world.run({"messages": [HumanMessage(f"cat number {turn}")]})
    answers = [item for item in result["messages"] if isinstance(item, AIMessage)]
    assert [isinstance(item.content, list) for item in answers] == [False, False, True]
    assert all("requirements met" in item.text for item in answers)


# --- editing -------------------------------------------------------------------------------------


async def test_by_default_every_round_makes_a_new_image(world, editor):
    world.script.verdict = lambda question, round_: "no"
    world.script.action = "edit"
    await world.run("a black cat", max_rounds=2)
    assert editor.edited == [0, 0]


async def test_after_two_edits_in_a_row_the_next_image_is_new(world, editor):
    world.script.action = "edit"
    met = {1: 1, 2: 2, 3: 3, 4: 3}
    questions = [f"Is there a {name}?" for name in ("cat", "dog", "cow", "hen")]
    world.script.verdict = lambda question, round_: (
        "yes" if questions.index(question) < met[round_] else "no"
    )
    await world.run({"prompt": "a zoo", "requirements": questions}, max_rounds=4, refine_by="auto")
    assert editor.edited == [0, 1, 1, 0]


async def test_an_image_that_edits_do_not_better_is_edited_twice_at_most(world, editor):
    world.script.action = "edit"
    world.script.verdict = lambda question, round_: (
        "yes" if round_ == 1 and "hat" in question else "no"
    )
    await world.run("a cat with a hat", max_rounds=5, refine_by="edit")
    assert editor.edited == [0, 1, 1, 0, 0]


async def test_auto_leaves_the_choice_to_the_refiner(world, editor):
    world.script.verdict = lambda question, round_: "no"
    world.script.action = "generate"
    await world.run("a black cat", max_rounds=2, refine_by="auto")
    assert editor.edited == [0, 0]
    assert "make the left cube red" not in "".join(heard(world, "refiner"))


async def test_a_generator_that_can_not_edit_is_never_asked_to(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.action = "edit"
    await world.run("a black cat", max_rounds=2, refine_by="edit")
    assert all(request.references == () for request in world.generator.requests)


async def test_a_follow_up_starts_by_editing_the_last_image_where_it_can(world, editor):
    await world.run("a black cat", refine_by="auto")
    world.script.revise = lambda message: {"related": True, "prompt": "a green cat", "digest": ""}
    result = await world.run("make it green", refine_by="auto")
    assert editor.edited == [0, 1]
    assert result["attempts"][-1]["prompt"] == "make it green"
    assert result["attempts"][-1]["edited_from"] == "t1r1c1"


# --- refusals ------------------------------------------------------------------------------------


async def test_a_refused_prompt_is_worded_anew_once(world):
    world.generator.fail = lambda number: (
        GenerationRefusedError("no blood, please") if number == 1 else None
    )
    result = await world.run("a battle")
    assert result["stopped_because"] == "accepted"
    (refined,) = heard(world, "refiner")
    assert "no blood, please" in refined
    assert result["attempts"][0]["prompt"] == "refined prompt 1"


async def test_a_second_refusal_ends_the_run_with_the_refusal(world):
    world.generator.fail = lambda number: GenerationRefusedError("no blood, please")
    with pytest.raises(GenerationRefusedError, match="no blood"):
        await world.run("a battle")
    assert len(world.generator.requests) == 2


# --- what the refiner remembers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trajectory", "raw", "compressed", "attempts"),
    [("experiences", False, True, 2), ("raw", True, False, 2), ("none", False, False, 1)],
)
async def test_the_refiner_remembers_what_the_trajectory_setting_says(
    world, trajectory, raw, compressed, attempts
):
    world.script.verdict = lambda question, round_: "no"
    await world.run("a black cat", max_rounds=3, trajectory=trajectory)
    last = heard(world, "refiner")[-1]
    assert ("thought of planner 1" in last) is raw
    assert ("say it first" in last) is compressed
    assert last.count("candidate 1, score") == attempts
    assert ("summarizer" in world.script.calls) is compressed


# --- memory across runs --------------------------------------------------------------------------


async def run_with(world, store, prompt, **settings):
    graph = build_graph(store=store)
    return await graph.ainvoke({"prompt": prompt}, context=world.context(**settings))


async def test_a_run_learns_and_a_similar_one_recalls_it(world):
    world.script.verdict = lambda question, round_: (
        "no" if "hat" in question and round_ == 1 else "yes"
    )
    async with open_store() as store:
        await run_with(world, store, "a black cat with a tall hat")
        (lesson,) = [item async for item in experiences.lessons(store, user="local")]
        assert lesson["kinds"] == ["object"]
        assert lesson["gain"] == pytest.approx(1 / 3, abs=1e-3)
        assert "Is there a hat?" in lesson["failed"]
        world.script.heard.clear()
        await run_with(world, store, "a black cat with a tall red hat")
        assert "Is there a hat?" in heard(world, "planner")[0]
        (credited,) = [item async for item in experiences.lessons(store, user="local")]
        assert credited["uses"] == 1


async def test_memory_is_one_users_own_and_can_be_off(world):
    world.script.verdict = lambda question, round_: "no" if round_ == 1 else "yes"
    async with open_store() as store:
        await run_with(world, store, "a black cat with a tall hat", user="ann")
        world.script.heard.clear()
        await run_with(world, store, "a black cat with a tall hat", user="bob", memory="off")
        await run_with(world, store, "a black cat with a tall hat", user="bob")
        assert not any("<lessons>" in text for text in heard(world, "planner"))
        users = {item["user"] async for item in experiences.lessons(store)}
        assert users == {"ann"}


async def test_a_memory_that_fails_is_a_notice_and_not_the_end(world, monkeypatch):
    async def broken(*args, **kwargs):
        raise MemoryStoreError("the server is gone")

    monkeypatch.setattr(ChromaStore, "abatch", broken)
    async with open_store() as store:
        result = await run_with(world, store, "a black cat")
    assert result["stopped_because"] == "accepted"
    assert any("the server is gone" in notice for notice in result["notices"])


async def test_a_failed_edit_ends_with_the_best_image(world, editor):
    world.script.verdict = lambda question, round_: "no"
    world.script.action = "edit"
    editor.fail = lambda number: GenerationError("edit failed") if number > 1 else None
    result = await world.run("a black cat", refine_by="edit")
    assert (result["stopped_because"], result["best"]) == ("generator_failed", "t1r1c1")
