"""The manifest: what the planner is shown of the skills it has not loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .record import Skill


def manifest_line(skill: Skill) -> str:
    """Returns `- name: description` on one line."""
    return f"- {skill.name}: {' '.join(skill.description.split())}"


def manifest_lines(skills: Sequence[Skill], budget_chars: int | None = None) -> list[str]:
    """Returns the lines of the skills in order, those that do not fit the budget left out.

    Args:
        skills: In the order of their worth.
        budget_chars: Characters that the joined lines may have; None: no limit.
    """
    lines: list[str] = []
    used = 0
    for skill in skills:
        line = manifest_line(skill)
        if budget_chars is not None and used + len(line) + bool(lines) > budget_chars:
            continue
        used += len(line) + bool(lines)
        lines.append(line)
    return lines
