"""How an item of the store looks in Chroma: identifiers, metadata, document.

An item is one Chroma record: the document is its JSON, the metadata hold what can be filtered, the
embedding is that of its first indexed text. Further texts of the same item (`chapters[*].title`)
are records of their own that only point to it. One record for the common case means that an item
and its vector are written together or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from langgraph.store.base import Item, SearchItem

from ..errors import MemoryStoreError
from .store_filters import filterable

Namespace = tuple[str, ...]
Metadata = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def escape(text: str) -> str:
    """Returns text as ASCII without control characters, as in a JSON string."""
    return json.dumps(text)[1:-1]


def path_of(namespace: Namespace) -> str:
    """Returns a namespace as one text; unambiguous, since labels hold no dot."""
    return ".".join(escape(label) for label in namespace)


def namespace_of(record_id: str) -> Namespace:
    """Returns the namespace that a record's identifier starts with."""
    path = record_id.partition("\t")[0]
    if not path:
        return ()
    return tuple(json.loads(f'"{label}"') for label in path.split("."))


def item_id(namespace: Namespace, key: str) -> str:
    """Returns the identifier of an item's record; escaped parts hold no tab."""
    return f"{path_of(namespace)}\t{escape(key)}"


def vector_id(item: str, number: int) -> str:
    """Returns the identifier of an item's further vector, counted from 1."""
    return f"{item}\t{number}"


def prefix_key(depth: int) -> str:
    """Returns the metadata key that holds the first `depth` labels of the namespace."""
    return f"p{depth}"


def now() -> int:
    """Returns the time in microseconds since 1970, UTC."""
    return (datetime.now(UTC) - _EPOCH) // timedelta(microseconds=1)


def encode(namespace: Namespace, key: str, value: Mapping[str, Any]) -> str:
    """Returns the document of an item.

    Raises:
        MemoryStoreError: The value is not JSON (NaN and infinity are not either).
    """
    try:
        return json.dumps(
            {"namespace": namespace, "key": key, "value": dict(value)}, allow_nan=False
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise MemoryStoreError(
            f"The value of {key!r} in {namespace} is not JSON: {error}.",
            hint="Store dicts, lists, texts, finite numbers, booleans and None only.",
        ) from error


def metadata_of(
    namespace: Namespace,
    value: Mapping[str, Any],
    *,
    created: int,
    updated: int,
    vectors: int,
    ttl: float | None,
) -> dict[str, Any]:
    """Returns the metadata of an item's record.

    Args:
        namespace: Where it lives.
        value: What is stored, as JSON values.
        created: Microseconds since 1970.
        updated: Likewise.
        vectors: How many texts of it are embedded, 0 for none.
        ttl: Minutes until it expires unless it is read or written, or None.
    """
    metadata: dict[str, Any] = {
        "item": True,
        "vector": vectors > 0,
        "vectors": vectors,
        "created": created,
        "updated": updated,
        **prefixes(namespace),
        **filterable(value),
    }
    if ttl is not None:
        metadata |= {"ttl": float(ttl), "expires": updated / 1e6 + ttl * 60}
    return metadata


def prefixes(namespace: Namespace) -> dict[str, str]:
    """Returns one metadata entry for each prefix of a namespace: a prefix is one equality."""
    labels = [escape(label) for label in namespace]
    return {prefix_key(depth): ".".join(labels[:depth]) for depth in range(1, len(labels) + 1)}


def placeholder(record_id: str, dimension: int) -> list[float]:
    """Returns the embedding of a record that has none, since Chroma wants one for every record.

    It differs from record to record: an index over equal vectors degenerates. Searches leave these
    records out.
    """
    import numpy as np

    seed = int.from_bytes(hashlib.sha256(record_id.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return [float(x) for x in vector / np.linalg.norm(vector)]


@dataclass(frozen=True)
class Record:
    """One item as read from Chroma.

    Attributes:
        id: Of the Chroma record.
        metadata: As `metadata_of` made it.
        document: As `encode` made it, decoded.
    """

    id: str
    metadata: Metadata
    document: Mapping[str, Any]

    @classmethod
    def read(cls, record_id: str, metadata: Metadata, document: str) -> Record:
        """Returns the item behind a record's parts.

        Raises:
            MemoryStoreError: The document was not written by this store.
        """
        try:
            decoded = json.loads(document)
            decoded["value"], decoded["key"], decoded["namespace"]
            metadata["created"], metadata["updated"]
        except (ValueError, TypeError, KeyError) as error:
            raise MemoryStoreError(
                f"The record {record_id!r} is not an item of this store.",
                hint="Was the collection written by another program? Set GEMS_STORE to another "
                "folder or server.",
            ) from error
        return cls(record_id, metadata, decoded)

    @property
    def value(self) -> dict[str, Any]:
        """The stored value."""
        value: dict[str, Any] = self.document["value"]
        return value

    @property
    def ttl(self) -> float | None:
        """Minutes, or None."""
        ttl = self.metadata.get("ttl")
        return None if ttl is None else float(ttl)

    def expired(self, at: float) -> bool:
        """Returns whether the item's time is over at `at` (seconds since 1970)."""
        return self.ttl is not None and float(self.metadata["expires"]) <= at

    def item(self) -> Item:
        """Returns it as LangGraph's `Item`."""
        return Item(
            namespace=tuple(self.document["namespace"]),
            key=self.document["key"],
            value=self.value,
            created_at=_EPOCH + timedelta(microseconds=int(self.metadata["created"])),
            updated_at=_EPOCH + timedelta(microseconds=int(self.metadata["updated"])),
        )

    def search_item(self, score: float | None) -> SearchItem:
        """Returns it as LangGraph's `SearchItem`."""
        item = self.item()
        return SearchItem(
            item.namespace, item.key, item.value, item.created_at, item.updated_at, score
        )
