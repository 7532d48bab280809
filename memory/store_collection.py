"""The store's collection: opened for one embedding model, and rebuilt for another.

The collection records which model its vectors come from. Vectors of two models can't be compared,
so opening it with another model is an error that offers `reindex`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langgraph.store.base import Embeddings, get_text_at_path

from ..errors import MemoryStoreError
from .store_connection import Connection, connect, describe, translated
from .store_records import Record, placeholder, vector_id

if TYPE_CHECKING:
    from chromadb import Collection

COLLECTION = "gems"

PAGE = 500
"""Records read at a time when a scan is needed."""

_INDEX: Any = {
    "hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200, "max_neighbors": 32}
}
"""Above Chroma's defaults (100, 100, 16): of the ten nearest among 10,000 random vectors of 384
dimensions 93.6 % came back with 16 neighbours, all with 32."""

NO_MODEL = ("none", 2)
"""What a collection records that was made without embeddings; vectors are placeholders."""


@dataclass(frozen=True)
class EmbeddingModel:
    """What turns texts into the vectors of one collection.

    Attributes:
        name: Recorded in the collection.
        dimension: Likewise.
        model: The LangChain embeddings, or None for a store without semantic search.
        fields: Paths that are embedded unless a put says otherwise; `$` is the whole value.
    """

    name: str
    dimension: int
    model: Embeddings | None
    fields: tuple[str, ...] = ("$",)

    def texts(self, value: Any, index: Any) -> list[str]:
        """Returns the texts of a value that are to be embedded, for a `PutOp`'s `index`."""
        if self.model is None or index is False:
            return []
        found: list[str] = []
        for path in self.fields if index is None else index:
            found += get_text_at_path(value, path)
        # Endpoints refuse empty texts, and nothing could be found by them.
        return [text for text in dict.fromkeys(found) if text.strip()]

    def checked(self, vectors: list[list[float]]) -> list[list[float]]:
        """Returns the vectors.

        Raises:
            MemoryStoreError: One does not have the dimension that the store was opened for.
        """
        for vector in vectors:
            if len(vector) != self.dimension:
                raise MemoryStoreError(
                    f"The embedding model {self.name} returned {len(vector)} dimensions where "
                    f"{self.dimension} were expected.",
                    hint="Correct the index configuration's dims, or reindex the store.",
                )
        return vectors


def open_collection(
    connection: Connection, embedding: EmbeddingModel, name: str = COLLECTION
) -> Collection:
    """Returns the collection, made if missing. Blocks.

    Raises:
        MemoryStoreError: It holds vectors of another model, or Chroma fails.
    """
    full = name + connection.suffix
    with translated(connection.label), connection.write_lock:
        _finish_reindex(connection, full)
        collection = connection.client.get_or_create_collection(
            full,
            embedding_function=None,
            metadata=_metadata(embedding),
            configuration=_INDEX,
        )
        found = describe(collection.metadata)
    if found != (embedding.name, embedding.dimension):
        told = f"{found[0]} ({found[1]} dimensions)" if found else "an unknown embedding model"
        raise MemoryStoreError(
            f"The store {connection.label} was written with {told}, but "
            f"{embedding.name} ({embedding.dimension} dimensions) is set.",
            hint="Run 'gems memory reindex' to embed it anew, or set GEMS_EMBEDDINGS back.",
        )
    return collection


def _metadata(embedding: EmbeddingModel) -> dict[str, Any]:
    return {
        "gems_embedding": embedding.name,
        "gems_dimension": embedding.dimension,
        "gems_schema": 1,
    }


def _names(connection: Connection) -> set[str]:
    return {collection.name for collection in connection.client.list_collections()}


def _finish_reindex(connection: Connection, name: str) -> None:
    """Completes the exchange of a reindexed collection that was cut off between two steps."""
    done = f"{name}-reindexed"
    names = _names(connection)
    if done in names:
        if name in names:
            connection.client.delete_collection(name)
        connection.client.get_collection(done, embedding_function=None).modify(name=name)


def pages(collection: Collection, where: dict[str, Any]) -> Iterator[list[Record]]:
    """Yields the items that fulfil a condition, in the order in which they were first stored."""
    offset = 0
    while True:
        got = collection.get(
            where=where, limit=PAGE, offset=offset, include=["metadatas", "documents"]
        )
        if got["ids"]:
            yield [
                Record.read(record_id, metadata, document)
                for record_id, metadata, document in zip(
                    got["ids"], got["metadatas"] or [], got["documents"] or [], strict=True
                )
            ]
        if len(got["ids"]) < PAGE:
            return
        offset += PAGE


