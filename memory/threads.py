"""Threads as the savers store them: names, sizes, and dropping all but the latest checkpoint.

LangGraph's savers can't say any of this through their interface, and listing every checkpoint just
to learn the threads' names would decode the whole database. The savers' tables (SQLite,
PostgreSQL) and mappings (memory) are read instead; contents always come through public methods.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from ..errors import ConfigurationError, MemoryStoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from langgraph.checkpoint.base import BaseCheckpointSaver


_PRUNE_TRIES = 5


@asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Turns a database driver's errors into `MemoryStoreError`; also a decorator of coroutines."""
    try:
        yield
    except Exception as error:
        # By module, as psycopg may not be installed. Its texts may name hosts and users.
        driver = type(error).__module__.partition(".")[0]
        if driver not in ("sqlite3", "psycopg", "psycopg_pool"):
            raise
        raise MemoryStoreError(
            f"The checkpoint database failed ({type(error).__name__}).",
            hint="Is it reachable, not locked by another program, and its disk not full?",
        ) from None


@dataclass(frozen=True)
class ThreadSize:
    """One thread as its saver stores it.

    Attributes:
        thread_id: Its id.
        latest: Id of its latest checkpoint; ids sort by time.
        checkpoints: How many there are, subgraphs' included.
        size: Bytes of serialized checkpoints and writes, without the database's own overhead.
    """

    thread_id: str
    latest: str
    checkpoints: int
    size: int


class ThreadTables(Protocol):
    """Access to one kind of saver's threads."""

    async def sizes(self) -> list[ThreadSize]:
        """Returns all threads, the most recently written first."""
        ...

    async def keep_latest(self, thread_id: str) -> None:
        """Deletes all but the latest checkpoint of each namespace, and what only they used.

        The thread resumes as before: the latest checkpoint is complete, and its pending writes
        (finished tasks, interrupts) stay. What a run saves meanwhile is not touched.
        """
        ...

    async def compact(self) -> None:
        """Gives the room of deleted rows back to the system, where that does not stop others."""
        ...


def thread_tables(saver: BaseCheckpointSaver[Any]) -> ThreadTables:
    """Returns the access to a saver's threads.

    Raises:
        ConfigurationError: The saver is of a kind that we do not open.
    """
    if isinstance(saver, AsyncSqliteSaver):
        return _Sqlite(saver)
    if isinstance(saver, InMemorySaver):
        return _Memory(saver)
    # By name, so that the extra is not needed to ask.
    if any(kind.__name__ == "AsyncPostgresSaver" for kind in type(saver).__mro__):
        return _Postgres(saver)
    raise ConfigurationError(
        f"Threads of a {type(saver).__name__} can't be listed.",
        hint="Open the checkpointer with gems.memory.checkpoints.open_checkpointer.",
    )


def _recent_first(found: Iterable[ThreadSize]) -> list[ThreadSize]:
    return sorted(found, key=lambda thread: (thread.latest, thread.thread_id), reverse=True)


def _finished_calls(
    heads: Iterable[tuple[str, str | None, bool]], kept_root: str | None
) -> set[str]:
    """Namespaces of subgraph calls that go with a root checkpoint that is deleted.

    Args:
        heads: Namespace, root checkpoint it started from, whether that one is saved.
        kept_root: The root graph's checkpoint that stays.
    """
    # A call's namespace ends in ":<task id>"; a subgraph with a state of its own has no ":" and
    # outlives its calls. A call whose root is not saved yet belongs to a run in flight.
    return {
        namespace
        for namespace, root, root_saved in heads
        if ":" in namespace and root_saved and root != kept_root
    }


