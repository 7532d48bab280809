"""Experience memory across runs: what failed, what fixed it, and whether knowing it helped.

The paper's memory ends with the call; here the finalizer distils a run into a *lesson* and the
recall node brings the few lessons that fit a new prompt. Functions of any LangGraph `BaseStore`
with semantic search; a store without it recalls nothing.

A lesson is trusted by evidence. `count` says how often runs taught it, `uses` how often it was
recalled, `wins` how often that run then did well: its weight is (wins + count + 1) / (uses + count
+ 1), which starts at 1 and falls with every recall that did not help, more slowly the more runs
taught it. Two runs that say the opposite about one remedy are one lesson, whose mean gain decides
whether it advises or warns.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from math import log1p
from typing import Any, NamedTuple
from urllib.parse import quote

from langgraph.store.base import BaseStore, GetOp, PutOp, SearchItem
from typing_extensions import TypedDict

from ..errors import InputError
from ..models.embeddings import LexicalEmbeddings
from ..records import RequirementKind

ROOT = "experiences"
"""First label of every namespace: (`experiences`, user, generator)."""

EMBEDDED_FIELDS = ("task",)
"""What a new prompt is compared with: the prompts that the lessons were learned from."""

MAX_LESSONS = 500
"""Lessons kept for one user and generator: at about 1 KB each this stays below a megabyte, and
what falls out is what helped least."""

WEIGHT_FLOOR = 0.3
"""Lessons below it are not recalled: a lesson taught once falls there after five recalls that did
not help (2/7), one taught five times after fifteen."""

DIVERSITY = 0.3
"""Share of novelty against fit when lessons are chosen (1 - lambda of MMR: Carbonell and
Goldstein, 1998)."""

SAME_REMEDY = 0.45
"""Lexical cosine from which two remedies are one. Measured on 16 wordings of five remedies: two
wordings of one remedy lie at 0.28 to 0.75 (median 0.6), of two remedies at 0.33 at most."""

MAX_TASK = 2000
MAX_TEXT = 600
"""Characters kept of a prompt, and of what failed and what was done about it."""

_KINDS = frozenset({"object", "count", "attribute", "relation", "text", "style", "other"})
_LEXICAL = LexicalEmbeddings()


class Closeness(NamedTuple):
    """What cosines of one embedding model mean.

    Attributes:
        relevant: Below it, a lesson has nothing to do with the prompt.
        same: From it, two prompts are the same kind of task.
    """

    relevant: float
    same: float


CLOSENESS = {
    "all-MiniLM": Closeness(0.35, 0.75),
    "lexical": Closeness(0.22, 0.6),
}
"""By the beginning of the embedding model's name. Among twelve prompts of six kinds, pairs of one
kind had cosines of 0.38 to 0.67 with MiniLM and pairs of two kinds at most 0.29 unless they shared
their objects; lexically 0.24 to 0.44 where they shared words, 0.14 at most otherwise."""

OTHER_CLOSENESS = Closeness(0.35, 0.8)
"""For any other model."""


class LessonDraft(TypedDict):
    """What one run taught.

    Attributes:
        task: The user's prompt.
        kinds: Kinds of the requirements that failed at first.
        failed: What went wrong, one or two sentences.
        remedy: What was done about it, one or two sentences; may be empty.
        skill: The skill in use, or empty.
        gain: Score after the remedy minus score before, -1..1. Zero or less: it did not help.
    """

    task: str
    kinds: list[RequirementKind]
    failed: str
    remedy: str
    skill: str
    gain: float


class Lesson(LessonDraft):
    """A lesson as stored: plain JSON values.

    Attributes:
        id: Unique within the store.
        user: Whose it is.
        generator: The generator it was learned with.
        count: How many runs taught it.
        uses: How often it was recalled and credited.
        wins: How often the run then did well.
        created: ISO 8601, UTC.
        updated: Likewise; when it was last taught.
        relevance: Cosine to the prompt it was recalled for; 0 where it was not recalled.
    """

    id: str
    user: str
    generator: str
    count: int
    uses: int
    wins: int
    created: str
    updated: str
    relevance: float


class MemoryStats(TypedDict):
    """What the experience memory holds.

    Attributes:
        lessons: How many.
        users: Distinct users.
        by_generator: Lessons for each generator.
        by_kind: Lessons for each requirement kind (a lesson may have several).
        uses: Summed over all lessons.
        wins: Likewise.
        silenced: Lessons that are no longer recalled (weight below the floor).
    """

    lessons: int
    users: int
    by_generator: dict[str, int]
    by_kind: dict[str, int]
    uses: int
    wins: int
    silenced: int


def label(text: str) -> str:
    """Returns a text as a namespace label, one to one; LangGraph forbids dots and empty ones."""
    return quote(text, safe=":@/ ", errors="surrogatepass").replace(".", "%2E") or "%"


def namespace(user: str, generator: str | None = None) -> tuple[str, ...]:
    """Returns the namespace of a user's lessons, of one generator or of all."""
    head = (ROOT, label(user))
    return head if generator is None else (*head, label(generator))