def vector_records(
    record: str, metadata: dict[str, Any], vectors: list[list[float]], dimension: int
) -> tuple[list[str], list[list[float]], list[dict[str, Any]]]:
    """Returns identifiers, embeddings and metadata of all Chroma records of one item."""
    ids = [record]
    embeddings = [vectors[0] if vectors else placeholder(record, dimension)]
    metadatas = [metadata]
    shared = {key: part for key, part in metadata.items() if key[0] == "p" or key[1:2] == ":"}
    for number, vector in enumerate(vectors[1:], start=1):
        ids.append(vector_id(record, number))
        embeddings.append(vector)
        metadatas.append(
            {
                **shared,
                "item": False,
                "vector": True,
                "of": record,
                "updated": metadata["updated"],
            }
        )
    return ids, embeddings, metadatas


def reindex(
    location: str,
    embedding: EmbeddingModel,
    *,
    name: str = COLLECTION,
    token: str | None = None,
    timeout: float = 30.0,
) -> int:
    """Embeds a whole store anew, for instance after a change of the embedding model. Blocks.

    The old collection stays as it is until the new one is complete; a run that is cut off at any
    instant leaves one of the two. Nothing else may write meanwhile: end other processes first. An
    item that was stored with fields of its own is embedded by the store's default fields; one that
    was stored with `index=False` stays without a vector.

    Args:
        location: As for `connect`, but not `memory:`.
        embedding: The model to embed with.
        name: Of the collection.
        token: Bearer token for a server behind a proxy.
        timeout: Seconds one request to a server may take.

    Returns:
        The number of items.

    Raises:
        MemoryStoreError: There is nothing to reindex, or Chroma fails.
        ModelError: The embedding model fails; the old collection is unchanged.
    """
    connection = connect(location, token=token, timeout=timeout)
    try:
        with connection.write_lock:
            return _reindex(connection, embedding, name + connection.suffix)
    finally:
        connection.close()


def _reindex(connection: Connection, embedding: EmbeddingModel, name: str) -> int:
    client = connection.client
    with translated(connection.label):
        _finish_reindex(connection, name)
        if name not in _names(connection):
            raise MemoryStoreError(
                f"The store {connection.label} is empty: there is nothing to reindex.",
                hint="Check GEMS_STORE and GEMS_DATA_DIR.",
            )
        old = client.get_collection(name, embedding_function=None)
        building = f"{name}-reindexing"
        if building in _names(connection):
            client.delete_collection(building)
        new = client.create_collection(
            building,
            embedding_function=None,
            metadata=_metadata(embedding),
            configuration=_INDEX,
        )
    count = 0
    step = 100
    with translated(connection.label):
        for page in pages(old, {"item": True}):
            for start in range(0, len(page), step):
                _copy(new, page[start : start + step], embedding)
            count += len(page)
        new.modify(name=f"{name}-reindexed")
        _finish_reindex(connection, name)
    return count


def _copy(new: Collection, records: list[Record], embedding: EmbeddingModel) -> None:
    texts = {
        record.id: embedding.texts(
            record.value, None if record.metadata["vector"] or _never_embedded(record) else False
        )
        for record in records
    }
    flat = [text for found in texts.values() for text in found]
    vectors = embedding.checked(embedding.model.embed_documents(flat)) if embedding.model else []
    if len(vectors) != len(flat):
        raise MemoryStoreError(f"The embedding model {embedding.name} dropped texts.")
    remaining = iter(vectors)
    ids: list[str] = []
    embeddings: list[list[float]] = []
    metadatas: list[dict[str, Any]] = []
    documents: list[str] = []
    for record in records:
        own = [next(remaining) for _ in texts[record.id]]
        metadata = {
            **record.metadata,
            "vector": bool(own),
            "vectors": len(own),
        }
        parts = vector_records(record.id, metadata, own, embedding.dimension)
        ids += parts[0]
        embeddings += parts[1]
        metadatas += parts[2]
        documents += [json.dumps(dict(record.document))] + [""] * (len(parts[0]) - 1)
    new.upsert(ids=ids, embeddings=embeddings, metadatas=metadatas, documents=documents)  # type: ignore[arg-type]  # lists are invariant


def _never_embedded(record: Record) -> bool:
    """Whether it was stored while the store had no model, and not with `index=False`."""
    return bool(record.metadata.get("unasked", False))
