"""A LangGraph store on Chroma: items with namespaces, filters, semantic search and expiry.

`ChromaStore` keeps what LangGraph's own stores keep and answers as they do; where those differ
among themselves, the docstrings here say which way it goes. This is the face; reading is
`store_search.py`, writing `store_write.py`, filters `store_filters.py`, the layout in Chroma
`store_records.py`, connections `store_connection.py`, the collection and its embedding model
`store_collection.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from langgraph.store.base import (
    BaseStore,
    Embeddings,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    ensure_embeddings,
    validate_op_namespace,
)

from ..errors import MemoryStoreError
from .store_collection import COLLECTION, NO_MODEL, EmbeddingModel, open_collection
from .store_connection import MEMORY, connect, translated
from .store_filters import check_filter
from .store_records import Record, item_id
from .store_search import StoreReader
from .store_write import refresh, sweep, write

if TYPE_CHECKING:
    from chromadb import Collection

logger = logging.getLogger(__name__)

THREADS = 4
"""Threads for asynchronous calls, apart from the loop's own: writers that wait for each other must
not take the threads that load images."""


class ChromaStore(BaseStore):
    """LangGraph's `BaseStore` on a Chroma collection.

    Within one batch all reads see the state before it, and the last write to a key wins, as in
    LangGraph's in-memory store. Values come back as fresh copies of what JSON keeps of them.

    - *Order*: a search without query returns items in the order in which their keys were first
      stored; with a query by falling score, then items without a vector (`score=None`).
    - *Times*: `created_at` stays when an item is overwritten (as in PostgresStore).
    - *Namespaces* without items are not listed.
    - *Expiry*: `ttl` in minutes; reads and searches extend it unless `refresh_ttl=False`. Expired
      items go with `sweep_ttl` (or the sweeper); with `omit_expired` they are unseen at once.

    Asynchronous calls run in threads. With a server the event loop goes on meanwhile; in a folder
    or in memory Chroma's native code keeps Python's global lock during a write (12 ms and more, one
    disk synchronisation), so many writers belong on a server.

    Constructing it blocks (it opens files or connects); in asynchronous code use `ChromaStore.open`
    or `asyncio.to_thread`. Thread-safe, and bound to no event loop.

    Args:
        location: `memory:` (private to this instance, gone when closed), a folder (one process at a
            time), or `http://host:port` of a Chroma server.
        index: LangGraph's index configuration: `embed`, `fields` and `dims`. None: no semantic
            search. Where `embed` has a `dimension`, `dims` may be left out.
        ttl: LangGraph's expiry configuration.
        collection: Name of the Chroma collection.
        token: Bearer token for a server behind a proxy.
        timeout: Seconds one request to a server may take.

    Raises:
        MemoryStoreError: The store can't be opened: in use by another process, not reachable,
            written with another embedding model.
    """

    supports_ttl = True

    def __init__(
        self,
        location: str = MEMORY,
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        collection: str = COLLECTION,
        token: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.ttl_config = ttl
        self.index_config = index
        self.embedding = embedding_model(index)
        self.location = location
        self._connection = connect(location, token=token, timeout=timeout)
        try:
            self._collection: Collection = open_collection(
                self._connection, self.embedding, collection
            )
        except BaseException:
            self._connection.close()
            raise
        self._reader = StoreReader(self._collection, bool(ttl and ttl.get("omit_expired")))
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="gems-store")
        self._closed = False
        self._sweeper: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, location: str = MEMORY, **options: Any) -> Self:
        """Returns an open store without blocking the event loop; arguments as the constructor's."""
        return await asyncio.to_thread(partial(cls, location, **options))

    def __repr__(self) -> str:
        return f"ChromaStore({self._connection.label}, embedding={self.embedding.name})"

    # Closing

    def close(self) -> None:
        """Closes the store; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._executor.shutdown(wait=True)
        if self._connection.suffix:
            with translated(self._connection.label):
                self._connection.client.delete_collection(self._collection.name)
        self._connection.close()

    async def aclose(self) -> None:
        """Stops the sweeper and closes the store."""
        await self.stop_ttl_sweeper()
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # BaseStore

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Runs operations and returns their results in order; see the class for the meaning.

        Raises:
            MemoryStoreError: A value is not JSON, a filter is not known, or Chroma fails.
            InvalidNamespaceError: A namespace label is empty or holds a dot.
        """
        planned = _validated(ops)
        texts = self._texts(planned)
        model = self.embedding.model
        documents = model.embed_documents(texts) if model and texts else []
        queries = _queries(planned)
        vectors = [model.embed_query(query) for query in queries] if model else []
        return self._run(planned, self._by_text(texts, documents), self._by_text(queries, vectors))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`; Chroma runs in a thread and never blocks the event loop."""
        planned = _validated(ops)
        texts = self._texts(planned)
        model = self.embedding.model
        documents = await model.aembed_documents(texts) if model and texts else []
        queries = _queries(planned)
        vectors = (
            await asyncio.gather(*(model.aembed_query(query) for query in queries)) if model else []
        )
        run = partial(
            self._run,
            planned,
            self._by_text(texts, documents),
            self._by_text(queries, vectors),
        )
        return cast("list[Result]", await self._in_thread(run))

    async def _in_thread(self, call: Any) -> Any:
        if self._closed:
            raise _closed(self._connection.label)
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, partial(context.run, call)
        )

    def _texts(self, ops: list[Op]) -> list[str]:
        found: dict[str, None] = {}
        for op in _last_puts(ops).values():
            if op.value is not None:
                found |= dict.fromkeys(self.embedding.texts(dict(op.value), op.index))
        return list(found)

    def _by_text(self, texts: list[str], vectors: Sequence[list[float]]) -> dict[str, list[float]]:
        if self.embedding.model is None:
            return {}
        if len(vectors) != len(texts):
            raise MemoryStoreError(
                f"The embedding model {self.embedding.name} returned {len(vectors)} vectors for "
                f"{len(texts)} texts."
            )
        return dict(zip(texts, self.embedding.checked(list(vectors)), strict=True))

    def _run(
        self,
        ops: list[Op],
        documents: dict[str, list[float]],
        queries: dict[str, list[float]],
    ) -> list[Result]:
        if self._closed:
            raise _closed(self._connection.label)
        results: list[Result] = [None] * len(ops)
        touched: dict[str, Record] = {}
        with translated(self._connection.label):
            gets = {i: op for i, op in enumerate(ops) if isinstance(op, GetOp)}
            found = self._reader.read([item_id(op.namespace, op.key) for op in gets.values()])
            for i, get in gets.items():
                record = found.get(item_id(get.namespace, get.key))
                if record is None or self._reader.omitted(record):
                    continue
                results[i] = record.item()
                if get.refresh_ttl:
                    touched[record.id] = record
            for i, op in enumerate(ops):
                if isinstance(op, SearchOp):
                    hits = self._reader.search(op, queries.get(op.query) if op.query else None)
                    results[i] = [record.search_item(score) for record, score in hits]
                    if op.refresh_ttl:
                        touched |= {record.id: record for record, _ in hits}
                elif isinstance(op, ListNamespacesOp):
                    results[i] = self._reader.list_namespaces(op)
            refresh(self._collection, touched.values())
            puts = _last_puts(ops)
            if puts:
                with self._connection.write_lock:
                    write(self._collection, self.embedding, puts, documents)
        return results

    # Expiry

    def sweep_ttl(self) -> int:
        """Deletes expired items and returns how many. Blocks; see `asweep_ttl`."""
        with translated(self._connection.label), self._connection.write_lock:
            return sweep(self._collection)

    async def asweep_ttl(self) -> int:
        """As `sweep_ttl`, without blocking the event loop."""
        swept: int = await self._in_thread(self.sweep_ttl)
        return swept

    async def start_ttl_sweeper(
        self, sweep_interval_minutes: float | None = None
    ) -> asyncio.Task[None]:
        """Starts deleting expired items from time to time; returns the task that does it.

        Args:
            sweep_interval_minutes: None takes the expiry configuration's, else 5.
        """
        if self._sweeper is None or self._sweeper.done():
            minutes = (
                sweep_interval_minutes
                or (self.ttl_config or {}).get("sweep_interval_minutes")
                or 5.0
            )
            self._sweeper = asyncio.create_task(self._sweep_forever(minutes), name="ttl_sweeper")
        return self._sweeper

    async def _sweep_forever(self, minutes: float) -> None:
        while True:
            await asyncio.sleep(minutes * 60)
            try:
                if swept := await self.asweep_ttl():
                    logger.info("Deleted %d expired items", swept)
            except MemoryStoreError:
                logger.exception("Deleting expired items failed; trying again later")

    async def stop_ttl_sweeper(self) -> None:
        """Stops the sweeper if it runs."""
        task, self._sweeper = self._sweeper, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def embedding_model(index: IndexConfig | None) -> EmbeddingModel:
    """Returns what an index configuration asks for; may embed a word to learn the dimension.

    Raises:
        MemoryStoreError: `embed` is missing, or `dims` is not the embedding's dimension.
    """
    if index is None:
        return EmbeddingModel(NO_MODEL[0], NO_MODEL[1], None)
    embed = index.get("embed")
    if embed is None:
        raise MemoryStoreError(
            "The store's index configuration names no embedding.",
            hint="Set index={'embed': …, 'dims': …}.",
        )
    model: Embeddings = ensure_embeddings(embed)
    named = getattr(embed, "name", None) or getattr(embed, "model", None)
    if not isinstance(named, str):
        named = embed if isinstance(embed, str) else getattr(embed, "__qualname__", "")
    name = named or type(model).__name__
    known = getattr(model, "dimension", None)
    dimension = index.get("dims") or known or len(model.embed_query("dimension"))
    if isinstance(known, int) and known != dimension:
        raise MemoryStoreError(
            f"The store's index configuration says {dimension} dimensions, but {name} has {known}.",
            hint="Leave dims out.",
        )
    return EmbeddingModel(name, dimension, model, tuple(index.get("fields") or ["$"]))


def _closed(label: str) -> MemoryStoreError:
    return MemoryStoreError(f"The store {label} is closed.", hint="Open it again.")


def _validated(ops: Iterable[Op]) -> list[Op]:
    planned = list(ops)
    for op in planned:
        if not isinstance(op, (GetOp, PutOp, SearchOp, ListNamespacesOp)):
            raise ValueError(f"Unknown operation type: {type(op)}")
        validate_op_namespace(op)
        if isinstance(op, SearchOp):
            check_filter(op.filter)
    return planned


def _last_puts(ops: list[Op]) -> dict[str, PutOp]:
    return {item_id(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}


def _queries(ops: list[Op]) -> list[str]:
    return list(dict.fromkeys(op.query for op in ops if isinstance(op, SearchOp) and op.query))


__all__ = ["ChromaStore", "Item", "SearchItem", "embedding_model"]
