"""`gems eval run` as people run it: a real process, killed at any instant, and the command line."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from command_line import CommandLine
from servers.openai_server import OpenAIServer
from servers.painter_server import PainterServer

from gems.evals.ledger import read_judgments, read_manifest, read_rows
from gems.sandbox.chat import SandboxChatModel
from gems.settings import get_settings

pytestmark = pytest.mark.integration

KILLS = 5
SEED = 8
CONCURRENCY = 4
PROMPTS = [
    "three red cubes to the left of a blue ball",
    "a green star above two yellow hearts",
    "a white moon and four orange boxes",
    "two purple triangles below a black circle",
    "a green star above two yellow hearts",
]
"""The second and the last are the same prompt: samples of their own."""


@dataclass
class Calls:
    """What the servers were asked, with clocks; a name follows from a request's content.

    Attributes:
        begun: Each call's name and when it came.
        ended: Each call's name and when its answer was ready, in the order of their ends.
    """

    begun: list[tuple[str, float]] = field(default_factory=list)
    ended: list[tuple[str, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, events: list[tuple[str, float]], name: str) -> None:
        with self.lock:
            events.append((name, time.monotonic()))


class CountedChat(OpenAIServer):
    """The sandbox's chat model behind HTTP, slow enough to be killed in the middle of a call."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self.calls = calls
        self.model = SandboxChatModel()
        self.delay = 0.02

    def _answer(self, http: Any, body: dict[str, Any], fault: Any, number: int) -> None:
        said = json.dumps(body, sort_keys=True)
        role = said.partition("You are the ")[2].partition(" ")[0]
        name = f"{role}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
        if role in ("planner", "decomposer"):
            name = f"{role}-{next(n for n, prompt in enumerate(PROMPTS) if prompt in said)}"
        self.calls.note(self.calls.begun, name)
        super()._answer(http, body, fault, number)
        self.calls.note(self.calls.ended, name)


class CountedPainter(PainterServer):
    """Likewise, the generator."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self.calls = calls
        self.seconds = 0.02

    async def _served(self, request: web.Request, answer: Any) -> web.StreamResponse:
        name = f"generator-{request.query['seed']}"
        self.calls.note(self.calls.begun, name)
        response = await super()._served(request, answer)
        self.calls.note(self.calls.ended, name)
        return response


@dataclass
class Process:
    """`gems eval run` in a process of its own."""

    folder: Path
    chat: str
    painter: str

    def start(self, out: Path, *more: str) -> subprocess.Popen[str]:
        code = "from gems.app.cli import main; main()"
        arguments = [
            *("eval", "run", "custom", "--data", str(self.folder / "data.jsonl")),
            *("--out", str(out), "--strategy", "loop+memory", "-c", str(CONCURRENCY)),
            *("--set", "max_rounds=3", "--set", "width=256", "--set", "height=256"),
            *more,
        ]
        environment = {
            **os.environ,
            "GEMS_DATA_DIR": str(self.folder / "data"),
            "GEMS_MLLM": "openai:sandbox-behind-http",
            "GEMS_MLLM_BASE_URL": self.chat,
            "GEMS_GENERATOR": f"http:{self.painter}",
            "GEMS_MLLM_CONCURRENCY": "8",
        }
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def servers(tmp_path):
    calls = Calls()
    (tmp_path / "data.jsonl").write_text(
        "".join(
            json.dumps({"id": f"p{number}", "prompt": prompt}) + "\n"
            for number, prompt in enumerate(PROMPTS)
        )
    )
    with CountedChat(calls) as chat, CountedPainter(calls) as painter:
        yield calls, Process(tmp_path, chat.url, painter.url)


def facts(out: Path) -> dict[str, Any]:
    """What of a run's rows must be the same in every run with its seeds."""
    return {
        key: {
            "seed": row["seed"],
            "thread": row["thread_id"],
            "best": row["best"],
            "by_round": row["best_by_round"],
            "score": row["score"],
            "stopped": row["stopped_because"],
            "attempts": [(item["id"], item["prompt"], item["seed"]) for item in row["attempts"]],
            "requirements": row["requirements"],
            "calls": {role: used["calls"] for role, used in row["usage"].items()},
        }
        for key, row in read_rows(out).items()
    }


