"""`gems threads`: the runs that are kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .generate import run

app = typer.Typer(
    help="The runs that are kept: resume one that was interrupted.", no_args_is_help=True
)


@app.command("resume")
def resume(
    thread: Annotated[str, typer.Argument(help="Id of the thread, as `gems generate` printed it.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write the image to this file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print only the path of the image.")
    ] = False,
) -> None:
    """Go on with an interrupted run exactly where it stopped; a finished one is shown again."""
    from .session import settings_of

    prompt, context = asyncio.run(settings_of(thread))
    run(prompt, context, thread=thread, resume=True, out=out, as_json=as_json, quiet=quiet)