def weight(lesson: Lesson) -> float:
    """Returns how far a lesson is trusted, 0..1 (1: nothing speaks against it)."""
    return (lesson["wins"] + lesson["count"] + 1) / (lesson["uses"] + lesson["count"] + 1)


def as_advice(lesson: Lesson) -> str:
    """Returns a lesson as one sentence or two for a model's prompt."""
    failed = lesson["failed"].rstrip(". ")
    said = failed if failed.endswith(("?", "!")) else f"{failed}." if failed else ""
    if not lesson["remedy"]:
        return said
    remedy = lesson["remedy"].rstrip(". ")
    told = f"What helped: {remedy}." if lesson["gain"] > 0 else f"This did not help: {remedy}."
    return f"{said} {told}".strip()


async def recall(
    store: BaseStore, *, user: str, generator: str, prompt: str, limit: int = 3
) -> list[Lesson]:
    """Returns the lessons that fit a prompt, the best first; often few, and none is fine.

    Lessons below the relevance or weight floor are left out; of the others, each next one is
    chosen for its fit and for being different from those already chosen.

    Args:
        store: A store with semantic search.
        user: Whose lessons.
        generator: Learned with this generator.
        prompt: The new task.
        limit: At most so many, 0 for none.

    Raises:
        MemoryStoreError: The store fails.
        ModelError: The embedding model fails.
    """
    if limit < 1 or not prompt.strip():
        return []
    home = namespace(user, generator)
    if not await store.asearch(home, limit=1):
        return []  # nothing to compare with: the embedding model, seconds to load, is not needed
    found = await store.asearch(home, query=prompt[:MAX_TASK], limit=max(4 * limit, 12))
    floor = _closeness(store).relevant
    fitting: list[Lesson] = []
    for item in found:
        lesson = _read(item)
        if lesson is None or lesson["relevance"] < floor or weight(lesson) < WEIGHT_FLOOR:
            continue
        if as_advice(lesson):
            fitting.append(lesson)
    return await asyncio.to_thread(_diverse, fitting, limit)


def _diverse(lessons: list[Lesson], limit: int) -> list[Lesson]:
    import numpy as np

    if not lessons:
        return []
    vectors = np.array(_LEXICAL.embed_documents([as_advice(lesson) for lesson in lessons]))
    alike = vectors @ vectors.T
    fit = [_fit(lesson) for lesson in lessons]
    chosen: list[int] = []
    while len(chosen) < min(limit, len(lessons)):
        scores = {
            i: (1 - DIVERSITY) * fit[i]
            - DIVERSITY * max((float(alike[i, j]) for j in chosen), default=0.0)
            for i in range(len(lessons))
            # What says the same again only costs tokens.
            if i not in chosen and all(alike[i, j] < 0.9 for j in chosen)
        }
        if not scores:
            break
        chosen.append(max(scores, key=lambda i: (scores[i], -i)))
    return [lessons[i] for i in chosen]


