"""Reads the SKILL.md of the GEMS reference implementation, so that its libraries drop in.

The format is headings, no frontmatter::

    # Skill: Creative Drawing
    ## Description
    What it is for.
    ## Instructions
    What to do.

The folder's name is the skill's name (`creative_drawing`), as there; underscores become dashes,
because the open format's names know no underscores.
"""

from __future__ import annotations

import re
import unicodedata

from .document import MAX_DESCRIPTION, Document, DocumentError, check_name

_TITLE = re.compile(r"^#\s+Skill\s*:", re.IGNORECASE)
_SECTION = re.compile(r"^##\s+(Description|Instructions)\s*:?\s*(?:#+\s*)?$", re.IGNORECASE)


def is_legacy(text: str) -> bool:
    """Returns whether the first line that is not blank is a `# Skill:` heading."""
    first = next((row for row in text.split("\n") if row.strip()), "")
    return _TITLE.match(first.strip()) is not None


def parse_legacy(text: str, folder_name: str) -> Document:
    """Parses a SKILL.md in the GEMS reference format.

    Args:
        text: The file's text.
        folder_name: Name of the folder it lies in; gives the skill's name.

    Returns:
        The document. A description beyond the open format's 1,024 characters is cut at a word
        and the cut is a warning, because the reference format knows no limit. Everything after
        the Instructions heading belongs to the instructions, further headings included.

    Raises:
        DocumentError: A section is missing or empty, or the folder's name makes no valid name.
    """
    name = unicodedata.normalize("NFKC", folder_name).strip().lower().replace("_", "-")
    fault = check_name(name)
    if fault:
        raise DocumentError(f"The folder's name makes no skill name: {fault}")
    sections: dict[str, tuple[int, list[str]]] = {}
    current: list[str] | None = None
    for number, row in enumerate(text.split("\n"), start=1):
        heading = _SECTION.match(row.rstrip())
        if heading and heading[1].lower() not in sections:
            current = []
            sections[heading[1].lower()] = (number, current)
        elif current is not None:
            current.append(row)
    for title in ("description", "instructions"):
        if title not in sections:
            raise DocumentError(f"The section '## {title.capitalize()}' is missing.")
        if not "".join(sections[title][1]).strip():
            raise DocumentError(
                f"The section '## {title.capitalize()}' is empty.", sections[title][0]
            )
    line, rows = sections["description"]
    description = " ".join(" ".join(rows).split())
    warnings: tuple[tuple[int, str], ...] = ()
    if len(description) > MAX_DESCRIPTION:
        warnings = ((line, f"The description is cut; {MAX_DESCRIPTION} characters are allowed."),)
        description = description[: MAX_DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"
    return Document(
        name=name,
        description=description,
        instructions="\n".join(sections["instructions"][1]).strip(),
        warnings=warnings,
    )
