"""What may be listed and read in a skill's folder, and nothing outside it.

A path is a name on an allow list made by walking the folder, never something that is joined and
then checked: `..`, absolute paths, drive letters, encoded dots and links are simply not on the
list. Opening follows no link, so swapping a file for a link after the walk gains nothing.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import SkillError

MAX_SKILL_BYTES = 128 * 1024
"""Bytes of a SKILL.md. The specification recommends below 5,000 tokens, about 20 kB."""

MAX_FILE_BYTES = 64 * 1024
"""Bytes of a file that the model may read: about 16,000 tokens, already much for one planner."""

MAX_FILES = 256
"""Files listed for one skill."""

MAX_FOLDER_DEPTH = 4
"""Folders below the skill's; the specification advises one."""

DOCUMENT_NAMES = ("SKILL.md", "skill.md")
"""Names of the main file; the first that exists counts, as in `skills-ref`."""


def find_document(folder: Path) -> Path | None:
    """Returns the skill's main file, or None; a link counts as none."""
    with os.scandir(folder) as entries:
        names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    return next((folder / name for name in DOCUMENT_NAMES if name in names), None)


def list_files(folder: Path) -> tuple[str, ...]:
    """Returns the regular files of the folder except the main file, as sorted POSIX paths.

    Hidden files and folders, links and anything else that is not a plain file are left out; at
    most `MAX_FILES` are listed, at most `MAX_FOLDER_DEPTH` folders deep.
    """
    found: list[str] = []

    def walk(path: str, prefix: str, depth: int) -> None:
        with os.scandir(path) as entries:
            ordered = sorted(entries, key=lambda item: item.name)
        for entry in ordered:
            if entry.name.startswith(".") or len(found) >= MAX_FILES:
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_FOLDER_DEPTH:
                    walk(entry.path, f"{prefix}{entry.name}/", depth + 1)
            elif entry.is_file(follow_symlinks=False) and not (
                depth == 0 and entry.name in DOCUMENT_NAMES
            ):
                found.append(prefix + entry.name)

    walk(os.fspath(folder), "", 0)
    return tuple(sorted(found))


def read_listed_file(folder: Path, listed: tuple[str, ...], path: str) -> bytes:
    """Returns the bytes of a listed file.

    Args:
        folder: The skill's folder.
        listed: What `list_files` returned for it.
        path: One of the listed paths; a leading `./` is forgiven.

    Raises:
        SkillError: The path is not listed, leads through a link, is too large or can't be read.
    """
    wanted = path.removeprefix("./")
    if wanted not in listed:
        shown = ascii(path)[:80]
        some = ", ".join(listed[:10]) or "none"
        raise SkillError(f"The skill has no file {shown}.", hint=f"Its files: {some}.")
    step = folder
    for part in wanted.split("/"):
        step = step / part
        if step.is_symlink():
            raise SkillError(f"The file '{wanted}' is a link; links are not followed.")
    return read_regular(step, MAX_FILE_BYTES)


def read_regular(path: Path, limit: int) -> bytes:
    """Returns the bytes of a regular file without following a link in its last part.

    Raises:
        SkillError: Not a regular file, larger than `limit` bytes, or unreadable.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise SkillError(f"The file '{path.name}' can't be opened: {error.strerror}.") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SkillError(f"'{path.name}' is not a plain file.")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise SkillError(f"The file '{path.name}' is larger than {limit} bytes.")
    return data


def decode_text(data: bytes, name: str) -> str:
    """Returns UTF-8 text with plain line feeds, without a byte order mark.

    Raises:
        SkillError: The bytes hold a NUL or are not UTF-8: a binary file.
    """
    if b"\0" in data:
        raise SkillError(f"The file '{name}' is binary; only text can be read.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SkillError(f"The file '{name}' is not UTF-8 text.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
