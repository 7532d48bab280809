"""Writing to the store's collection: put, delete, extend, sweep."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from langgraph.store.base import PutOp

from .store_collection import EmbeddingModel, vector_records
from .store_records import Record, encode, metadata_of, now, vector_id
from .store_search import CHUNK, chunks, over

if TYPE_CHECKING:
    from chromadb import Collection


def write(
    collection: Collection,
    embedding: EmbeddingModel,
    puts: dict[str, PutOp],
    vectors: dict[str, list[float]],
) -> None:
    """Writes and deletes items, by record identifier; `vectors` holds those of all their texts.

    The caller holds the store's write lock: what was there before is read first.

    Raises:
        MemoryStoreError: A value is not JSON; nothing is written then.
    """
    before: dict[str, Any] = {}
    for chunk in chunks(list(puts)):
        got = collection.get(ids=chunk, include=["metadatas"])
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
        own = [vectors[text] for text in embedding.texts(dict(put.value), put.index)]
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
        if put.index is not False and embedding.model is None:
            metadata["unasked"] = True
        # Chroma merges metadata on update; what is no longer there has to be named.
        metadata |= {key: None for key in old or () if key not in metadata}
        parts = vector_records(record, metadata, own, embedding.dimension)
        ids += parts[0]
        embeddings += parts[1]
        metadatas += parts[2]
        documents += [encode(put.namespace, put.key, put.value)] + [""] * (len(parts[0]) - 1)
        stale += [vector_id(record, i) for i in range(max(len(own), 1), had)]
    for start in range(0, len(ids), CHUNK):
        part = slice(start, start + CHUNK)
        collection.upsert(
            ids=ids[part],
            embeddings=embeddings[part],  # type: ignore[arg-type]  # lists are invariant
            metadatas=metadatas[part],  # type: ignore[arg-type]  # None removes a key
            documents=documents[part],
        )
    for chunk in chunks(stale):
        collection.delete(ids=chunk)


def refresh(collection: Collection, records: Iterable[Record]) -> None:
    """Gives items that were read their whole time again."""
    expiring = [record for record in records if record.ttl is not None]
    if not expiring:
        return
    at = time.time()
    for chunk in chunks(expiring):
        collection.update(
            ids=[record.id for record in chunk],
            metadatas=[{"expires": at + (record.ttl or 0.0) * 60} for record in chunk],
        )


def sweep(collection: Collection) -> int:
    """Deletes expired items and returns how many."""
    at = time.time()
    got = collection.get(where=over(at), include=["metadatas"])
    vectors: list[str] = []
    for record, metadata in zip(got["ids"], got["metadatas"] or [], strict=True):
        count = int(cast("int", metadata["vectors"]))
        vectors += [vector_id(record, i) for i in range(1, count)]
    for chunk in chunks(got["ids"]):
        # The condition again: another process may have extended an item meanwhile.
        collection.delete(ids=chunk, where=over(at))
    for chunk in chunks(vectors):
        collection.delete(ids=chunk)
    return len(got["ids"])
