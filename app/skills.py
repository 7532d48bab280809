"""`gems skills`: what there is, making, checking, installing, trying and learning skills."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import InputError, SkillError
from . import skill_learn, skill_route, skill_try
from .plain_text import as_mistake, printable

if TYPE_CHECKING:
    from ..skills.loader import SkillLibrary
    from ..skills.record import Skill, SkillProblem

app = typer.Typer(
    help="Skills: folders of expertise that the planner loads when a prompt needs them.",
    no_args_is_help=True,
)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
InProject = Annotated[
    bool,
    typer.Option("--project", help="In this folder's .gems/skills instead of ~/.gems/skills."),
]


@app.command("list")
def list_skills(as_json: Json = False) -> None:
    """List the skills, where each comes from, what it hides, and what is wrong with any."""
    from ..skills.loader import load_library

    library = load_library()
    if as_json:
        typer.echo(json.dumps(_library_json(library), ensure_ascii=False, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "source", "description"):
        table.add_column(column, no_wrap=column != "description")
    for skill in library.skills.values():
        description = Text(printable(skill.description))
        if _is_draft(skill):
            description.append("\na draft that nobody has edited", style="yellow")
        for hidden in library.hidden:
            if hidden.by.name == skill.name:
                other = f"{hidden.skill.source} {printable(str(hidden.skill.file))}"
                description.append(f"\nhides {other}", style="yellow")
        table.add_row(Text(printable(skill.name), style="bold"), skill.source, description)
    Console().print(table)
    _show_problems(library.problems)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="The skill.")],
    file: Annotated[str, typer.Argument(help="One of its files; empty: its SKILL.md.")] = "",
    as_json: Json = False,
) -> None:
    """Show a skill's instructions, or one of its files."""
    from ..skills.loader import load_library

    library = load_library()
    with _as_mistakes():
        skill = library.get(name)
        text = library.read_file(name, file) if file else skill.instructions
    if as_json:
        document = {**_skill_json(skill, library), "file_shown": file or None, "text": text}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    if not file:
        typer.echo("\n".join(_summary(skill)) + "\n")
    typer.echo(printable(text))


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Lower-case words joined by dashes.")],
    folder: Annotated[
        Path, typer.Option("--dir", help="The folder of skills to make it in.")
    ] = Path(".gems/skills"),
) -> None:
    """Write a skill to start from; the default folder is this project's."""
    from ..skills.authoring import new_skill

    with _as_mistakes():
        made = new_skill(name, folder)
    typer.echo(made)
    Console(stderr=True).print(
        f"Edit {made / 'SKILL.md'}, then: gems skills validate {made}", soft_wrap=True, markup=False
    )


@app.command("validate")
def validate(
    paths: Annotated[list[Path], typer.Argument(help="Folders of skills, or their SKILL.md.")],
) -> None:
    """Check skills as the loader does: one line `file:line: problem` for each problem.

    Exit code: 0 when all can be used (warnings included), 1 when one can't, 2 on wrong usage.
    """
    from ..skills.authoring import validate as check

    broken = False
    for path in paths:
        with _as_mistakes():
            skill, problems = check(path)
        for problem in problems:
            typer.echo(printable(str(problem)))
        broken = broken or skill is None
        if skill is not None and not problems:
            typer.echo(f"{printable(str(skill.file))}: valid")
    if broken:
        raise typer.Exit(1)


