"""What a skill is once it is read, and what can be wrong with one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Source = Literal["builtin", "user", "project", "path"]
"""Where a skill was found: this package, `~/.gems/skills`, `./.gems/skills`, `GEMS_SKILLS_PATH`."""

SkillFormat = Literal["agent-skills", "gems"]
"""The open Agent Skills format, or the headings of the GEMS reference implementation."""


@dataclass(frozen=True)
class Skill:
    """One skill, read and checked.

    Attributes:
        name: Lower-case words joined by dashes; unique in a library.
        description: What it does and when to use it; at most 1,024 characters.
        instructions: The body of the SKILL.md, what `load_skill` gives the model.
        folder: The skill's folder, absolute and resolved.
        source: Which source it comes from.
        metadata: The frontmatter's `metadata`: string keys; values are strings, or lists and
            mappings of strings (the spec knows strings only; nesting is kept as written).
        files: The other files in the folder that may be listed, POSIX paths relative to it,
            sorted; hidden files and links are left out.
        digest: SHA-256 (hex) of the SKILL.md's bytes.
        file: The SKILL.md itself.
        size: Bytes of the SKILL.md.
        format: Which of the two formats it is written in.
        license: The frontmatter's `license`, or None.
        compatibility: The frontmatter's `compatibility`, or None.
        allowed_tools: The frontmatter's `allowed-tools`. Shown to people, never obeyed: the
            planner's tools are fixed.
    """

    name: str
    description: str
    instructions: str
    folder: Path
    source: Source
    metadata: Mapping[str, Any] = field(hash=False)
    files: tuple[str, ...]
    digest: str
    file: Path
    size: int
    format: SkillFormat = "agent-skills"
    license: str | None = None
    compatibility: str | None = None
    allowed_tools: tuple[str, ...] = ()

    @property
    def scripts(self) -> tuple[str, ...]:
        """The files under `scripts/`: they are listed and can be read, but are never run."""
        return tuple(name for name in self.files if name.startswith("scripts/"))


@dataclass(frozen=True)
class SkillProblem:
    """Something wrong with one file of one skill.

    Attributes:
        file: The file (or folder) it was found in.
        line: 1-based line in that file; 1 where the problem is the whole file.
        message: What is wrong and what would be right, one sentence.
        skipped: True when the skill is left out because of it, False for a warning.
    """

    file: Path
    line: int
    message: str
    skipped: bool = True

    def __str__(self) -> str:
        kind = "skipped" if self.skipped else "warning"
        return f"{self.file}:{self.line}: {self.message} ({kind})"


@dataclass(frozen=True)
class HiddenSkill:
    """A skill that a later source overrides by name.

    Attributes:
        skill: The one that is hidden.
        by: The one that is used.
    """

    skill: Skill
    by: Skill
