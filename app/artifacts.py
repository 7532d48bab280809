"""`gems artifacts`: the images that are kept."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ArtifactError, ConfigurationError, InputError
from ..settings import get_settings
from .exit_codes import FAILED
from .tables import confirm, print_table, size_text, time_text

if TYPE_CHECKING:
    from ..memory.artifacts import ArtifactInfo, ArtifactStore

app = typer.Typer(
    help="The images that are kept: list them, export them, delete what nothing refers to.",
    no_args_is_help=True,
)


_JSON = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]

_HASH = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
"""An image's hash or enough of its beginning; thread ids have dashes or other letters in it."""


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    as_json: _JSON = False,
) -> None:
    """List the images, the most recently stored first."""
    from ..memory.artifacts import artifact_store

    store = artifact_store()
    found = asyncio.run(store.list())
    if as_json:
        typer.echo(json.dumps([_plain(item) for item in found[:limit]], indent=2))
        return
    print_table(
        ("image", "when", "type", "size>"),
        (
            (item.sha256, time_text(item.modified), item.mime, size_text(item.size))
            for item in found[:limit]
        ),
    )
    total = sum(item.size for item in found)
    typer.echo(f"{len(found)} images, {size_text(total)} in {store.url}", err=True)


@app.command("export")
def export(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="THREAD|SHA256...",
            help="Threads (all their images), or images by their hash (8 digits or more).",
        ),
    ],
    folder: Annotated[Path, typer.Option("--to", help="Folder to write to; made if missing.")],
    as_json: _JSON = False,
) -> None:
    """Write images into a folder, under names that tell attempt and score.

    An image of a thread becomes [b]t1r2c1-score-0.67-1a2b3c4d.png[/b]: turn, round, candidate, the
    fraction of requirements met, and the beginning of its hash. Of several threads each gets a
    folder of its own. Files that are there already are left alone.

    Exit code: 1 when an image is missing or damaged; the others are written.
    """
    from ..memory.artifacts import artifact_store

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--to: {folder} can't be made ({error.strerror}).") from None
    done, problems = asyncio.run(_export(artifact_store(), list(dict.fromkeys(what)), folder))
    if as_json:
        report = {"files": [str(path) for path in done], "problems": problems}
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        for path in done:
            typer.echo(path)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(FAILED)


@app.command("gc")
def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask when no thread refers to any image.")
    ] = False,
    as_json: _JSON = False,
) -> None:
    """Delete the images that no thread refers to any more.

    Images younger than an hour stay: a run may be about to refer to them. Threads are those of
    [b]GEMS_CHECKPOINT[/b]; where several databases share one image store, do not collect.
    """
    from ..memory.artifacts import artifact_store
    from ..memory.ownership import ownership

    if get_settings().checkpoint.get_secret_value().lower().startswith("memory:"):
        raise ConfigurationError(
            "Threads are kept in memory, so nobody can tell which images are still in use.",
            hint="Set GEMS_CHECKPOINT to the database that the threads are in.",
        )
    store = artifact_store()
    referred = asyncio.run(_referred())
    before = asyncio.run(store.list())
    if before and not referred and not dry_run:
        confirm(
            f"No thread refers to any image: delete all that are older than an hour in "
            f"{store.url}?",
            yes=yes,
        )
    gone = asyncio.run(store.gc(referred, dry_run=dry_run))
    if gone and not dry_run:
        asyncio.run(ownership().prune({item.sha256 for item in gone}))
    if as_json:
        typer.echo(json.dumps([_plain(item) for item in gone], indent=2))
        return
    for item in gone:
        typer.echo(item.sha256)
    would = "Would delete" if dry_run else "Deleted"
    total = sum(item.size for item in gone)
    stay = len(before) - len(gone)
    typer.echo(f"{would} {len(gone)} images, {size_text(total)}; {stay} stay.", err=True)


async def _referred() -> set[str]:
    """Returns what any thread refers to; read before anything is deleted."""
    from ..memory.checkpoints import open_checkpointer
    from ..memory.retention import referred_artifacts

    async with open_checkpointer() as saver:
        return await referred_artifacts(saver)


async def _export(
    store: ArtifactStore, what: list[str], folder: Path
) -> tuple[list[Path], list[str]]:
    """Writes the images; returns the files and what could not be written."""
    hashes: list[ArtifactInfo] | None = None
    jobs: list[tuple[str, Path]] = []
    for name in what:
        if _HASH.fullmatch(name.lower()):
            hashes = await store.list() if hashes is None else hashes
            sha256 = _one_image(name.lower(), hashes)
            jobs.append((sha256, folder / sha256[:16]))
        else:
            home = folder if len(what) == 1 else folder / re.sub(r"[^\w.-]", "_", name)
            jobs += [(sha256, home / stem) for sha256, stem in await _images_of(name)]
    done: list[Path] = []
    problems: list[str] = []
    for sha256, stem in jobs:
        try:
            data = await store.load(sha256)
        except ArtifactError as error:
            problems.append(f"{stem.name}: {error}")
            continue
        done.append(await asyncio.to_thread(_write, stem, data))
    return done, problems


def _one_image(start: str, known: list[ArtifactInfo]) -> str:
    found = [item.sha256 for item in known if item.sha256.startswith(start)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{len(found)} images begin with {start}.", hint="Give more digits.")
    raise InputError(f"There is no image {start}.", hint="`gems artifacts list` shows them.")


async def _images_of(thread: str) -> list[tuple[str, str]]:
    """Returns a thread's images: hash, and a file name without its ending."""
    from langchain_core.runnables import RunnableConfig

    from ..graph.build import build_graph
    from ..memory.checkpoints import open_checkpointer
    from ..memory.retention import get_thread

    async with open_checkpointer() as saver:
        await get_thread(saver, thread)
        graph = build_graph(checkpointer=saver)
        config = RunnableConfig(configurable={"thread_id": thread})
        values = (await graph.aget_state(config)).values
    images = []
    for item in values.get("attempts", []):
        sha256 = item["image"]["sha256"]
        score = f"score-{item['score']:.2f}" if item["verdicts"] else "not-judged"
        images.append((sha256, f"{item['id']}-{score}-{sha256[:8]}"))
    return images


def _write(stem: Path, data: bytes) -> Path:
    """Writes an image unless it is there; a name belongs to one image, so that is the same."""
    from ..memory.pixels import EXTENSIONS, MAX_BYTES, MAX_PIXELS, check

    header = check(data, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
    path = stem.with_name(stem.name + EXTENSIONS[header.mime])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(data)
    except OSError as error:
        raise InputError(f"--to: {path} can't be written ({error.strerror}).") from None
    return path


def _plain(item: ArtifactInfo) -> dict[str, Any]:
    return {**asdict(item), "modified": item.modified.isoformat()}
