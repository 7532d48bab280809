"""`gems eval`: benchmarks on anyone's models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ..errors import InputError
from . import evals_lists, evals_report
from .exit_codes import FAILED, UNMET
from .setting_option import setting

if TYPE_CHECKING:
    from ..evals.order import Outcome
    from ..evals.progress import Tally
    from ..evals.records import Row
    from ..evals.tasks.base import Task

SHOWN_FAILURES = 10
"""Failures named at the end of a run; the others stand in its file."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

app = typer.Typer(
    help="Benchmarks on your models: run, judge and report, with every prompt's cost.",
    no_args_is_help=True,
    epilog="Start with: gems eval tasks, then gems eval run sandbox --out bench --limit 20",
)

_TASK = Annotated[str, typer.Argument(help="Name of the benchmark: gems eval tasks.")]
_DIR = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run (its --out).")]
_JSON = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
_PRICES = Annotated[
    Path | None, typer.Option(help="Price table (YAML) besides the built-in one; it comes first.")
]
_ROUNDS = Annotated[
    bool,
    typer.Option(
        "--judge-rounds", help="Judge the best image after each round, too: pass rate by round."
    ),
]
_RETRY = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Try again what failed, and what a failing model cut short.",
    ),
]
_JUDGES = Annotated[
    int, typer.Option(min=1, max=1024, help="Images that are judged at the same time.")
]


@app.command("run")
def run(
    task: _TASK,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The benchmark's data file: gems eval fetch-instructions TASK says how to get it."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the run; made when missing.", show_default=False)
    ] = Path(),
    strategy: Annotated[
        str, typer.Option("--strategy", "-s", help="Preset of the graph: gems eval strategies.")
    ] = "gems",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Only the first N prompts of the file (before sharding)."),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/n: this process takes every n-th prompt, from the i-th on.")
    ] = "1/1",
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=4096, help="Prompts at the same time.")
    ] = 8,
    samples: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Samples of each prompt and seed; default: official."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the run, with commas.")] = "1",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any setting of the graph as NAME=VALUE, e.g. mllm=openai:gpt-5 or max_rounds=3. "
            "May be given several times; wins over the strategy.",
        ),
    ] = None,
    judge: Annotated[
        str,
        typer.Option(
            help="Judge each sample as it ends with this model, e.g. openai:gpt-4o; it should not "
            "be the agent's own. Without it, nothing is judged but the sandbox."
        ),
    ] = "",
    judge_rounds: _ROUNDS = False,
    judge_concurrency: _JUDGES = 8,
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Images a prompt may have at most.")
    ] = None,
    max_model_calls: Annotated[
        int | None, typer.Option(min=3, help="Chat model calls a prompt may take.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens, read and written, a prompt may take.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds of work a prompt may take.")
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, help="US dollars of the whole run after which no prompt is begun."),
    ] = None,
    prices: _PRICES = None,
    retry_failed: _RETRY = False,
    keep_trajectories: Annotated[
        bool,
        typer.Option(
            help="Keep the checkpoints of finished prompts, to look at them with gems threads."
        ),
    ] = False,
    as_json: _JSON = False,
) -> None:
    """Run a benchmark, or go on with a run: the same command repeats nothing that has finished.

    Stop it any time with Ctrl-C, or let it be killed: trajectories go on from their last
    checkpoint. Every prompt has a row in DIR/results.jsonl and an image in DIR/images, where the
    official scorer looks for it; what failed has a row that says why.

    Exit code: 0 when every prompt has an image, 3 when some failed (judgments, too) or are left, 1
    when the run stopped because everything failed, 2 on wrong usage, 130 after Ctrl-C.
    """
    from ..evals.order import Order
    from ..evals.plan import read_seeds, read_shard
    from ..evals.progress import Lines, Silent
    from ..evals.runner import run_task
    from ..evals.tasks.registry import task as benchmark

    if out == Path():
        raise InputError("--out is missing.", hint="Name a folder for the run.")
    chosen = benchmark(task)
    budget = {
        "max_images": max_images,
        "max_model_calls": max_model_calls,
        "max_tokens": max_tokens,
        "max_seconds": max_seconds,
    }
    order = Order(
        data=_data_of(chosen, data),
        out=out,
        strategy=strategy,
        overrides=dict(setting(text) for text in settings or ()),
        samples=samples,
        seeds=read_seeds(seeds),
        limit=limit,
        shard=read_shard(shard),
        concurrency=concurrency,
        budget={name: value for name, value in budget.items() if value is not None},
        max_cost=max_cost,
        judge=judge,
        judge_rounds=judge_rounds,
        judge_concurrency=judge_concurrency,
        retry_failed=retry_failed,
        keep=keep_trajectories,
        prices=prices,
    )
    try:
        with nullcontext(Silent()) if as_json else Lines() as progress:
            outcome = asyncio.run(run_task(chosen, order, progress))
    except KeyboardInterrupt:
        _say(
            f"Interrupted. Nothing that had finished is lost; the same command goes on:\n"
            f"{_command_line()}"
        )
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps(_plain(outcome), ensure_ascii=False, indent=2))
    else:
        _conclude(outcome, out)
    if outcome.stopped and not outcome.tally.done - outcome.tally.failed:
        raise typer.Exit(FAILED)
    if outcome.failed or outcome.left or outcome.stopped or outcome.tally.judge_failed:
        raise typer.Exit(UNMET)


