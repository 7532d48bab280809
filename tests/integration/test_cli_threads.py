"""`gems threads` and `gems artifacts`, through the command's entry point, on SQLite."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import CommandLine

from gems.errors import GenerationError
from gems.memory.artifacts import artifact_store
from gems.settings import get_settings

pytestmark = pytest.mark.integration

GEMS = Path(sys.executable).with_name("gems")


@pytest.fixture
def gems(capfd, monkeypatch, world):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GEMS_STORE", "memory:")
    monkeypatch.setenv("GEMS_EMBEDDINGS", "lexical")
    get_settings.cache_clear()
    return CommandLine(capfd, monkeypatch)


@pytest.fixture
def run(gems, world):
    """A finished thread of three rounds in which the hat was never right."""
    world.script.verdict = lambda question, round_: "no" if "hat" in question else "yes"
    done = gems(
        *("generate", "a black cat with a hat", "--mllm", "scripted", "--generator", "tiny"),
        *("--rounds", "3", "--seed", "7", "--json"),
    )
    assert done.code == 3, done.err
    return done.json()


def ids(document):
    return [attempt["id"] for attempt in document["attempts"]]


def shas(document):
    return [attempt["image"]["sha256"] for attempt in document["attempts"]]


def test_a_run_that_failed_before_its_first_image_says_how_to_go_on(gems, world):
    world.generator.fail = lambda number: GenerationError("No paint.", hint="Buy some.")
    made = ("generate", "a black cat", "--mllm", "scripted", "--generator", "tiny")
    failed = gems(*made)
    assert failed.code == 1
    go_on = re.search(
        r"No paint\. Buy some\. Then go on with: gems (threads resume \S+)", failed.err
    )
    assert go_on is not None
    world.generator.fail = lambda number: None
    done = gems(*go_on[1].split(), "--json")
    assert done.code == 0
    assert json.loads(done.out)["score"] == 1
    assert world.script.calls["planner"] == 1


def test_list_shows_what_each_thread_is_about(gems, run):
    (thread,) = gems("threads", "list", "--json").json()
    assert thread["thread_id"] == run["thread_id"]
    assert (thread["prompt"], thread["turns"], thread["rounds"]) == (run["prompt"], 1, 3)
    assert thread["status"] == "finished"
    assert thread["score"] == pytest.approx(2 / 3)
    told = gems("threads", "list").out
    assert re.search(rf"{run['thread_id']} .*a black cat with a hat +1 +3 +67% +finished +\d", told)


def test_show_tells_the_whole_trajectory(gems, run):
    shown = gems("threads", "show", run["thread_id"], "--json").json()
    assert ids(shown) == ["t1r1c1", "t1r2c1", "t1r3c1"]
    assert shown["experiences"][0]["text"] == "The hat was missed; say it first."
    assert shown["usage"]["refiner"]["calls"] == 2
    assert shown["settings"]["max_rounds"] == 3
    assert all(Path(item["image"]["path"]).is_file() for item in shown["attempts"])
    told = gems("threads", "show", run["thread_id"]).out
    assert "prompt: refined prompt 2" in told
    assert "learned: The hat was missed; say it first." in told
    assert re.search(r"Is there a hat\? +✗ +✗ +✗", told)
    assert run["attempts"][2]["image"]["sha256"] in told


def test_resume_of_a_finished_thread_shows_it_again_without_any_call(gems, run, world):
    calls = dict(world.script.calls)
    again = gems("threads", "resume", run["thread_id"], "--json")
    assert again.code == 3
    assert again.json() == run
    assert world.script.calls == calls


def test_a_fork_goes_on_with_new_seeds_and_leaves_the_thread_alone(gems, run, world):
    calls = dict(world.script.calls)
    fork = gems(
        *("threads", "fork", run["thread_id"], "--from", "t1r1c1", "--seed", "8"),
        *("--set", "max_rounds=2", "--json"),
    ).json()
    assert fork["thread_id"] != run["thread_id"]
    assert ids(fork) == ["t1r1c1", "t1r2c1"]
    assert fork["attempts"][0] == run["attempts"][0]
    assert fork["attempts"][1]["seed"] != run["attempts"][1]["seed"]
    assert fork["seed"] == 8
    # Round 1 had been compressed before: the refiner goes on from there.
    assert world.script.calls["summarizer"] == calls["summarizer"]
    assert world.script.calls["refiner"] == calls["refiner"] + 1
    assert world.script.calls["decomposer"] == calls["decomposer"]
    assert gems("threads", "resume", run["thread_id"], "--json").json() == run
    shown = gems("threads", "show", fork["thread_id"], "--json").json()
    assert shown["forked_from"] == f"{run['thread_id']} t1r1c1"
    assert shown["settings"]["max_rounds"] == 2


def test_a_fork_from_the_last_attempt_makes_at_least_one_more_round(gems, run, world):
    world.script.verdict = lambda question, round_: "yes"
    fork = gems("threads", "fork", run["thread_id"], "--from", "t1r3c1", "--json").json()
    assert ids(fork) == ["t1r1c1", "t1r2c1", "t1r3c1", "t1r4c1"]
    assert fork["stopped_because"] == "accepted"
    assert [item["round"] for item in fork["attempts"] if item["score"] == 1.0] == [4]


def test_a_fork_with_another_wording_generates_just_that(gems, run, world):
    calls = dict(world.script.calls)
    fork = gems(
        *("threads", "fork", run["thread_id"], "--from", "t1r2c1"),
        *("--wording", "a hat, first of all", "--json"),
    ).json()
    assert ids(fork) == ["t1r1c1", "t1r2c1", "t1r3c1"]
    assert fork["attempts"][2]["prompt"] == "a hat, first of all"
    assert fork["attempts"][2]["seed"] == run["attempts"][2]["seed"]
    assert world.script.calls["refiner"] == calls["refiner"]


def test_a_fork_with_another_prompt_is_a_new_turn_from_that_image(gems, run, world):
    world.script.verdict = lambda question, round_: "yes"
    fork = gems(
        *("threads", "fork", run["thread_id"], "--from", "t1r2c1"),
        *("--prompt", "make the cat green, keep the rest", "--json"),
    ).json()
    assert ids(fork) == ["t1r1c1", "t1r2c1", "t2r1c1"]
    assert shas(fork)[:2] == shas(run)[:2]
    assert fork["stopped_because"] == "accepted"
    (told,) = [text for role, text in world.script.heard if role == "reviser"]
    assert "make the cat green" in told
    assert "a black cat with a hat" in told


def test_a_fork_of_a_fork_and_of_an_earlier_turn(gems, run):
    thread = run["thread_id"]
    second = gems("threads", "fork", thread, "--from", "t1r3c1", "--prompt", "now a dog", "--json")
    back = gems(
        *("threads", "fork", second.json()["thread_id"], "--from", "t1r3c1"),
        *("--wording", "the cat again", "--json"),
    ).json()
    assert ids(back) == ["t1r1c1", "t1r2c1", "t1r3c1", "t1r4c1"]
    assert back["prompt"] == "a black cat with a hat"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fork", "THREAD", "--from", "t1r9c1"], "It has: t1r1c1, t1r2c1, t1r3c1"),
        (["fork", "nobody", "--from", "t1r1c1"], "no thread 'nobody'"),
        (["fork", "THREAD", "--from", "t1r2c1", "--rounds", "2"], "nothing to do after round 2"),
        (["fork", "THREAD", "--from", "t1r2c1", "--set", "votes=99"], "votes"),
        (["fork", "THREAD", "--from", "t1r2c1", "--set", "votes"], "NAME=VALUE"),
        (["fork", "THREAD", "--from", "t1r2c1", "--set", "colour=red"], "colour"),
        (["fork", "THREAD", "--from", "t1r2c1", "--prompt", "a", "--wording", "b"], "not both"),
        (["show", "nobody"], "no thread 'nobody'"),
        (["delete", "nobody", "--yes"], "no thread 'nobody'"),
        (["prune"], "--keep-latest"),
        (["prune", "--older-than", "yesterday"], "12h"),
    ],
)
def test_mistakes_are_told(gems, run, arguments, says):
    done = gems("threads", *[run["thread_id"] if one == "THREAD" else one for one in arguments])
    assert done.code == 2
    assert says in done.err
    assert len(gems("threads", "list", "--json").json()) == 1


def test_after_a_prune_only_the_latest_round_can_be_forked(gems, run):
    thread = run["thread_id"]
    would = gems("threads", "prune", "--keep-latest", "0", "--dry-run", "--json").json()
    assert would["shortened"] == [thread]
    assert gems("threads", "prune", "--keep-latest", "1", "--json").json()["shortened"] == []
    done = gems("threads", "prune", "--keep-latest", "0", "--json").json()
    assert done["shortened"] == [thread]
    assert done["freed"] > 0
    assert gems("threads", "resume", thread, "--json").json() == run
    early = gems("threads", "fork", thread, "--from", "t1r1c1")
    assert early.code == 2
    assert "no longer kept" in early.err
    late = gems("threads", "fork", thread, "--from", "t1r3c1", "--wording", "a hat", "--json")
    assert ids(late.json())[-1] == "t1r4c1"
    assert "not possible after" in " ".join(gems("threads", "fork", "--help").out.split())


def test_delete_asks_first_and_old_threads_go_by_age(gems, run):
    thread = run["thread_id"]
    assert gems("threads", "prune", "--older-than", "1h", "--json").json()["deleted"] == []
    asked = gems("threads", "delete", thread)
    assert asked.code == 2
    assert "--yes" in asked.err
    assert gems("threads", "delete", thread, "--yes").code == 0
    assert gems("threads", "list", "--json").json() == []


def age(thread_images):
    """Makes images two hours old, past the hour in which none is collected."""
    for sha256 in thread_images:
        path = artifact_store().path(sha256)
        assert path is not None
        os.utime(path, (time.time() - 7200,) * 2)


def test_export_names_images_by_attempt_and_score(gems, run, tmp_path):
    done = gems("artifacts", "export", run["thread_id"], "--to", tmp_path / "out", "--json").json()
    names = [Path(file).name for file in done["files"]]
    assert names == [
        f"t1r{number}c1-score-0.67-{sha256[:8]}.png"
        for number, sha256 in enumerate(shas(run), start=1)
    ]
    for file, sha256 in zip(done["files"], shas(run), strict=True):
        assert Path(file).read_bytes() == artifact_store().path(sha256).read_bytes()
    one = gems("artifacts", "export", shas(run)[0][:12], "--to", tmp_path / "one")
    assert Path(one.out.strip()).name == f"{shas(run)[0][:16]}.png"
    assert gems("artifacts", "export", "0123456789abcdef", "--to", "x").code == 2


def test_export_writes_what_is_there_and_tells_what_is_missing(gems, run, tmp_path):
    artifact_store().path(shas(run)[1]).unlink()
    done = gems("artifacts", "export", run["thread_id"], "--to", tmp_path / "out")
    assert done.code == 1
    assert len(done.out.splitlines()) == 2
    assert "t1r2c1" in done.err
    assert "no longer there" in gems("threads", "show", run["thread_id"]).out


def test_gc_deletes_only_what_no_thread_refers_to(gems, run):
    fork = gems(
        *("threads", "fork", run["thread_id"], "--from", "t1r1c1", "--seed", "8"),
        *("--rounds", "2", "--json"),
    ).json()
    everything = set(shas(run)) | set(shas(fork))
    assert {item["sha256"] for item in gems("artifacts", "list", "--json").json()} == everything
    age(everything)
    assert gems("artifacts", "gc", "--json").json() == []
    assert gems("threads", "delete", run["thread_id"], "--yes").code == 0
    orphans = everything - set(shas(fork))
    would = gems("artifacts", "gc", "--dry-run", "--json").json()
    assert {item["sha256"] for item in would} == orphans
    assert len(gems("artifacts", "list", "--json").json()) == len(everything)
    gone = gems("artifacts", "gc", "--json").json()
    assert {item["sha256"] for item in gone} == orphans
    assert gems("threads", "resume", fork["thread_id"], "--json").json() == fork


def test_gc_does_not_empty_the_store_because_it_looks_in_the_wrong_place(gems, run, monkeypatch):
    age(shas(run))
    monkeypatch.setenv("GEMS_CHECKPOINT", "memory:")
    get_settings.cache_clear()
    assert gems("artifacts", "gc").code == 2
    monkeypatch.setenv("GEMS_CHECKPOINT", "sqlite:///other.sqlite")
    get_settings.cache_clear()
    refused = gems("artifacts", "gc")
    assert refused.code == 2
    assert "No thread refers to any image" in refused.err
    assert len(gems("artifacts", "list", "--json").json()) == 3


def test_resume_asks_for_the_review_it_waits_for(gems):
    waiting = gems("generate", "a red ball", "--review", "requirements", "--size", "256")
    assert waiting.code == 2
    assert "gems threads resume" in waiting.err
    (thread,) = gems("threads", "list", "--json").json()
    assert thread["status"] == "waiting"

    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [GEMS, "threads", "resume", thread["thread_id"], "--json"],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""
    answered = False
    while process.poll() is None:
        if select.select([mine], [], [], 0.2)[0]:
            try:
                said += os.read(mine, 4096)
            except OSError:
                break
        if not answered and b"your own questions" in said:
            os.write(mine, b"Is the ball red?; Is the ball big?\n")
            answered = True
    out, _ = process.communicate(timeout=60)
    os.close(mine)
    assert answered, said
    questions = [item["question"] for item in json.loads(out)["requirements"]]
    assert questions == ["Is the ball red?", "Is the ball big?"]


def test_a_run_made_in_python_resumes_with_its_own_settings(own_world):
    import asyncio

    from gems import Context, generate
    from gems.app.session import settings_of

    context = Context(max_rounds=1, seed=4, width=256, height=256, votes=1)
    result = generate("a red ball", context=context)
    assert asyncio.run(settings_of(result.thread_id)) == ("a red ball", context)