def _fit(lesson: Lesson) -> float:
    # Relevance decides; evidence moves it by at most a fifth.
    evidence = min(1.0, log1p(lesson["count"] + lesson["wins"]) / log1p(10))
    return lesson["relevance"] * weight(lesson) * (0.8 + 0.2 * evidence)


async def learn(store: BaseStore, *, user: str, generator: str, record: LessonDraft) -> Lesson:
    """Stores what a run taught, merged with what was known, and returns the lesson as stored.

    A lesson about the same kind of task, with the same failing kinds and the same remedy, is
    merged: it counts one more, its gain is the mean over all runs (so a remedy that helped once and
    failed twice becomes a warning), its words are those of the run with the largest effect in the
    direction of the mean.

    Args:
        store: Any store; without semantic search nothing is merged.
        user: Whose lesson.
        generator: The generator of the run.
        record: What was learned.

    Raises:
        InputError: The record is incomplete or has values out of range.
        MemoryStoreError: The store fails.
        ModelError: The embedding model fails.
    """
    draft = _checked(record, "the lesson")
    home = namespace(user, generator)
    stamp = datetime.now(UTC).isoformat()
    lesson = Lesson(
        **draft,
        id=uuid.uuid4().hex,
        user=user,
        generator=generator,
        count=1,
        uses=0,
        wins=0,
        created=stamp,
        updated=stamp,
        relevance=0.0,
    )
    known = await store.asearch(home, query=draft["task"], limit=12)
    same = _closeness(store).same
    near = [old for item in known if (old := _read(item)) and old["relevance"] >= same]
    merged = await asyncio.to_thread(_same_lessons, lesson, near)
    for old in merged:
        lesson = _merge(old, lesson)
    # Several may match when two runs learned the same at the same time: they become one here.
    await store.abatch(
        [PutOp(home, old["id"], None) for old in merged if old["id"] != lesson["id"]]
        + [PutOp(home, lesson["id"], dict(lesson))]
    )
    if not merged:
        await _evict(store, home)
    return lesson


def _same_lessons(new: Lesson, near: list[Lesson]) -> list[Lesson]:
    import numpy as np

    candidates = [
        old
        for old in near
        if set(old["kinds"]) == set(new["kinds"]) and bool(old["remedy"]) == bool(new["remedy"])
    ]
    if not candidates:
        return []
    texts = [lesson["remedy"] or lesson["failed"] for lesson in [new, *candidates]]
    vectors = np.array(_LEXICAL.embed_documents(texts))
    alike = vectors[1:] @ vectors[0]
    return [
        old
        for old, likeness, text in zip(candidates, alike, texts[1:], strict=True)
        if likeness >= SAME_REMEDY or text == texts[0]
    ]


def _merge(old: Lesson, new: Lesson) -> Lesson:
    count = old["count"] + new["count"]
    gain = (old["gain"] * old["count"] + new["gain"] * new["count"]) / count
    speaks = max(old, new, key=lambda lesson: lesson["gain"] if gain > 0 else -lesson["gain"])
    return Lesson(
        task=speaks["task"],
        kinds=speaks["kinds"],
        failed=speaks["failed"],
        remedy=speaks["remedy"],
        skill=speaks["skill"],
        gain=gain,
        id=old["id"],
        user=new["user"],
        generator=new["generator"],
        count=count,
        uses=old["uses"] + new["uses"],
        wins=old["wins"] + new["wins"],
        created=min(old["created"], new["created"]),
        updated=max(old["updated"], new["updated"]),
        relevance=0.0,
    )


async def _evict(store: BaseStore, home: tuple[str, ...]) -> None:
    if not await store.asearch(home, limit=1, offset=MAX_LESSONS):
        return
    lessons = [lesson async for lesson in _walk(store, home)]
    lessons.sort(key=lambda one: (weight(one), one["count"] + one["wins"], one["updated"]))
    await _delete(store, home, [one["id"] for one in lessons[: len(lessons) - MAX_LESSONS]])


