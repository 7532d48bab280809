"""Checkpointers: where LangGraph keeps every thread's state, opened strictly and closed properly.

LangGraph's own savers do the work. What is added: one setting that chooses among them, strict
deserialisation, the SQLite settings that concurrent writers need, a PostgreSQL pool, a first use
that several processes may race for, and errors without passwords.

There is no synchronous twin: every node of the graph is asynchronous, so a synchronous call runs
an event loop of its own (`asyncio.run`) and opens its checkpointer in there. Code in other threads
may call the opened saver's synchronous methods (`get_tuple`, `list`); LangGraph bridges them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ..errors import ConfigurationError
from ..settings import get_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langgraph.checkpoint.base import BaseCheckpointSaver

SQLITE_BUSY_SECONDS = 30.0
"""How long a writer waits for another process's commit. LangGraph sets none, so Python's five
seconds would apply; commits take milliseconds, but a laptop's disk can stall for longer."""

CONNECT_SECONDS = 10
"""How long PostgreSQL may take to answer, unless the URL says `connect_timeout`."""

STATEMENT_SECONDS = 120
"""Most seconds for one PostgreSQL statement; pruning a huge thread is the longest."""

POOL_SIZE = 4
"""LangGraph's saver runs one statement at a time; the others serve retention beside it."""

_SETUP_LOCK = 0x67656D73
"""Key of the PostgreSQL advisory lock that is held while tables are made (`gems` in ASCII)."""

_SETUP_SECONDS = 60.0


def strict_serializer() -> JsonPlusSerializer:
    """Returns the serializer of all our savers.

    It writes msgpack and rebuilds only LangGraph's list of safe types (messages, `Send`,
    `Interrupt`, dates …): never pickle, and no import of a class that a row names. Anything else
    comes back as the plain data it was made of. `LANGGRAPH_STRICT_MSGPACK` has the same effect for
    savers that were not opened here, such as the server's.
    """
    return JsonPlusSerializer(
        pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=None
    )


@asynccontextmanager
async def open_checkpointer(url: str | None = None) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Opens the checkpointer that a URL names and closes it at the end.

    Args:
        url: `memory:` (one per process, gone with it), `sqlite:///relative/path`,
            `sqlite:////absolute/path`, or `postgresql://user:password@host/database`. None or
            empty takes `GEMS_CHECKPOINT`, else `checkpoints.sqlite` in the data folder.

    Yields:
        LangGraph's saver, its tables made; it belongs to the running event loop.

    Raises:
        ConfigurationError: The URL is malformed, an extra is missing, or the database can't be
            opened. The message never holds a password.
    """
    async with AsyncExitStack() as stack:
        yield await _open(url, stack)


async def _open(url: str | None, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
    settings = get_settings()
    url = url or settings.checkpoint.get_secret_value()
    if not url:
        return await _open_sqlite(settings.data_dir / "checkpoints.sqlite", stack)
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        return _memory_saver()
    if scheme == "sqlite":
        return await _open_sqlite(_sqlite_path(url), stack)
    if scheme in ("postgresql", "postgres"):
        return await _open_postgres(url, stack)
    raise ConfigurationError(
        "The checkpointer's address is none of memory:, sqlite:/// and postgresql://.",
        hint="Correct GEMS_CHECKPOINT, e.g. sqlite:///checkpoints.sqlite.",
    )


@lru_cache(maxsize=1)
def _memory_saver() -> InMemorySaver:
    return InMemorySaver(serde=strict_serializer())


def _sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///` URL, read as SQLAlchemy does: a fourth slash makes it absolute."""
    prefix, path = url[:10], url[10:]
    if prefix.lower() != "sqlite:///" or not path or path == ":memory:" or "?" in path:
        raise ConfigurationError(
            "A SQLite checkpointer needs a file.",
            hint="Write sqlite:///relative/path, sqlite:////absolute/path, or memory: for none.",
        )
    return Path(path).expanduser()


