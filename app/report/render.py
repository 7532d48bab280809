"""Puts a report together: a thread's trajectory in, one HTML file out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from ...graph.context import Context
from ...show.page import environment, page
from ...show.verdicts import STOPPED, outcome
from ..tables import size_text
from .pictures import LARGE_SIDE, Allowed, Picture, picture, pictures
from .readable import Readable
from .reproduction import reproduction, setting_rows, versions, without_credentials
from .story import best_of, cost_rows, turns_of

HERE = Path(__file__).parent / "templates"

STYLE = HERE / "report.css"

LONG_PROMPT = 600
"""Characters of the prompt at the top; the rest unfolds."""

STATUS = {
    "waiting": "It waits for a person's answer.",
    "failed": "Its last step failed; what there is so far follows.",
    "unfinished": "It runs right now, or was interrupted; what there is so far follows.",
}


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes:
        thread: The thread's id.
        state: Its channels.
        context: The settings it ran with.
        status: `finished`, `waiting`, `failed` or `unfinished`.
        updated: When it was last written; None where that is not known.
        origin: `<thread> <attempt>` that it was forked from, or empty.
        recorded: Versions that were recorded with the run, by package.
    """

    thread: str
    state: Readable
    context: Context
    status: str
    updated: datetime | None
    origin: str
    recorded: dict[str, str]


async def render(subject: Subject, *, allowed: Allowed | None = None) -> str:
    """Returns the report as a whole HTML document.

    Args:
        subject: The thread.
        allowed: Says which images its reader may see; None allows all.
    """
    best = best_of(subject.state)
    images = [item["image"] for item in subject.state.attempts]
    small = await pictures(images, allowed)
    large = None if best is None else await picture(best["image"], LARGE_SIDE, allowed)
    return await asyncio.to_thread(_document, subject, small, large)


def _document(subject: Subject, small: dict[str, Picture], large: Picture | None) -> str:
    state = replace(
        subject.state,
        attempts=[
            {**item, "generator": without_credentials(item["generator"])}
            for item in subject.state.attempts
        ],
    )
    best = best_of(state)
    turns = turns_of(state, small)
    of_turn = [item for item in state.attempts if best and item["turn"] == best["turn"]]
    generators = {item["generator"] for item in state.attempts}
    said = outcome(best, of_turn, state.stopped_because)
    usage = cost_rows(state.usage)
    body = (
        environment(HERE)
        .get_template("report.html")
        .render(
            thread=subject.thread,
            state=state,
            long_prompt=LONG_PROMPT,
            outcome=said,
            good=bool(best and best["verdicts"] and best["score"] >= 1),
            status=STATUS.get(subject.status, ""),
            stopped=STOPPED.get(state.stopped_because, ""),
            best=best,
            large=large,
            turns=turns,
            several=len(turns) > 1,
            origin=subject.origin.rpartition(" "),
            usage=usage,
            total={
                name: sum(getattr(row, name) for row in usage)
                for name in ("calls", "input_tokens", "output_tokens", "seconds", "image_bytes")
            },
            generators=sorted(generators),
            skills=_skills(state),
            settings=setting_rows(subject.context),
            size_text=size_text,
            again=reproduction(state, subject.context, forked=bool(subject.origin)),
            versions=versions(generators),
            recorded=subject.recorded,
            updated=_utc(subject.updated),
            written=_utc(datetime.now(UTC)),
        )
    )
    title = f"{_short(state.prompt) or subject.thread} – GEMS report"
    return page(title, Markup(body), STYLE)  # noqa: S704 - a template that escapes


def _skills(state: Readable) -> dict[str, list[str]]:
    """Returns the skills in use, each with the ids of the attempts that it helped to write."""
    found: dict[str, list[str]] = {name: [] for name in state.skills}
    for attempt in state.attempts:
        for name in attempt["skills"]:
            found.setdefault(name, []).append(attempt["id"])
    return found


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def _utc(when: datetime | None) -> str:
    return "" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
