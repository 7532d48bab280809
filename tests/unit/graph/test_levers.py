"""What makes a run cheaper or its choice better: the calls each lever makes, what it keeps."""

from __future__ import annotations

import asyncio
from io import BytesIO

import pytest
from PIL import Image

from gems.errors import ModelError
from gems.graph.build import build_graph
from gems.memory.artifacts import artifact_store
from gems.nodes.variety import ALIKE, likeness

CAT = "a black cat with a hat"


def answers(result):
    return [item["verdict"]["answer"] for item in result["requirements"]]


def sources(result):
    return [item["verdict"]["source"] for item in result["requirements"]]


async def interrupted(world, when, **settings):
    """Runs until `when(role, number)` holds at a model call, then cancels as Ctrl-C does."""
    run = asyncio.create_task(world.run(CAT, **settings))

    def cancel(role, number):
        if when(role, number):
            run.cancel()

    world.script.delay = 0.02
    world.script.fail = cancel
    with pytest.raises(asyncio.CancelledError):
        await run
    world.script.fail = lambda role, number: None


# --- planning and verification off --------------------------------------------------------------


async def test_without_planning_and_verification_the_prompt_is_drawn_as_it_is_by_no_call(world):
    result = await world.run(CAT, planning="off", verification="none")
    assert world.script.calls == {}
    assert [item["prompt"] for item in result["attempts"]] == [CAT]
    assert (result["stopped_because"], result["score"]) == ("not_verified", 0.0)
    assert result["requirements"] == []
    assert result["attempts"][0]["verdicts"] == []
    assert await artifact_store().load(result["image"])


async def test_without_planning_the_first_round_still_is_judged_and_refined(world):
    world.script.verdict = lambda question, round_: "no" if round_ == 1 else "yes"
    result = await world.run(CAT, planning="off")
    assert [item["prompt"] for item in result["attempts"]] == [CAT, "refined prompt 1"]
    assert world.script.calls == {"decomposer": 1, "verifier": 6, "summarizer": 1, "refiner": 1}


async def test_best_of_seeds_draws_the_prompt_as_it_is_with_several_seeds(world):
    world.script.verdict = lambda question, round_: "no"
    result = await world.run(CAT, planning="off", candidates=3, variety="seed", max_rounds=1)
    assert [item["prompt"] for item in result["attempts"]] == [CAT] * 3
    assert len({item["seed"] for item in result["attempts"]}) == 3


async def test_what_is_not_verified_does_not_count_as_met_though_requirements_were_given(world):
    result = await world.run(
        {"prompt": CAT, "requirements": ["Is there a cat?"]}, verification="none"
    )
    assert world.script.calls == {"planner": 1}
    assert (result["stopped_because"], result["score"]) == ("not_verified", 0.0)
    assert "verdict" not in result["requirements"][0]


# --- joint verdicts, asked again ----------------------------------------------------------------


async def test_doubtful_joint_verdicts_are_asked_again_singly_and_the_sure_ones_are_not(world):
    world.script.joint = lambda question, round_: {
        "Is there a cat?": ("yes", 0.99),
        "Is the cat black?": ("no", 0.6),
        "Is there a hat?": ("unknown", 0.9),
    }[question]
    result = await world.run(CAT, verification="joint", recheck=0.8)
    assert world.script.calls == {"planner": 1, "decomposer": 1, "joint": 1, "verifier": 2}
    assert answers(result) == ["yes", "yes", "yes"]
    assert result["stopped_because"] == "accepted"
    asked = [text for role, text in world.script.heard if role == "verifier"]
    assert not any("Is there a cat?" in text for text in asked)


@pytest.mark.parametrize("recheck", [0.0, 0.5])
async def test_without_doubt_joint_verdicts_stand(world, recheck):
    world.script.joint = lambda question, round_: ("yes", 0.6)
    await world.run(CAT, verification="joint", recheck=recheck)
    assert world.script.calls == {"planner": 1, "decomposer": 1, "joint": 1}


async def test_rechecks_go_along_the_dependencies(world):
    world.script.joint = lambda question, round_: ("yes", 0.5)
    world.script.verdict = lambda question, round_: "no" if question == "Is there a cat?" else "yes"
    result = await world.run(CAT, verification="joint", recheck=0.8, max_rounds=1)
    asked = [text for role, text in world.script.heard if role == "verifier"]
    assert len(asked) == 2  # that the cat is black is not worth asking without a cat
    assert answers(result) == ["no", "no", "yes"]
    assert sources(result)[1] == "dependency"


async def test_a_recheck_that_fails_leaves_the_joint_verdict(world):
    world.script.joint = lambda question, round_: ("yes", 0.5)
    world.script.fail = lambda role, number: ModelError("down") if role == "verifier" else None
    result = await world.run(CAT, verification="joint", recheck=0.8)
    assert answers(result) == ["yes"] * 3
    assert {item["verdict"]["confidence"] for item in result["requirements"]} == {0.5}
    assert world.script.calls["verifier"] == 3


