"""A run that is killed at any instant goes on without doing again what had finished.

Real processes, SQLite on a disk, SIGKILL. See `killed_run.py` for the runs.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import killed_run
import pytest
from langgraph.checkpoint.memory import InMemorySaver

from gems.app.session import best_so_far, drive
from gems.app.trajectory import read_trajectory
from gems.graph.run import agenerate, run_input
from gems.memory.artifacts import artifact_store
from gems.memory.checkpoints import open_checkpointer, strict_serializer
from gems.memory.retention import artifacts_of
from gems.settings import get_settings

pytestmark = pytest.mark.integration

KILLS = 20
SEED = 20
LONGEST = 0.6
"""Seconds from the first call of a process to its death, at most; a whole run takes about one."""

GROUPS = {"planner": "start", "decomposer": "start"}


@dataclass
class Nursery:
    """The process that starts runs and kills them."""

    log: Path
    process: subprocess.Popen[str]

    def go(self, thread: str, seconds: float | None = None) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        when = "-" if seconds is None else f"{seconds:.4f}"
        self.process.stdin.write(f"{thread} {when}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def nursery(tmp_path, monkeypatch):
    # Experience memory has kill tests of its own; opening one on a disk would only take time.
    monkeypatch.setenv("GEMS_STORE", "memory:")
    monkeypatch.setenv("GEMS_EMBEDDINGS", "lexical")
    log = tmp_path / "calls.log"
    log.touch()
    process = subprocess.Popen(
        [sys.executable, killed_run.__file__, str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield Nursery(log, process)
    process.communicate(timeout=60)


@dataclass
class Count:
    """What the log of calls tells.

    Attributes:
        calls: Different calls that finished.
        in_flight: Calls that were cut off by a kill and made again, as they must be.
        lost: Calls whose result had come but was not saved yet: seconds from the result to the
            kill. A commit takes about ten milliseconds; nothing can be promised about them.
        redone: Likewise, where a later step had begun already: must not be.
    """

    calls: int = 0
    kills: int = 0
    in_flight: int = 0
    lost: list[float] = field(default_factory=list)
    redone: list[str] = field(default_factory=list)
    most_at_once: int = 0


def count(log: Path) -> Count:
    found = Count()
    step: dict[str, int] = {}
    ended: dict[str, float] = {}
    running: set[str] = set()
    reached: dict[str, tuple[str, int]] = {}
    killed_at, reached_then = 0.0, dict(reached)
    for line in log.read_text().splitlines():
        clock, thread, what, *rest = line.split()
        if what == "kill":
            found.kills += 1
            killed_at, reached_then = float(clock), dict(reached)
            running.clear()
            continue
        name = f"{thread}/{rest[0]}"
        if what == "end":
            ended[name] = float(clock)
            running.discard(name)
            continue
        running.add(name)
        found.most_at_once = max(found.most_at_once, len(running))
        role = rest[0].partition("-")[0]
        group, last = reached.get(thread, ("", 0))
        if name not in step:
            # Steps follow each other: a new call of another role belongs to the next one.
            step[name] = last if GROUPS.get(role, role) == group else last + 1
            reached[thread] = (GROUPS.get(role, role), step[name])
        elif name not in ended:
            found.in_flight += 1
        else:
            found.lost.append(killed_at - ended.pop(name))
            if reached_then.get(thread, ("", 0))[1] > step[name]:
                found.redone.append(name)
    found.calls = len(ended)
    return found


def test_twenty_kills_repeat_no_finished_call_and_lose_no_image(nursery, capsys):
    rng = random.Random(SEED)
    threads: list[str] = []
    kills = 0
    while kills < KILLS:
        threads.append(f"run-{len(threads)}")
        answer = "killed"
        while answer == "killed":
            answer = nursery.go(threads[-1], rng.uniform(0, LONGEST) if kills < KILLS else None)
            kills += answer == "killed"
        assert answer == "finished"

    found = count(nursery.log)
    with capsys.disabled():
        print(
            f"\n{found.kills} kills in {len(threads)} runs of {found.calls} calls: "
            f"{found.in_flight} made again that were in flight, {len(found.lost)} whose result "
            f"was not saved yet ({max(found.lost, default=0) * 1000:.1f} ms old at most), "
            f"{len(found.redone)} of a finished step"
        )
    # One more is logged where a run had finished in the very instant of its kill.
    assert found.kills >= KILLS
    assert found.redone == []
    assert found.in_flight + len(found.lost) <= found.kills * found.most_at_once

    # Every run made just the calls of an undisturbed one, and has all its images.
    assert nursery.go("undisturbed") == "finished"
    calls = Counter(
        line.split()[1] + " " + line.split()[3].partition("-")[0]
        for line in dict.fromkeys(
            " ".join(["-", *line.split()[1:]])
            for line in nursery.log.read_text().splitlines()
            if " end " in line
        )
    )
    expected = {
        key.partition(" ")[2]: number
        for key, number in calls.items()
        if key.startswith("undisturbed ")
    }
    rounds, candidates = killed_run.ROUNDS, killed_run.CANDIDATES
    assert expected["generator"] == rounds * candidates
    for thread in threads:
        made = {role: calls[f"{thread} {role}"] for role in expected}
        assert made == expected
        asyncio.run(check_images(thread, rounds * candidates))


async def check_images(thread: str, images: int) -> None:
    shown = await read_trajectory(thread)
    assert shown.info.status == "finished"
    assert shown.info.stopped_because == "max_rounds"
    assert len(shown.attempts) == images
    assert all(item["verdicts"] for item in shown.attempts)
    for item in shown.attempts:
        await artifact_store().load(item["image"])
    assert await best_so_far(thread) is not None
    assert shown.values["usage"]["generator"]["calls"] == images
    async with open_checkpointer() as saver:
        referred = await artifacts_of(saver, thread)
    assert {item["image"]["sha256"] for item in shown.attempts} <= referred


class SlowSaver(InMemorySaver):
    """Takes its time to save, and knows when it is at it."""

    saving = 0

    async def aput(self, *arguments, **options):
        self.saving += 1
        await asyncio.sleep(0.03)
        try:
            return await super().aput(*arguments, **options)
        finally:
            self.saving -= 1


@pytest.mark.parametrize("way", ["agenerate", "drive"])
async def test_no_step_begins_before_the_last_one_is_saved(way, world, monkeypatch):
    saver = SlowSaver(serde=strict_serializer())
    monkeypatch.setattr("gems.memory.checkpoints._memory_saver", lambda: saver)
    for name, value in (("CHECKPOINT", "memory:"), ("STORE", "memory:"), ("EMBEDDINGS", "lexical")):
        monkeypatch.setenv(f"GEMS_{name}", value)
    get_settings.cache_clear()
    early = []

    def note(role, number):
        if saver.saving and role in ("verifier", "summarizer", "refiner"):
            early.append((role, number))

    world.script.fail = note
    world.script.verdict = lambda question, round_: "no"
    context = world.context(max_rounds=2)
    if way == "agenerate":
        await agenerate("a cat", context=context, thread_id="slow")
    else:
        await drive(run_input("a cat"), context, "slow", killed_run.Unseen())
    assert world.script.calls["refiner"] == 1
    assert early == []
