"""Finds the skills of all sources and keeps them current between runs."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import SkillError
from ..settings import get_settings
from .checks import skill_checks
from .document import DocumentError, parse_document
from .folder import (
    MAX_SKILL_BYTES,
    decode_text,
    find_document,
    list_files,
    read_listed_file,
    read_regular,
)
from .legacy import is_legacy, parse_legacy
from .manifest import manifest_lines
from .record import HiddenSkill, Skill, SkillProblem, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

BUILTIN = Path(__file__).parent / "library"
"""The skills that come with this package."""

MAX_SKILLS = 10_000
"""Skill folders looked at in one source; a folder with more is hardly a skill library."""


@dataclass(frozen=True)
class SkillSource:
    """A folder of skill folders, or one skill's folder.

    Attributes:
        source: What it is.
        folder: Where it is.
        required: Whether it being absent is a problem worth reporting (a path that a person
            wrote down) or normal (`~/.gems/skills`).
    """

    source: Source
    folder: Path
    required: bool = False


@dataclass(frozen=True)
class SkillLibrary:
    """The skills of all sources, later sources overriding earlier ones by name.

    Attributes:
        skills: By name, in the order of the names.
        problems: What was wrong, in the order it was found.
        hidden: Which skills are overridden, and by which.
    """

    skills: Mapping[str, Skill] = field(default_factory=dict)
    problems: tuple[SkillProblem, ...] = ()
    hidden: tuple[HiddenSkill, ...] = ()

    def get(self, name: str) -> Skill:
        """Returns the skill of that name.

        Raises:
            SkillError: There is none; the hint names close ones.
        """
        skill = self.skills.get(name)
        if skill is None:
            from difflib import get_close_matches  # only on a miss

            close = get_close_matches(name[:100], self.skills, n=3)
            raise SkillError(
                f"There is no skill {ascii(name)[:80]}.",
                hint=f"Did you mean {', '.join(close)}?" if close else "See the manifest.",
            )
        return skill

    def manifest(
        self, names: Iterable[str] | None = None, *, budget_chars: int | None = None
    ) -> str:
        """Returns one line `- name: description` a skill, what the planner is shown.

        The text is plain: escape it where it goes into a delimited block.

        Args:
            names: Which skills, in that order; unknown names are left out. None: all, by name.
            budget_chars: Lines that do not fit into so many characters are left out.
        """
        chosen = self.skills if names is None else names
        skills = [self.skills[name] for name in chosen if name in self.skills]
        return "\n".join(manifest_lines(skills, budget_chars))

    def read_file(self, name: str, path: str) -> str:
        """Returns the text of a file in a skill's folder.

        Args:
            name: The skill.
            path: One of its `files`.

        Raises:
            SkillError: No such skill or file, a path that leads elsewhere, a link, a binary or
                too large file.
        """
        skill = self.get(name)
        return decode_text(read_listed_file(skill.folder, skill.files, path), path)


def default_sources() -> tuple[SkillSource, ...]:
    """Returns the sources in the order in which later ones override earlier ones."""
    sources = [SkillSource("builtin", BUILTIN)]
    bases: tuple[tuple[Source, Callable[[], Path]], ...] = (
        ("user", Path.home),
        ("project", Path.cwd),
    )
    places: list[Path] = []
    for source, base in bases:
        try:
            folder = base() / ".gems" / "skills"
        except (RuntimeError, OSError):  # a user without a home, a working folder that is gone
            continue
        if folder not in places:
            places.append(folder)
            sources.append(SkillSource(source, folder))
    for part in get_settings().skills_path.split(os.pathsep):
        if part.strip():
            folder = Path(part.strip()).expanduser()
            sources.append(SkillSource("path", folder, required=True))
    return tuple(sources)


def load_library(sources: Sequence[SkillSource] | None = None) -> SkillLibrary:
    """Returns the library, read again where something changed on disk since the last call.

    A folder is looked at again on every call; its SKILL.md is parsed again only when the file's
    time, size or inode changed, or a file came or went. While nothing changed, the same object
    is returned.

    Args:
        sources: Where to look, later ones overriding; None: the usual places.

    Returns:
        The library. A broken skill is one of its `problems` and never stops the others.
    """
    return _CACHE.load(tuple(default_sources() if sources is None else sources))


async def aload_library(sources: Sequence[SkillSource] | None = None) -> SkillLibrary:
    """Is `load_library` without blocking the event loop."""
    return await asyncio.to_thread(load_library, sources)


_Stamp = tuple[object, ...]


@dataclass(frozen=True)
class _Reading:
    """What one folder gave, and the state of the disk it was read at."""

    stamp: _Stamp
    skill: Skill | None
    problems: tuple[SkillProblem, ...]


class _Cache:
    """Readings by folder, and whole libraries by their sources."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readings: dict[tuple[Source, Path], _Reading] = {}
        self._libraries: dict[
            tuple[SkillSource, ...], tuple[list[_Reading], tuple[SkillProblem, ...], SkillLibrary]
        ] = {}

    def load(self, sources: tuple[SkillSource, ...]) -> SkillLibrary:
        with self._lock:
            problems: list[SkillProblem] = []
            readings = [
                self._read(source.source, folder)
                for source in sources
                for folder in _skill_folders(source, problems)
            ]
            known = self._libraries.get(sources)
            # identity, not equality: a reading is the same object as long as its stamp holds
            if (
                known
                and known[1] == tuple(problems)
                and len(known[0]) == len(readings)
                and all(a is b for a, b in zip(known[0], readings, strict=True))
            ):
                return known[2]
            library = _assemble(readings, problems)
            if len(self._libraries) >= 8:  # several working folders in one process, not a log
                self._libraries.clear()
                in_use = {id(reading) for reading in readings}
                self._readings = {
                    key: reading for key, reading in self._readings.items() if id(reading) in in_use
                }
            self._libraries[sources] = (readings, tuple(problems), library)
            return library

    def _read(self, source: Source, folder: Path) -> _Reading:
        stamp, file, files = _stamp(folder)
        known = self._readings.get((source, folder))
        if known and known.stamp == stamp:
            return known
        skill, problems = read_skill(folder, source, file=file, files=files)
        reading = _Reading(stamp, skill, problems)
        self._readings[source, folder] = reading
        return reading


