"""The manifest: what the planner is shown of the skills it has not loaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .record import Skill


_UNSEEN = re.compile("[\U000e0000-\U000e007f\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff]")


def visible(text: str) -> str:
    """Returns the text without characters that a person does not see and that can hide orders.

    Those are Unicode tags, marks that turn the direction of the text, and spaces of no width.
    """
    return _UNSEEN.sub("", text)


def manifest_line(skill: Skill) -> str:
    """Returns `- name: description` on one line, without invisible characters."""
    return f"- {skill.name}: {' '.join(visible(skill.description).split())}"


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
