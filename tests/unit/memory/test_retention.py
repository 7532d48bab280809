"""Retention: what is listed, deleted and pruned, on every kind of checkpointer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from servers.postgres import postgres_server
from toy_threads import CALLS, image, on, toy_graph

from gems.errors import ConfigurationError, InputError, MemoryStoreError
from gems.memory import retention
from gems.memory.checkpoints import open_checkpointer, strict_serializer
from gems.memory.retention import (
    artifacts_of,
    delete_thread,
    get_thread,
    list_threads,
    prune,
    referred_artifacts,
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(
    params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.integration)]
)
async def saver(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    CALLS.clear()
    if request.param == "memory":
        yield InMemorySaver(serde=strict_serializer())
        return
    url = f"sqlite:///{tmp_path}/t.sqlite"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    async with open_checkpointer(url) as opened:
        for thread in await list_threads(opened):
            await delete_thread(opened, thread.thread_id)
        yield opened


def digests(*numbers: int) -> set[str]:
    return {image(number)["sha256"] for number in numbers}


async def test_threads_are_listed_the_latest_first(saver: BaseCheckpointSaver[Any]) -> None:
    graph = toy_graph(saver)
    assert await list_threads(saver) == []
    await graph.ainvoke({"prompt": "a red ball", "rounds": 2}, on("done"))
    await graph.ainvoke({"prompt": "a cat", "rounds": 1, "ask": True}, on("asked"))
    with pytest.raises(RuntimeError):
        await graph.ainvoke({"prompt": "a dog", "rounds": 3, "crash": True}, on("broken"))

    broken, asked, done = await list_threads(saver)
    assert [thread.thread_id for thread in (broken, asked, done)] == ["broken", "asked", "done"]
    assert (done.prompt, done.turns, done.rounds) == ("a red ball", 1, 2)
    assert (done.status, done.stopped_because) == ("finished", "max_rounds")
    assert (asked.status, broken.status) == ("waiting", "failed")
    assert datetime.now(UTC) - done.updated < timedelta(minutes=5)
    assert done.checkpoints > 5
    assert done.size > 1000
    assert await list_threads(saver, limit=1) == [broken]
    assert await list_threads(saver, prefix="d") == [done]
    assert await get_thread(saver, "asked") == asked
    with pytest.raises(InputError, match="no thread 'nobody'"):
        await get_thread(saver, "nobody")


async def test_a_run_that_was_stopped_in_the_middle_is_unfinished(
    saver: BaseCheckpointSaver[Any],
) -> None:
    async for _ in toy_graph(saver).astream({"rounds": 3}, on("a"), stream_mode="updates"):
        break
    assert (await get_thread(saver, "a")).status in ("unfinished", "failed")


async def test_a_deleted_thread_is_gone_and_the_others_stay(
    saver: BaseCheckpointSaver[Any],
) -> None:
    graph = toy_graph(saver)
    for thread_id in ("a", "b"):
        await graph.ainvoke({"rounds": 1}, on(thread_id))
    assert await delete_thread(saver, "a") is True
    assert await delete_thread(saver, "a") is False
    assert [thread.thread_id for thread in await list_threads(saver)] == ["b"]


async def test_pruning_keeps_a_finished_thread_usable(saver: BaseCheckpointSaver[Any]) -> None:
    graph = toy_graph(saver)
    await graph.ainvoke({"prompt": "p", "rounds": 6}, on("a"))
    await graph.ainvoke({"prompt": "p", "rounds": 2}, on("other"))
    before = await graph.aget_state(on("a"))
    sizes = {thread.thread_id: thread for thread in await list_threads(saver)}

    planned = await prune(saver, thread_ids=["a"], dry_run=True)
    assert (planned.deleted, planned.shortened) == ([], ["a"])
    assert (await get_thread(saver, "a")).checkpoints == sizes["a"].checkpoints
    pruned = await prune(saver, thread_ids=["a"])
    assert (pruned.deleted, pruned.shortened) == ([], ["a"])

    thread = await get_thread(saver, "a")
    assert thread.checkpoints == 1
    assert pruned.freed == sizes["a"].size - thread.size
    assert thread.size < sizes["a"].size / 5
    assert (await graph.aget_state(on("a"))).values == before.values
    assert len([state async for state in graph.aget_state_history(on("a"))]) == 1
    assert await get_thread(saver, "other") == sizes["other"]
    # A second turn goes on from it; pruning again changes nothing more.
    assert (await prune(saver, thread_ids=["a"])).shortened == []
    result = await graph.ainvoke({"rounds": 7}, on("a"))
    assert [attempt["round"] for attempt in result["attempts"]] == [1, 2, 3, 4, 5, 6, 7]


async def test_pruning_keeps_a_waiting_thread_answerable(saver: BaseCheckpointSaver[Any]) -> None:
    graph = toy_graph(saver)
    await graph.ainvoke({"rounds": 3, "ask": True}, on("a"))
    await prune(saver)
    thread = await get_thread(saver, "a")
    assert thread.status == "waiting"
    result = await graph.ainvoke(Command(resume="accepted"), on("a"))
    assert result["stopped_because"] == "accepted"
    assert len(result["attempts"]) == 3


async def test_pruning_keeps_what_finished_before_a_crash(saver: BaseCheckpointSaver[Any]) -> None:
    graph = toy_graph(saver)
    with pytest.raises(RuntimeError):
        await graph.ainvoke({"rounds": 2, "crash": True}, on("a"))
    assert CALLS["draw 2"] == 1
    await prune(saver)
    result = await graph.ainvoke(None, on("a"))
    assert result["stopped_because"] == "max_rounds"
    assert CALLS["draw 2"] == 1  # the durable task's result was a pending write, and was kept
    assert len(result["seen"]) == 6


async def test_a_thread_can_be_pruned_while_it_runs(saver: BaseCheckpointSaver[Any]) -> None:
    graph = toy_graph(saver)
    running = asyncio.ensure_future(graph.ainvoke({"rounds": 15}, on("a")))
    pruned = 0
    while not running.done():
        pruned += len((await prune(saver, thread_ids=["a"])).shortened)
        await asyncio.sleep(0.01)
    assert pruned > 0
    result = await running
    assert [attempt["round"] for attempt in result["attempts"]] == list(range(1, 16))
    assert (await graph.aget_state(on("a"))).values == result
    assert (await get_thread(saver, "a")).status == "finished"


async def test_old_threads_are_deleted(
    saver: BaseCheckpointSaver[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = toy_graph(saver)
    for thread_id in ("old", "new"):
        await graph.ainvoke({"rounds": 1}, on(thread_id))
    real = retention._written

    def shifted(saved: Any) -> datetime:
        old = saved.config["configurable"]["thread_id"] == "old"
        return real(saved) - timedelta(days=40 if old else 0)

    monkeypatch.setattr(retention, "_written", shifted)
    month = timedelta(days=30)
    assert (await prune(saver, older_than=month, dry_run=True)).deleted == ["old"]
    pruned = await prune(saver, older_than=month, keep_latest=False)
    assert (pruned.deleted, pruned.shortened) == (["old"], [])
    assert pruned.freed > 0
    assert [thread.thread_id for thread in await list_threads(saver)] == ["new"]


async def test_every_image_that_a_thread_could_still_need_is_referred_to(
    saver: BaseCheckpointSaver[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PAGE", 3)  # several pages
    graph = toy_graph(saver)
    assert await referred_artifacts(saver) == set()
    await graph.ainvoke({"rounds": 9}, on("a"))
    CALLS.clear()
    with pytest.raises(RuntimeError):
        await graph.ainvoke({"rounds": 2, "crash": True}, on("b"))
    # Image 2 of thread b is in no channel yet: only the durable task's pending write has it.
    assert await artifacts_of(saver, "b") == digests(1, 2)
    assert await referred_artifacts(saver) == digests(*range(1, 10))
    await delete_thread(saver, "a")
    assert await referred_artifacts(saver) == digests(1, 2)
    assert await artifacts_of(saver, "nobody") == set()


async def test_a_fork_keeps_the_images_of_both_branches(saver: BaseCheckpointSaver[Any]) -> None:
    graph = toy_graph(saver)
    await graph.ainvoke({"rounds": 2}, on("a"))
    states = [state async for state in graph.aget_state_history(on("a"))]
    early = next(state for state in states if state.next == ("scorer",))
    attempt = {"id": "x", "turn": 1, "round": 7, "image": image(77)}
    await graph.aupdate_state(early.config, {"attempts": [attempt]}, as_node="generator")
    assert await referred_artifacts(saver) == digests(1, 2, 77)


async def test_pruned_sqlite_gives_its_room_back(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    async with open_checkpointer(f"sqlite:///{path}") as saver:
        graph = toy_graph(saver)
        await graph.ainvoke({"rounds": 12, "prompt": "x" * 20_000}, on("a"))
        async with saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:
            await cursor.fetchall()
        before = path.stat().st_size
        await prune(saver)
        assert path.stat().st_size < before / 5


async def test_a_failing_database_is_our_error(tmp_path: Path) -> None:
    async with open_checkpointer(f"sqlite:///{tmp_path}/t.sqlite") as saver:
        await saver.conn.execute("DROP TABLE writes")
        with pytest.raises(MemoryStoreError, match="OperationalError"):
            await list_threads(saver)


async def test_an_unknown_saver_is_refused() -> None:
    class Other(BaseCheckpointSaver[int]):
        pass

    with pytest.raises(ConfigurationError, match="Threads of a Other"):
        await list_threads(Other())