async def test_a_model_that_can_not_answer_a_list_is_asked_one_by_one(world):
    world.script.garbled = lambda role: role == "joint"
    result = await world.run(CAT, verification="joint", recheck=0.5)
    assert world.script.calls["verifier"] == 3
    assert answers(result) == ["yes"] * 3


async def test_rechecks_keep_to_the_budget_and_begin_with_the_least_sure(world):
    sure = {"Is there a cat?": 0.7, "Is the cat black?": 0.6, "Is there a hat?": 0.5}
    world.script.joint = lambda question, round_: ("yes", sure[question])
    result = await world.run(CAT, verification="joint", recheck=0.8, max_model_calls=4)
    assert sum(world.script.calls.values()) == 4
    (asked,) = [text for role, text in world.script.heard if role == "verifier"]
    assert "Is there a hat?" in asked
    assert answers(result) == ["yes"] * 3


async def test_an_interrupted_recheck_resumes_without_asking_the_joint_question_again(world):
    settings = {"verification": "joint", "recheck": 0.8}
    world.script.joint = lambda question, round_: ("no", 0.5)
    await interrupted(world, lambda role, number: role == "verifier" and number == 1, **settings)
    result = await world.run(None, **settings)
    assert world.script.calls["joint"] == 1
    assert result["stopped_because"] == "accepted"


# --- one call for summarizer and refiner --------------------------------------------------------


async def test_fused_reflection_leaves_what_the_two_nodes_leave_with_one_call_less_a_round(world):
    world.script.verdict = lambda question, round_: "no" if round_ < 3 else "yes"
    result = await world.run(CAT, reflection="fused")
    assert world.script.calls == {"planner": 1, "decomposer": 1, "verifier": 9, "reflector": 2}
    values = (await world.state()).values
    assert [(item["round"], item["text"]) for item in values["experiences"]] == [
        (1, world.script.summary),
        (2, world.script.summary),
    ]
    assert values["thought"] == "thought of reflector 2"
    assert [item["prompt"] for item in result["attempts"]][1:] == [
        "refined prompt 1",
        "refined prompt 2",
    ]
    assert result["usage"]["refiner"]["calls"] == 2
    first, second = [text for role, text in world.script.heard if role == "reflector"]
    assert "thought of planner 1" in first
    assert "thought of reflector 1" in second
    assert "thought of planner 1" not in second
    assert world.script.summary in second


