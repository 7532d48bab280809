"""`gems eval tasks`, `strategies` and `fetch-instructions`: what there is to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .tables import print_table

if TYPE_CHECKING:
    from ..evals.tasks.base import Task

_JSON = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]


def tasks(as_json: _JSON = False) -> None:
    """List the benchmarks: how they are judged, and where their data is."""
    from ..evals.tasks.registry import MODULES
    from ..evals.tasks.registry import task as benchmark

    found = [benchmark(name) for name in MODULES]
    if as_json:
        typer.echo(json.dumps([_plain_task(item) for item in found], indent=2))
        return
    print_table(
        ("task", "title", "judged by", "samples>", "metric", "data", "licence"),
        (
            (
                item.name,
                item.title,
                _JUDGED[item.judging],
                item.samples,
                item.metric,
                item.source.repository or _WITHOUT_REPOSITORY[item.default_data is not None],
                item.source.licence,
            )
            for item in found
        ),
        wide="title",
    )


_WITHOUT_REPOSITORY = {True: "comes with gems", False: "your own"}

_JUDGED = {
    "judge": "a model (--judge)",
    "truth": "the painter's truth",
    "official": "its official scorer",
    "portable": "a model, not comparable",
}


def strategies(as_json: _JSON = False) -> None:
    """List the strategies: which settings they are, and which row of the paper they rerun."""
    from ..evals.strategies import STRATEGIES

    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "name": item.name,
                        "says": item.says,
                        "settings": dict(item.settings),
                        "paper": item.paper,
                    }
                    for item in STRATEGIES.values()
                ],
                indent=2,
            )
        )
        return
    for item in STRATEGIES.values():
        row = f"paper: {item.paper}" if item.paper else "not in the paper"
        typer.echo(f"{item.name}  ({row})")
        typer.echo(f"  {item.says}")
        typer.echo(f"  {_settings(item.settings)}\n")
    typer.echo(
        "Settings that are not named have their default; --set changes any of them.", err=True
    )


def fetch_instructions(
    task: Annotated[str, typer.Argument(help="Name of the benchmark: gems eval tasks.")],
) -> None:
    """Say where a benchmark's data and official scorer are, and how to get and run them.

    Nothing of them is part of this program; mind their licences.
    """
    from ..evals.tasks.registry import task as benchmark

    found = benchmark(task)
    source = found.source
    lines = [found.title]
    if source.repository:
        lines.append(f"Repository: https://github.com/{source.repository}")
    lines.append(f"Licence: {source.licence}")
    lines += ["", *(f"{number}. {step}" for number, step in enumerate(source.steps, start=1))]
    if source.scorer:
        lines += ["", "Official scorer:", f"  {source.scorer}"]
    if source.notes:
        lines += ["", *(f"- {note}" for note in source.notes)]
    typer.echo("\n".join(lines))


def _plain_task(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "title": task.title,
        "judging": task.judging,
        "samples": task.samples,
        "metric": task.metric,
        "best": task.best,
        "size": list(task.size),
        "repository": task.source.repository,
        "licence": task.source.licence,
    }


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "the defaults"
