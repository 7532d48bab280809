"""The runner: what it makes, what it does not do again, what it refuses, when it stops."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from eval_runs import Bench, ToyJudge, numbered
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from PIL import Image
from scripted import ScriptedChat

from gems.errors import (
    ConfigurationError,
    GemsError,
    GenerationError,
    GenerationRefusedError,
    InputError,
    ModelError,
)
from gems.evals import breaker
from gems.evals.later_judging import judge_run
from gems.evals.ledger import read_judgments, read_manifest, read_rows
from gems.evals.plan import sample_seed
from gems.memory.checkpoints import open_checkpointer
from gems.memory.threads import thread_tables
from gems.models.chat import register_chat_model


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.write(*numbered(4))
    return made


async def threads_of(out, name="checkpoints.sqlite"):
    async with open_checkpointer(f"sqlite:///{out / name}") as saver:
        return {found.thread_id for found in await thread_tables(saver).sizes()}


async def test_every_sample_has_a_row_and_an_image_where_the_scorer_looks(bench, world):
    world.script.verdict = lambda question, round_: "no"
    outcome = await bench.run(overrides={"max_rounds": 2}, samples=2, seeds=(1, 2))
    rows = read_rows(bench.out)
    assert len(rows) == 4 * 2 * 2
    assert not outcome.failed
    assert not outcome.left
    row = rows["i1#3"]
    assert (row["item"], row["sample"], row["status"], row["rounds"]) == ("i1", 3, "done", 2)
    assert row["seed"] == sample_seed(2, "i1", 1)
    assert row["file"] == "images/001/i1_3.png"
    assert [item["id"] for item in row["attempts"]] == ["t1r1c1", "t1r2c1"]
    assert row["best_by_round"][-1] == row["best"]
    assert row["stopped_because"] == "max_rounds"
    assert {item["answer"] for item in row["requirements"]} == {"no"}
    assert row["usage"]["generator"]["calls"] == 2
    assert row["seconds"] > 0
    for found in rows.values():
        with Image.open(bench.out / found["file"]) as image:
            assert image.size == (64, 64)
    assert (bench.out / "list.txt").read_text().split() == sorted(rows)
    assert outcome.exported == [bench.out / "list.txt"]


async def test_the_same_command_again_does_nothing_and_goes_on_where_items_are_left(bench, world):
    await bench.run(limit=2)
    made = len(world.generator.requests)
    outcome = await bench.run(limit=2)
    assert len(world.generator.requests) == made
    assert (outcome.tally.before, outcome.tally.done) == (2, 0)
    await bench.run(concurrency=1)
    assert len(read_rows(bench.out)) == 4
    assert len(world.generator.requests) == 2 * made
    assert read_manifest(bench.out)["planned"] == 4


async def test_checkpoints_go_with_the_row_unless_they_are_kept(bench, world, tmp_path):
    await bench.run()
    assert await threads_of(bench.out) == set()
    other = Bench(tmp_path / "kept")
    other.folder.mkdir()
    other.write(*numbered(2))
    await other.run(keep=True)
    rows = read_rows(other.out)
    assert await threads_of(other.out) == {row["thread_id"] for row in rows.values()}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strategy": "gems"}, "strategy: 'loop', now 'gems'"),
        ({"overrides": {"max_rounds": 3}}, "context.max_rounds: 5, now 3"),
        ({"seeds": (2,)}, "seeds"),
        ({"samples": 3}, "samples: 1, now 3"),
        ({"budget": {"max_images": 2}}, "context.max_images: None, now 2"),
    ],
)
async def test_another_command_on_the_same_folder_is_refused_with_what_differs(
    bench, world, options, says
):
    await bench.run(limit=1)
    before = (bench.out / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="holds another run") as refused:
        await bench.run(**options)
    assert says in str(refused.value)
    assert (bench.out / "manifest.json").read_bytes() == before


async def test_other_data_and_other_settings_of_the_process_are_refused(bench, world, monkeypatch):
    await bench.run(limit=1)
    bench.write(*numbered(3))
    with pytest.raises(InputError, match="SHA-256"):
        await bench.run()
    bench.write(*numbered(4))
    from gems.settings import get_settings

    monkeypatch.setenv("GEMS_VISION_MAX_SIDE", "512")
    get_settings.cache_clear()
    with pytest.raises(InputError, match="GEMS_VISION_MAX_SIDE: 1024, now 512"):
        await bench.run()
    monkeypatch.delenv("GEMS_VISION_MAX_SIDE")
    # A server may have moved.
    monkeypatch.setenv("GEMS_MLLM_BASE_URL", "http://127.0.0.1:1/v1")
    get_settings.cache_clear()
    await bench.run()


async def test_shards_make_the_whole_in_files_of_their_own(bench, world):
    await bench.run(shard=(1, 2))
    outcome = await bench.run(shard=(2, 2))
    assert {row["item"] for row in read_rows(bench.out).values()} == {"i0", "i1", "i2", "i3"}
    names = {path.name for path in bench.out.iterdir()}
    assert {"results.1-of-2.jsonl", "results.2-of-2.jsonl"} <= names
    assert {"checkpoints.1-of-2.sqlite", "checkpoints.2-of-2.sqlite"} <= names
    assert outcome.manifest["shards"] == ["1/2", "2/2"]
    assert len((bench.out / "list.txt").read_text().split()) == 4


async def test_a_failed_sample_is_a_row_with_its_reason_and_tried_again_only_when_asked(
    bench, world
):
    broken = {"a black cat number 1 with a hat"}

    def fail(number):
        request = world.generator.requests[-1]
        return (
            GenerationError("CUDA is out of memory", hint="Buy more.")
            if any(word in request.prompt for word in broken)
            else None
        )

    world.generator.fail = fail
    options = {"strategy": "single"}
    outcome = await bench.run(**options)
    assert [row["key"] for row in outcome.failed] == ["i1#0"]
    row = read_rows(bench.out)["i1#0"]
    assert (row["status"], row["error_code"]) == ("failed", "generation")
    assert "out of memory" in row["error"]
    assert row["image"] is None
    assert row["file"] == ""
    assert any("i1#0 failed" in said for said in bench.progress.said)

    calls = len(world.generator.requests)
    outcome = await bench.run(**options)
    assert len(world.generator.requests) == calls
    assert len(outcome.failed) == 1, "it is still listed"

    broken.clear()
    outcome = await bench.run(**options, retry_failed=True)
    assert not outcome.failed
    assert read_rows(bench.out)["i1#0"]["status"] == "done"
    assert len(world.generator.requests) == calls + 1


async def test_what_a_failing_model_cut_short_is_told_and_made_again_when_asked(bench, world):
    world.script.verdict = lambda question, round_: "no"
    world.script.fail = lambda role, number: (
        ModelError("the endpoint is gone") if role == "refiner" and number == 1 else None
    )
    options = {"limit": 1, "overrides": {"max_rounds": 2}}
    outcome = await bench.run(**options)
    assert [row["stopped_because"] for row in outcome.cut_short] == ["model_failed"]
    assert read_rows(bench.out)["i0#0"]["rounds"] == 1
    assert (await bench.run(**options)).cut_short, "still listed, and left alone"

    outcome = await bench.run(**options, retry_failed=True)
    assert not outcome.cut_short
    assert read_rows(bench.out)["i0#0"]["rounds"] == 2


async def test_a_second_try_that_fails_leaves_the_first_image(bench, world):
    world.script.verdict = lambda question, round_: "no"
    world.script.fail = lambda role, number: ModelError("gone") if role == "refiner" else None
    await bench.run(limit=1)
    world.generator.fail = lambda number: GenerationError("gone, too")
    outcome = await bench.run(limit=1, retry_failed=True)
    assert outcome.tally.failed == 1
    assert read_rows(bench.out)["i0#0"]["status"] == "done"


async def test_a_dead_endpoint_stops_the_run_instead_of_burning_the_set(bench, world):
    bench.write(*numbered(50))
    world.generator.fail = lambda number: (
        GenerationError("connection refused") if number > 5 else None
    )
    outcome = await bench.run(strategy="single", concurrency=2)
    assert "connection refused" in outcome.stopped
    rows = read_rows(bench.out)
    # A sample that was begun before and works may come in between, and the count begins again.
    assert breaker.IN_A_ROW <= len(outcome.failed) <= 2 * breaker.IN_A_ROW + 2
    assert outcome.left == 50 - len(rows)
    # The endpoint is back.
    world.generator.fail = lambda number: None
    outcome = await bench.run(strategy="single", retry_failed=True)
    assert (outcome.failed, outcome.left, outcome.stopped) == ([], 0, "")


async def test_refused_prompts_do_not_stop_a_run(bench, world):
    bench.write(*numbered(15))
    world.generator.fail = lambda number: GenerationRefusedError("moderation")
    outcome = await bench.run(strategy="single", concurrency=1)
    assert len(outcome.failed) == 15
    assert not outcome.stopped


async def test_a_mistake_in_the_settings_ends_the_run_at_once_and_leaves_no_rows(bench, world):
    with pytest.raises(ConfigurationError, match="nowhere"):
        await bench.run(overrides={"mllm": "nowhere:model"})
    assert read_rows(bench.out) == {}
    with pytest.raises(InputError, match="no strategy"):
        await bench.run(strategy="clever")


async def test_one_process_drives_many_trajectories(bench, world):
    bench.write(*numbered(60))
    running = Counter()

    class Slow(type(world.generator)):
        async def generate(self, request):
            running["now"] += 1
            running["most"] = max(running["most"], running["now"])
            await asyncio.sleep(0.8)
            running["now"] -= 1
            return await super().generate(request)

    from gems.models.generators.registry import register_generator

    register_generator("tiny", Slow())
    await bench.run(strategy="single", concurrency=50)
    assert len(read_rows(bench.out)) == 60
    assert 30 < running["most"] <= 50


async def test_a_cancelled_run_goes_on_in_the_middle_of_its_trajectories(bench, world):
    world.script.verdict = lambda question, round_: "no"
    waiting = []

    class Held(ScriptedChat):
        """Keeps the second round's verifiers waiting."""

        async def _agenerate(self, messages, *rest, **options):
            if self.script.rounds() > 4 and "You are the verifier" in messages[0].text:
                waiting.append(messages)
                await asyncio.Event().wait()
            return await super()._agenerate(messages, *rest, **options)

    register_chat_model("scripted", Held(script=world.script))
    options = {"overrides": {"max_rounds": 3}, "concurrency": 4}
    task = asyncio.create_task(bench.run(**options))
    while len(waiting) < 8:  # noqa: ASYNC110 - as many as one endpoint gets at the same time
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert read_rows(bench.out) == {}
    register_chat_model("scripted", ScriptedChat(script=world.script))
    await bench.run(**options)
    assert [row["rounds"] for row in read_rows(bench.out).values()] == [3, 3, 3, 3]
    calls = {"planner": 4, "decomposer": 4, "verifier": 4 * 3 * 3, "refiner": 8}
    assert world.script.calls == calls
    assert len(world.generator.requests) == 4 * 3


