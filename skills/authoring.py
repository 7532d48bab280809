"""Making, checking, installing and removing skills: what `gems skills …` does.

Nothing here runs a file of a skill. An installed skill is a copy of plain files: no links, no
hidden files, no executable bits, within limits of number and size.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SkillError
from .document import DocumentError, check_name, split_frontmatter
from .fetching import fetch, shown
from .folder import (
    MAX_FILES,
    MAX_FOLDER_DEPTH,
    MAX_SKILL_BYTES,
    decode_text,
    find_document,
    read_regular,
)
from .loader import read_skill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .record import Skill, SkillProblem, Source

MAX_INSTALL_BYTES = 8 * 1024 * 1024
"""Bytes of all files of one installed skill; text and a few example pictures need far less."""

_TEMPLATE = """\
---
name: {name}
description: >-
  What this skill does to a prompt, and the words and situations in which it is needed. Use when …
  Not for …
license: Apache-2.0
metadata:
  version: "0.1"
---

# {title}

One paragraph: what goes wrong without this skill, and the idea that puts it right.

## Steps

1. …

## Rules

- A rule, and why it helps. Quoted text stays verbatim; nothing that was asked for is dropped.

## Examples

Before: `the prompt as a user writes it`

After: `the prompt as the image model should get it`

## Failure signs

- What to look for in the image.

More: `references/sources.md`.
"""

_SOURCES = "# Sources\n\n- Author, *Title*, where it appeared, year. What it is used for here.\n"


def user_folder() -> Path:
    """Returns the folder in which skills are installed for this person: `~/.gems/skills`."""
    return Path.home() / ".gems" / "skills"


def new_skill(name: str, folder: Path) -> Path:
    """Writes a skill to start from.

    Args:
        name: Lower-case words joined by dashes.
        folder: The folder of skills in which its folder is made.

    Returns:
        The new skill's folder.

    Raises:
        SkillError: The name is not valid, or such a folder exists.
    """
    fault = check_name(name)
    if fault:
        raise SkillError(fault, hint="Use lower-case words joined by dashes.")
    target = folder / name
    if target.exists():
        raise SkillError(f"There is already a '{target}'.", hint="Choose another name.")
    title = name.replace("-", " ").capitalize()
    with _disk_errors(f"The skill can't be written to '{folder}'"):
        (target / "references").mkdir(parents=True)
        (target / "SKILL.md").write_text(_TEMPLATE.format(name=name, title=title), "utf-8")
        (target / "references" / "sources.md").write_text(_SOURCES, "utf-8")
    return target


def validate(folder: Path) -> tuple[Skill | None, tuple[SkillProblem, ...]]:
    """Reads a skill's folder as the loader does.

    Args:
        folder: The skill's folder, or its SKILL.md.

    Returns:
        The skill (None when it would be skipped) and all problems, warnings included.

    Raises:
        SkillError: There is no such folder.
    """
    path = folder.resolve()
    if path.is_file():
        path = path.parent
    if not path.is_dir():
        raise SkillError(f"There is no folder '{folder}'.")
    return read_skill(path, "path")


def add_skill(
    origin: str | Path, *, into: Path | None = None, replace: bool = False
) -> list[Skill]:
    """Installs the skills of a folder, a zip file or a git repository.

    The origin is one skill, or holds skills as subfolders (directly, or in its folder `skills`).
    All are checked before the first is installed, and each appears at its place in one step.

    Args:
        origin: A folder, a `.zip` file, or a git address (`https://…`, `ssh://…`, `git@…`,
            `file://…`, optionally with a prefix `git+`).
        into: The folder of skills to install into; None: `~/.gems/skills`.
        replace: Whether an installed skill of the same name is replaced.

    Returns:
        The installed skills, at their new place.

    Raises:
        SkillError: The origin can't be read, holds no skill or a broken one, has unsafe paths or
            too much in it, or a skill of that name is installed.
    """
    target = into or user_folder()
    with (
        _disk_errors(f"'{shown(origin)}' can't be read"),
        tempfile.TemporaryDirectory(prefix="gems-skill-") as name,
    ):
        root = fetch(str(origin), Path(name))
        found = list(_skills_in(root))
        if not found:
            raise SkillError(
                f"'{shown(origin)}' holds no skill.", hint="A skill is a folder with a SKILL.md."
            )
        staged = [_stage(folder, Path(name) / "staged") for folder in found]
        for skill in staged:
            if _installed(target, skill.name) and not replace:
                raise SkillError(
                    f"A skill '{skill.name}' is installed already.", hint="Replace or remove it."
                )
        return [_install(skill, target) for skill in staged]


def remove_skill(name: str, *, folder: Path | None = None) -> Path:
    """Removes an installed skill's folder.

    Args:
        name: The skill's name.
        folder: The folder of skills it is in; None: `~/.gems/skills`.

    Returns:
        The folder that was removed. Of a linked skill only the link is removed.

    Raises:
        SkillError: There is no such skill there, or the name is no skill name.
    """
    root = folder or user_folder()
    if check_name(name):
        raise SkillError(f"{ascii(name)[:80]} is no skill name.")
    with _disk_errors(f"The skill '{name}' can't be removed"):
        folder = _installed(root, name)
        if folder is None:
            raise SkillError(
                f"No skill '{name}' is installed in '{root}'.",
                hint="Built-in skills can't be removed; leave them out of a run by name instead.",
            )
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    return folder


def _installed(root: Path, name: str) -> Path | None:
    """Returns the folder in which a skill of that name is installed, a link included."""
    for folder in (root / name, root / name.replace("-", "_")):  # the second: the GEMS format
        if folder.is_symlink() or (folder.is_dir() and find_document(folder)):
            return folder
    return None


@contextmanager
def _disk_errors(what: str) -> Iterator[None]:
    """Turns a failure of the disk into a `SkillError` that says what was being done."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SkillError(f"{what}: {reason}.", hint="Check the path and its permissions.") from None


