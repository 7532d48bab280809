"""Skills of the GEMS reference implementation drop in."""

from __future__ import annotations

from pathlib import Path

import pytest

from gems.skills.document import DocumentError
from gems.skills.legacy import is_legacy, parse_legacy
from gems.skills.loader import SkillSource, load_library

TEXT = """# Skill: Creative Drawing

## Description
For open ideas.
Use when imagination is asked for.

## Instructions
Find one idea.

### Details
## Description
This heading belongs to the instructions.
"""


def test_headings_become_a_skill() -> None:
    assert is_legacy(TEXT)
    parsed = parse_legacy(TEXT, "creative_drawing")
    assert parsed.name == "creative-drawing"
    assert parsed.description == "For open ideas. Use when imagination is asked for."
    assert parsed.instructions.startswith("Find one idea.")
    assert parsed.instructions.endswith("This heading belongs to the instructions.")


def test_it_overrides_the_built_in_skill_of_that_name(tmp_path: Path) -> None:
    folder = tmp_path / "creative_drawing"
    folder.mkdir()
    (folder / "SKILL.md").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    library = load_library([SkillSource("builtin", _builtin()), SkillSource("user", tmp_path)])
    skill = library.skills["creative-drawing"]
    assert (skill.source, skill.format) == ("user", "gems")
    assert [item.skill.source for item in library.hidden] == ["builtin"]
    assert "\r" not in skill.instructions


@pytest.mark.parametrize(
    ("text", "folder", "why"),
    [
        ("# Skill: X\n## Description\nA\n", "x", "Instructions' is missing"),
        ("# Skill: X\n## Instructions\nA\n", "x", "Description' is missing"),
        ("# Skill: X\n## Description\n\n## Instructions\nA\n", "x", "Description' is empty"),
        (TEXT, "bad name!", "folder's name"),
    ],
)
def test_a_broken_one_is_refused(text: str, folder: str, why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        parse_legacy(text, folder)


def test_a_long_description_is_cut_and_said_so() -> None:
    text = f"# Skill: X\n## Description\n{'word ' * 400}\n## Instructions\nA\n"
    parsed = parse_legacy(text, "x")
    assert len(parsed.description) <= 1024
    assert parsed.warnings


def _builtin() -> Path:
    from gems.skills.loader import BUILTIN

    return BUILTIN
