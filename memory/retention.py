"""Which threads are kept: listing, deleting and pruning them, and the images they refer to.

All functions take the saver that `checkpoints.open_checkpointer` yields and work alike on memory,
SQLite and PostgreSQL. Contents are read a few checkpoints at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from langgraph.checkpoint.memory import InMemorySaver

from ..errors import InputError
from .checkpoints import strict_serializer
from .threads import ThreadSize, database_errors, thread_tables

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

ThreadStatus = Literal["finished", "waiting", "failed", "unfinished"]
"""`waiting`: for a person's answer. `failed`: the last step raised. `unfinished`: it runs right
now, or its process ended in the middle; both resume where they stopped."""

_PAGE = 16
"""Checkpoints read at a time; at 20 rounds one is about 100 kB."""

_DIGEST = re.compile(rb"(?=([0-9a-f]{64}))")


@dataclass(frozen=True)
class ThreadInfo:
    """One thread, as its latest checkpoint tells.

    Attributes:
        thread_id: Its id.
        updated: When the latest checkpoint was written, UTC.
        prompt: The prompt of the latest turn; empty before the first step has finished.
        turns: User messages so far.
        rounds: Rounds of the latest turn so far.
        score: Fraction of the requirements that the best image meets; None before there is one.
        status: Whether it can be resumed, and why it stopped.
        stopped_because: Why a finished run ended (`graph.state.StopReason`); may be empty.
        checkpoints: How many there are.
        size: Bytes in the checkpointer.
    """

    thread_id: str
    updated: datetime
    prompt: str
    turns: int
    rounds: int
    score: float | None
    status: ThreadStatus
    stopped_because: str
    checkpoints: int
    size: int


@database_errors()
async def list_threads(
    saver: BaseCheckpointSaver[Any], *, limit: int | None = None, prefix: str = ""
) -> list[ThreadInfo]:
    """Returns the threads, the most recently written first.

    Args:
        saver: An open checkpointer.
        limit: At most so many.
        prefix: Only threads whose id starts so.

    Raises:
        ConfigurationError: The saver is of a kind that we do not open.
        MemoryStoreError: The database failed.
    """
    found: list[ThreadInfo] = []
    for thread in await thread_tables(saver).sizes():
        if limit is not None and len(found) >= limit:
            break
        if thread.thread_id.startswith(prefix):
            latest = await saver.aget_tuple(_config(thread.thread_id))
            if latest is not None:  # deleted since it was listed
                found.append(_describe(thread, latest))
    return found


@database_errors()
async def get_thread(saver: BaseCheckpointSaver[Any], thread_id: str) -> ThreadInfo:
    """Returns one thread.

    Raises:
        InputError: There is none of this id.
        ConfigurationError: The saver is of a kind that we do not open.
        MemoryStoreError: The database failed.
    """
    latest = await saver.aget_tuple(_config(thread_id))
    for thread in await thread_tables(saver).sizes() if latest else ():
        if latest is not None and thread.thread_id == thread_id:
            return _describe(thread, latest)
    raise InputError(f"There is no thread {thread_id!r}.", hint="See: gems threads list")


@database_errors()
async def delete_thread(saver: BaseCheckpointSaver[Any], thread_id: str) -> bool:
    """Deletes all of a thread's checkpoints; returns whether there were any.

    Its images stay until `ArtifactStore.gc` finds that no thread refers to them.
    """
    existed = await saver.aget_tuple(_config(thread_id)) is not None
    await saver.adelete_thread(thread_id)
    return existed


@dataclass(frozen=True)
class Pruned:
    """What pruning did, or would do.

    Attributes:
        deleted: Ids of the threads that were deleted.
        shortened: Ids of the threads that were cut to their latest checkpoint.
        freed: Bytes in the checkpointer that were freed; with `dry_run`, 0 for the shortened
            ones, whose gain shows only afterwards.
    """

    deleted: list[str]
    shortened: list[str]
    freed: int


@database_errors()
async def prune(
    saver: BaseCheckpointSaver[Any],
    *,
    keep_latest: bool = True,
    older_than: timedelta | None = None,
    thread_ids: Iterable[str] | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Deletes old threads, and of the others all but the latest checkpoint.

    A shortened thread resumes, answers and goes on as before, also in the middle of a run; only
    forking from one of its earlier steps is no longer possible.

    Args:
        saver: An open checkpointer.
        keep_latest: Shorten the threads that stay.
        older_than: Delete the threads whose latest checkpoint is older; None deletes none.
        thread_ids: Only these threads; None takes all.
        dry_run: Only say what would be done.

    Raises:
        ConfigurationError: The saver is of a kind that we do not open.
        MemoryStoreError: The database failed.
        InputError: A thread uses LangGraph's `DeltaChannel`, whose earlier checkpoints are needed
            (graphs of this package use none).
    """
    tables = thread_tables(saver)
    before = await tables.sizes()
    only = None if thread_ids is None else set(thread_ids)
    chosen = [thread for thread in before if only is None or thread.thread_id in only]
    limit = None if older_than is None else datetime.now(UTC) - older_than
    deleted: list[str] = []
    shortened: list[str] = []
    for thread in chosen:
        if limit is not None:
            # Asked right before the deletion: the thread may have gone on meanwhile.
            latest = await saver.aget_tuple(_config(thread.thread_id))
            if latest is None or _written(latest) < limit:
                deleted.append(thread.thread_id)
                if not dry_run:
                    await saver.adelete_thread(thread.thread_id)
                continue
        if keep_latest and thread.checkpoints > 1:
            if not dry_run:
                await _refuse_delta(saver, thread.thread_id)
                await tables.keep_latest(thread.thread_id)
            shortened.append(thread.thread_id)
    if dry_run:
        gone = set(deleted)
        return Pruned(deleted, shortened, sum(t.size for t in before if t.thread_id in gone))
    await tables.compact()
    after = {thread.thread_id: thread.size for thread in await tables.sizes()}
    touched = {*deleted, *shortened}
    freed = sum(t.size - after.get(t.thread_id, 0) for t in before if t.thread_id in touched)
    return Pruned(deleted, shortened, max(freed, 0))


