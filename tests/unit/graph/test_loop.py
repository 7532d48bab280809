"""The loop: what happens from a prompt to the best image."""

from __future__ import annotations

import asyncio
import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Command

from gems.errors import GenerationError, GeneratorBusyError, ModelError
from gems.memory.artifacts import artifact_store
from gems.models.generators.registry import register_generator


def answers(result):
    return [item["verdict"]["answer"] for item in result["requirements"]]


async def test_everything_met_in_round_one_ends_the_run(world):
    result = await world.run("a black cat with a hat")
    assert result["stopped_because"] == "accepted"
    assert result["score"] == 1.0
    assert answers(result) == ["yes", "yes", "yes"]
    assert [attempt["prompt"] for attempt in result["attempts"]] == ["planned prompt"]
    assert world.script.calls == {"planner": 1, "decomposer": 1, "verifier": 3}
    assert await artifact_store().load(result["image"])


async def test_a_failed_requirement_is_refined_until_it_is_met(world):
    world.script.verdict = lambda question, round_: (
        "no" if "hat" in question and round_ < 3 else "yes"
    )
    result = await world.run("a black cat with a hat")
    assert result["stopped_because"] == "accepted"
    assert [round(attempt["score"], 2) for attempt in result["attempts"]] == [0.67, 0.67, 1.0]
    assert [attempt["prompt"] for attempt in result["attempts"]][1:] == [
        "refined prompt 1",
        "refined prompt 2",
    ]
    assert len({attempt["seed"] for attempt in result["attempts"]}) == 3


async def test_out_of_rounds_returns_the_best_attempt_not_the_last(world):
    def verdict(question, round_):
        return "yes" if round_ == 2 and "hat" not in question else "no"

    world.script.verdict = verdict
    result = await world.run("a black cat with a hat", max_rounds=4)
    assert result["stopped_because"] == "max_rounds"
    assert len(result["attempts"]) == 4
    assert result["best"] == "t1r2c1"
    assert result["image"] == result["attempts"][1]["image"]
    assert answers(result) == ["yes", "yes", "no"]


async def test_what_depends_on_a_failed_requirement_fails_with_it(world):
    world.script.verdict = lambda question, round_: "no" if question == "Is there a cat?" else "yes"
    result = await world.run("a black cat with a hat", max_rounds=1)
    black = result["requirements"][1]["verdict"]
    assert (black["answer"], black["source"]) == ("no", "dependency")
    assert result["score"] == pytest.approx(1 / 3)


async def test_staged_verification_does_not_ask_below_a_failed_requirement(world):
    world.script.verdict = lambda question, round_: "no" if question == "Is there a cat?" else "yes"
    result = await world.run("a black cat with a hat", max_rounds=1, verification="staged")
    assert world.script.calls["verifier"] == 2
    assert answers(result) == ["no", "no", "yes"]


async def test_staged_verification_asks_the_next_wave_when_the_first_is_met(world):
    result = await world.run("a black cat with a hat", verification="staged")
    assert world.script.calls["verifier"] == 3
    assert result["stopped_because"] == "accepted"


async def test_joint_verification_takes_one_call_an_image(world):
    world.script.verdict = lambda question, round_: "unknown" if "hat" in question else "yes"
    result = await world.run("a black cat with a hat", max_rounds=1, verification="joint")
    assert world.script.calls["joint"] == 1
    assert answers(result) == ["yes", "yes", "unknown"]
    assert result["requirements"][0]["verdict"]["confidence"] == 0.8


async def test_votes_decide_by_majority_and_give_the_confidence(world):
    heard = []

    def verdict(question, round_):
        heard.append(question)
        return "no" if heard.count(question) == 2 else "yes"

    world.script.verdict = verdict
    result = await world.run("a black cat with a hat", votes=3)
    first = result["requirements"][0]["verdict"]
    assert (first["answer"], first["source"]) == ("yes", "votes")
    assert first["confidence"] == pytest.approx(2 / 3, abs=1e-3)
    assert world.script.calls["verifier"] == 9