class _Sqlite:
    """Threads of `AsyncSqliteSaver`; it has no `aprune` of its own (3.1)."""

    def __init__(self, saver: AsyncSqliteSaver) -> None:
        self._saver = saver

    async def sizes(self) -> list[ThreadSize]:
        await self._saver.setup()
        query = """
            SELECT c.thread_id, max(c.checkpoint_id), count(*),
                   sum(length(c.checkpoint) + length(c.metadata))
                   + coalesce((SELECT sum(length(w.value)) FROM writes w
                               WHERE w.thread_id = c.thread_id), 0)
            FROM checkpoints c GROUP BY c.thread_id
        """
        async with self._saver.lock, self._saver.conn.execute(query) as cursor:
            return _recent_first([ThreadSize(*row) async for row in cursor])

    async def keep_latest(self, thread_id: str) -> None:
        await self._saver.setup()
        connection = self._saver.conn
        async with self._saver.lock:
            # One write transaction: other processes wait for it, this one sees a fixed state.
            await connection.execute("BEGIN IMMEDIATE")
            try:
                for sql, values in await self._statements(thread_id):
                    await connection.execute(sql, values)
                await connection.commit()
            except BaseException:
                await asyncio.shield(connection.rollback())
                raise

    async def _statements(self, thread_id: str) -> list[tuple[str, tuple[str, ...]]]:
        heads_query = """
            SELECT h.checkpoint_ns, h.head,
                   json_extract(CAST(c.metadata AS TEXT), '$.parents.""'),
                   EXISTS (SELECT 1 FROM checkpoints r
                           WHERE r.thread_id = c.thread_id AND r.checkpoint_ns = ''
                           AND r.checkpoint_id
                               = json_extract(CAST(c.metadata AS TEXT), '$.parents.""'))
            FROM (SELECT checkpoint_ns, max(checkpoint_id) AS head FROM checkpoints
                  WHERE thread_id = ? GROUP BY checkpoint_ns) AS h
            JOIN checkpoints c ON c.thread_id = ? AND c.checkpoint_ns = h.checkpoint_ns
                 AND c.checkpoint_id = h.head
        """
        async with self._saver.conn.execute(heads_query, (thread_id, thread_id)) as cursor:
            rows = [(str(row[0]), str(row[1]), row[2], bool(row[3])) async for row in cursor]
        heads = {namespace: head for namespace, head, _, _ in rows}
        calls = _finished_calls([(ns, root, saved) for ns, _, root, saved in rows], heads.get(""))
        statements: list[tuple[str, tuple[str, ...]]] = []
        for namespace, head in heads.items():
            where = "WHERE thread_id = ? AND checkpoint_ns = ?"
            key: tuple[str, ...] = (thread_id, namespace)
            if namespace in calls:
                statements += [
                    (f"DELETE FROM {table} {where}", key)  # noqa: S608 - constants
                    for table in ("writes", "checkpoints")
                ]
                continue
            # Writes go by the checkpoints that are deleted: those of a checkpoint that is not
            # saved yet belong to a run in flight.
            statements += [
                (
                    f"DELETE FROM writes {where} AND checkpoint_id IN (SELECT checkpoint_id "  # noqa: S608 - constants
                    f"FROM checkpoints {where} AND checkpoint_id <> ?)",
                    (*key, *key, head),
                ),
                (f"DELETE FROM checkpoints {where} AND checkpoint_id <> ?", (*key, head)),  # noqa: S608 - constants
                (f"UPDATE checkpoints SET parent_checkpoint_id = NULL {where}", key),  # noqa: S608 - constants
            ]
        return statements

    async def compact(self) -> None:
        async with self._saver.lock:
            # As a script: `execute` would take the one step that frees a single page.
            await self._saver.conn.executescript("PRAGMA incremental_vacuum;")
            try:
                async with self._saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:
                    await cursor.fetchall()
            except sqlite3.OperationalError:
                return  # readers are at work; the next checkpoint does it


