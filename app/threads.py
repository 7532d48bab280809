"""`gems threads`: the runs that are kept."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from .generate import run
from .setting_option import SETTINGS, setting
from .tables import confirm, print_table, size_text, time_text

if TYPE_CHECKING:
    from ..memory.retention import Pruned, ThreadInfo

app = typer.Typer(
    help="The runs that are kept: look at them, resume, fork, delete and prune them.",
    no_args_is_help=True,
)

_THREAD = Annotated[str, typer.Argument(help="Id of the thread, as `gems threads list` shows it.")]
_OUT = Annotated[
    Path | None, typer.Option("--out", "-o", help="Also write the image to this file.")
]
_JSON = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
_QUIET = Annotated[bool, typer.Option("--quiet", help="Print only the path of the image.")]

_AGE = re.compile(r"(\d{1,4})\s*([mhdw])")
_AGE_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    as_json: _JSON = False,
) -> None:
    """List the threads, the most recently used first.

    Status: finished; waiting (for a person's answer); failed (the last step raised an error);
    unfinished (it runs right now, or its process ended in the middle). All but the finished ones go
    on with [b]gems threads resume[/b].
    """
    from ..memory.checkpoints import open_checkpointer
    from ..memory.retention import list_threads

    async def read() -> list[ThreadInfo]:
        async with open_checkpointer() as saver:
            return await list_threads(saver, limit=limit)

    found = asyncio.run(read())
    if as_json:
        typer.echo(json.dumps([_plain(thread) for thread in found], ensure_ascii=False, indent=2))
        return
    print_table(
        ("thread", "when", "prompt", "turns>", "rounds>", "score>", "status", "size>"),
        (
            (
                thread.thread_id,
                time_text(thread.updated),
                thread.prompt,
                thread.turns,
                thread.rounds,
                "" if thread.score is None else f"{thread.score:.0%}",
                thread.status,
                size_text(thread.size),
            )
            for thread in found
        ),
        wide="prompt",
    )


@app.command("show")
def show(thread: _THREAD, as_json: _JSON = False) -> None:
    """Show a thread: its attempts, what each image met, what was learned, and what it used."""
    from .trajectory import print_trajectory, read_trajectory

    found = asyncio.run(read_trajectory(thread))
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        print_trajectory(found)


@app.command("resume")
def resume(
    thread: _THREAD, out: _OUT = None, as_json: _JSON = False, quiet: _QUIET = False
) -> None:
    """Go on with an interrupted run exactly where it stopped.

    No finished model call or generation is repeated. One that waits for your review asks you; a
    finished one is shown again.
    """
    from .session import settings_of

    prompt, context = asyncio.run(settings_of(thread))
    run(prompt, context, thread=thread, resume=True, out=out, as_json=as_json, quiet=quiet)


@app.command("fork")
def fork(
    thread: _THREAD,
    attempt: Annotated[
        str,
        typer.Option(
            "--from", help="Attempt to go on from: t1r2c1 is turn 1, round 2, candidate 1."
        ),
    ],
    prompt: Annotated[
        str, typer.Option(help="A new message: a new turn that starts from this attempt's image.")
    ] = "",
    wording: Annotated[
        str, typer.Option(help="The next round's generation prompt, in place of the refiner's.")
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Seed of the rounds from now on.")] = None,
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", "-r", help="Rounds at most, those before the fork included."),
    ] = None,
    settings: SETTINGS = None,
    out: _OUT = None,
    as_json: _JSON = False,
    quiet: _QUIET = False,
) -> None:
    """Go on from an earlier attempt, with another prompt, wording, seed or settings.

    The fork is a thread of its own, the old one stays as it is. Everything up to the attempt's
    round is in the fork, later attempts are not; at least one more round is made. Budgets of calls
    and seconds start anew.

    Forking from an earlier step is not possible after [b]gems threads prune[/b] has shortened the
    thread: then only its latest round is left to go on from.
    """
    from .forking import fork as make_fork

    changes: dict[str, Any] = dict(setting(text) for text in settings or ())
    if rounds is not None:
        changes["max_rounds"] = rounds
    made = asyncio.run(
        make_fork(thread, attempt, prompt=prompt, wording=wording, seed=seed, changes=changes)
    )
    run(
        made.prompt,
        made.context,
        thread=made.thread,
        resume=not made.new_turn,
        out=out,
        as_json=as_json,
        quiet=quiet,
    )


@app.command("delete")
def delete(
    threads: Annotated[list[str], typer.Argument(metavar="THREAD...", help="Ids of threads.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete threads for good; their images stay until [b]gems artifacts gc[/b]."""
    from ..memory.checkpoints import open_checkpointer
    from ..memory.retention import delete_thread, get_thread

    async def check() -> list[ThreadInfo]:
        async with open_checkpointer() as saver:
            return [await get_thread(saver, thread) for thread in dict.fromkeys(threads)]

    async def remove() -> None:
        async with open_checkpointer() as saver:
            for thread in dict.fromkeys(threads):
                await delete_thread(saver, thread)

    found = asyncio.run(check())
    confirm(f"Delete {_counted(len(found), 'thread')} for good?", yes=yes)
    asyncio.run(remove())
    size = sum(thread.size for thread in found)
    typer.echo(f"Deleted {_counted(len(found), 'thread')}, {size_text(size)}.", err=True)


@app.command("prune")
def prune(
    keep_latest: Annotated[
        int | None,
        typer.Option(
            "--keep-latest",
            min=0,
            help="Leave the N most recently used threads whole; of the others only the latest "
            "checkpoint stays.",
        ),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", help="Delete threads not used for so long: 45m, 12h, 30d, 8w."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    as_json: _JSON = False,
) -> None:
    """Shorten threads to their latest checkpoint, and delete old ones.

    A shortened thread resumes, is shown and goes on as before; only forking from one of its earlier
    steps is no longer possible. With both options the N latest threads are neither shortened nor
    deleted. Images stay until [b]gems artifacts gc[/b].
    """
    if keep_latest is None and older_than is None:
        raise InputError(
            "There is nothing to prune by.", hint="Give --keep-latest N, --older-than 30d, or both."
        )
    age = None if older_than is None else _age(older_than)

    async def work() -> Pruned:
        from ..memory.checkpoints import open_checkpointer
        from ..memory.retention import list_threads
        from ..memory.retention import prune as prune_threads

        async with open_checkpointer() as saver:
            chosen = [thread.thread_id for thread in await list_threads(saver)][keep_latest or 0 :]
            return await prune_threads(
                saver,
                keep_latest=keep_latest is not None,
                older_than=age,
                thread_ids=chosen,
                dry_run=dry_run,
            )

    done = asyncio.run(work())
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=2))
        return
    for thread in done.deleted:
        typer.echo(f"delete   {thread}")
    for thread in done.shortened:
        typer.echo(f"shorten  {thread}")
    would = "Would delete" if dry_run else "Deleted"
    freed = f"{size_text(done.freed)} of deleted threads" if dry_run else size_text(done.freed)
    typer.echo(
        f"{would} {len(done.deleted)}, shorten{'' if dry_run else 'ed'} {len(done.shortened)}; "
        f"{freed} {'would be ' if dry_run else ''}freed.",
        err=True,
    )


def _plain(thread: ThreadInfo) -> dict[str, Any]:
    return {**asdict(thread), "updated": thread.updated.isoformat()}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise InputError(f"--older-than: {text!r} is no age.", hint="Give 45m, 12h, 30d or 8w.")
    return timedelta(**{_AGE_UNITS[match[2]]: int(match[1])})
