"""The PostgreSQL checkpointer: first use by many, resuming, restarts of the server, rights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from langgraph.types import Command
from servers.postgres import postgres_server
from together import start_together
from toy_threads import CALLS, on, toy_graph

from gems.errors import ConfigurationError
from gems.memory.checkpoints import open_checkpointer
from gems.memory.retention import get_thread

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def database(server: str) -> str:
    """A database without tables, so that each test is a first use."""
    name = f"d{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    CALLS.clear()
    return server.replace("/postgres?", f"/{name}?")


async def test_a_crashed_run_is_resumed_from_another_opening(database: str) -> None:
    async with open_checkpointer(database) as saver:
        with pytest.raises(RuntimeError, match="killed"):
            await toy_graph(saver).ainvoke({"rounds": 2, "ask": True, "crash": True}, on("a"))
    async with open_checkpointer(database) as saver:
        graph = toy_graph(saver)
        assert "__interrupt__" in await graph.ainvoke(None, on("a"))
        result = await graph.ainvoke(Command(resume="accepted"), on("a"))
    assert result["stopped_because"] == "accepted"
    assert CALLS == {"draw 1": 1, "draw 2": 1, "crashed": 1}


OPENER = """
import asyncio, sys
sys.path.insert(0, sys.argv[3])
from gems.memory.checkpoints import open_checkpointer
from toy_threads import on, toy_graph

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with open_checkpointer(sys.argv[1]) as saver:
        await toy_graph(saver).ainvoke({"rounds": 3}, on(sys.argv[2]))

asyncio.run(main())
"""


def test_processes_may_race_for_the_first_use(database: str) -> None:
    tests = str(Path(__file__).parents[1])
    start_together(OPENER, [[database, f"t{number}", tests] for number in range(3)])
    with psycopg.connect(database) as connection:
        (threads,) = connection.execute(
            "SELECT count(DISTINCT thread_id) FROM checkpoints WHERE checkpoint_ns = ''"
        ).fetchone()
    assert threads == 3


async def test_connections_that_the_server_dropped_are_replaced(database: str, server: str) -> None:
    async with open_checkpointer(database) as saver:
        graph = toy_graph(saver)
        await graph.ainvoke({"rounds": 1}, on("a"))
        async with await psycopg.AsyncConnection.connect(server, autocommit=True) as admin:
            dropped = await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname <> 'postgres' AND pid <> pg_backend_pid()"
            )
            assert len(await dropped.fetchall()) >= 1
        assert (await get_thread(saver, "a")).status == "finished"
        await graph.ainvoke({"rounds": 2}, on("a"))


async def test_runs_of_one_process_share_the_pool(database: str) -> None:
    async with open_checkpointer(database) as saver:
        graph = toy_graph(saver)
        results = await asyncio.gather(
            *(graph.ainvoke({"rounds": 3}, on(f"t{number}")) for number in range(8))
        )
    assert [len(result["attempts"]) for result in results] == [3] * 8


async def test_a_user_without_the_right_to_make_tables_can_use_them(
    database: str, server: str
) -> None:
    role = f"r{uuid4().hex}"
    async with open_checkpointer(database):
        pass
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        )
    async with open_checkpointer(database.replace("postgres:@", f"{role}@")) as saver:
        assert len((await toy_graph(saver).ainvoke({"rounds": 1}, on("a")))["attempts"]) == 1


@pytest.mark.parametrize("wrong", ["database", "user"])
async def test_what_does_not_exist_is_named_without_the_password(server: str, wrong: str) -> None:
    url = server.replace("postgres:@", "postgres:hunter2@")
    if wrong == "database":
        url = url.replace("/postgres?", "/nowhere?")
    else:
        url = url.replace("postgres:hunter2@", "nobody:hunter2@")
    with pytest.raises(ConfigurationError, match="does not exist") as caught:
        async with open_checkpointer(url):
            pass
    assert "hunter2" not in str(caught.value)
