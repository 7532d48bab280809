"""`gems memory`: what runs have taught, across threads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ..errors import InputError
from .plain_text import printable
from .tables import confirm, print_table

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from ..memory.experiences import Lesson

app = typer.Typer(
    help="The lessons that runs have taught: look at them, search, forget, move and reindex them.",
    no_args_is_help=True,
)

STDIN_OR_STDOUT = "-"

_JSON = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
_USER = Annotated[str | None, typer.Option("--user", help="Only this user's lessons.")]
_LESSON = Annotated[str, typer.Argument(help="Id of the lesson, or enough of its beginning.")]

T = TypeVar("T")


def _with_store(work: Callable[[BaseStore], Awaitable[T]]) -> T:
    """Runs `work` on the store of the settings and closes it."""
    from ..memory.store_factory import open_store

    async def opened() -> T:
        async with open_store() as store:
            return await work(store)

    return asyncio.run(opened())


@app.command("list")
def list_(
    user: _USER = None,
    generator: Annotated[
        str | None, typer.Option("--generator", help="Only lessons learned with this generator.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    as_json: _JSON = False,
) -> None:
    """List the lessons, the most recently taught first."""
    from ..memory import experiences

    async def read(store: BaseStore) -> list[Lesson]:
        found = experiences.lessons(store, user=user, generator=generator)
        return [lesson async for lesson in found]

    lessons = sorted(_with_store(read), key=lambda one: one["updated"], reverse=True)[:limit]
    _print_lessons(lessons, as_json=as_json)


@app.command("search")
def search(
    query: Annotated[str, typer.Argument(help="A prompt, or what it is about.")],
    user: _USER = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 10,
    as_json: _JSON = False,
) -> None:
    """Search the lessons by meaning, nearest first; a run recalls only the ones near enough."""
    from ..memory import experiences

    found = _with_store(lambda store: experiences.search(store, query, user=user, limit=limit))
    _print_lessons(found, as_json=as_json, near=True)


@app.command("show")
def show(lesson: _LESSON, as_json: _JSON = False) -> None:
    """Show one lesson: what failed, what was done about it, and whether knowing it helped."""
    from ..memory import experiences

    found = _with_store(lambda store: _one(store, lesson))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    told = {
        "id": found["id"],
        "task": found["task"],
        "kinds": ", ".join(found["kinds"]),
        "failed": found["failed"],
        "remedy": found["remedy"],
        "advice": experiences.as_advice(found),
        "skill": found["skill"],
        "gain": f"{found['gain']:+.2f}",
        "taught": f"{found['count']} times, last {found['updated']}",
        "recalled": f"{found['uses']} times, {found['wins']} of them helped",
        "weight": f"{experiences.weight(found):.2f}",
        "user": found["user"],
        "generator": found["generator"],
    }
    for name, text in told.items():
        if text:
            typer.echo(f"{name + ':':<10} {printable(text)}")


@app.command("forget")
def forget(
    lessons: Annotated[
        list[str] | None, typer.Argument(metavar="[LESSON]...", help="Ids of lessons.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every lesson of the user named by --user.")
    ] = False,
    user: _USER = None,
    generator: Annotated[
        str | None, typer.Option("--generator", help="With --all: only this generator's.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete lessons for good: the ones named, or with --all a user's.

    The user of the command line and of programs without logins is [b]local[/b].
    """
    from ..memory import experiences

    if everything == bool(lessons):
        raise InputError("Say what to forget.", hint="Give ids of lessons, or --all --user NAME.")
    if everything:
        if user is None:
            raise InputError("--all needs to know whose lessons.", hint="Give --user local.")
        whose = user
        confirm(f"Forget every lesson of user {whose}?", yes=yes)
        count = _with_store(
            lambda store: experiences.forget(store, user=whose, generator=generator)
        )
    else:
        named = list(dict.fromkeys(lessons or ()))

        async def remove(store: BaseStore) -> int:
            found = [await _one(store, lesson) for lesson in named]
            return sum(
                [
                    await experiences.forget(store, user=one["user"], lesson_id=one["id"])
                    for one in found
                ]
            )

        count = _with_store(remove)
    typer.echo(f"Forgot {count} lesson{'' if count == 1 else 's'}.", err=True)


