"""Making, checking, installing and removing skills: what `gems skills …` does.

Nothing here runs a file of a skill. An installed skill is a copy of plain files: no links, no
hidden files, no executable bits, within limits of number and size.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import SkillError
from .document import DocumentError, check_name, split_frontmatter
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

MAX_ARCHIVE_BYTES = 16 * 1024 * 1024
"""Bytes of a zip file that is opened."""

GIT_SECONDS = 120
"""Seconds a shallow clone may take."""

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
    (target / "references").mkdir(parents=True)
    title = name.replace("-", " ").capitalize()
    (target / "SKILL.md").write_text(_TEMPLATE.format(name=name, title=title), encoding="utf-8")
    (target / "references" / "sources.md").write_text(
        "# Sources\n\n- Author, *Title*, where it appeared, year. What it is used for here.\n",
        encoding="utf-8",
    )
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
    with tempfile.TemporaryDirectory(prefix="gems-skill-") as name:
        root = _fetch(str(origin), Path(name))
        found = list(_skills_in(root))
        if not found:
            raise SkillError(
                f"'{_shown(origin)}' holds no skill.", hint="A skill is a folder with a SKILL.md."
            )
        staged = [_stage(folder, Path(name) / "staged") for folder in found]
        for skill in staged:
            if (target / skill.folder.name).exists() and not replace:
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
    for candidate in (root / name, root / name.replace("-", "_")):  # the second: GEMS format
        if candidate.is_symlink():
            candidate.unlink()
            return candidate
        if candidate.is_dir() and find_document(candidate):
            shutil.rmtree(candidate)
            return candidate
    raise SkillError(
        f"No skill '{name}' is installed in '{root}'.",
        hint="Built-in skills can't be removed; leave them out of a run by name instead.",
    )


# --- fetching -----------------------------------------------------------------------------------


def _fetch(origin: str, scratch: Path) -> Path:
    if _is_git(origin):
        return _clone(origin.removeprefix("git+"), scratch / "clone")
    path = Path(origin).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.is_file() and zipfile.is_zipfile(path):
        return _unzip(path, scratch / path.stem)
    raise SkillError(
        f"'{_shown(origin)}' is no folder, zip file or git address.",
        hint="Give a path that exists or an https address of a git repository.",
    )


def _is_git(origin: str) -> bool:
    return origin.startswith(("git+", "git@", "https://", "http://", "ssh://", "file://"))


def _shown(origin: str | Path) -> str:
    """The origin without a password that an address may carry."""
    parts = urlsplit(str(origin))
    if parts.hostname and parts.username:
        host = parts.hostname + (f":{parts.port}" if parts.port else "")
        return parts._replace(netloc=host, query="").geturl()
    return str(origin)


def _clone(address: str, target: Path) -> Path:
    """Makes a shallow clone with hooks, submodules, filters and credential prompts off."""
    git = shutil.which("git")
    if git is None:
        raise SkillError("git is not installed.", hint="Download the skill and add its folder.")
    if urlsplit(address).scheme not in {"https", "http", "ssh", "file"} and not address.startswith(
        "git@"
    ):
        raise SkillError("Only https, http, ssh and file addresses are cloned.")
    keep = ("PATH", "HOME", "SSH_AUTH_SOCK", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SYSTEMROOT")
    environment = {key: os.environ[key] for key in keep if key in os.environ}
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
    }
    command = [git, "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false"]
    command += ["clone", "--quiet", "--depth=1", "--single-branch", "--no-recurse-submodules"]
    command += ["--", address, str(target)]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program; the address stands after `--`
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SkillError(f"Cloning took longer than {GIT_SECONDS} seconds.") from None
    if done.returncode:
        raise SkillError(f"git could not clone '{_shown(address)}' (exit {done.returncode}).")
    return target


def _unzip(path: Path, target: Path) -> Path:
    if path.stat().st_size > MAX_ARCHIVE_BYTES:
        raise SkillError(f"The zip file is larger than {MAX_ARCHIVE_BYTES} bytes.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > 20 * MAX_FILES:
                raise SkillError(f"The zip file has {len(entries)} entries.")
            left = 4 * MAX_INSTALL_BYTES
            for entry in entries:
                place = _safe_place(entry, target)
                if place is None:
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                # the size that the archive states may be false: count what comes out
                with archive.open(entry) as packed, place.open("xb") as plain:
                    while piece := packed.read(64 * 1024):
                        left -= len(piece)
                        if left < 0:
                            raise SkillError("The zip file unpacks to too many bytes.")
                        plain.write(piece)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        # RuntimeError: encrypted; NotImplementedError: an unknown compression
        raise SkillError(f"The zip file can't be unpacked ({type(error).__name__}).") from None
    target.mkdir(parents=True, exist_ok=True)
    return target


def _safe_place(entry: zipfile.ZipInfo, target: Path) -> Path | None:
    """Returns where an entry belongs, None for a folder; refuses what would land elsewhere."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise SkillError("The zip file holds a link or a special file.")
    name = entry.filename
    parts = PurePosixPath(name).parts
    if "\\" in name or ":" in name or name.startswith("/") or ".." in parts or not parts:
        raise SkillError(f"The zip file holds an unsafe path: {ascii(name)[:80]}.")
    return None if entry.is_dir() else target.joinpath(*parts)


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
        for entry in os.scandir(source):
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
    root.mkdir(parents=True, exist_ok=True)
    place = root / skill.folder.name
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        shutil.copytree(skill.folder, fresh / place.name)
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            place.rename(fresh / "replaced")
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
