"""A LangGraph store on Chroma: items with namespaces, filters, semantic search and expiry.

`ChromaStore` keeps what LangGraph's own stores keep and answers as they do; where those differ
among themselves, the docstrings here say which way it goes. Filters are `store_filters.py`, the
layout in Chroma `store_records.py`, connections `store_connection.py`, the collection and its
embedding model `store_collection.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from langgraph.store.base import (
    BaseStore,
    Embeddings,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    MatchCondition,
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
from .store_collection import (
    COLLECTION,
    NO_MODEL,
    EmbeddingModel,
    open_collection,
    pages,
    vector_records,
)
from .store_connection import MEMORY, connect, translated
from .store_filters import Where, check_filter, matches, prefilter
from .store_records import (
    Namespace,
    Record,
    encode,
    item_id,
    metadata_of,
    namespace_of,
    now,
    path_of,
    prefix_key,
    vector_id,
)

if TYPE_CHECKING:
    from chromadb import Collection

logger = logging.getLogger(__name__)

THREADS = 4
"""Threads for asynchronous calls, apart from the loop's own: writers that wait for each other must
not take the threads that load images."""

CHUNK = 500
"""Records in one request to Chroma; SQLite limits the variables of a statement."""


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

    Asynchronous calls run in threads. Against a server the event loop goes on meanwhile; in a folder
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
            found = self._read([item_id(op.namespace, op.key) for op in gets.values()])
            for i, get in gets.items():
                record = found.get(item_id(get.namespace, get.key))
                if record is None or self._omitted(record):
                    continue
                results[i] = record.item()
                if get.refresh_ttl:
                    touched[record.id] = record
            for i, op in enumerate(ops):
                if isinstance(op, SearchOp):
                    hits = self._search(op, queries.get(op.query) if op.query else None)
                    results[i] = [record.search_item(score) for record, score in hits]
                    if op.refresh_ttl:
                        touched |= {record.id: record for record, _ in hits}
                elif isinstance(op, ListNamespacesOp):
                    results[i] = self._list_namespaces(op)
            self._refresh(touched.values())
            puts = _last_puts(ops)
            if puts:
                with self._connection.write_lock:
                    self._write(puts, documents)
        return results

    # Reading

    def _read(self, ids: Iterable[str]) -> dict[str, Record]:
        wanted = list(dict.fromkeys(ids))
        records: dict[str, Record] = {}
        for chunk in _chunks(wanted):
            got = self._collection.get(ids=chunk, include=["metadatas", "documents"])
            for record_id, metadata, document in zip(
                got["ids"], got["metadatas"] or [], got["documents"] or [], strict=True
            ):
                records[record_id] = Record.read(record_id, metadata, document)
        return records

    def _omitted(self, record: Record) -> bool:
        return bool(self.ttl_config and self.ttl_config.get("omit_expired")) and record.expired(
            time.time()
        )

    def _search(self, op: SearchOp, query: list[float] | None) -> list[tuple[Record, float | None]]:
        offset, limit = max(op.offset, 0), max(op.limit, 0)
        if limit == 0:
            return []
        if query is None:
            return [(record, None) for record in self._scan(op, offset, limit)]
        scored = self._nearest(op, query, offset + limit)
        hits: list[tuple[Record, float | None]] = list(scored[offset : offset + limit])
        if len(hits) < limit:
            # Items without a vector can't be ranked: they fill up, after all that can.
            skipped = max(offset - len(scored), 0)
            rest = self._scan(op, skipped, limit - len(hits), {"vector": False})
            hits += [(record, None) for record in rest]
        return hits

    def _scan(self, op: SearchOp, offset: int, limit: int, *extra: Where) -> list[Record]:
        where = _where([{"item": True}, *extra, *_within(op.namespace_prefix)], op)
        if not op.filter and not (self.ttl_config and self.ttl_config.get("omit_expired")):
            got = self._collection.get(
                where=where, limit=limit, offset=offset, include=["metadatas", "documents"]
            )
            return [
                Record.read(record_id, metadata, document)
                for record_id, metadata, document in zip(
                    got["ids"], got["metadatas"] or [], got["documents"] or [], strict=True
                )
            ]
        return list(islice(self._matching(where, op), offset, offset + limit))

    def _matching(self, where: Where, op: SearchOp) -> Iterator[Record]:
        for page in pages(self._collection, where):
            for record in page:
                if matches(record.value, op.filter) and not self._omitted(record):
                    yield record

    def _nearest(
        self, op: SearchOp, query: list[float], wanted: int
    ) -> list[tuple[Record, float | None]]:
        """Returns at least `wanted` items by falling score, or all that have a vector."""
        where = _where([{"vector": True}, *_within(op.namespace_prefix)], op)
        # A margin beyond what is asked: several vectors may be one item's, a filter may drop some,
        # and equal scores at the edge must not depend on the index.
        ask = wanted + max(8, wanted // 2)
        while True:
            got = self._collection.query(
                query_embeddings=[query],  # type: ignore[arg-type]  # lists are invariant
                where=where,
                n_results=ask,
                include=["metadatas", "documents", "distances"],
            )
            best = self._best(
                got["ids"][0],
                (got["metadatas"] or [[]])[0],
                (got["documents"] or [[]])[0],
                (got["distances"] or [[]])[0],
            )
            kept = [
                (record, score)
                for record, score in best
                if matches(record.value, op.filter) and not self._omitted(record)
            ]
            if len(kept) >= wanted or len(got["ids"][0]) < ask:
                kept.sort(
                    key=lambda hit: (-round(hit[1], 6), hit[0].metadata["created"], hit[0].id)
                )
                return cast("list[tuple[Record, float | None]]", kept)
            ask *= 3

    def _best(
        self,
        ids: Sequence[str],
        metadatas: Sequence[Any],
        documents: Sequence[Any],
        distances: Sequence[float],
    ) -> list[tuple[Record, float]]:
        """Returns each item once, with the score of its nearest vector."""
        records = {
            record_id: Record.read(record_id, metadata, document)
            for record_id, metadata, document in zip(ids, metadatas, documents, strict=True)
            if metadata["item"]
        }
        owners = [
            metadata.get("of", record_id)
            for record_id, metadata in zip(ids, metadatas, strict=True)
        ]
        records |= self._read(owner for owner in owners if owner not in records)
        scores: dict[str, float] = {}
        for owner, metadata, distance in zip(owners, metadatas, distances, strict=True):
            record = records.get(owner)
            # A vector of an overwritten or deleted item, left over from an interrupted write.
            if record is None or record.metadata["updated"] != metadata["updated"]:
                continue
            score = 1.0 - float(distance)
            if owner not in scores or score > scores[owner]:
                scores[owner] = score
        return [(records[owner], score) for owner, score in scores.items()]

    def _list_namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        where = _where(_within(_literal_prefix(op.match_conditions)), None)
        # Identifiers begin with the namespace: reading them alone is several times quicker.
        ids = set(self._collection.get(where=where or None, include=[])["ids"])
        if self.ttl_config and self.ttl_config.get("omit_expired"):
            ids -= set(self._expired())
        found = {namespace_of(path) for path in {_path(record_id) for record_id in ids}}
        found = {
            namespace
            for namespace in found
            if all(_fits(condition, namespace) for condition in op.match_conditions or ())
        }
        if op.max_depth is not None:
            found = {namespace[: op.max_depth] for namespace in found}
        return sorted(found)[op.offset : op.offset + op.limit]

    # Writing

    def _write(self, puts: dict[str, PutOp], vectors: dict[str, list[float]]) -> None:
        before: dict[str, Any] = {}
        for chunk in _chunks(list(puts)):
            got = self._collection.get(ids=chunk, include=["metadatas"])
            before |= dict(zip(got["ids"], got["metadatas"] or [], strict=True))
        ids: list[str] = []
        embeddings: list[list[float]] = []
        metadatas: list[dict[str, Any]] = []
        documents: list[str] = []
        stale: list[str] = []
        for record, put in puts.items():
            old = before.get(record)
            had = int(old["vectors"]) if old else 0
            if put.value is None:
                if old is not None:
                    stale += [record, *(vector_id(record, i) for i in range(1, had))]
                continue
            own = [vectors[text] for text in self.embedding.texts(dict(put.value), put.index)]
            # Later than what it replaces even within a microsecond or when the clock went back:
            # vectors belong to their item by this time.
            updated = max(now(), int(old["updated"]) + 1 if old else 0)
            metadata = metadata_of(
                put.namespace,
                put.value,
                created=int(old["created"]) if old else updated,
                updated=updated,
                vectors=len(own),
                ttl=put.ttl,
            )
            if put.index is not False and self.embedding.model is None:
                metadata["unasked"] = True
            # Chroma merges metadata on update; what is no longer there has to be named.
            metadata |= {key: None for key in old or () if key not in metadata}
            parts = vector_records(record, metadata, own, self.embedding.dimension)
            ids += parts[0]
            embeddings += parts[1]
            metadatas += parts[2]
            documents += [encode(put.namespace, put.key, put.value)] + [""] * (len(parts[0]) - 1)
            stale += [vector_id(record, i) for i in range(max(len(own), 1), had)]
        for start in range(0, len(ids), CHUNK):
            part = slice(start, start + CHUNK)
            self._collection.upsert(
                ids=ids[part],
                embeddings=embeddings[part],  # type: ignore[arg-type]  # lists are invariant
                metadatas=metadatas[part],  # type: ignore[arg-type]  # None removes a key
                documents=documents[part],
            )
        for chunk in _chunks(stale):
            self._collection.delete(ids=chunk)

    def _refresh(self, records: Iterable[Record]) -> None:
        expiring = [record for record in records if record.ttl is not None]
        if not expiring:
            return
        at = time.time()
        for chunk in _chunks(expiring):
            self._collection.update(
                ids=[record.id for record in chunk],
                metadatas=[{"expires": at + (record.ttl or 0.0) * 60} for record in chunk],
            )

    # Expiry

    def _expired(self) -> list[str]:
        return self._collection.get(where=_over(time.time()), include=[])["ids"]

    def sweep_ttl(self) -> int:
        """Deletes expired items and returns how many. Blocks; see `asweep_ttl`."""
        with translated(self._connection.label), self._connection.write_lock:
            at = time.time()
            got = self._collection.get(where=_over(at), include=["metadatas"])
            vectors = []
            for record, metadata in zip(got["ids"], got["metadatas"] or [], strict=True):
                count = int(cast("int", metadata["vectors"]))
                vectors += [vector_id(record, i) for i in range(1, count)]
            for chunk in _chunks(got["ids"]):
                # The condition again: another process may have extended an item meanwhile.
                self._collection.delete(ids=chunk, where=_over(at))
            for chunk in _chunks(vectors):
                self._collection.delete(ids=chunk)
            return len(got["ids"])

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


def _chunks(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def _within(prefix: Namespace) -> list[Where]:
    return [{prefix_key(len(prefix)): path_of(prefix)}] if prefix else []


def _where(conditions: list[Where], op: SearchOp | None) -> Where:
    found = conditions + prefilter(op.filter if op else None)
    if len(found) > 1:
        return {"$and": found}
    return found[0] if found else {}


def _over(at: float) -> Where:
    # Both: extending an item while it is overwritten without a time must not make it expire.
    return {"$and": [{"ttl": {"$gte": 0.0}}, {"expires": {"$lte": at}}]}


def _path(record_id: str) -> str:
    return record_id.partition("\t")[0]


def _literal_prefix(conditions: Iterable[MatchCondition] | None) -> Namespace:
    for condition in conditions or ():
        if condition.match_type == "prefix":
            head = tuple(condition.path)
            return head[: head.index("*")] if "*" in head else head
    return ()


def _fits(condition: MatchCondition, namespace: Namespace) -> bool:
    path = tuple(condition.path)
    if len(namespace) < len(path):
        return False
    if condition.match_type == "prefix":
        part = namespace[: len(path)]
    elif condition.match_type == "suffix":
        part = namespace[len(namespace) - len(path) :]
    else:
        raise ValueError(f"Unsupported match type: {condition.match_type}")
    return all(wanted in {"*", label} for wanted, label in zip(path, part, strict=True))


__all__ = ["ChromaStore", "Item", "SearchItem", "embedding_model"]