async def credit(store: BaseStore, lessons_used: Iterable[Lesson], helped: bool) -> None:
    """Counts for recalled lessons whether the run did well with them.

    Lessons that are gone meanwhile are skipped. Two runs that credit one lesson at the same instant
    may count as one: the weight is a tendency, no ledger.

    Args:
        store: Where they were recalled from.
        lessons_used: As `recall` returned them.
        helped: Whether the run did well (accepted, or better than without, as the caller judges).

    Raises:
        MemoryStoreError: The store fails.
    """
    used = list(lessons_used)
    if not used:
        return
    homes = [namespace(lesson["user"], lesson["generator"]) for lesson in used]
    found = await store.abatch(
        [GetOp(home, lesson["id"]) for home, lesson in zip(homes, used, strict=True)]
    )
    puts: list[PutOp] = []
    for home, item in zip(homes, found, strict=True):
        lesson = _read(item)
        if lesson is not None:
            lesson["uses"] += 1
            lesson["wins"] += int(helped)
            lesson["relevance"] = 0.0
            puts.append(PutOp(home, lesson["id"], dict(lesson)))
    if puts:
        await store.abatch(puts)


async def lessons(
    store: BaseStore, *, user: str | None = None, generator: str | None = None
) -> AsyncIterator[Lesson]:
    """Yields stored lessons, of one user or of all, of one generator or of all."""
    head = (ROOT,) if user is None else namespace(user, generator)
    async for lesson in _walk(store, head):
        if generator is None or lesson["generator"] == generator:
            yield lesson


async def search(
    store: BaseStore, query: str, *, user: str | None = None, limit: int = 10
) -> list[Lesson]:
    """Returns the lessons nearest to a text, without any floor, for people who look into it."""
    head = (ROOT,) if user is None else namespace(user)
    found = await store.asearch(head, query=query, limit=limit)
    return [lesson for item in found if (lesson := _read(item)) is not None]


async def find(store: BaseStore, lesson_id: str) -> Lesson | None:
    """Returns the lesson with an identifier, or None."""
    found = await store.asearch((ROOT,), filter={"id": lesson_id}, limit=1)
    return _read(found[0]) if found else None


async def forget(
    store: BaseStore,
    *,
    user: str,
    generator: str | None = None,
    lesson_id: str | None = None,
) -> int:
    """Deletes a user's lessons: all, those of one generator, or one. Returns how many.

    Raises:
        MemoryStoreError: The store fails.
    """
    count = 0
    head = namespace(user, generator)
    only = {"id": lesson_id} if lesson_id is not None else None
    # Always from the start: what was deleted no longer takes a place.
    while page := await store.asearch(head, filter=only, limit=200):
        await store.abatch([PutOp(item.namespace, item.key, None) for item in page])
        count += len(page)
    return count


async def export_lessons(store: BaseStore, *, user: str | None = None) -> AsyncIterator[str]:
    """Yields lessons as JSON lines (without line ends), as `import_lessons` reads them."""
    import json

    async for lesson in lessons(store, user=user):
        yield json.dumps(lesson, sort_keys=True)


async def import_lessons(store: BaseStore, lines: Iterable[str]) -> int:
    """Stores exported lessons under their own identifiers and returns how many.

    Everything is checked before anything is stored; a lesson that is already there is replaced.

    Raises:
        InputError: A line is no lesson; the message names it.
        MemoryStoreError: The store fails.
        ModelError: The embedding model fails.
    """
    import json

    read: list[Lesson] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not JSON: {error}.") from error
        read.append(_lesson(value, where))
    for start in range(0, len(read), 100):
        await store.abatch(
            [
                PutOp(namespace(lesson["user"], lesson["generator"]), lesson["id"], dict(lesson))
                for lesson in read[start : start + 100]
            ]
        )
    for home in {namespace(lesson["user"], lesson["generator"]) for lesson in read}:
        await _evict(store, home)
    return len(read)