@pytest.mark.parametrize("step", [-1, 0, 1, 2, 4, 6, 8, 12, 16])
async def test_an_end_between_a_steps_tasks_and_its_checkpoint_repeats_nothing(
    bench, world, monkeypatch, step
):
    world.script.verdict = lambda question, round_: "no"
    reached = asyncio.Event()
    real = AsyncSqliteSaver.aput

    async def held(self, config, checkpoint, metadata, versions):
        if metadata["step"] == step and not config["configurable"].get("checkpoint_ns"):
            reached.set()
            await asyncio.Event().wait()
        return await real(self, config, checkpoint, metadata, versions)

    monkeypatch.setattr(AsyncSqliteSaver, "aput", held)
    options = {"limit": 1, "overrides": {"max_rounds": 3}}
    task = asyncio.create_task(bench.run(**options))
    await reached.wait()
    await asyncio.sleep(0.02)  # what the step's tasks returned is being written
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.setattr(AsyncSqliteSaver, "aput", real)
    await bench.run(**options)
    (row,) = read_rows(bench.out).values()
    assert (row["rounds"], row["stopped_because"]) == (3, "max_rounds")
    calls = {"planner": 1, "decomposer": 1, "verifier": 9, "refiner": 2}
    assert world.script.calls == calls
    assert len(world.generator.requests) == 3