async def test_a_fused_experience_has_at_most_a_hundred_words(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.summary = "word " * 300
    await world.run(CAT, max_rounds=2, reflection="fused")
    (experience,) = (await world.state()).values["experiences"]
    assert len(experience["text"].removesuffix(" …").split()) == 100


async def test_fused_reflection_that_repeats_itself_is_asked_once_more_and_then_takes_a_seed(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.refine = lambda number: ["planned prompt"]
    result = await world.run(CAT, max_rounds=2, reflection="fused")
    assert world.script.calls["reflector"] == 2
    first, second = result["attempts"]
    assert first["prompt"] == second["prompt"]
    assert first["seed"] != second["seed"]
    assert len((await world.state()).values["experiences"]) == 1


async def test_an_interrupted_fused_reflection_resumes(world):
    world.script.verdict = lambda question, round_: "no" if round_ == 1 else "yes"
    await interrupted(world, lambda role, number: role == "reflector", reflection="fused")
    result = await world.run(None, reflection="fused")
    assert result["stopped_because"] == "accepted"
    assert world.script.calls["verifier"] == 6
    assert world.script.calls["reflector"] == 2


async def test_a_round_with_fused_reflection_needs_two_calls_of_a_budget(world):
    world.script.verdict = lambda question, round_: "no"
    # planner, decomposer, three verdicts; then reflector and one verdict
    result = await world.run(CAT, reflection="fused", max_model_calls=7)
    assert len(result["attempts"]) == 2
    assert sum(world.script.calls.values()) == 7


# --- budgets of images and tokens ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "rounds"), [(1, [1]), (2, [1, 1]), (3, [1, 1, 2]), (5, [1, 1, 2, 2, 3])]
)
async def test_images_stay_within_their_budget_to_the_last_candidate(world, most, rounds):
    world.script.verdict = lambda question, round_: "no"
    result = await world.run(CAT, candidates=2, max_images=most, max_rounds=9)
    assert [item["round"] for item in result["attempts"]] == rounds
    assert len(world.generator.requests) == most
    assert result["stopped_because"] == "max_images"
    assert await artifact_store().load(result["image"])


async def test_images_of_earlier_turns_do_not_count(world):
    world.script.verdict = lambda question, round_: "no"
    await world.run(CAT, max_images=2)
    result = await world.run("a dog", max_images=2)
    assert [item["turn"] for item in result["attempts"]] == [1, 1, 2, 2]


@pytest.mark.parametrize("budget", [1, 12, 24, 30, 60, 61, 100, 140])
async def test_no_call_begins_once_the_tokens_are_used_up(world, budget):
    """A call of the scripted model takes 12 tokens; planner and decomposer begin together."""
    world.script.verdict = lambda question, round_: "no"
    result = await world.run(CAT, max_tokens=budget, max_rounds=9)
    used = sum(u["input_tokens"] + u["output_tokens"] for u in result["usage"].values())
    # The first round's verifiers begin together too: what a verdict takes is not known yet.
    assert used <= max(budget + 11, 24 if budget <= 24 else 60)
    assert result["stopped_because"] == "max_tokens"
    assert await artifact_store().load(result["image"])


async def test_a_planner_that_has_used_the_tokens_up_leaves_the_prompt_as_it_is(world):
    world.script.skills = ["spatial-layout", "text-rendering"]
    result = await world.run(CAT, max_tokens=20)
    assert world.script.calls["planner"] == 2
    assert result["attempts"][0]["prompt"] == CAT
    assert result["stopped_because"] == "max_tokens"


async def test_tokens_of_earlier_turns_do_not_count(world):
    first = await world.run(CAT, max_tokens=100)
    second = await world.run("a dog", max_tokens=100)
    assert first["stopped_because"] == second["stopped_because"] == "accepted"


# --- images as models see them ------------------------------------------------------------------


async def test_chat_models_see_images_no_larger_than_asked_and_their_bytes_are_counted(world):
    seen = []
    world.script.verdict = lambda question, round_: "no"
    await world.run(CAT, max_rounds=2, history_images="none")
    large = (await world.state()).values["usage"]

    def prefer(images):
        seen.extend(Image.open(BytesIO(data)).size for data in images)
        return "neither"

    world.script.prefer = prefer
    result = await world.run(
        CAT, thread="small", vision_side=64, selection="pairwise", max_rounds=2
    )
    assert seen == [(64, 64), (64, 64)]
    assert result["usage"]["verifier"]["image_bytes"] > 0
    assert large["summarizer"]["image_bytes"] == large["refiner"]["image_bytes"] == 0
    assert large["generator"]["image_bytes"] == 0


# --- which of the attempts that tie -------------------------------------------------------------


def blue():
    """Returns a judge that prefers the image with more blue, which a seed decides."""

    def prefer(images):
        first, second = (
            Image.open(BytesIO(data)).convert("RGB").getpixel((5, 5))[2] for data in images
        )
        return "neither" if first == second else "A" if first > second else "B"

    return prefer


def blueness(attempt):
    return attempt["seed"] // 65536 % 256


async def test_among_attempts_that_tie_the_one_that_wins_both_orders_is_handed_over(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.prefer = blue()
    result = await world.run(CAT, candidates=3, max_rounds=1, selection="pairwise")
    attempts = result["attempts"]
    best = max(attempts, key=blueness)
    assert result["best"] == best["id"]
    assert result["image"] == best["image"]
    made = (await world.state()).values["comparisons"]
    assert [item["challenger"] for item in made] == ["t1r1c2", "t1r1c3"]
    assert made[-1]["winner"] == best["id"]
    for item in made:
        won = item["winner"] == item["challenger"]
        assert item["answers"] == (["challenger"] * 2 if won else ["incumbent"])
    assert result["usage"]["verifier"]["calls"] == 9 + world.script.calls["selector"]


@pytest.mark.parametrize("always", ["A", "B", "neither"])
async def test_a_judge_that_looks_only_at_the_place_never_replaces_the_incumbent(world, always):
    world.script.verdict = lambda question, round_: "no"
    world.script.prefer = lambda images: always
    result = await world.run(CAT, candidates=3, max_rounds=2, selection="pairwise")
    assert result["best"] == "t1r1c1"
    made = (await world.state()).values["comparisons"]
    assert {item["winner"] for item in made} == {"t1r1c1"}


async def test_without_a_tie_nothing_is_compared(world):
    world.script.verdict = lambda question, round_: "yes" if round_ == 2 else "no"
    result = await world.run(CAT, selection="pairwise")
    assert "selector" not in world.script.calls
    assert result["best"] == "t1r2c1"
    assert (await world.state()).values["comparisons"] == []


async def test_comparisons_of_a_run_that_was_sent_on_decide_nothing_any_more(world):
    settings = {"candidates": 2, "selection": "pairwise"}
    world.script.verdict = lambda question, round_: "yes" if round_ == 2 else "no"
    first = await world.run(CAT, max_rounds=1, **settings)
    assert (await world.state()).values["comparisons"]
    graph = build_graph(checkpointer=world.saver)
    config = {"configurable": {"thread_id": "thread"}}
    await graph.aupdate_state(config, {"stopped_because": ""}, as_node="review")
    result = await world.run(None, max_rounds=2, **settings)
    assert first["best"].startswith("t1r1")
    assert result["best"].startswith("t1r2")


async def test_comparisons_are_bounded_and_keep_to_the_budget(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.prefer = lambda images: "A"
    await world.run(CAT, candidates=8, max_rounds=1, selection="pairwise")
    assert world.script.calls["selector"] == 4
    world.script.calls.clear()
    result = await world.run(
        CAT, thread="b", candidates=2, max_rounds=1, selection="pairwise", max_model_calls=9
    )
    assert sum(world.script.calls.values()) == 8
    assert "selector" not in world.script.calls
    assert any("budget" in notice for notice in result["notices"])
    assert result["best"] == "t1r1c1"


async def test_a_comparison_that_fails_ends_with_the_incumbent(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.fail = lambda role, number: ModelError("down") if role == "selector" else None
    result = await world.run(CAT, candidates=2, max_rounds=1, selection="pairwise")
    assert (result["best"], result["stopped_because"]) == ("t1r1c1", "max_rounds")
    assert any("down" in notice for notice in result["notices"])


async def test_an_interrupted_comparison_resumes_with_the_answer_it_had(world):
    settings = {"candidates": 2, "max_rounds": 1, "selection": "pairwise"}
    world.script.verdict = lambda question, round_: "no"
    shown = []

    def prefer(images):  # whatever was not in the first place at first
        shown.append(images[0])
        return "B" if images[0] == shown[0] else "A"

    world.script.prefer = prefer
    await interrupted(world, lambda role, number: role == "selector" and number == 2, **settings)
    result = await world.run(None, **settings)
    assert world.script.calls["selector"] == 3  # the first order is not shown again
    assert result["best"] == "t1r1c2"


# --- candidates of different structure ----------------------------------------------------------

ONE = "A black cat sits on a red chair. A tall hat hangs above it. Snow falls outside."
SYNONYMS = "A black cat rests on a red chair. A high hat hangs above it. Snow drops outside."
OTHER = "Snow falls outside. A tall hat hangs above. Below it, on a red chair, sits a black cat."


async def test_candidates_of_one_structure_are_asked_for_once_more(world):
    world.script.plan = lambda number: [ONE, SYNONYMS] if number == 1 else [OTHER]
    result = await world.run(CAT, candidates=2, variety="structure")
    assert [item["prompt"] for item in result["attempts"]] == [ONE, OTHER]
    assert world.script.calls["planner"] == 2
    assert ONE in [text for role, text in world.script.heard if role == "planner"][1]


async def test_a_model_that_insists_on_one_structure_gets_another_seed(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.plan = lambda number: [ONE, SYNONYMS]
    world.script.refine = lambda number: [ONE + " Again.", SYNONYMS + " Again."]
    result = await world.run(CAT, candidates=2, variety="structure", max_rounds=2)
    assert [item["prompt"] for item in result["attempts"]] == [ONE] * 2 + [ONE + " Again."] * 2
    assert len({item["seed"] for item in result["attempts"]}) == 4
    assert (world.script.calls["planner"], world.script.calls["refiner"]) == (2, 2)


async def test_candidates_in_other_words_are_not_checked_for_structure(world):
    world.script.plan = lambda number: [ONE, SYNONYMS]
    result = await world.run(CAT, candidates=2)
    assert [item["prompt"] for item in result["attempts"]] == [ONE, SYNONYMS]
    assert world.script.calls["planner"] == 1
    assert likeness(ONE, SYNONYMS) > ALIKE > likeness(ONE, OTHER)


async def test_other_seeds_ask_for_one_prompt_a_round(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.refine = lambda number: [ONE, OTHER]
    result = await world.run(CAT, candidates=2, variety="seed", max_rounds=2)
    assert [item["prompt"] for item in result["attempts"]] == ["planned prompt"] * 2 + [ONE] * 2
    refined = next(text for role, text in world.script.heard if role == "refiner")
    assert "<candidates>\n1\n</candidates>" in refined


async def test_asking_for_another_structure_keeps_to_the_budget(world):
    world.script.verdict = lambda question, round_: "no"
    world.script.plan = lambda number: [ONE, SYNONYMS]
    world.script.refine = lambda number: [ONE + " Again.", SYNONYMS + " Again."]
    for budget in range(3, 16):
        world.script.calls.clear()
        await world.run(
            CAT,
            thread=f"{budget}",
            candidates=2,
            variety="structure",
            max_rounds=3,
            max_model_calls=budget,
        )
        assert sum(world.script.calls.values()) <= budget