async def stats(store: BaseStore, *, user: str | None = None) -> MemoryStats:
    """Returns what the memory holds, of one user or of all."""
    total = MemoryStats(lessons=0, users=0, by_generator={}, by_kind={}, uses=0, wins=0, silenced=0)
    users: set[str] = set()
    async for lesson in lessons(store, user=user):
        users.add(lesson["user"])
        total["lessons"] += 1
        total["uses"] += lesson["uses"]
        total["wins"] += lesson["wins"]
        total["silenced"] += weight(lesson) < WEIGHT_FLOOR
        made_with = lesson["generator"]
        total["by_generator"][made_with] = total["by_generator"].get(made_with, 0) + 1
        for kind in lesson["kinds"]:
            total["by_kind"][kind] = total["by_kind"].get(kind, 0) + 1
    total["users"] = len(users)
    return total


async def _walk(store: BaseStore, head: tuple[str, ...]) -> AsyncIterator[Lesson]:
    offset = 0
    while page := await store.asearch(head, limit=200, offset=offset):
        for item in page:
            lesson = _read(item)
            if lesson is not None:
                yield lesson
        offset += len(page)


async def _delete(store: BaseStore, home: tuple[str, ...], ids: Sequence[str]) -> None:
    await store.abatch([PutOp(home, lesson_id, None) for lesson_id in ids])


def _closeness(store: BaseStore) -> Closeness:
    name = getattr(getattr(store, "embedding", None), "name", "")
    for beginning, closeness in CLOSENESS.items():
        if str(name).startswith(beginning):
            return closeness
    return OTHER_CLOSENESS


def _read(item: object) -> Lesson | None:
    """Returns the lesson in an item of the store; None for what is not one (or has no score)."""
    value = getattr(item, "value", None)
    try:
        lesson = _lesson(value, "the item")
    except InputError:
        # Anyone may put items under this namespace through the server's store API.
        return None
    if isinstance(item, SearchItem):
        lesson["relevance"] = item.score or 0.0
    return lesson


def _lesson(value: Any, where: str) -> Lesson:
    draft = _checked(value, where)
    for name in ("id", "user", "generator", "created", "updated"):
        text = value.get(name)
        if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
            raise InputError(f"{where}: {name} must be a text of 1 to {MAX_TEXT} characters.")
    for name in ("count", "uses", "wins"):
        number = value.get(name)
        if type(number) is not int or not 0 <= number <= 10**9:
            raise InputError(f"{where}: {name} must be a whole number, 0 or more.")
    return Lesson(
        **draft,
        id=value["id"],
        user=value["user"],
        generator=value["generator"],
        count=value["count"],
        uses=value["uses"],
        wins=value["wins"],
        created=value["created"],
        updated=value["updated"],
        relevance=0.0,
    )


def _checked(value: Any, where: str) -> LessonDraft:
    if not isinstance(value, dict):
        raise InputError(f"{where} is not an object.")
    for name in ("task", "failed", "remedy", "skill"):
        if not isinstance(value.get(name), str):
            raise InputError(f"{where}: {name} must be a text.")
    kinds, gain = value.get("kinds"), value.get("gain")
    if not isinstance(kinds, list) or not all(
        isinstance(kind, str) and kind in _KINDS for kind in kinds
    ):
        raise InputError(f"{where}: kinds must be a list of {', '.join(sorted(_KINDS))}.")
    if isinstance(gain, bool) or not isinstance(gain, (int, float)) or not -1 <= gain <= 1:
        raise InputError(f"{where}: gain must be a number from -1 to 1.")
    if not value["task"].strip():
        raise InputError(f"{where}: task is empty.")
    return LessonDraft(
        task=value["task"][:MAX_TASK],
        kinds=sorted(set(kinds)),
        failed=value["failed"][:MAX_TEXT],
        remedy=value["remedy"][:MAX_TEXT],
        skill=value["skill"][:MAX_TEXT],
        gain=float(gain),
    )


__all__ = [
    "Lesson",
    "LessonDraft",
    "MemoryStats",
    "as_advice",
    "credit",
    "export_lessons",
    "find",
    "forget",
    "import_lessons",
    "learn",
    "lessons",
    "namespace",
    "recall",
    "search",
    "stats",
    "weight",
]
