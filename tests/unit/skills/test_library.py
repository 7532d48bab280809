"""The built-in skills: each is valid, complete, and keeps its own promises."""

from __future__ import annotations

import re

import pytest
from skills_ref import validate

from gems.skills.loader import BUILTIN, SkillSource, load_library

LIBRARY = load_library([SkillSource("builtin", BUILTIN)])
DOMAINS = {
    "spatial-layout",
    "text-rendering",
    "counting",
    "attribute-binding",
    "creative-drawing",
    "aesthetic-drawing",
    "photorealism",
    "portraits-and-hands",
    "product-shots",
    "infographics",
    "logos-and-icons",
    "comics-and-storyboards",
    "world-knowledge",
}


def test_every_domain_has_its_skill_and_none_is_broken() -> None:
    assert LIBRARY.problems == ()
    assert set(LIBRARY.skills) >= DOMAINS


@pytest.mark.parametrize("name", sorted(LIBRARY.skills))
def test_a_skill_follows_the_specification_and_has_all_its_parts(name: str) -> None:
    skill = LIBRARY.skills[name]
    assert validate(skill.folder) == []
    assert len(skill.description) < 1024
    assert "Use when" in skill.description
    assert "Not for" in skill.description or "Not when" in skill.description
    for heading in ("## Steps", "## Rules", "## Examples", "## Failure signs"):
        assert heading in skill.instructions
    assert "references/sources.md" in skill.files
    assert len(LIBRARY.read_file(name, "references/sources.md").splitlines()) >= 6
    for path in set(re.findall(r"references/[\w-]+\.md", skill.instructions)):
        assert LIBRARY.read_file(name, path)
    # about 2,000 tokens: what the planner pays for in every later call
    assert len(skill.instructions) < 8_000


@pytest.mark.parametrize("name", sorted(LIBRARY.skills))
def test_two_worked_examples_keep_quoted_text_verbatim(name: str) -> None:
    pairs = re.findall(
        r"^Before: `([^`]+)`\n+After: `([^`]+)`", LIBRARY.skills[name].instructions, re.MULTILINE
    )
    assert len(pairs) >= 2
    for before, after in pairs:
        flowing = " ".join(after.split())
        assert len(flowing) > len(before)
        for quoted in re.findall(r'"[^"]+"', before):
            assert quoted in flowing