async def test_a_verifier_that_fails_is_unknown_and_the_run_goes_on(world):
    world.script.fail = lambda role, number: (
        ModelError("endpoint broken") if role == "verifier" and number == 1 else None
    )
    result = await world.run("a black cat with a hat", max_rounds=1)
    assert sorted(answers(result)) == ["unknown", "yes", "yes"]
    broken = next(
        r["verdict"] for r in result["requirements"] if r["verdict"]["answer"] == "unknown"
    )
    assert broken["source"] == "error"
    assert "endpoint broken" in broken["rationale"]
    assert result["stopped_because"] == "max_rounds"


async def test_all_verifiers_failing_still_ends_with_the_image(world):
    world.script.fail = lambda role, number: ModelError("down") if role == "verifier" else None
    result = await world.run("a black cat with a hat", max_rounds=1)
    assert answers(result) == ["unknown"] * 3
    assert result["score"] == 0.0
    assert await artifact_store().load(result["image"])


async def test_given_requirements_skip_the_decomposer(world):
    result = await world.run(
        {
            "prompt": "a cat",
            "requirements": [
                "Is there a cat?",
                {"question": "Is it night?", "kind": "style", "depends_on": ["1"]},
            ],
        }
    )
    assert "decomposer" not in world.script.calls
    assert [item["question"] for item in result["requirements"]] == [
        "Is there a cat?",
        "Is it night?",
    ]
    assert result["requirements"][1]["depends_on"] == ["r1"]


async def test_requirements_are_atomic_unique_and_without_circles(world):
    world.script.requirements = [
        {"question": "Is there a cat?", "kind": "object", "depends_on": [2]},
        {"question": "Is  the cat black?", "kind": "attribute", "depends_on": [1]},
        {"question": "is there a cat?", "kind": "object", "depends_on": []},
    ]
    result = await world.run("a black cat")
    assert [item["question"] for item in result["requirements"]] == [
        "Is there a cat?",
        "Is the cat black?",
    ]
    depends = [item["depends_on"] for item in result["requirements"]]
    assert depends in ([["r2"], []], [[], ["r1"]])


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_the_planner_loads_skills_through_tool_calls_only(world, count):
    world.script.skills = ["spatial-layout", "text-rendering"][:count]
    result = await world.run("a black cat with a hat")
    assert world.script.calls["planner"] == count + 1
    assert result["attempts"][0]["skills"] == list(world.script.skills)
    texts = [text for role, text in world.script.heard if role == "planner"]
    assert "<skill name=" not in texts[0]
    assert "- spatial-layout:" in texts[0]
    assert texts[-1].count("<skill name=") == count


async def test_no_more_skills_are_loaded_than_allowed(world):
    world.script.skills = ["spatial-layout", "text-rendering", "counting"]
    result = await world.run("a black cat", max_skills=1)
    assert result["attempts"][0]["skills"] == ["spatial-layout"]


async def test_skills_none_shows_the_planner_no_manifest(world):
    await world.run("a black cat", skills="none")
    assert "<skills>" not in dict(world.script.heard)["planner"]


async def test_skill_text_and_image_bytes_never_enter_a_checkpoint(world):
    world.script.skills = ["spatial-layout"]
    world.script.verdict = lambda question, round_: "no"
    await world.run("a black cat with a hat", max_rounds=2)
    from gems.skills.loader import load_library

    sentence = load_library().skills["spatial-layout"].instructions.splitlines()[-1].strip()
    assert len(sentence) > 20
    stored = repr(world.saver.blobs) + repr(world.saver.writes) + repr(world.saver.storage)
    assert "Loaded skill" in stored
    assert sentence not in stored
    assert "data:image" not in stored
    assert "PNG" not in stored


async def test_raw_thoughts_are_dropped_once_they_are_compressed(world):
    world.script.verdict = lambda question, round_: "no"
    await world.run("a black cat", max_rounds=2)
    summaries = [text for role, text in world.script.heard if role == "summarizer"]
    assert "thought of planner 1" in summaries[0]
    refined = [text for role, text in world.script.heard if role == "refiner"]
    assert "thought of planner 1" not in refined[0]
    assert "The hat was missed; say it first." in refined[0]
    values = (await world.state()).values
    assert [item["round"] for item in values["experiences"]] == [1]