async def _open_sqlite(path: Path, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
    import aiosqlite
    from filelock import Timeout
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    try:
        await asyncio.to_thread(_make_sqlite, path)
        connection = await stack.enter_async_context(
            aiosqlite.connect(path, timeout=SQLITE_BUSY_SECONDS)
        )
        # WAL with NORMAL survives any crash of the process; only a power failure may take the
        # last commits, and never the file's integrity (sqlite.org/pragma.html#pragma_synchronous).
        await connection.execute("PRAGMA synchronous=NORMAL")
        await connection.execute("PRAGMA journal_size_limit=67108864")
        saver = AsyncSqliteSaver(connection, serde=strict_serializer())
        await saver.setup()
    except Timeout:
        raise ConfigurationError(
            f"{path} is being set up by another process that does not finish.",
            hint=f"End that process; {path}.lock frees itself then.",
        ) from None
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(
            f"Can't open the checkpoints in {path}: {error}.",
            hint="Check GEMS_CHECKPOINT or GEMS_DATA_DIR, the folder's permissions and free space.",
        ) from None
    return saver


def _make_sqlite(path: Path) -> None:
    """Makes the file and its tables, one process at a time.

    Switching to WAL needs the file for itself, and SQLite then answers "database is locked" at
    once, whatever the busy timeout. The lock file lets processes that start together queue here.
    """
    from filelock import FileLock
    from langgraph.checkpoint.sqlite import SqliteSaver

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(f"{path}.lock", timeout=_SETUP_SECONDS):
        connection = sqlite3.connect(path, timeout=SQLITE_BUSY_SECONDS)
        try:
            # Only a new file takes this; it lets `retention` give pruned pages back.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            SqliteSaver(connection).setup()
        finally:
            connection.close()


async def _open_postgres(url: str, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
    try:
        import psycopg
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
        from psycopg.rows import DictRow, dict_row
        from psycopg_pool import AsyncConnectionPool, PoolTimeout
    except ImportError:
        raise ConfigurationError(
            "Checkpoints in PostgreSQL need a driver that is not installed.",
            hint="Run: pip install 'gems-graph[postgres]'",
        ) from None

    try:
        parameters = conninfo_to_dict(url)
        conninfo = make_conninfo(
            url, connect_timeout=parameters.get("connect_timeout", CONNECT_SECONDS)
        )
    except psycopg.Error:
        # The driver's message quotes the address, password included.
        raise ConfigurationError(
            "The PostgreSQL address is malformed.",
            hint="Write postgresql://user:password@host:5432/database in GEMS_CHECKPOINT.",
        ) from None

    async def configure(connection: psycopg.AsyncConnection[DictRow]) -> None:
        await connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")

    # No prepared statements: a pooler such as PgBouncer may hand each one to another connection.
    options: dict[str, Any] = {
        "autocommit": True,
        "prepare_threshold": None,
        "row_factory": dict_row,
    }
    try:
        async with await psycopg.AsyncConnection.connect(conninfo, **options) as connection:
            await _make_tables(AsyncPostgresSaver(connection), connection)
        pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]](
            conninfo,
            kwargs=options,
            min_size=1,
            max_size=POOL_SIZE,
            timeout=float(CONNECT_SECONDS),
            configure=configure,
            check=AsyncConnectionPool.check_connection,  # a restarted server goes unnoticed
            name="gems-checkpoints",
            open=False,
        )
        stack.push_async_callback(pool.close)
        await pool.open(wait=True, timeout=CONNECT_SECONDS)
    except (psycopg.Error, PoolTimeout, OSError) as error:
        raise ConfigurationError(
            f"Can't open the checkpoints in PostgreSQL ({_place(parameters)}): "
            f"{_without_secrets(error, parameters)}.",
            hint="Is the server running, does the database exist, is the user allowed to use it?",
        ) from None
    return AsyncPostgresSaver(pool, serde=strict_serializer())


async def _make_tables(saver: Any, connection: Any) -> None:  # the extra may not be installed
    """Makes the tables, one process at a time; does nothing where they are there.

    The lock is polled, not waited for: `CREATE INDEX CONCURRENTLY` waits for every open
    statement, a waiting `pg_advisory_lock` included, so the two would wait for each other.
    """

    async def complete() -> bool:
        found = await connection.execute("SELECT to_regclass('checkpoint_migrations') AS found")
        if (await found.fetchone())["found"] is None:
            return False
        newest = await connection.execute("SELECT max(v) AS v FROM checkpoint_migrations")
        version = (await newest.fetchone())["v"]
        return version is not None and version >= len(saver.MIGRATIONS) - 1

    async with asyncio.timeout(_SETUP_SECONDS):
        while not await complete():
            answer = await connection.execute(
                "SELECT pg_try_advisory_lock(%s) AS mine", (_SETUP_LOCK,)
            )
            if not (await answer.fetchone())["mine"]:
                await asyncio.sleep(0.1)
                continue
            try:
                await saver.setup()
            finally:
                await connection.execute("SELECT pg_advisory_unlock(%s)", (_SETUP_LOCK,))


def _place(parameters: dict[str, Any]) -> str:
    host, port = parameters.get("host", "local socket"), parameters.get("port", 5432)
    return f"{host}:{port}, database {parameters.get('dbname', 'by default')}"


def _without_secrets(error: BaseException, parameters: dict[str, Any]) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    for name in ("password", "sslpassword", "passfile"):
        secret = str(parameters.get(name) or "")
        if secret:
            text = text.replace(secret, "***")
    return text.rstrip(".")
