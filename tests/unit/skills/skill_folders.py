"""Makes skill folders for the tests of this room."""

from __future__ import annotations

from pathlib import Path


def skill_text(
    name: str, description: str = "Does a thing. Use when needed.", body: str = "Do it."
) -> str:
    return f"---\nname: {name}\ndescription: {description}\n---\n\n{body}\n"


def make_skill(
    root: Path,
    name: str,
    description: str = "Does a thing. Use when needed.",
    body: str = "Do it.",
    files: dict[str, str] | None = None,
) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(skill_text(name, description, body), encoding="utf-8")
    for path, text in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder
