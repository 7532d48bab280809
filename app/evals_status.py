"""`gems eval status`: how far a run is, and what its prompts cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..evals.ledger import read_judgments, read_manifest, read_rows
from ..evals.pricing import read_prices
from ..evals.progress import money
from ..evals.records import Row
from ..evals.trajectory import CUT_SHORT
from .tables import size_text


def read_status(out: Path) -> dict[str, Any]:
    """Returns a run's state as plain JSON values.

    Raises:
        InputError: The folder holds no run.
        DataError: One of its files can't be read; names the line.
    """
    manifest = read_manifest(out)
    rows = list(read_rows(out).values())
    judgments = read_judgments(out)
    prices = read_prices()
    done = [row for row in rows if row["status"] == "done"]
    costs = [
        prices.of_usage(row["usage"], manifest["models"], manifest["generator"]) for row in rows
    ]
    known = [cost for cost in costs if cost is not None]
    judges = sorted({judge for _, _, judge in judgments})
    return {
        "task": manifest["task"],
        "strategy": manifest["strategy"],
        "models": manifest["models"],
        "generator": manifest["generator"],
        "seeds": manifest["seeds"],
        "planned": manifest["planned"],
        "done": len(done),
        "failed": len(rows) - len(done),
        "cut_short": sum(row["stopped_because"] in CUT_SHORT for row in done),
        "judged": {
            judge: {
                status: sum(
                    found["status"] == status
                    for (_, _, name), found in judgments.items()
                    if name == judge
                )
                for status in ("done", "failed")
            }
            for judge in judges
        },
        "of_a_prompt": _means(rows),
        "cost": sum(known) if len(known) == len(costs) else None,
        "prices": prices.date,
        "failures": [
            {"key": row["key"], "code": row["error_code"], "error": row["error"]}
            for row in rows
            if row["status"] == "failed"
        ],
        "updated": manifest["updated"],
        "warnings": manifest["warnings"],
    }


def _means(rows: list[Row]) -> dict[str, float]:
    """What a sample used on average, failed ones included: they cost as well."""
    count = len(rows) or 1
    chat = [used for row in rows for role, used in row["usage"].items() if role != "generator"]
    images = sum(
        used["calls"] for row in rows for role, used in row["usage"].items() if role == "generator"
    )
    return {
        "images": images / count,
        "model_calls": sum(used["calls"] for used in chat) / count,
        "input_tokens": sum(used["input_tokens"] for used in chat) / count,
        "output_tokens": sum(used["output_tokens"] for used in chat) / count,
        "image_bytes": sum(row["image_bytes"] for row in rows) / count,
        "seconds": sum(row["seconds"] for row in rows) / count,
    }


def print_status(found: dict[str, Any], shown: int) -> None:
    """Prints a run's state on stdout.

    Args:
        found: As `read_status` gives it.
        shown: Failures that are named at most.
    """
    models = ", ".join(sorted(set(found["models"].values())))
    typer.echo(f"{found['task']} with {found['strategy']}: {found['generator']}, {models}")
    state = f"{found['done']} of {found['planned']} done"
    if found["failed"]:
        state += f", {found['failed']} failed"
    if found["cut_short"]:
        state += f", {found['cut_short']} cut short by a failing model"
    typer.echo(state)
    for judge, counts in found["judged"].items():
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        typer.echo(f"judged by {judge}: {counts['done']}{failed}")
    means = found["of_a_prompt"]
    typer.echo(
        f"each: {means['images']:.1f} images, {means['model_calls']:.1f} calls, "
        f"{means['input_tokens']:.0f} + {means['output_tokens']:.0f} tokens, "
        f"{size_text(means['image_bytes'])} of images sent, {means['seconds']:.1f} s"
    )
    if found["cost"] is not None:
        typer.echo(f"cost: {money(found['cost'])} (prices of {found['prices']})")
    for failure in found["failures"][:shown]:
        typer.echo(f"  {failure['key']}: {failure['error']}")
    if len(found["failures"]) > shown:
        typer.echo(f"  and {len(found['failures']) - shown} more")
    for warning in found["warnings"]:
        typer.echo(f"Note: {warning}")