@app.command("export")
def export(
    file: Annotated[str, typer.Argument(help="File to write; - is stdout.")] = STDIN_OR_STDOUT,
    user: _USER = None,
) -> None:
    """Write the lessons as JSON lines, as [b]gems memory import[/b] reads them."""
    from ..memory import experiences

    async def read(store: BaseStore) -> list[str]:
        return [line async for line in experiences.export_lessons(store, user=user)]

    lines = _with_store(read)
    text = "".join(f"{line}\n" for line in lines)
    if file == STDIN_OR_STDOUT:
        typer.echo(text, nl=False)
    else:
        try:
            Path(file).write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{file} can't be written ({error.strerror}).") from None
    typer.echo(f"{len(lines)} lessons.", err=True)


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="File of JSON lines; - is stdin.")],
) -> None:
    """Store exported lessons; one that is there already (by its id) is replaced.

    Everything is checked first: one bad line, and nothing is stored.
    """
    from ..memory import experiences

    if file == STDIN_OR_STDOUT:
        text = typer.get_text_stream("stdin").read()
    else:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{file} can't be read ({error.strerror}).") from None
        except UnicodeDecodeError:
            raise InputError(f"{file} is not UTF-8 text.") from None
    # At "\n" only: `splitlines` would cut a lesson at the other separators that JSON allows.
    lines = text.split("\n")
    count = _with_store(lambda store: experiences.import_lessons(store, lines))
    typer.echo(f"Stored {count} lessons.", err=True)


@app.command("reindex")
def reindex() -> None:
    """Embed all lessons anew with the model of GEMS_EMBEDDINGS, e.g. after changing it.

    Nothing else may write meanwhile. Until it is complete the old index stays as it is.
    """
    from ..memory.store_factory import reindex_store

    typer.echo(f"Embedded {reindex_store()} lessons.", err=True)


@app.command("stats")
def stats(user: _USER = None, as_json: _JSON = False) -> None:
    """Show how much the memory holds and how often it helped."""
    from ..memory import experiences

    found = _with_store(lambda store: experiences.stats(store, user=user))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{found['lessons']} lessons of {found['users']} users")
    typer.echo(f"recalled {found['uses']} times, {found['wins']} of them helped")
    typer.echo(f"{found['silenced']} no longer recalled, as they did not help")
    for heading, counts in (
        ("generator", found["by_generator"]),
        ("requirement", found["by_kind"]),
    ):
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            typer.echo(f"  {heading} {printable(name)}: {count}")


async def _one(store: BaseStore, start: str) -> Lesson:
    """Returns the lesson that an id, or the beginning of one, names.

    Raises:
        InputError: There is none, or several.
    """
    from ..memory import experiences

    exact = await experiences.find(store, start)
    if exact is not None:
        return exact
    found = [
        one async for one in experiences.lessons(store) if start and one["id"].startswith(start)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{len(found)} lessons begin with {start}.", hint="Give more of the id.")
    raise InputError(f"There is no lesson {start!r}.", hint="`gems memory list` shows them.")


def _print_lessons(lessons: list[Lesson], *, as_json: bool, near: bool = False) -> None:
    from ..memory import experiences

    if as_json:
        typer.echo(json.dumps(lessons, ensure_ascii=False, indent=2))
        return
    print_table(
        ("lesson", *(("near>",) if near else ()), "gain>", "taught>", "helped>", "kinds", "task"),
        (
            (
                one["id"][:12],
                *((f"{one['relevance']:.2f}",) if near else ()),
                f"{one['gain']:+.2f}",
                one["count"],
                f"{one['wins']}/{one['uses']}",
                ",".join(one["kinds"])
                + ("" if experiences.weight(one) >= experiences.WEIGHT_FLOOR else " (silenced)"),
                one["task"],
            )
            for one in lessons
        ),
        wide="task",
    )