def test_kills_repeat_nothing_that_had_finished_and_lose_no_row(servers, tmp_path, capsys):
    calls, process = servers
    reference = process.start(tmp_path / "whole")
    _, err = reference.communicate(timeout=240)
    assert reference.returncode == 0, err
    asked = Counter(name for name, _ in calls.ended)
    expected = facts(tmp_path / "whole")
    assert len(expected) == len(PROMPTS)
    calls.begun.clear()
    calls.ended.clear()

    rng = random.Random(SEED)
    killed_at: list[float] = []
    while len(killed_at) < KILLS:
        seen = len(calls.begun)
        running = process.start(tmp_path / "killed")
        while len(calls.begun) == seen and running.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 1.0))
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
            killed_at.append(time.monotonic())
        running.communicate(timeout=60)
        if running.returncode == 0:
            break
        # What is there can always be read.
        if (tmp_path / "killed" / "manifest.json").exists():
            read_rows(tmp_path / "killed")
    last = process.start(tmp_path / "killed")
    _, err = last.communicate(timeout=240)
    assert last.returncode == 0, err
    assert len(killed_at) >= 2

    # The rows are those of the undisturbed run: none is lost, doubled or different.
    assert facts(tmp_path / "killed") == expected
    lines = (tmp_path / "killed" / "results.jsonl").read_text().splitlines()
    assert len(lines) == len(PROMPTS)
    for row in read_rows(tmp_path / "killed").values():
        assert (tmp_path / "killed" / row["file"]).read_bytes()[:4] == b"\x89PNG"

    # The calls are those of the undisturbed run; again were made only calls that were in flight.
    made = Counter(name for name, _ in calls.ended)
    assert set(made) == set(asked)
    repeated = sum((made - asked).values())
    with capsys.disabled():
        print(f"\n{len(killed_at)} kills, {sum(asked.values())} calls: {repeated} made again")
    assert repeated <= len(killed_at) * 2 * CONCURRENCY
    check_finished_steps(calls, killed_at, expected)


def check_finished_steps(calls: Calls, killed_at: list[float], rows: dict[str, Any]) -> None:
    """No call comes after a kill whose trajectory had gone on to a later step before it."""
    for kill in killed_at:
        before = {name for name, at in calls.begun if at < kill}
        after = {name for name, at in calls.begun if at >= kill}
        for key, row in rows.items():
            number = int(key[1 : key.index("#")])
            rounds = [f"generator-{seed}" for _, _, seed in row["attempts"]]
            reached = max((n for n, name in enumerate(rounds) if name in before), default=-1)
            assert not after.intersection(rounds[: max(0, reached)]), key
            if reached >= 0 and PROMPTS.count(PROMPTS[number]) == 1:
                assert not after & {f"planner-{number}", f"decomposer-{number}"}, key


def test_ctrl_c_keeps_the_checkpoints_and_says_how_to_go_on(servers, tmp_path):
    calls, process = servers
    running = process.start(tmp_path / "run")
    while len(calls.ended) < 10 and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "the same command goes on" in err
    assert "gems eval run custom" in err
    assert "Traceback" not in err
    before = Counter(name for name, _ in calls.ended)
    again = process.start(tmp_path / "run")
    _, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert len(read_rows(tmp_path / "run")) == len(PROMPTS)
    after = Counter(name for name, _ in calls.ended)
    starts = [name for name in before if name.startswith("decomposer")]
    # Of what had finished before, nothing that begins a trajectory was asked again, except what
    # was in flight.
    assert sum(after[name] for name in starts) <= sum(before[name] for name in starts) + CONCURRENCY


@pytest.fixture
def gems(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    return CommandLine(capfd, monkeypatch)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS[:3]))
    return path


SMALL = ("--set", "width=256", "--set", "height=256", "--set", "max_rounds=2")


def test_a_run_on_the_command_line(gems, data, tmp_path):
    out = tmp_path / "run"
    done = gems("eval", "run", "custom", "--data", data, "--out", out, "--json", *SMALL)
    assert done.code == 0, done.err
    found = done.json()
    assert (found["planned"], found["done"], found["failed"], found["left"]) == (3, 3, 0, 0)
    assert found["cost"] == 0
    assert any("simulation" in warning for warning in found["warnings"])
    assert len(list((out / "images").iterdir())) == 3
    status = gems("eval", "status", out, "--json").json()
    assert (status["done"], status["planned"]) == (3, 3)
    assert status["of_a_prompt"]["images"] >= 1
    assert status["of_a_prompt"]["image_bytes"] > 0
    shown = gems("eval", "status", out)
    assert "3 of 3 done" in shown.out
    again = gems("eval", "run", "custom", "--data", data, "--out", out, *SMALL)
    assert "3 of them finished before" in again.err
    assert again.out.strip() == str(out)
    other = gems("eval", "run", "custom", "--data", data, "--out", out, "-s", "single", *SMALL)
    assert other.code == 2
    assert "strategy: 'gems', now 'single'" in other.err


