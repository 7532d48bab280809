"""The gallery: images of two strategies side by side where they differ most, to be looked at.

One self-contained HTML file without scripts: thumbnails are inside. Prompts, judges' answers and
tags are other people's text and are escaped; an image file that can't be shown is said to be so.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from markupsafe import Markup

from ..show.page import data_url, environment, page
from .comparison import MET, Arm, Comparison
from .records import Judgment, Row
from .report_tables import Table, plain_points, score_text, unit

if TYPE_CHECKING:
    from .plots import Plot
    from .report import Chapter

TEMPLATES = Path(__file__).parent / "templates"

SHOWN = 8
"""Wins and losses of a pair that are shown, each; of ties three quarters of it."""

THUMBNAIL = 320
"""Longest side of a thumbnail in pixels; it is shown at half of that on a phone."""

QUALITY = 82
"""Of the thumbnails' WebP: about 10 kB each."""

MOST_BYTES = 64 * 1024 * 1024
MOST_PIXELS = 64_000_000
"""Larger files are not opened for a thumbnail."""


@dataclass(frozen=True)
class Part:
    """A judged part in words.

    Attributes:
        name: What was judged.
        verdict: `met`, `not met`.
        style: `yes` or `no`, the class of its colour.
        score: Only where it is neither 0 nor 1.
        answer: What the judge said.
    """

    name: str
    verdict: str
    style: str
    score: str
    answer: str


@dataclass(frozen=True)
class Side:
    """One strategy's image of a card.

    Attributes:
        strategy: Whose.
        score: By the judge, as text.
        belief: The run's own score as text; empty where it verified nothing.
        image: A `data:` URL; empty where the image can't be shown.
        missing: Why not.
        parts: The judged ones, those that are not met first.
        drawn_from: The prompt that the generator was given, where it is not the user's.
        rounds: Rounds made.
    """

    strategy: str
    score: str
    belief: str
    image: str
    missing: str
    parts: tuple[Part, ...]
    drawn_from: str
    rounds: int


@dataclass(frozen=True)
class Card:
    """One prompt with its images.

    Attributes:
        key: The sample.
        prompt: As the user wrote it.
        tags: In words.
        difference: Of the first side's score to the second's, as text; empty without a second.
        sides: One or two.
    """

    key: str
    prompt: str
    tags: tuple[str, ...]
    difference: str
    sides: tuple[Side, ...]


@dataclass(frozen=True)
class Wall:
    """Cards under one heading.

    Attributes:
        title: What they have in common.
        note: How they were chosen.
        cards: In order.
    """

    title: str
    note: str
    cards: tuple[Card, ...]


def gallery(chapters: Sequence[Chapter], drawn: Mapping[str, Sequence[Plot]] | None = None) -> str:
    """Returns the gallery as one HTML document, with the main tables and the plots above it.

    Args:
        chapters: One for each task.
        drawn: Task -> plots; their drawings are put into the page.
    """
    template = environment(TEMPLATES).get_template("gallery.html")
    body = template.render(
        chapters=[
            {
                "title": item.comparison.task.title,
                "simulated": item.comparison.simulated,
                "cautions": item.cautions,
                "budget": item.budget,
                "findings": item.findings,
                "tables": [
                    _plain(table, number)
                    for number, table in enumerate(item.tables)
                    if table in item.first_tables()
                ],
                "more": [
                    _plain(table, number)
                    for number, table in enumerate(item.tables)
                    if table not in item.first_tables()
                ],
                "plots": [
                    {
                        "url": data_url(plot.svg.read_bytes(), "image/svg+xml"),
                        "alt": plot.alt,
                        "caption": plot.caption,
                    }
                    for plot in (drawn or {}).get(item.comparison.task.name, ())
                ],
                "walls": walls(item.comparison),
            }
            for item in chapters
        ]
    )
    titles = ", ".join(item.comparison.task.title for item in chapters)
    # Jinja2 has escaped what is in it.
    return page(f"Evaluation: {titles}", Markup(body), TEMPLATES / "gallery.css")  # noqa: S704 - rendered with autoescaping


def _plain(table: Table, number: int) -> dict[str, object]:
    return {
        "number": number,
        "caption": table.caption,
        "columns": [
            {"name": column.removesuffix(">"), "number": column.endswith(">")}
            for column in table.columns
        ],
        "rows": table.rows,
    }


def walls(comparison: Comparison) -> list[Wall]:
    """Returns the cards of a task: of the pairs that are worth a look, else of its one arm."""
    arms = comparison.judged_arms
    if not arms:
        return []
    if len(arms) == 1:
        return _of_one(arms[0])
    ranked = sorted(arms, key=lambda arm: arm.score.value or 0.0, reverse=True)
    tested = {(pair.first, pair.second) for pair in comparison.pairs}
    against = [ranked[-1], ranked[1]]
    found = []
    for other in dict.fromkeys(arm.name for arm in against):
        names = {(ranked[0].name, other), (other, ranked[0].name)}
        if names & tested:
            second = next(arm for arm in arms if arm.name == other)
            found += _of_two(ranked[0], second, set(comparison.changed))
    return found