_CACHE = _Cache()


def _stamp(folder: Path) -> tuple[_Stamp, Path | None, tuple[str, ...]]:
    try:
        file, files = find_document(folder), list_files(folder)
        status = file.lstat() if file else None
    except OSError as error:
        return (error.errno,), None, ()
    if status is None:
        return (None,), None, files
    return (file, status.st_mtime_ns, status.st_size, status.st_ino, files), file, files


def _skill_folders(source: SkillSource, problems: list[SkillProblem]) -> list[Path]:
    """Returns the candidate folders of a source, resolved, by name."""
    try:
        root = source.folder.resolve()
        if find_document(root):
            return [root]
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError as error:
        if source.required or not isinstance(error, FileNotFoundError):
            message = f"This source of skills can't be read: {error.strerror or error}."
            problems.append(SkillProblem(source.folder, 1, message))
        return []
    folders: list[Path] = []
    for entry in entries:
        if entry.name.startswith((".", "_")) or not entry.is_dir():
            continue
        if entry.is_symlink() and source.source == "project":
            # a repository that somebody else wrote must not point at the rest of the disk
            message = "A linked skill folder is not followed in a project."
            problems.append(SkillProblem(Path(entry.path), 1, message))
            continue
        folder = Path(entry.path)
        folders.append(folder.resolve() if entry.is_symlink() else folder)
    if len(folders) > MAX_SKILLS:
        message = f"This source has {len(folders)} folders; the first {MAX_SKILLS} are read."
        problems.append(SkillProblem(source.folder, 1, message, skipped=False))
    return folders[:MAX_SKILLS]


def read_skill(
    folder: Path,
    source: Source,
    *,
    file: Path | None = None,
    files: tuple[str, ...] | None = None,
) -> tuple[Skill | None, tuple[SkillProblem, ...]]:
    """Reads one skill's folder.

    Args:
        folder: The folder, resolved.
        source: What to note as its source.
        file: Its SKILL.md when already found.
        files: Its other files when already listed.

    Returns:
        The skill, or None when it can't be used, and what is wrong with it.
    """
    try:
        file = file or find_document(folder)
        if file is None:
            message = "The folder has no SKILL.md."
            return None, (SkillProblem(folder, 1, message),)
        data = read_regular(file, MAX_SKILL_BYTES)
        text = decode_text(data, file.name)
        legacy = is_legacy(text)
        document = (parse_legacy if legacy else parse_document)(text, folder.name)
        listed = list_files(folder) if files is None else files
    except DocumentError as error:
        return None, (SkillProblem(file or folder, error.line, error.message),)
    except SkillError as error:
        return None, (SkillProblem(file or folder, 1, error.args[0]),)
    except OSError as error:
        return None, (SkillProblem(file or folder, 1, f"It can't be read: {error.strerror}."),)
    skill = Skill(
        name=document.name,
        description=document.description,
        instructions=document.instructions,
        folder=folder,
        source=source,
        metadata=MappingProxyType(document.metadata),
        files=listed,
        digest=hashlib.sha256(data).hexdigest(),
        file=file,
        size=len(data),
        format="gems" if legacy else "agent-skills",
        license=document.license,
        compatibility=document.compatibility,
        allowed_tools=document.allowed_tools,
    )
    warnings = tuple(
        SkillProblem(file, line, message, skipped=False) for line, message in document.warnings
    )
    return skill, (*warnings, *skill_checks(skill)[1])


def _assemble(readings: list[_Reading], problems: list[SkillProblem]) -> SkillLibrary:
    skills: dict[str, Skill] = {}
    hidden: list[HiddenSkill] = []
    found = list(problems)
    for reading in readings:
        found += reading.problems
        skill = reading.skill
        if skill is None:
            continue
        if skill.name in skills:
            hidden.append(HiddenSkill(skills[skill.name], by=skill))
        skills[skill.name] = skill
    ordered = MappingProxyType(dict(sorted(skills.items())))
    return SkillLibrary(ordered, tuple(found), tuple(hidden))