def test_the_sandbox_is_judged_by_its_truth_in_every_round(gems, tmp_path):
    out = tmp_path / "bench"
    options = ("--limit", "3", "--judge-rounds", "--seeds", "1,2", "-s", "loop+memory")
    done = gems("eval", "run", "sandbox", "--out", out, *options)
    assert done.code == 0, done.err
    rows, judgments = read_rows(out), read_judgments(out)
    assert len(rows) == 6
    for row in rows.values():
        for attempt in {row["best"], *row["best_by_round"]}:
            assert judgments[row["key"], attempt, "painter"]["status"] == "done"
    assert read_manifest(out)["judges"] == ["painter"]
    assert gems("eval", "judge", out, "--judge", "openai:gpt-4o").code == 2


def test_what_can_not_be_run_says_why(gems, data, tmp_path):
    out = tmp_path / "run"
    wrong = [
        (("nonsense", "--data", data, "--out", out), "no task 'nonsense'"),
        (("custom", "--out", out), "--data is missing"),
        (("custom", "--data", tmp_path / "none.jsonl", "--out", out), "there is no file"),
        (("custom", "--data", data), "--out is missing"),
        (("custom", "--data", data, "--out", out, "--shard", "3/2"), "--shard"),
        (("custom", "--data", data, "--out", out, "--set", "seed=1"), "--seeds"),
        (("custom", "--data", data, "--out", out, "--set", "rounds=1"), "no such setting"),
        (("custom", "--data", data, "--out", out, "-s", "best"), "no strategy"),
    ]
    for arguments, says in wrong:
        done = gems("eval", "run", *arguments)
        assert done.code == 2, arguments
        assert says in done.err
        assert "Traceback" not in done.err
    data.write_text('{"prompt": "a cat"}\n{"prompt": 3}\n')
    done = gems("eval", "run", "custom", "--data", data, "--out", out)
    assert done.code == 2
    assert "line 2" in done.err


def test_failures_are_listed_and_the_exit_code_tells(gems, data, tmp_path, monkeypatch):
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: today\nimages: {sandbox: {image: 1}}\n")
    out = tmp_path / "run"
    options = ("--data", data, "--out", out, "-s", "single", "-c", "1", *SMALL)
    done = gems("eval", "run", "custom", *options, "--max-cost", "1.5", "--prices", prices)
    assert done.code == 3
    assert "1 are left" in done.err
    assert "--max-cost 1.5 is used up" in done.err
    # The painter can't make prompts that are longer than any generator takes.
    long = tmp_path / "long.jsonl"
    long.write_text(json.dumps({"prompt": "a cat " * 5000}) + "\n" + json.dumps({"prompt": "a"}))
    done = gems("eval", "run", "custom", "--data", long, "--out", tmp_path / "two", *SMALL)
    assert done.code == 3
    assert "0001#0: The prompt has" in done.err
    assert "--retry-failed" in done.err


def test_the_lists_of_tasks_and_strategies(gems):
    from gems.evals.strategies import STRATEGIES

    listed = gems("eval", "strategies")
    assert all(f"\n{name}  (" in "\n" + listed.out for name in STRATEGIES)
    assert "planning=off, verification=none, max_rounds=1" in listed.out
    found = gems("eval", "strategies", "--json").json()
    assert [item["name"] for item in found] == list(STRATEGIES)
    shown = gems("eval", "fetch-instructions", "sandbox")
    assert "400 prompts come with the package" in shown.out
    assert gems("eval", "fetch-instructions", "none").code == 2


def test_progress_without_a_terminal_is_whole_lines(gems, data, tmp_path):
    done = gems("eval", "run", "custom", "--data", data, "--out", tmp_path / "run", *SMALL)
    assert "\r" not in done.err
    assert "\x1b" not in done.err
    assert "3/3 (100%)" in done.err
