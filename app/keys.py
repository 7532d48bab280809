"""gems keys: API keys of a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

app = typer.Typer(help="API keys of a server.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """API keys of a server."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Whose key it is; owner of what they make.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="'admin' (everything) or 'metrics'; may be repeated."),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=36_500, help="Days until it expires.")
    ] = None,
) -> None:
    """Make a key: shown once on stderr; the line for the keys file goes to stdout.

    `gems keys new alice >> keys.jsonl` keeps the line, and GEMS_API_KEYS_FILE=keys.jsonl makes the
    server ask for keys.
    """
    from .credentials import as_line, new_key

    expires = None
    if days is not None:
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    key, entry = new_key(name, tuple(scope or ()), expires)
    typer.echo(as_line(entry))
    typer.echo(f"The key, shown only now: {key}", err=True)