class _Postgres:
    """Threads of `AsyncPostgresSaver`, which prunes by itself since 3.2."""

    def __init__(self, saver: Any) -> None:  # the extra may not be installed
        self._saver = saver

    async def sizes(self) -> list[ThreadSize]:
        # octet_length and pg_column_size read a large value's header, not the value.
        query = """
            SELECT c.thread_id, c.latest, c.checkpoints,
                   c.size + coalesce(b.size, 0) + coalesce(w.size, 0) AS size
            FROM (SELECT thread_id, max(checkpoint_id) AS latest, count(*) AS checkpoints,
                         sum(pg_column_size(checkpoint) + pg_column_size(metadata)) AS size
                  FROM checkpoints GROUP BY thread_id) AS c
            LEFT JOIN (SELECT thread_id, sum(octet_length(blob)) AS size
                       FROM checkpoint_blobs GROUP BY thread_id) AS b USING (thread_id)
            LEFT JOIN (SELECT thread_id, sum(octet_length(blob)) AS size
                       FROM checkpoint_writes GROUP BY thread_id) AS w USING (thread_id)
        """
        async with self._saver.conn.connection() as connection:
            cursor = await connection.execute(query)
            rows = await cursor.fetchall()
        return _recent_first(
            ThreadSize(row["thread_id"], row["latest"], row["checkpoints"], int(row["size"]))
            for row in rows
        )

    async def keep_latest(self, thread_id: str) -> None:
        from psycopg.errors import DeadlockDetected, SerializationFailure

        for left in reversed(range(_PRUNE_TRIES)):
            try:
                await self._saver.aprune([thread_id], strategy="keep_latest")
                return
            except (DeadlockDetected, SerializationFailure):  # another one prunes it too
                if not left:
                    raise
                await asyncio.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - no secret

    async def compact(self) -> None:
        """Nothing: autovacuum makes the room usable again."""


class _Memory:
    """Threads of `InMemorySaver`, which has no `aprune` (4.3)."""

    def __init__(self, saver: InMemorySaver) -> None:
        self._saver = saver

    async def sizes(self) -> list[ThreadSize]:
        found = []
        for thread_id, namespaces in list(self._saver.storage.items()):
            ids = [id_ for saved in namespaces.values() for id_ in saved]
            if not ids:
                continue
            size = sum(
                len(checkpoint[1]) + len(metadata[1])
                for saved in namespaces.values()
                for checkpoint, metadata, _ in saved.values()
            )
            size += sum(
                len(blob[1]) for key, blob in list(self._saver.blobs.items()) if key[0] == thread_id
            )
            size += sum(
                len(write[2][1])
                for key, writes in list(self._saver.writes.items())
                if key[0] == thread_id
                for write in writes.values()
            )
            found.append(ThreadSize(thread_id, max(ids), len(ids), size))
        return _recent_first(found)

    async def keep_latest(self, thread_id: str) -> None:
        storage = self._saver.storage.get(thread_id)
        if not storage:
            return
        kept = {namespace: max(saved) for namespace, saved in storage.items() if saved}
        roots = set(storage.get("", ()))
        heads = []
        for namespace, head in kept.items():
            metadata = self._saver.serde.loads_typed(storage[namespace][head][1])
            root = metadata.get("parents", {}).get("")
            heads.append((namespace, root, root in roots))
        for namespace in _finished_calls(heads, kept.get("")):
            del kept[namespace]
        used = set()
        for namespace, saved in list(storage.items()):
            latest = kept.get(namespace)
            for id_ in [id_ for id_ in saved if id_ != latest]:
                del saved[id_]
                self._saver.writes.pop((thread_id, namespace, id_), None)
            if latest is None:
                del storage[namespace]
                continue
            checkpoint, metadata, _ = saved[latest]
            saved[latest] = (checkpoint, metadata, None)
            versions = self._saver.serde.loads_typed(checkpoint)["channel_versions"]
            used |= {(thread_id, namespace, *item) for item in versions.items()}
        for key in [key for key in self._saver.blobs if key[0] == thread_id and key not in used]:
            del self._saver.blobs[key]

    async def compact(self) -> None:
        """Nothing: Python frees the memory."""
