"""What `gems threads show` shows: a thread's attempts, verdicts, experiences and usage."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..graph.build import build_graph
from ..graph.context import Context
from ..memory.artifacts import artifact_store
from ..memory.checkpoints import open_checkpointer
from ..memory.retention import ThreadInfo, get_thread
from ..records import Attempt, Requirement
from .forking import origin_of
from .live import MARKS
from .plain_text import printable
from .session import settings_of
from .tables import size_text, time_text

COLUMNS = 12
"""Attempts side by side in one grid; a terminal of 100 characters holds them beside a question."""


@dataclass(frozen=True)
class Trajectory:
    """A thread, read for showing.

    Attributes:
        info: What the listing says about it.
        values: The channels of its latest state.
        places: Where each attempt's image is, by the attempt's id; None where it is gone.
        context: The settings it ran with.
        origin: `<thread> <attempt>` that it was forked from, or empty.
    """

    info: ThreadInfo
    values: dict[str, Any]
    places: dict[str, str | None]
    context: Context
    origin: str

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt of the thread, in order."""
        return list(self.values.get("attempts", []))

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        names = ("requirements", "experiences", "digest", "lessons", "usage", "notices", "best")
        return {
            **asdict(self.info),
            "updated": self.info.updated.isoformat(),
            "forked_from": self.origin or None,
            **{name: self.values.get(name) for name in (*names, "seed", "negative_prompt")},
            "attempts": [
                {**item, "image": {**item["image"], "path": self.places[item["id"]]}}
                for item in self.attempts
            ],
            "settings": asdict(self.context),
        }


async def read_trajectory(thread: str) -> Trajectory:
    """Reads a thread.

    Raises:
        InputError: There is none of this id.
    """
    async with open_checkpointer() as saver:
        info = await get_thread(saver, thread)
        graph = build_graph(checkpointer=saver)
        config = RunnableConfig(configurable={"thread_id": thread})
        values = (await graph.aget_state(config)).values
        origin = await origin_of(graph, thread)
    _, context = await settings_of(thread)
    places = {item["id"]: await _place(item) for item in values.get("attempts", [])}
    return Trajectory(info, values, places, context, origin)


async def _place(attempt: Attempt) -> str | None:
    store = artifact_store()
    path = await asyncio.to_thread(store.path, attempt["image"])
    if path is not None:
        return str(path)
    uri = attempt["image"]["uri"]
    return None if uri.startswith("file:") else uri


def print_trajectory(shown: Trajectory) -> None:
    """Prints it on stdout."""
    console = Console(soft_wrap=True, highlight=False)
    info = shown.info
    console.print(f"[b]{_safe(info.prompt)}[/]")
    score = "no score yet" if info.score is None else f"{info.score:.0%}"
    why = f" ({info.stopped_because.replace('_', ' ')})" if info.stopped_because else ""
    console.print(
        f"{info.status}{why}, {score}, turn {info.turns}, round {info.rounds}, "
        f"seed {shown.values.get('seed', '?')}, {time_text(info.updated)}, "
        f"{info.checkpoints} checkpoints, {size_text(info.size)}"
    )
    if shown.origin:
        thread, _, attempt = shown.origin.rpartition(" ")
        console.print(f"forked from thread {escape(thread)} after {escape(attempt)}")
    for notice in shown.values.get("notices", []):
        console.print(f"[yellow]Note:[/] {_safe(notice)}")
    for turn in sorted({item["turn"] for item in shown.attempts}):
        _print_turn(console, shown, turn)
    if shown.values.get("digest"):
        console.print(f"\n[b]earlier turns:[/] {_safe(shown.values['digest'])}")
    _print_usage(console, shown.values.get("usage", {}))


def _print_turn(console: Console, shown: Trajectory, turn: int) -> None:
    attempts = [item for item in shown.attempts if item["turn"] == turn]
    experiences = {
        item["round"]: item["text"]
        for item in shown.values.get("experiences", [])
        if item["turn"] == turn
    }
    for item in attempts:
        best = " [green]best[/]" if item["id"] == shown.values.get("best") else ""
        score = f"{item['score']:.0%}" if item["verdicts"] else "not judged"
        edited = f", edited from {item['edited_from']}" if item.get("edited_from") else ""
        console.print(f"\n[b]{item['id']}[/] {score}, seed {item['seed']}{edited}{best}")
        console.print(f"  prompt: {_safe(item['prompt'])}")
        console.print(f"  image:  {escape(shown.places[item['id']] or 'no longer there')}")
        last_of_round = item is [one for one in attempts if one["round"] == item["round"]][-1]
        if last_of_round and item["round"] in experiences:
            console.print(f"  learned: {_safe(experiences[item['round']])}")
    console.print()
    # `asked` has every question of the thread: an earlier turn's are no longer among the current.
    questions: list[Requirement] = shown.values.get("asked") or shown.values.get("requirements", [])
    for start in range(0, len(attempts), COLUMNS):
        console.print(_grid(questions, attempts[start : start + COLUMNS]))


def _grid(questions: list[Requirement], attempts: list[Attempt]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("requirement")
    for item in attempts:
        table.add_column(item["id"], justify="center")
    for question in questions:
        cells = []
        for item in attempts:
            answers = {verdict["requirement"]: verdict["answer"] for verdict in item["verdicts"]}
            cells.append(MARKS[answers[question["id"]]] if question["id"] in answers else "·")
        if any(cell != "·" for cell in cells):
            table.add_row(_safe(question["question"]), *cells)
    return table


def _safe(text: str) -> str:
    """Returns what a person or a model wrote, as text that changes neither layout nor terminal."""
    return escape(printable(text))


def _print_usage(console: Console, usage: dict[str, Any]) -> None:
    if not usage:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("role")
    for heading in ("calls", "tokens in", "tokens out", "seconds"):
        table.add_column(heading, justify="right")
    for role, used in usage.items():
        table.add_row(
            role,
            f"{used['calls']}",
            f"{used['input_tokens']:,}",
            f"{used['output_tokens']:,}",
            f"{used['seconds']:.1f}",
        )
    console.print()
    console.print(table)
