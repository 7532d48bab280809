"""Reading from the store's collection: by key, by filter, by meaning, and the namespaces."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from langgraph.store.base import ListNamespacesOp, MatchCondition, SearchOp

from .store_collection import pages
from .store_filters import Where, matches, prefilter
from .store_records import Namespace, Record, namespace_of, path_of, prefix_key

if TYPE_CHECKING:
    from chromadb import Collection

CHUNK = 500
"""Records in one request to Chroma; SQLite limits the variables of a statement."""


@dataclass(frozen=True)
class StoreReader:
    """What a store reads; everything here blocks and raises what Chroma raises.

    Attributes:
        collection: The store's collection.
        omit_expired: Whether expired items are unseen before they are swept.
    """

    collection: Collection
    omit_expired: bool = False

    def read(self, ids: Iterable[str]) -> dict[str, Record]:
        """Returns the items that are there, by identifier."""
        wanted = list(dict.fromkeys(ids))
        records: dict[str, Record] = {}
        for chunk in chunks(wanted):
            got = self.collection.get(ids=chunk, include=["metadatas", "documents"])
            for record_id, metadata, document in zip(
                got["ids"], got["metadatas"] or [], got["documents"] or [], strict=True
            ):
                records[record_id] = Record.read(record_id, metadata, document)
        return records

    def omitted(self, record: Record) -> bool:
        """Returns whether readers are not to see an item any more."""
        return self.omit_expired and record.expired(time.time())

    def search(self, op: SearchOp, query: list[float] | None) -> list[tuple[Record, float | None]]:
        """Returns the items of one page with their scores (None without a query or a vector)."""
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
        if not op.filter and not self.omit_expired:
            got = self.collection.get(
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
        for page in pages(self.collection, where):
            for record in page:
                if matches(record.value, op.filter) and not self.omitted(record):
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
            got = self.collection.query(
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
                if matches(record.value, op.filter) and not self.omitted(record)
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
        records |= self.read(owner for owner in owners if owner not in records)
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

    def list_namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        """Returns the namespaces that hold items, sorted."""
        where = _where(_within(_literal_prefix(op.match_conditions)), None)
        # Identifiers begin with the namespace: reading them alone is several times quicker.
        ids = set(self.collection.get(where=where or None, include=[])["ids"])
        if self.omit_expired:
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

    def _expired(self) -> list[str]:
        return self.collection.get(where=over(time.time()), include=[])["ids"]


def chunks(values: list[Any]) -> Iterator[list[Any]]:
    """Yields values in lists that one request can take."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def _within(prefix: Namespace) -> list[Where]:
    return [{prefix_key(len(prefix)): path_of(prefix)}] if prefix else []


def _where(conditions: list[Where], op: SearchOp | None) -> Where:
    found = conditions + prefilter(op.filter if op else None)
    if len(found) > 1:
        return {"$and": found}
    return found[0] if found else {}


def over(at: float) -> Where:
    """Returns the condition for items whose time is over at `at` (seconds since 1970)."""
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
