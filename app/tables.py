"""Tables of the listing commands: one look, and sizes and times as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import InputError
from .plain_text import printable

MIN_WIDE = 12
"""Characters of the column that is cut which are always shown."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, wide: str = "") -> None:
    """Prints rows on stdout; every cell keeps to its line.

    Args:
        columns: Their headings; one that ends in `>` is aligned to the right.
        rows: Cells, shown as text.
        wide: Heading of the column that is cut where the terminal is too narrow. The others never
            are, and nothing is where stdout is no terminal.
    """
    headings = list(columns)
    # A line break, a bracket or a control sequence of somebody's prompt must not change the table.
    cells = [[" ".join(printable(str(cell)).split()) for cell in row] for row in rows]
    widths = [
        max(map(cell_len, [heading.removesuffix(">"), *column]))
        for heading, *column in zip(headings, *cells, strict=True)
    ]
    console = Console(highlight=False)
    room = sum(widths) + 2 * len(widths)
    if console.is_terminal and wide:
        at = headings.index(wide)
        widths[at] = max(MIN_WIDE, min(widths[at], widths[at] - (room - console.width)))
        room = sum(widths) + 2 * len(widths)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(
            heading.removesuffix(">"),
            justify="right" if heading.endswith(">") else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=width,
        )
    for row in cells:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False, width=max(console.width, room)).print(table)


def size_text(size: float) -> str:
    """Returns bytes as `512 B`, `1.4 MB`: decimal units, as disks are sold."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def time_text(when: datetime) -> str:
    """Returns a time in this machine's zone, to the minute."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M")


def confirm(question: str, *, yes: bool) -> None:
    """Asks before something is deleted.

    Raises:
        InputError: Nobody is there to ask, and `--yes` was not given.
        typer.Abort: The answer is no.
    """
    import sys

    import typer

    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(f"{question} Nobody is there to ask.", hint="Give --yes to do it.")
    typer.confirm(question, abort=True, err=True)
