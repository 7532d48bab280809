"""Figures that others published, to stand beside ours: each is theirs and says whose.

`published.json` holds them. None of them was measured here, and a figure of another judge, another
generator or another agent's model is not comparable with ours: the report says so beside each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.json")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published figure.

    Attributes:
        task: The benchmark, by its name on our command line.
        generator: What drew the images.
        method: As they call it.
        strategy: Our strategy that is meant to do the same; empty where there is none.
        value: In the task's range.
        best: The highest value it can have.
        source: Whose figure it is.
        reference: Where it stands.
        note: What to know before comparing.
    """

    task: str
    generator: str
    method: str
    strategy: str
    value: float
    best: float
    source: str
    reference: str
    note: str


@dataclass(frozen=True, kw_only=True)
class PublishedRounds:
    """A published pass rate by round.

    Attributes:
        method: As they call it.
        generator: What drew the images.
        values: 0..100, from round 1 on.
        source: Whose figures they are.
        reference: Where they stand.
    """

    method: str
    generator: str
    values: tuple[float, ...]
    source: str
    reference: str


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def published(task: str) -> list[Published]:
    """Returns the published figures of a task in the order of the file; none for the sandbox."""
    content = _content()
    found = []
    for table in content["tables"]:
        if task not in table["tasks"]:
            continue
        at = table["tasks"].index(task)
        source = content["sources"][table["source"]]
        found += [
            Published(
                task=task,
                generator=table["generator"],
                method=method,
                strategy=content["strategies"].get(method, ""),
                value=values[at],
                best=content["best"][task],
                source=source["name"],
                reference=source["reference"],
                note=source["note"],
            )
            for method, values in table["rows"].items()
        ]
    return found


def published_rounds(task: str) -> list[PublishedRounds]:
    """Returns the published pass rates by round of a task; mostly none."""
    content = _content()
    found = content["rounds"].get(task)
    if found is None:
        return []
    source = content["sources"][found["source"]]
    return [
        PublishedRounds(
            method=method,
            generator=found["generator"],
            values=tuple(values),
            source=source["name"],
            reference=source["reference"],
        )
        for method, values in found["curves"].items()
    ]


def caveat(task: str) -> str:
    """Returns what to know about a task's published figures; empty where nothing is noted."""
    text: str = _content()["caveats"].get(task, "")
    return text