async def test_images_are_of_the_type_that_the_layout_asks_for(bench, world):
    bench.task.suffix = ".jpg"
    await bench.run(limit=1)
    with Image.open(bench.out / "images/000/i0_0.jpg") as image:
        assert image.format == "JPEG"


@pytest.mark.parametrize("suffix", ["/../../../escape.png", ".gif"])
async def test_a_layout_that_leaves_the_folder_or_names_no_image_is_refused(bench, world, suffix):
    bench.task.suffix = suffix
    with pytest.raises(GemsError, match="no place"):
        await bench.run()


async def test_budgets_are_the_graphs_own_and_stand_in_the_manifest(bench, world):
    world.script.verdict = lambda question, round_: "no"
    await bench.run(budget={"max_images": 2, "max_model_calls": 100}, strategy="loop")
    assert {len(row["attempts"]) for row in read_rows(bench.out).values()} == {2}
    manifest = read_manifest(bench.out)
    assert manifest["budget"] == {
        "max_images": 2,
        "max_model_calls": 100,
        "max_tokens": None,
        "max_seconds": None,
        "max_rounds": 5,
        "max_cost": None,
    }


async def test_max_cost_needs_prices_and_stops_before_the_next_prompt(bench, world, tmp_path):
    with pytest.raises(InputError, match="--max-cost needs the prices of scripted, tiny"):
        await bench.run(max_cost=1.0)
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "date: 2026-11-01\nchat: {scripted: {input: 100, output: 0}}\n"
        "images: {tiny: {image: 0.5}}\n"
    )
    outcome = await bench.run(max_cost=0.6, prices=prices, concurrency=1)
    rows = read_rows(bench.out)
    assert len(rows) == 2, "half a dollar was spent, then a whole one"
    tokens = sum(used["input_tokens"] for row in rows.values() for used in row["usage"].values())
    assert outcome.tally.cost == pytest.approx(2 * 0.5 + tokens * 100 / 1e6)
    assert outcome.left == 2
    assert "--max-cost 0.6" in outcome.stopped
    assert outcome.manifest["prices"] == "2026-11-01"
    # What was spent before counts.
    assert (await bench.run(max_cost=0.6, prices=prices)).left == 2


