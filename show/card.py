"""A run as a card in a notebook: the image, the line that says how it went, the grid of verdicts.

The card is a fragment with a style of its own. It takes text colour and ground from the notebook,
whose theme need not be the system's, and it reads well without its style, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from ..records import Answer, Attempt, Requirement
from .page import TEMPLATES, data_url, environment
from .verdicts import ANSWERS, verdict_of

SIDE = 512
"""Longer side of the image in pixels; it is shown at 320, and screens have more dots than that."""

COLUMNS = 6
"""Latest attempts side by side; a notebook's column holds them beside the image."""

LONGEST_PROMPT = 2000
"""Characters of the prompt that a card shows."""

AnswerOf = Callable[[Attempt, Requirement], Answer | None]


@dataclass(frozen=True)
class Card:
    """What a card shows.

    Attributes:
        prompt: What the image must show.
        line: The outcome, or what is going on.
        foot: Where and how, in one line.
        requirements: The rows of the grid.
        attempts: All attempts so far; the latest are the columns.
        image: The image's bytes as WebP; None where there is none.
        image_name: The image in words.
        missing: Why there is none.
        notices: Sentences for the user.
    """

    prompt: str
    line: str
    foot: str
    requirements: Sequence[Requirement] = ()
    attempts: Sequence[Attempt] = ()
    image: bytes | None = None
    image_name: str = ""
    missing: str = "No image yet"
    notices: Sequence[str] = field(default=())


def _judged(attempt: Attempt, requirement: Requirement) -> Answer | None:
    verdict = verdict_of(attempt, requirement["id"])
    return verdict["answer"] if verdict else None


def card_html(card: Card, answer_of: AnswerOf = _judged) -> str:
    """Returns a card as an HTML fragment; every text in it is escaped.

    Args:
        card: What it shows.
        answer_of: Knows the answers on an attempt; by default its own verdicts.
    """
    shown = list(card.attempts)[-COLUMNS:]
    several = any(item["candidate"] > 1 for item in card.attempts)
    turns = {item["turn"] for item in card.attempts}
    prompt = card.prompt
    if len(prompt) > LONGEST_PROMPT:
        prompt = f"{prompt[:LONGEST_PROMPT]}…"
    return (
        environment()
        .get_template("card.html")
        .render(
            style=Markup((TEMPLATES / "card.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
            prompt=prompt,
            line=card.line,
            foot=card.foot,
            image=data_url(card.image, "image/webp") if card.image else "",
            image_name=card.image_name,
            missing=card.missing,
            notices=card.notices,
            columns=[_column(item, several=several, turns=len(turns)) for item in shown],
            rows=[
                (item["question"], [_cell(attempt, item, answer_of) for attempt in shown])
                for item in card.requirements
            ],
        )
    )


def _column(attempt: Attempt, *, several: bool, turns: int) -> str:
    name = f"round {attempt['round']}"
    if several:
        name += f".{attempt['candidate']}"
    return f"turn {attempt['turn']}, {name}" if turns > 1 else name


def _cell(attempt: Attempt, requirement: Requirement, answer_of: AnswerOf) -> tuple[str, str, str]:
    answer = answer_of(attempt, requirement)
    if answer is None:
        return "", "", ""
    verdict = verdict_of(attempt, requirement["id"])
    return answer, ANSWERS[answer], verdict["rationale"] if verdict else ""