def _of_two(one: Arm, other: Arm, changed: set[str]) -> list[Wall]:
    theirs = {row["key"]: (row, judgment) for row, judgment in other.judged}
    both = [
        (row, judgment, *theirs[row["key"]])
        for row, judgment in one.judged
        if row["key"] in theirs and row["item"] not in changed
    ]
    by_difference = sorted(both, key=lambda four: (*_gain(four[3], four[1]), four[0]["key"]))
    wins = [four for four in by_difference if four[1]["score"] > four[3]["score"]]
    losses = [four for four in reversed(by_difference) if four[1]["score"] < four[3]["score"]]
    ties = [four for four in by_difference if four[1]["score"] == four[3]["score"]]
    Random(0).shuffle(ties)  # noqa: S311 - no secret
    told = f"of {len(both)} samples that both have"

    def cards(chosen: Sequence[tuple[Row, Judgment, Row, Judgment]]) -> tuple[Card, ...]:
        return tuple(
            _card(one, row, judgment, (other, their_row, their_judgment))
            for row, judgment, their_row, their_judgment in chosen
        )

    return [
        Wall(
            f"{one.name} wins against {other.name}",
            f"The {min(SHOWN, len(wins))} largest of {len(wins)} wins, {told}.",
            cards(wins[:SHOWN]),
        ),
        Wall(
            f"{one.name} loses against {other.name}",
            f"The {min(SHOWN, len(losses))} largest of {len(losses)} losses, {told}.",
            cards(losses[:SHOWN]),
        ),
        Wall(
            f"{one.name} and {other.name} tie",
            f"{min(SHOWN * 3 // 4, len(ties))} drawn at random of {len(ties)} ties, {told}.",
            cards(ties[: SHOWN * 3 // 4]),
        ),
    ]


def _gain(one: Judgment, other: Judgment) -> tuple[float, float]:
    """Returns by how much the first is better: by score, and where scores are alike, by parts."""
    shares = [
        sum(part["score"] for part in found["parts"]) / max(1, len(found["parts"]))
        for found in (one, other)
    ]
    return one["score"] - other["score"], shares[0] - shares[1]


def _of_one(arm: Arm) -> list[Wall]:
    ranked = sorted(arm.judged, key=lambda pair: (pair[1]["score"], pair[0]["key"]))
    half = len(ranked) // 2
    return [
        Wall(
            f"{arm.name}: the lowest scores",
            f"{min(SHOWN, len(ranked))} of {len(ranked)} samples.",
            tuple(_card(arm, row, judgment) for row, judgment in ranked[:SHOWN]),
        ),
        Wall(
            f"{arm.name}: the highest scores",
            f"{min(SHOWN, len(ranked) - half)} of {len(ranked)} samples.",
            tuple(
                _card(arm, row, judgment) for row, judgment in list(reversed(ranked[half:]))[:SHOWN]
            ),
        ),
    ]


def _card(
    arm: Arm, row: Row, judgment: Judgment, other: tuple[Arm, Row, Judgment] | None = None
) -> Card:
    sides = [_side(arm, row, judgment)]
    difference = ""
    if other is not None:
        sides.append(_side(*other))
        gain = judgment["score"] - other[2]["score"]
        sign = "+" if gain > 0 else ""
        difference = f"{sign}{plain_points(gain, arm.best)} {unit(arm.best)}" if gain else "equal"
    return Card(
        key=row["key"],
        prompt=row["prompt"],
        tags=tuple(f"{name} {value}" for name, value in row["tags"].items()),
        difference=difference,
        sides=tuple(sides),
    )


def _side(arm: Arm, row: Row, judgment: Judgment) -> Side:
    parts = sorted(judgment["parts"], key=lambda part: part["score"] >= MET)
    best = next((item for item in row["attempts"] if item["id"] == row["best"]), None)
    wording = best["prompt"] if best is not None and best["prompt"] != row["prompt"] else ""
    image, missing = thumbnail(arm.run.folder, row["file"])
    return Side(
        strategy=arm.name,
        score=score_text(judgment["score"], arm.best),
        belief=f"{row['score']:.2f}" if row["requirements"] else "",
        image=image,
        missing=missing,
        parts=tuple(
            Part(
                name=part["name"],
                verdict="met" if part["score"] >= MET else "not met",
                style="yes" if part["score"] >= MET else "no",
                score="" if part["score"] in (0, 1) else f"{part['score']:.2f}",
                answer=part.get("answer", ""),
            )
            for part in parts
        ),
        drawn_from=wording,
        rounds=row["rounds"],
    )


def thumbnail(folder: Path, file: str) -> tuple[str, str]:
    """Returns an image of a run as a small `data:` URL, and why not where it can't be shown.

    Args:
        folder: The run's.
        file: Below it, as the row has it; a path that leaves the folder is not opened.
    """
    from PIL import Image, UnidentifiedImageError

    path = (folder / file).resolve()
    if not file or not path.is_relative_to(folder.resolve()):
        return "", "no image of this run"
    try:
        if path.stat().st_size > MOST_BYTES:
            return "", "the file is too large to show"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken metadata, and of sizes checked below
            with Image.open(path) as image:
                if image.width * image.height > MOST_PIXELS:
                    return "", "the image is too large to show"
                image.thumbnail((THUMBNAIL, THUMBNAIL))
                small = io.BytesIO()
                image.convert("RGB").save(small, "WEBP", quality=QUALITY)
    except FileNotFoundError:
        return "", "the file is not in the run's folder"
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return "", "the file can't be read as an image"
    return data_url(small.getvalue(), "image/webp"), ""