async def test_an_experience_has_at_most_a_hundred_words(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.summary = "word " * 300
    await world.run("a black cat", max_rounds=2)
    (experience,) = (await world.state()).values["experiences"]
    assert len(experience["text"].removesuffix(" …").split()) == 100


@pytest.mark.parametrize(("choice", "seen"), [("none", 0), ("best_and_last", 2), ("all", 3)])
async def test_the_refiner_sees_the_images_it_is_allowed(world, choice, seen):
    world.script.verdict = lambda question, round_: (
        "yes" if round_ == 1 and "hat" in question else "no"
    )
    await world.run("a black cat with a hat", max_rounds=4, history_images=choice)
    assert world.script.images_seen[-1] == seen


async def test_a_refiner_that_repeats_itself_is_asked_again_then_the_seed_changes(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.refine = lambda number: ["planned prompt", "   "]
    result = await world.run("a black cat", max_rounds=2)
    assert world.script.calls["refiner"] == 2
    first, second = result["attempts"]
    assert first["prompt"] == second["prompt"] == "planned prompt"
    assert first["seed"] != second["seed"]


async def test_quoted_text_stays_verbatim_whatever_the_models_write(world):
    world.script.verdict = lambda question, round_: "no"
    result = await world.run('a sign that says "OPEN 24 h"', max_rounds=2)
    assert all('"OPEN 24 h"' in attempt["prompt"] for attempt in result["attempts"])


async def test_candidates_differ_in_wording_and_seed(world):
    world.script.plan = lambda number: ["one way", "another way"]
    result = await world.run("a black cat with a hat", candidates=3)
    assert [item["prompt"] for item in result["attempts"]] == ["one way", "another way", "one way"]
    assert len({item["seed"] for item in result["attempts"]}) == 3
    assert world.script.calls["verifier"] == 9


async def test_a_candidate_that_fails_leaves_the_others(world):
    world.generator.fail = lambda number: GenerationError("out of paint") if number == 1 else None
    result = await world.run("a black cat with a hat", candidates=2)
    assert len(result["attempts"]) == 1
    assert any("out of paint" in notice for notice in result["notices"])


async def test_the_same_seed_makes_the_same_run(world):
    world.script.verdict = lambda question, round_: "no"
    one = await world.run("a cat", thread="a", seed=11, max_rounds=2)
    world.script.calls.clear()
    other = await world.run("a cat", thread="b", seed=11, max_rounds=2)
    assert [item["seed"] for item in one["attempts"]] == [
        item["seed"] for item in other["attempts"]
    ]
    assert one["seed"] == 11


async def test_the_image_says_how_it_was_made(world):
    from io import BytesIO

    from PIL import Image

    result = await world.run("a black cat")
    with Image.open(BytesIO(await artifact_store().load(result["image"]))) as image:
        text = image.text  # type: ignore[attr-defined]
    attempt = result["attempts"][0]
    record = json.loads(text["gems"])
    assert record["seed"] == attempt["seed"]
    assert (record["prompt"], record["thread"]) == ("planned prompt", "thread")
    assert f"Seed: {attempt['seed']}, Size: 64x64, Model: tiny" in text["parameters"]


# --- budgets and failure -----------------------------------------------------------------------


@pytest.mark.parametrize("budget", [3, 4, 5, 7, 9, 12])
async def test_model_calls_stay_within_their_budget(world, budget):
    world.script.verdict = lambda question, round_: "no"
    world.script.skills = ["spatial-layout", "text-rendering"]
    result = await world.run("a black cat with a hat", max_model_calls=budget)
    assert sum(world.script.calls.values()) <= budget
    assert result["stopped_because"] == "max_model_calls"
    assert await artifact_store().load(result["image"])


async def test_out_of_seconds_ends_with_the_image_it_has(world):
    world.script.verdict = lambda question, round_: "no"
    world.generator.delay = 0.3
    result = await world.run("a black cat with a hat", max_seconds=0.4, max_rounds=9)
    assert result["stopped_because"] == "max_seconds"
    assert 1 <= len(result["attempts"]) <= 3
    assert await artifact_store().load(result["image"])


async def test_out_of_seconds_before_the_first_image_still_makes_one(world):
    world.script.delay = 0.5
    result = await world.run("a black cat with a hat", max_seconds=0.1)
    assert result["stopped_because"] == "max_seconds"
    assert result["attempts"][0]["prompt"] == "a black cat with a hat"
    assert answers(result) == ["unknown"]


async def test_a_busy_generator_is_tried_again(world):
    world.generator.fail = lambda number: GeneratorBusyError("busy") if number <= 2 else None
    result = await world.run("a black cat with a hat")
    assert len(world.generator.requests) == 3
    assert result["stopped_because"] == "accepted"


async def test_a_generator_that_dies_after_an_image_ends_with_that_image(world):
    world.script.verdict = lambda question, round_: "no"
    world.generator.fail = lambda number: GenerationError("GPU is gone") if number > 1 else None
    result = await world.run("a black cat with a hat")
    assert result["stopped_because"] == "generator_failed"
    assert any("GPU is gone" in notice for notice in result["notices"])
    assert result["best"] == "t1r1c1"


async def test_a_generator_that_never_works_fails_with_its_error(world):
    world.generator.fail = lambda number: GenerationError("no such model", hint="Install it.")
    with pytest.raises(GenerationError, match=r"no such model Install it\."):
        await world.run("a black cat with a hat")


@pytest.mark.parametrize("role", ["summarizer", "refiner"])
async def test_a_model_that_dies_after_an_image_ends_with_that_image(world, role):
    world.script.verdict = lambda question, round_: "no"
    world.script.fail = lambda who, number: ModelError("quota used up") if who == role else None
    result = await world.run("a black cat with a hat")
    assert result["stopped_because"] == "model_failed"
    assert any("quota used up" in notice for notice in result["notices"])
    assert await artifact_store().load(result["image"])


@pytest.mark.parametrize("role", ["planner", "decomposer"])
async def test_a_model_that_dies_before_an_image_fails_with_its_error(world, role):
    world.script.fail = lambda who, number: ModelError("no such model") if who == role else None
    with pytest.raises(ModelError, match="no such model"):
        await world.run("a black cat with a hat")


async def test_a_model_that_never_gives_structure_still_ends_with_a_checked_image(world):
    world.script.garbled = lambda role: role != "verifier"
    world.script.verdict = lambda question, round_: "no" if round_ < 2 else "yes"
    result = await world.run("a black cat", max_rounds=2)
    assert [item["prompt"] for item in result["attempts"]] == ["a black cat"] * 2
    assert result["attempts"][0]["seed"] != result["attempts"][1]["seed"]
    assert [item["question"] for item in result["requirements"]] == [
        "Does the image show this: a black cat"
    ]
    assert len(result["notices"]) == 3


# --- resume, review, chat ----------------------------------------------------------------------


async def interrupted(world, when, **settings):
    """Runs until `when(role, number)` holds at a model call, then cancels as Ctrl-C does."""
    run = asyncio.create_task(world.run("a black cat with a hat", **settings))

    def cancel(role, number):
        if when(role, number):
            run.cancel()

    world.script.delay = 0.02
    world.script.fail = cancel
    with pytest.raises(asyncio.CancelledError):
        await run
    world.script.fail = lambda role, number: None


async def test_an_interrupted_run_resumes_without_repeating_finished_calls(world):
    world.script.verdict = lambda question, round_: "no" if round_ == 1 else "yes"
    await interrupted(world, lambda role, number: role == "summarizer")
    assert world.script.calls["verifier"] == 3
    result = await world.run(None)
    assert result["stopped_because"] == "accepted"
    # Only the call in flight when it was interrupted is made again.
    assert world.script.calls == {
        "planner": 1,
        "decomposer": 1,
        "verifier": 6,
        "summarizer": 2,
        "refiner": 1,
    }
    assert len(world.generator.requests) == 2


async def test_finished_votes_of_an_interrupted_verifier_are_not_asked_again(world):
    world.script.requirements = world.script.requirements[:1]
    await interrupted(world, lambda role, number: role == "verifier" and number == 3, votes=3)
    await world.run(None, votes=3)
    assert world.script.calls["verifier"] == 4


async def test_a_person_approves_and_edits_the_requirements(world):
    await world.run("a black cat with a hat", review="requirements")
    (asked,) = (await world.state()).interrupts
    assert asked.value["ask"] == "requirements"
    assert len(asked.value["requirements"]) == 3
    assert world.generator.requests == []
    result = await world.run(
        Command(resume={"requirements": ["Is the hat red?"], "prompts": ["my own words"]}),
        review="requirements",
    )
    assert [item["question"] for item in result["requirements"]] == ["Is the hat red?"]
    assert result["requirements"][0]["origin"] == "reviewer"
    assert result["attempts"][0]["prompt"] == "my own words"


async def test_a_person_sends_a_round_back_with_feedback_and_then_accepts(world):
    await world.run("a black cat with a hat", review="rounds")
    (asked,) = (await world.state()).interrupts
    assert (asked.value["round"], asked.value["would_stop"]) == (1, "accepted")
    await world.run(
        Command(resume={"decision": "continue", "feedback": "make the hat taller"}), review="rounds"
    )
    refined = [text for role, text in world.script.heard if role == "refiner"]
    assert "make the hat taller" in refined[0]
    result = await world.run(Command(resume={"decision": "accept"}), review="rounds")
    assert result["stopped_because"] == "accepted_by_reviewer"
    assert len(result["attempts"]) == 2


async def test_waiting_for_a_person_costs_no_seconds(world):
    await world.run("a black cat with a hat", review="requirements", max_seconds=2)
    await asyncio.sleep(2.2)
    result = await world.run(Command(resume=True), review="requirements", max_seconds=2)
    assert result["stopped_because"] == "accepted"


async def test_chat_answers_with_a_small_preview(world):
    result = await world.run({"messages": [HumanMessage("a black cat with a hat")]})
    answer = result["messages"][-1]
    assert isinstance(answer, AIMessage)
    assert "3 of 3 requirements met" in answer.text
    assert len(answer.model_dump_json()) <= 20_000
    assert answer.content[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert result["prompt"] == "a black cat with a hat"


async def test_a_prompt_without_chat_adds_no_message(world):
    result = await world.run("a black cat")
    assert result.get("messages", []) == []


async def test_a_second_message_is_a_new_turn_with_fresh_requirements(world):
    await world.run({"messages": [HumanMessage("a black cat with a hat")]})
    result = await world.run({"messages": [HumanMessage("a white dog")]})
    assert world.script.calls["decomposer"] == 2
    assert [item["turn"] for item in result["attempts"]] == [1, 2]
    assert result["best"] == "t2r1c1"


async def test_a_generator_notice_reaches_the_user(world):
    from PIL import Image

    from gems.models.generators.base import GeneratedImage

    class Rounding:
        name, can_edit = "rounding", False

        async def generate(self, request):
            image = Image.new("RGB", (64, 64))
            return [GeneratedImage(image=image, seed=request.seed, notices=("Size was rounded.",))]

        async def aclose(self):
            return

    register_generator("tiny", Rounding())
    result = await world.run("a black cat")
    assert result["notices"] == ["Size was rounded."]


async def test_fifty_runs_at_once_keep_apart(world):
    world.script.verdict = lambda question, round_: "yes"
    world.generator.delay = 0.01
    results = await asyncio.gather(
        *(world.run({"prompt": "a cat", "seed": n}, thread=f"thread-{n}") for n in range(50))
    )
    assert [result["seed"] for result in results] == list(range(50))
    assert len({result["image"]["sha256"] for result in results}) == 50
    assert all(len(result["attempts"]) == 1 for result in results)


async def test_cancelling_a_run_cancels_its_generation(world):
    stopped = asyncio.Event()

    async def endless(request):
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    world.generator.generate = endless
    run = asyncio.create_task(world.run("a black cat"))
    await asyncio.sleep(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await asyncio.wait_for(stopped.wait(), 1)
