"""The checks that a skill declares, and hostile or broken declarations."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skills_ref import validate

from gems.skills.checks import MAX_CHECKS, read_checks, skill_checks
from gems.skills.loader import BUILTIN, SkillSource, load_library

GOOD = """\
- question: Is it sharp?
  kind: style
  evidence:
    - {tool: properties, parameters: {min_sharpness: 20}, decides: "no"}
- question: Does it say "{quote}"?
  kind: text
"""


def skill_with(tmp_path, value):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "SKILL.md").write_text(
        "---\nname: demo\ndescription: Does a thing.\nmetadata:\n  version: '1'\n"
        f"  gems-checks: {value}\n---\n\nDo it.\n"
    )
    library = load_library([SkillSource("user", tmp_path)])
    return library.skills["demo"], library.problems


def literal(text):
    return "|\n" + textwrap.indent(text, "    ").rstrip()


def test_checks_are_read_from_one_string_of_the_metadata(tmp_path):
    skill, problems = skill_with(tmp_path, literal(GOOD))
    assert problems == ()
    assert isinstance(skill.metadata["gems-checks"], str)
    assert validate(skill.folder) == []
    first, second = skill_checks(skill)[0]
    assert first.evidence[0]["parameters"] == {"min_sharpness": 20.0}
    assert (second.kind, second.for_each_quote, second.evidence) == ("text", True, ())


def test_json_is_read_as_well(tmp_path):
    value = """'[{"question": "Is it wide?", "evidence": [{"tool": "properties",
    "parameters": {"aspect": "16:9"}}]}]'"""
    skill, problems = skill_with(tmp_path, value)
    assert problems == ()
    assert skill_checks(skill)[0][0].evidence[0]["tool"] == "properties"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("- question: Is it?\n- question: Is it big?\n  kind: size", 8, "kind is one of"),
        ("- question: Is it?\n- kind: text", 8, "It has no question"),
        ("- question: It is.", 7, "ends with a question mark"),
        ("- question: Is it?\n  evidence: [{tool: magic}]", 7, "no evidence tool 'magic'"),
        ("- question: Is it?\n  run: rm -rf", 7, "no key 'run'"),
        ("- question: Is it {name}?", 7, "no placeholder '{name}'"),
        ("- question: Is it?\n  when: []\n  when: [a]", 9, "appears twice"),
        ("- question: Is it?\n  evidence: &a [*a]", 8, "anchors and aliases"),
        ("- !!python/object:os.system Is it?", 7, "tags are not allowed"),
        ("- question: [Is it?", 7, "invalid YAML"),
        ("question: Is it?", 7, "must be a list"),
        ("[" * 40 + "]" * 40, 7, "nested more than"),
        (
            '- question: Is it?\n  evidence:\n    - {tool: ocr, parameters: {text: "{quote}"}}',
            7,
            "not in its question",
        ),
    ],
)
def test_a_broken_check_is_reported_with_its_line_and_the_skill_stays(
    tmp_path, text, line, message
):
    skill, problems = skill_with(tmp_path, literal(text))
    (problem,) = problems
    assert message in problem.message
    assert (problem.file, problem.skipped) == (skill.file, False)
    assert abs(problem.line - line) <= (1 if "YAML" in problem.message else 0)


def test_the_good_checks_stay_when_one_is_broken(tmp_path):
    skill, problems = skill_with(tmp_path, literal("- question: nonsense\n" + GOOD))
    assert len(skill_checks(skill)[0]) == 2
    assert len(problems) == 1


def test_a_list_instead_of_a_string_is_reported(tmp_path):
    skill, problems = skill_with(tmp_path, "\n    - question: Is it?")
    assert skill_checks(skill)[0] == ()
    assert "write 'gems-checks: |'" in problems[0].message


def test_questions_are_one_visible_line_and_there_are_not_many_of_them():
    hidden = "Is\u202e it\U000e0041\u200b red\tor not?"
    ((check,), _) = read_checks(f"- question: '{hidden}'")
    assert check.question == "Is it red or not?"
    found, faults = read_checks("".join(f"- question: Is it {n}?\n" for n in range(50)))
    assert (len(found), len(faults)) == (MAX_CHECKS, 1)
    assert read_checks(f"- question: {'very ' * 100} long?")[0] == ()


@given(st.text(alphabet="-:[]{}\"'|>&*!#? \nquestionkdwh", max_size=200))
def test_no_declaration_raises(text):
    checks, faults = read_checks(text)
    assert all(check.question.endswith(("?", "？")) for check in checks)
    assert all(line >= 0 and message for line, message in faults)


def test_built_in_skills_declare_checks_without_faults():
    library = load_library([SkillSource("builtin", BUILTIN)])
    declared = {name for name, skill in library.skills.items() if skill_checks(skill)[0]}
    assert {"text-rendering", "product-shots", "logos-and-icons"} <= declared
    assert all(skill_checks(skill)[1] == () for skill in library.skills.values())