@app.command("judge")
def judge(
    folder: _DIR,
    judge_spec: Annotated[
        str, typer.Option("--judge", help="The judge, e.g. openai:gpt-4o.", show_default=False)
    ] = "",
    judge_rounds: _ROUNDS = False,
    concurrency: _JUDGES = 8,
    data: Annotated[
        Path | None, typer.Option(help="The run's data file, if it is not where it was.")
    ] = None,
    prices: _PRICES = None,
    retry_failed: _RETRY = False,
    as_json: _JSON = False,
) -> None:
    """Judge the images of a run that this judge has not judged yet.

    May be given while the run goes on, and again with another judge: judgments stand beside each
    other. Exit code: 0, or 3 when some judgments failed.
    """
    from ..evals.later_judging import judge_run
    from ..evals.ledger import read_manifest
    from ..evals.progress import Lines, Silent
    from ..evals.tasks.registry import task as benchmark

    chosen = benchmark(read_manifest(folder)["task"])
    try:
        with nullcontext(Silent()) if as_json else Lines() as progress:
            tally = asyncio.run(
                judge_run(
                    chosen,
                    folder,
                    judge_spec,
                    data=data,
                    rounds=judge_rounds,
                    retry_failed=retry_failed,
                    concurrency=concurrency,
                    prices=prices,
                    progress=progress,
                )
            )
    except KeyboardInterrupt:
        _say(f"Interrupted. No judgment is lost; the same command goes on:\n{_command_line()}")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps(_plain_tally(tally), indent=2))
    else:
        _say(f"{tally.judged} judged, {tally.judge_failed} failed.")
    if tally.judge_failed:
        raise typer.Exit(UNMET)


@app.command("status")
def status(folder: _DIR, as_json: _JSON = False) -> None:
    """Show how far a run is: done, failed and why, judged, and what each prompt cost."""
    from .evals_status import print_status, read_status

    found = read_status(folder)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print_status(found, SHOWN_FAILURES)


app.command("report")(evals_report.report)
app.command("tasks")(evals_lists.tasks)
app.command("strategies")(evals_lists.strategies)
app.command("fetch-instructions")(evals_lists.fetch_instructions)


def _data_of(task: Task, given: Path | None) -> Path:
    """The data file: the one that was given, or the one that is shipped."""
    path = given or task.default_data
    if path is None:
        raise InputError(
            "--data is missing.",
            hint=f"`gems eval fetch-instructions {task.name}` says how to get the file.",
        )
    if not path.is_file():
        raise InputError(f"--data: there is no file {path}.")
    return path


def _conclude(outcome: Outcome, out: Path) -> None:
    """Says on stderr how a run ended, and on stdout where it is."""
    from ..evals.progress import status_line

    _say(status_line(outcome.tally, 0))
    if outcome.stopped:
        _say(f"Stopped: {outcome.stopped}")
    if outcome.failed:
        _say(f"{len(outcome.failed)} failed:")
        _say_rows(outcome.failed)
    if outcome.cut_short:
        _say(f"{len(outcome.cut_short)} have an image, but a failing model cut them short:")
        _say_rows(outcome.cut_short)
    if outcome.failed or outcome.cut_short:
        _say("They are made again by the same command with --retry-failed.")
    if outcome.tally.judge_failed:
        _say(f"{outcome.tally.judge_failed} judgments failed: gems eval judge --retry-failed")
    if outcome.left:
        _say(f"{outcome.left} are left: the same command goes on.")
    for path in outcome.exported:
        _say(f"Wrote {path}")
    typer.echo(out)


def _say_rows(rows: Sequence[Row]) -> None:
    for row in rows[:SHOWN_FAILURES]:
        why = row["error"] or (row["notices"][-1] if row["notices"] else row["stopped_because"])
        _say(f"  {row['key']}: {why}")
    if len(rows) > SHOWN_FAILURES:
        _say(f"  and {len(rows) - SHOWN_FAILURES} more; see results*.jsonl")


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        **_plain_tally(outcome.tally),
        "left": outcome.left,
        "stopped": outcome.stopped,
        "failures": [
            {"key": row["key"], "error": row["error"], "code": row["error_code"]}
            for row in outcome.failed
        ],
        "cut_short": [row["key"] for row in outcome.cut_short],
        "exported": [str(path) for path in outcome.exported],
        "warnings": outcome.manifest["warnings"],
    }


def _plain_tally(tally: Tally) -> dict[str, Any]:
    return {
        "planned": tally.planned,
        "before": tally.before,
        "done": tally.done,
        "failed": tally.failed,
        "images": tally.images,
        "calls": tally.calls,
        "tokens": tally.tokens,
        "judged": tally.judged,
        "judge_failed": tally.judge_failed,
        "cost": tally.cost,
    }


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(escape(text))


def _command_line() -> str:
    import shlex
    import sys

    return shlex.join(["gems", *sys.argv[1:]])
