"""`gems skills route`: does the planner load the right skills for a labelled set of prompts?"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..errors import ModelError
from .plain_text import printable

if TYPE_CHECKING:
    from ..evals.routing import Routed
    from ..evals.routing_scores import Rate, RoutingReport


def route(
    mllm: Annotated[str, typer.Option(help="Chat model. Default: GEMS_PLANNER_MLLM.")] = "",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="So many prompts, drawn at random but always the same."),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help='A set of your own: JSONL, {"prompt": …, "skills": [names]} a line.'),
    ] = None,
    skills: Annotated[
        str, typer.Option(help="Skills that may be loaded: all, or names with commas.")
    ] = "all",
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Prompts at the same time.")] = 8,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
    ] = False,
) -> None:
    """Run the planner on labelled prompts and score which skills it loads.

    The set has prompts for each built-in skill, for two at once, for none, and near misses. Each
    prompt costs one to three calls of the planner's model; nothing is drawn.
    """
    from ..evals.routing import PROMPTS, check_labels, load_cases, sample
    from ..evals.routing import route as run
    from ..evals.routing_scores import score_routing
    from ..graph.context import check_context
    from ..skills.loader import load_library

    context = check_context({"planner_mllm": mllm, "skills": skills, "memory": "off"})
    library = load_library()
    allowed = context.allowed_skills()
    offered = set(library.skills) if allowed is None else allowed & set(library.skills)
    cases = load_cases(prompts or PROMPTS)
    check_labels(cases, offered)
    chosen = sample(cases, limit)
    console = Console(stderr=True, quiet=as_json)
    with Progress(
        TextColumn("routing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("routing", total=len(chosen))
        outcomes = asyncio.run(
            run(
                chosen,
                context,
                concurrency=concurrency,
                progress=lambda routed: progress.advance(bar),
            )
        )
    report = score_routing(outcomes)
    if report.failed == len(outcomes):
        raise ModelError(f"No prompt got an answer. The first error: {outcomes[0].error}")
    model = context.model_for("planner")
    if as_json:
        document = {
            "mllm": model,
            "skills_offered": len(offered),
            "prompts": len(outcomes),
            **report.to_json(),
            "cases": [_case_json(item) for item in outcomes],
        }
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        _show(report, outcomes, f"{model}, {len(offered)} skills offered")


def _case_json(item: Routed) -> dict[str, Any]:
    return {
        "prompt": item.case.prompt,
        "skills": sorted(item.case.skills),
        "also": sorted(item.case.also),
        "near": sorted(item.case.near),
        "loaded": list(item.loaded),
        "exact": item.exact if not item.error else None,
        "error": item.error or None,
    }


def _show(report: RoutingReport, outcomes: list[Routed], title: str) -> None:
    console = Console(highlight=False)
    console.print(Text(printable(title), style="bold"))
    rates = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "value", "95 % interval", "prompts"):
        rates.add_column(column, justify="left" if not column else "right")
    for label, rate in (
        ("exactly the right skills", report.exact),
        ("  of prompts for one skill", report.one),
        ("  of prompts for two", report.two),
        ("  of prompts for none", report.none),
        ("    near misses among them", report.near_misses),
        ("an unwanted skill was loaded", report.over_triggering),
    ):
        rates.add_row(label, _percent(rate.value), _interval(rate), str(rate.cases))
    console.print(rates)
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("skill", "precision", "recall", "needed", "loaded", "right"):
        table.add_column(column, justify="left" if column == "skill" else "right")
    for item in report.skills:
        counts = (str(item.needed), str(item.loaded), str(item.right))
        name = Text(printable(item.skill))
        table.add_row(name, _percent(item.precision), _percent(item.recall), *counts)
    console.print(table)
    if report.tokens:
        console.print(f"\n{report.tokens:.0f} input tokens and {report.seconds:.2f} s a prompt")
    if report.failed:
        first = next(item.error for item in outcomes if item.error)
        console.print(
            Text(f"{report.failed} prompts got no answer: {printable(first)}", style="yellow")
        )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _interval(rate: Rate) -> str:
    if rate.low is None or rate.high is None:
        return "–"
    return f"{rate.low:.1%} to {rate.high:.1%}"
