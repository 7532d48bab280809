"""Checkpointers: chosen by URL, strict, closed, and safe for several writers."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command, Interrupt, Send
from together import start_together
from toy_threads import CALLS, on, toy_graph

from gems.errors import ConfigurationError
from gems.memory.checkpoints import open_checkpointer, strict_serializer
from gems.settings import get_settings


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("GEMS_CHECKPOINT", raising=False)
    get_settings.cache_clear()
    CALLS.clear()
    yield
    get_settings.cache_clear()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_thread_goes_on_after_its_process_has_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/threads.sqlite"
    async with open_checkpointer(url) as saver:
        with pytest.raises(RuntimeError, match="killed"):
            await toy_graph(saver).ainvoke({"rounds": 2, "crash": True}, on("a"))
    async with open_checkpointer(url) as saver:
        result = await toy_graph(saver).ainvoke(None, on("a"))
    assert [attempt["round"] for attempt in result["attempts"]] == [1, 2]
    assert CALLS == {"draw 1": 1, "draw 2": 1, "crashed": 1}  # the finished task was not repeated


async def test_an_interrupt_is_answered_after_reopening(tmp_path: Path) -> None:
    url = "sqlite:///threads.sqlite"
    async with open_checkpointer(url) as saver:
        waiting = await toy_graph(saver).ainvoke({"rounds": 1, "ask": True}, on("a"))
        assert waiting["__interrupt__"][0].value["best"]["width"] == 8
    async with open_checkpointer(url) as saver:
        result = await toy_graph(saver).ainvoke(Command(resume="accepted"), on("a"))
    assert result["stopped_because"] == "accepted"
    # Three slashes: relative to the working folder.
    assert "threads.sqlite" in names(tmp_path)


async def test_the_default_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    async with open_checkpointer() as saver:
        await toy_graph(saver).ainvoke({"rounds": 1}, on("a"))
    assert (tmp_path / "data" / "checkpoints.sqlite").is_file()


async def test_the_setting_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GEMS_CHECKPOINT", "memory:")
    get_settings.cache_clear()
    async with open_checkpointer() as first, open_checkpointer("memory:") as second:
        assert first is second  # one per process, so that a second turn finds the first
    assert not (tmp_path / "data").exists()
    monkeypatch.setenv("GEMS_CHECKPOINT", "postgresql://u:hunter2@h/d")
    get_settings.cache_clear()
    assert "hunter2" not in repr(get_settings())


async def test_sqlite_is_set_up_for_several_writers(tmp_path: Path) -> None:
    async with open_checkpointer("sqlite:///t.sqlite") as saver:

        async def pragma(name: str) -> object:
            async with saver.conn.execute(f"PRAGMA {name}") as cursor:
                return (await cursor.fetchone())[0]

        assert await pragma("journal_mode") == "wal"
        assert await pragma("busy_timeout") == 30_000
        assert await pragma("synchronous") == 1  # NORMAL
        assert await pragma("auto_vacuum") == 2  # INCREMENTAL


async def test_the_database_is_closed_even_after_an_error(tmp_path: Path) -> None:
    async def fail() -> None:
        async with open_checkpointer("sqlite:///t.sqlite") as saver:
            await saver.aget_tuple(on("a"))
            during.extend(threading.enumerate())
            raise KeyError("mine")

    during: list[threading.Thread] = []
    before = set(threading.enumerate())
    with pytest.raises(KeyError, match="mine"):
        await fail()
    started = {thread for thread in during if not thread.daemon} - before
    connections = {thread for thread in started if "asyncio" not in thread.name}
    assert connections  # aiosqlite runs each connection in a thread
    for thread in connections:
        await asyncio.to_thread(thread.join, 5)
    assert not connections & set(threading.enumerate())
    # SQLite removes its log with the last connection.
    assert "t.sqlite-wal" not in names(tmp_path)


@dataclasses.dataclass
class Trap:
    """Something that must not be made when a row is read."""

    text: str
    made = 0

    def __post_init__(self) -> None:
        Trap.made += 1


def test_only_safe_types_are_rebuilt(caplog: pytest.LogCaptureFixture) -> None:
    serializer = strict_serializer()
    stored = serializer.dumps_typed({"value": Trap("x")})
    made = Trap.made
    loaded = serializer.loads_typed(stored)
    assert Trap.made == made
    assert not isinstance(loaded["value"], Trap)
    assert loaded["value"] in ({"text": "x"}, None)
    with pytest.raises(NotImplementedError):
        serializer.loads_typed(("pickle", b"cos\nsystem\n(S'true'\ntR."))
    assert "Trap" in caplog.text


def test_what_langgraph_itself_stores_is_rebuilt_without_warnings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    serializer = strict_serializer()
    values = [
        HumanMessage("hello", id="1"),
        Send("verifier", {"question": "q"}),
        Interrupt(value={"a": 1}, id="i"),
        Command(update={"a": 1}, goto="b"),
        {"a": [1, 2.5, None, True, "ü"], "b": {"c": []}},
    ]
    assert serializer.loads_typed(serializer.dumps_typed(values)) == values
    assert caplog.text == ""


async def test_running_and_resuming_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with open_checkpointer("sqlite:///t.sqlite") as saver:
        graph = toy_graph(saver)
        await graph.ainvoke({"rounds": 1, "ask": True}, on("a"))
        await graph.ainvoke(Command(resume="accepted"), on("a"))
        assert [state async for state in graph.aget_state_history(on("a"))]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "url",
    [
        "checkpoints.sqlite",
        "mysql://u:hunter2@h/d",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x.sqlite?mode=ro",
        "postgresql://u:hunter2@[bad/d",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@h/d?nonsense=hunter2",
        "postgresql://u:hunter2@127.0.0.1:1/d",
    ],
)
async def test_an_unusable_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with open_checkpointer(url):
            pass
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint
    # A traceback would print the driver's own error too.
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langgraph.checkpoint.postgres.aio", None)
    with pytest.raises(ConfigurationError, match=r"gems-graph\[postgres\]"):
        async with open_checkpointer("postgresql://h/d"):
            pass


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    async def attempt(name: str) -> None:
        async with open_checkpointer(f"sqlite:///{name}"):
            pass

    (tmp_path / "broken.sqlite").write_bytes(os.urandom(8192))
    with pytest.raises(ConfigurationError, match="file is not a database"):
        asyncio.run(attempt("broken.sqlite"))
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(ConfigurationError, match="unable to open"):
        asyncio.run(attempt("folder.sqlite"))


WRITER = """
import asyncio, sys
sys.path.insert(0, sys.argv[3])
from gems.memory.checkpoints import open_checkpointer
from toy_threads import on, toy_graph

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with open_checkpointer(sys.argv[1]) as saver:
        graph = toy_graph(saver)
        await asyncio.gather(
            *(graph.ainvoke({"rounds": 8}, on(f"{sys.argv[2]}-{n}")) for n in range(3))
        )

asyncio.run(main())
"""


@pytest.mark.integration
def test_processes_that_start_and_write_together_are_not_locked_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.sqlite"
    tests = str(Path(__file__).parents[2])
    start_together(WRITER, [[url, str(number), tests] for number in range(4)])
    with sqlite3.connect(f"{tmp_path}/shared.sqlite") as connection:
        (threads,) = connection.execute(
            "SELECT count(DISTINCT thread_id) FROM checkpoints WHERE checkpoint_ns = ''"
        ).fetchone()
    connection.close()
    assert threads == 12
