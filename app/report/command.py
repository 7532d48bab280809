"""`gems report`: the report of a thread, written to a file."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError


def report(
    thread: Annotated[
        str, typer.Argument(help="Id of the thread, as `gems threads list` shows it.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file to write. Default: THREAD.html, here."),
    ] = None,
    url: Annotated[
        str,
        typer.Option(help="Report a thread of this LangGraph server; GEMS_API_KEY is sent to it."),
    ] = "",
    open_report: Annotated[
        bool, typer.Option("--open", help="Open the report when it is written.")
    ] = False,
) -> None:
    """Write the report of THREAD: one HTML file with everything in it.

    Images (small copies), the verdicts on each requirement, prompts with their changes, what was
    learned, cost and time by role, settings, and a command line that makes the run again. It opens
    in any browser, offline; nothing in it runs or loads anything. Threads that are not finished are
    reported as far as they are.

    Prints the path of the file on stdout.
    """
    path = out if out is not None else Path(_file_name(thread))
    if not path.parent.is_dir():
        raise InputError(f"--out: there is no folder {path.parent}.", hint="Make it first.")
    if path.is_dir():
        raise InputError(f"--out: {path} is a folder.", hint="Name a file in it.")
    html = asyncio.run(_remote(url, thread) if url else _here(thread))
    try:
        _write(path, html)
    except OSError as error:
        raise InputError(f"--out: {path} can't be written ({error.strerror}).") from None
    typer.echo(path)
    if open_report:
        typer.launch(path.resolve().as_uri())


def _file_name(thread: str) -> str:
    """Returns a file name for a thread, whose id may be any text."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', thread).lstrip('.')[:120] or 'report'}.html"


async def _here(thread: str) -> bytes:
    from .reading import subject_here
    from .render import render

    return (await render(await subject_here(thread))).encode()


async def _remote(url: str, thread: str) -> bytes:
    from .download import download_report

    return await download_report(url, thread)


def _write(path: Path, data: bytes) -> None:
    """Writes the file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
