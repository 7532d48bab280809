"""The score of each attempt over the rounds, as an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .page import environment
from .verdicts import percent

STEP, WIDEST_STEP, ROOM = 56, 110, 300
"""Pixels between two rounds, at least and at most, and what they share while they are few: a phone
of 360 px shows five rounds without scrolling."""

LEFT, TOP, HEIGHT, BOTTOM = 44, 26, 120, 30


@dataclass(frozen=True)
class Point:
    """One judged attempt.

    Attributes:
        column: 0-based column: its round in the whole thread.
        label: What stands under the column.
        name: The attempt in words.
        score: 0..1.
        best: Whether it is the one that is handed over.
    """

    column: int
    label: str
    name: str
    score: float
    best: bool = False


def score_curve(points: Sequence[Point]) -> Markup:
    """Returns a drawing of the scores, in the colours of `tokens.css`.

    The line goes through the best attempt of each round. Without two rounds there is no curve, and
    the result is empty.
    """
    columns = sorted({point.column for point in points})
    if len(columns) < 2:
        return Markup()

    step = max(STEP, min(WIDEST_STEP, ROOM // len(columns)))

    def x(column: int) -> float:
        return LEFT + step * (columns.index(column) + 0.5)

    def y(score: float) -> float:
        return round(TOP + HEIGHT * (1 - bounded(score)), 1)

    tops = [
        max((point for point in points if point.column == column), key=lambda item: item.score)
        for column in columns
    ]
    said = ", ".join(f"{point.name} {percent(bounded(point.score))}" for point in tops)
    return Markup(  # noqa: S704 - rendered by a template that escapes
        environment()
        .get_template("score_curve.html")
        .render(
            width=LEFT + step * len(columns) + 8,
            height=TOP + HEIGHT + BOTTOM,
            left=LEFT,
            base=TOP + HEIGHT,
            lines=[(y(level), f"{level:.0%}") for level in (0.0, 0.5, 1.0)],
            path=" ".join(f"{x(point.column):g},{y(point.score):g}" for point in tops),
            dots=[(x(point.column), y(point.score), point) for point in points],
            tops=[
                (x(point.column), y(point.score), percent(bounded(point.score)), point.label)
                for point in tops
            ],
            said=said,
        )
    )


def bounded(score: float) -> float:
    """Returns a score in 0..1, whatever a client wrote into the state."""
    return min(max(score, 0.0), 1.0) if math.isfinite(score) else 0.0