@app.command("add")
def add(
    origin: Annotated[
        str, typer.Argument(help="A folder, a .zip file or a git address with skills in it.")
    ],
    project: InProject = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an installed skill of the same name.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Install skills after showing what they hold. Nothing of a skill is ever run.

    A skill's text is shown to your planner model: read it before you install what a stranger wrote.
    """
    from ..skills.authoring import add_skill
    from ..skills.loader import load_library

    target = _folder(project)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="gems-skill-") as name:
        # What is shown is a checked copy, and exactly that copy is installed.
        preview = Path(name) / "preview"
        found = add_skill(origin, into=preview)
        used = load_library().skills
        for skill in found:
            console.print(Text("\n".join(_summary(skill, used.get(skill.name)))))
            console.print()
        if not yes and not _confirmed(f"Install into {target}?"):
            console.print("Nothing was installed.")
            raise typer.Exit(1)
        with _as_mistakes():
            installed = add_skill(preview, into=target, replace=replace)
    for skill in installed:
        typer.echo(skill.folder)


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="The installed skill.")],
    project: InProject = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove an installed skill's folder."""
    from ..skills.authoring import remove_skill

    folder = _folder(project)
    if not yes and not _confirmed(f"Remove the skill '{printable(name)}' from {folder}?"):
        raise typer.Exit(1)
    with _as_mistakes():
        typer.echo(remove_skill(name, folder=folder))


app.command("try")(skill_try.try_skill)
app.command("learn")(skill_learn.learn)
app.command("route")(skill_route.route)


@contextmanager
def _as_mistakes() -> Iterator[None]:
    """Turns a skill's error into a wrong usage: a name or path that a person typed."""
    try:
        yield
    except SkillError as error:
        raise as_mistake(error) from None


def _folder(project: bool) -> Path:
    from ..skills.authoring import user_folder

    return Path.cwd() / ".gems" / "skills" if project else user_folder()


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise InputError("There is nobody to ask.", hint="Add --yes.") from None


def _is_draft(skill: Skill) -> bool:
    from ..skills.drafts import DRAFT_STATUS

    return bool(skill.metadata.get("status") == DRAFT_STATUS)


def _summary(skill: Skill, hides: Skill | None = None) -> list[str]:
    """Returns what a skill holds, for a person who decides about it."""
    lines = [
        f"{skill.name}  ({skill.source}, {skill.format}, {skill.size / 1000:.1f} kB, sha256 "
        f"{skill.digest[:12]})",
        f"  {' '.join(skill.description.split())}",
        f"  file: {skill.file}",
    ]
    if skill.license:
        lines.append(f"  license: {skill.license}")
    lines += [f"  holds: {path}" for path in skill.files if path not in skill.scripts]
    lines += [f"  holds: {path} (a script: it is never run)" for path in skill.scripts]
    if skill.allowed_tools:
        lines.append(f"  asks for tools: {' '.join(skill.allowed_tools)} (not given)")
    if skill.metadata:
        lines.append(f"  metadata: {json.dumps(dict(skill.metadata), ensure_ascii=False)}")
    if _is_draft(skill):
        lines.append("  a draft that nobody has edited")
    if hides is not None:
        lines.append(f"  hides the skill of that name from {hides.source} ({hides.file})")
    return [printable(line) for line in lines]


def _skill_json(skill: Skill, library: SkillLibrary) -> dict[str, Any]:
    return {
        "name": skill.name,
        "description": skill.description,
        "source": skill.source,
        "format": skill.format,
        "file": str(skill.file),
        "files": list(skill.files),
        "digest": skill.digest,
        "license": skill.license,
        "compatibility": skill.compatibility,
        "allowed_tools": list(skill.allowed_tools),
        "metadata": dict(skill.metadata),
        "hides": [
            {"source": hidden.skill.source, "file": str(hidden.skill.file)}
            for hidden in library.hidden
            if hidden.by.name == skill.name
        ],
    }


def _library_json(library: SkillLibrary) -> dict[str, Any]:
    return {
        "skills": [_skill_json(skill, library) for skill in library.skills.values()],
        "problems": [
            {
                "file": str(problem.file),
                "line": problem.line,
                "message": problem.message,
                "skipped": problem.skipped,
            }
            for problem in library.problems
        ],
    }


def _show_problems(problems: tuple[SkillProblem, ...]) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for problem in problems:
        console.print(Text(printable(str(problem)), style="yellow"))