@database_errors()
async def referred_artifacts(saver: BaseCheckpointSaver[Any]) -> set[str]:
    """Returns the hashes of all images that any checkpoint of any thread refers to.

    Whatever looks like a SHA-256 counts, wherever it stands: in channels, in writes that no
    checkpoint has taken in yet, in arguments of tasks, in messages. A garbage collection that
    takes too many for referred to keeps a file; one that misses a place loses an image.

    Raises:
        ConfigurationError: The saver is of a kind that we do not open.
        MemoryStoreError: The database failed.
    """
    found: set[str] = set()
    for thread in await thread_tables(saver).sizes():
        found |= await artifacts_of(saver, thread.thread_id)
    return found


@database_errors()
async def artifacts_of(saver: BaseCheckpointSaver[Any], thread_id: str) -> set[str]:
    """Returns the hashes of all images that a thread's checkpoints refer to."""
    serializer = strict_serializer()
    found: set[str] = set()
    async for page in _pages(saver, thread_id):
        found |= await asyncio.to_thread(_digests, serializer, page)
    return found


async def _pages(
    saver: BaseCheckpointSaver[Any], thread_id: str
) -> AsyncIterator[list[CheckpointTuple]]:
    """Yields a thread's checkpoints in short lists, newest first, all namespaces.

    Each list is read to its end before it is used: the SQLite saver holds its lock while it
    lists, and the PostgreSQL saver fetches everything that it was asked for.
    """
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    if isinstance(saver, InMemorySaver):
        # Lists namespace by namespace, so `before` would skip some; it decodes one at a time.
        for item in saver.list(config):
            yield [item]
        return
    before: RunnableConfig | None = None
    while True:
        page = []
        async with aclosing(saver.alist(config, before=before, limit=_PAGE)) as listed:  # type: ignore[type-var]  # an async generator in every saver
            async for saved in listed:
                page.append(saved)  # noqa: PERF401 - an async comprehension hides the closing
        if page:
            yield page
        if len(page) < _PAGE:
            return
        before = {"configurable": {"checkpoint_id": _checkpoint_id(page[-1])}}


def _digests(serializer: JsonPlusSerializer, page: list[CheckpointTuple]) -> set[str]:
    """Hashes in the serialized form, which holds every string as it is, whatever is around it."""
    found: set[str] = set()
    for saved in page:
        for part in (saved.checkpoint, saved.metadata, saved.pending_writes or []):
            _, data = serializer.dumps_typed(part)
            found.update(match[1].decode("ascii") for match in _DIGEST.finditer(data))
    return found


async def _refuse_delta(saver: BaseCheckpointSaver[Any], thread_id: str) -> None:
    latest = await saver.aget_tuple(_config(thread_id))
    if latest is not None and "counters_since_delta_snapshot" in latest.metadata:
        raise InputError(
            f"Thread {thread_id!r} can't be shortened: its graph uses a DeltaChannel.",
            hint="Delete the thread, or prune the others by id.",
        )


def _describe(thread: ThreadSize, latest: CheckpointTuple) -> ThreadInfo:
    values = latest.checkpoint["channel_values"]
    turn = values.get("turn")
    rounds = [
        attempt.get("round", 0)
        for attempt in values.get("attempts") or ()
        if isinstance(attempt, Mapping) and attempt.get("turn") == turn
    ]
    score = values.get("score")
    return ThreadInfo(
        thread_id=thread.thread_id,
        updated=_written(latest),
        prompt=str(values.get("prompt") or ""),
        turns=turn if isinstance(turn, int) else 0,
        rounds=max(rounds, default=0),
        score=float(score) if isinstance(score, int | float) else None,
        status=_status(latest),
        stopped_because=str(values.get("stopped_because") or ""),
        checkpoints=thread.checkpoints,
        size=thread.size,
    )


def _status(latest: CheckpointTuple) -> ThreadStatus:
    """What the checkpoint alone tells; the graph is not needed.

    A node that is about to run has its trigger in the checkpoint: `branch:to:<node>`, a task sent
    to it, or the input. A finished run has none.
    """
    values = latest.checkpoint["channel_values"]
    due = any(
        name.startswith("branch:to:") or name == "__start__" or (name == "__pregel_tasks" and value)
        for name, value in values.items()
    )
    if not due:
        return "finished"
    channels = {channel for _, channel, _ in latest.pending_writes or ()}
    if "__interrupt__" in channels and "__resume__" not in channels:
        return "waiting"
    return "failed" if "__error__" in channels else "unfinished"


def _written(saved: CheckpointTuple) -> datetime:
    written = datetime.fromisoformat(saved.checkpoint["ts"])
    return written if written.tzinfo else written.replace(tzinfo=UTC)


def _checkpoint_id(saved: CheckpointTuple) -> str:
    return str(saved.config["configurable"]["checkpoint_id"])


def _config(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