# --- installing ---------------------------------------------------------------------------------


def _skills_in(root: Path) -> Iterator[Path]:
    """Yields the root when it is a skill, else the skills below it, else those in `skills/`."""
    if find_document(root):
        yield root
        return
    below = sorted(
        Path(entry.path)
        for entry in os.scandir(root)
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith((".", "_"))
    )
    direct = [folder for folder in below if find_document(folder)]
    if direct:
        yield from direct
        return
    for folder in below:
        if folder.name == "skills" or len(below) == 1:  # one folder around it all, as in archives
            yield from _skills_in(folder)


def _stage(folder: Path, staged: Path) -> Skill:
    """Copies a skill's plain files to `staged/<its name>` and checks the copy."""
    name = folder.name
    skill, problems = read_skill(folder, "path")
    if skill is None:
        # a repository or archive may be called otherwise than the skill at its root
        named = _declared_name(folder)
        if named is None or named == name:
            raise SkillError(f"The skill can't be used: {problems[0].message}")
        name = named
    target = staged / name
    if target.exists():
        raise SkillError(f"There are two skills '{name}'.")
    _copy_plain(folder, target)
    skill, problems = read_skill(target, "path")
    if skill is None:
        raise SkillError(f"The skill can't be used: {problems[0].message}")
    return skill


def _declared_name(folder: Path) -> str | None:
    file = find_document(folder)
    if file is None:
        return None
    try:
        text = decode_text(read_regular(file, MAX_SKILL_BYTES), file.name)
        front, _ = split_frontmatter(text)
    except (SkillError, DocumentError):
        return None
    for row in front.split("\n"):
        if row.startswith("name:"):
            name = row.removeprefix("name:").strip().strip("\"'")
            return None if check_name(name) else name
    return None


def _copy_plain(folder: Path, target: Path) -> None:
    count, size = 0, 0

    def copy(source: Path, place: Path, depth: int) -> None:
        nonlocal count, size
        place.mkdir(parents=True)
        for entry in list(os.scandir(source)):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth >= MAX_FOLDER_DEPTH:
                    raise SkillError(f"The skill's folders are more than {MAX_FOLDER_DEPTH} deep.")
                copy(Path(entry.path), place / entry.name, depth + 1)
            elif entry.is_file(follow_symlinks=False):
                count += 1
                size += entry.stat(follow_symlinks=False).st_size
                if count > MAX_FILES or size > MAX_INSTALL_BYTES:
                    raise SkillError(
                        f"The skill has more than {MAX_FILES} files or {MAX_INSTALL_BYTES} bytes."
                    )
                shutil.copyfile(entry.path, place / entry.name, follow_symlinks=False)
            else:
                raise SkillError(f"The skill holds a link or a special file: '{entry.name}'.")

    copy(folder, target, 0)


def _install(skill: Skill, root: Path) -> Skill:
    """Moves a staged skill to its place; a broken copy is never seen there."""
    with _disk_errors(f"The folder '{root}' can't be made"):
        root.mkdir(parents=True, exist_ok=True)
    place = root / skill.folder.name
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        shutil.copytree(skill.folder, fresh / place.name)
        earlier = _installed(root, skill.name)
        if earlier is not None:
            earlier.rename(fresh / "replaced")  # of a link, the link itself
        (fresh / place.name).rename(place)
    except OSError as error:
        raise SkillError(f"The skill can't be installed in '{root}': {error.strerror}.") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    source: Source = "user" if root == user_folder() else "path"
    installed, problems = read_skill(place.resolve(), source)
    if installed is None:
        raise SkillError(f"The installed skill can't be read: {problems[0].message}")
    return installed
