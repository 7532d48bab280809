"""`gems report`, through the command's entry point, on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import CommandLine
from conftest import World
from html_reading import read_html

pytestmark = pytest.mark.integration


@pytest.fixture
def gems(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, world: World
) -> CommandLine:
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capfd, monkeypatch)


@pytest.fixture
def thread(gems: CommandLine, world: World) -> str:
    world.script.verdict = lambda question, round_: "no" if "hat" in question else "yes"
    done = gems(
        *("generate", "a black cat with a hat", "--mllm", "scripted", "--generator", "tiny"),
        *("--rounds", "5", "--seed", "7", "--json"),
    )
    return str(done.json()["thread_id"])


def test_it_writes_one_file_and_says_where(gems: CommandLine, thread: str, tmp_path: Path) -> None:
    done = gems("report", thread)
    assert (done.code, done.out, done.err) == (0, f"{thread}.html\n", "")
    read = read_html((tmp_path / f"{thread}.html").read_text())
    assert read.problems == []
    assert "Best of 5 rounds: 2 of 3 requirements met" in read.text
    named = gems("report", thread, "--out", "named.html")
    assert named.out == "named.html\n"
    assert [path.name for path in tmp_path.glob("*.html*")].count("named.html") == 1
    assert list(tmp_path.glob(".*html*")) == []  # no draft is left


def test_a_fork_says_where_it_comes_from(gems: CommandLine, thread: str) -> None:
    fork = gems("threads", "fork", thread, "--from", "t1r2c1", "--set", "max_rounds=3", "--json")
    gems("report", fork.json()["thread_id"], "-o", "fork.html")
    assert f"{thread}, after t1r2c1" in read_html(Path("fork.html").read_text()).text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "There is no thread 'nothing'"),
        (["nothing", "--out", "no/where.html"], "there is no folder no"),
        (["nothing", "--out", "."], "is a folder"),
        (["nothing", "--url", "here"], "is no address of a server"),
        (["nothing", "--url", "http://127.0.0.1:9"], "can't be reached"),
    ],
)
def test_mistakes_are_said_and_nothing_is_written(
    gems: CommandLine, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = gems("report", *arguments)
    assert done.code in (1, 2)
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert list(tmp_path.glob("**/*.html")) == []