async def test_the_manifest_says_what_was_run_and_holds_no_secret(bench, world, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("GEMS_MLLM_BASE_URL", "http://me:password99@127.0.0.1:1/v1")
    monkeypatch.setenv("GEMS_MLLM_EXTRA_BODY", json.dumps({"api_key": "abc", "note": "x"}))
    from gems.settings import get_settings

    get_settings.cache_clear()
    await bench.run(limit=1)
    text = (bench.out / "manifest.json").read_text()
    for secret in ("sk-secret", "password99", "abc"):
        assert secret not in text
    manifest = read_manifest(bench.out)
    assert manifest["process"]["mllm_base_url"] == "http://***@127.0.0.1:1/v1"
    assert manifest["process"]["mllm_extra_body"]["note"] == "x"
    assert manifest["models"]["verifier"] == "scripted"
    assert manifest["generator"] == "tiny"
    assert manifest["data"]["items"] == 4
    assert len(manifest["data"]["sha256"]) == 64
    assert {"gems-graph", "langgraph", "langchain-core"} <= set(manifest["versions"])
    assert len(manifest["source"]["commit"]) in (0, 40)
    assert manifest["context"]["max_rounds"] == 5
    assert manifest["planned"] == 1


async def test_each_sample_is_judged_as_it_ends_and_only_once(bench, world):
    judge = ToyJudge()
    outcome = await bench.run(judge)
    judgments = read_judgments(bench.out)
    assert len(judgments) == judge.calls == 4
    found = judgments["i0#0", "t1r1c1", "fair"]
    assert (found["status"], found["score"], found["metrics"]) == ("done", 1.0, {"score": 1.0})
    assert (found["calls"], found["input_tokens"], found["seconds"]) == (1, 10, 0.1)
    assert len(found["parts"][0]["answer"]) == 500
    assert outcome.tally.judged == 4
    await bench.run(judge)
    assert judge.calls == 4
    other = ToyJudge(spec="other")
    tally = await judge_run(bench.task, bench.out, "", judge=other)
    assert (tally.judged, other.calls) == (4, 4)
    assert len(read_judgments(bench.out)) == 8
    assert read_manifest(bench.out)["judges"] == ["fair", "other"]


async def test_rounds_are_judged_without_paying_for_the_same_image_twice(bench, world):
    # Round 2 is no better than round 1, round 3 is: two different best images.
    world.script.verdict = lambda question, round_: (
        "yes" if "hat" not in question or round_ >= 3 else "no"
    )
    judge = ToyJudge()
    await bench.run(judge, limit=1, judge_rounds=True)
    row = read_rows(bench.out)["i0#0"]
    assert row["best_by_round"] == ["t1r1c1", "t1r1c1", "t1r3c1"]
    assert set(read_judgments(bench.out)) == {
        ("i0#0", "t1r1c1", "fair"),
        ("i0#0", "t1r3c1", "fair"),
    }
    assert judge.calls == 2


async def test_equal_images_of_two_attempts_are_judged_once(bench, world, monkeypatch):
    world.script.verdict = lambda question, round_: (
        "yes" if "hat" not in question or round_ >= 2 else "no"
    )
    judge = ToyJudge()

    class Same(type(world.generator)):
        async def generate(self, request):
            made = await super().generate(request)
            made[0].image.paste((1, 2, 3), (0, 0, 64, 64))
            return made

    from gems.models.generators.registry import register_generator
    from gems.nodes import generator as node

    register_generator("tiny", Same())
    monkeypatch.setattr(node, "png_text", lambda *_, **__: {})  # it differs for each attempt
    await bench.run(judge, limit=1, judge_rounds=True)
    judgments = read_judgments(bench.out)
    assert len(judgments) == 2
    assert judge.calls == 1
    assert sorted(found["calls"] for found in judgments.values()) == [0, 1]


async def test_a_failed_judgment_is_kept_and_tried_again_when_asked(bench, world):
    judge = ToyJudge(fail=lambda number: GemsError("no answer") if number == 2 else None)
    outcome = await bench.run(judge, judge_concurrency=1)
    assert outcome.tally.judge_failed == 1
    failed = [item for item in read_judgments(bench.out).values() if item["status"] == "failed"]
    assert [item["error"] for item in failed] == ["no answer"]
    assert failed[0]["calls"] == 1, "it was paid for"
    assert (await judge_run(bench.task, bench.out, "", judge=judge)).judged == 0
    tally = await judge_run(bench.task, bench.out, "", judge=judge, retry_failed=True)
    assert (tally.judged, tally.judge_failed) == (1, 0)


async def test_a_dead_judge_stops_judging_and_not_the_run(bench, world):
    bench.write(*numbered(20))
    judge = ToyJudge(fail=lambda number: GemsError("the judge is gone"))
    outcome = await bench.run(judge, strategy="single", judge_concurrency=1)
    assert outcome.tally.done == 20
    assert judge.calls == breaker.IN_A_ROW
    assert "the judge is gone" in outcome.stopped


async def test_a_judge_that_is_the_agents_model_is_a_warning(bench, world):
    await bench.run(ToyJudge(spec="scripted"))
    assert any("judges what it was asked to please" in said for said in bench.progress.said)
    warnings = read_manifest(bench.out)["warnings"]
    assert any("also the agent's model (planner, decomposer, verifier" in w for w in warnings)


async def test_a_judge_without_log_probabilities_is_found_out_before_anything_is_made(bench, world):
    bench.task.probes = True
    with pytest.raises(GemsError, match="no log-probabilities"):
        await bench.run(ToyJudge())
    assert world.generator.requests == []


async def test_nothing_is_judged_that_can_not_be(bench, world):
    await bench.run()
    assert read_judgments(bench.out) == {}, "no judge was named"
    type(bench.task).judging = "official"
    try:
        with pytest.raises(InputError, match="official scorer"):
            await bench.run(judge=ToyJudge())
    finally:
        type(bench.task).judging = "judge"
    with pytest.raises(InputError, match="No judge"):
        await judge_run(bench.task, bench.out, "")
    bench.write(*numbered(2))
    with pytest.raises(InputError, match="not the data file of this run"):
        await judge_run(bench.task, bench.out, "", judge=ToyJudge())
