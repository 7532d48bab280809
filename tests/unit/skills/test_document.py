"""The open Agent Skills format: what is accepted, what is refused, and on which line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skills_ref import validate as reference_validate
from skills_ref.parser import parse_frontmatter as reference_parse

from gems.skills.document import DocumentError, parse_document


def document(front: str, body: str = "Body.") -> str:
    return f"---\n{front}\n---\n{body}\n"


VALID = {
    "minimal": ("skill-name", "name: skill-name\ndescription: What it does and when."),
    "all fields": (
        "pdf-processing",
        "name: pdf-processing\ndescription: Extract text.\nlicense: Apache-2.0\n"
        "compatibility: Requires git\nallowed-tools: Bash(git:*) Read\n"
        'metadata:\n  author: example-org\n  version: "1.0"',
    ),
    "64 characters": ("a" * 64, f"name: {'a' * 64}\ndescription: x"),
    "digits": ("skill-2", "name: skill-2\ndescription: x"),
    "other scripts": ("навык", "name: навык\ndescription: x"),
    "Chinese": ("技能", "name: 技能\ndescription: 描述"),
    "1,024 characters": ("a", f"name: a\ndescription: {'d' * 1024}"),
    "500 characters of compatibility": (
        "a",
        f"name: a\ndescription: x\ncompatibility: {'c' * 500}",
    ),
    "folded text": ("a", "name: a\ndescription: >-\n  one\n  two"),
}

INVALID = {
    "no name": ("a", "description: x", "'name' is missing"),
    "no description": ("a", "name: a", "'description' is missing"),
    "empty name": ("a", 'name: ""\ndescription: x', "not empty"),
    "empty description": ("a", 'name: a\ndescription: ""', "not empty"),
    "upper case": ("PDF-Processing", "name: PDF-Processing\ndescription: x", "lower case"),
    "dash first": ("-pdf", "name: -pdf\ndescription: x", "dash"),
    "dash last": ("pdf-", "name: pdf-\ndescription: x", "dash"),
    "two dashes": ("pdf--processing", "name: pdf--processing\ndescription: x", "dash"),
    "underscore": ("my_skill", "name: my_skill\ndescription: x", "letters, digits"),
    "space": ("my skill", "name: my skill\ndescription: x", "letters, digits"),
    "slash": ("a", "name: a/b\ndescription: x", "letters, digits"),
    "65 characters": ("a" * 65, f"name: {'a' * 65}\ndescription: x", "65 characters"),
    "another folder": ("other", "name: skill\ndescription: x", "folder's name"),
    "1,025 characters": ("a", f"name: a\ndescription: {'d' * 1025}", "1025 characters"),
    "501 characters of compatibility": (
        "a",
        f"name: a\ndescription: x\ncompatibility: {'c' * 501}",
        "501 characters",
    ),
    "a list": ("a", "- name\n- description", "mapping"),
    "broken": ("a", "name: [a\ndescription: x", "Invalid YAML"),
    "twice": ("a", "name: a\nname: a\ndescription: x", "twice"),
    "anchor": ("a", "name: &n a\ndescription: x", "anchors"),
    "tag": ("a", "name: !!str a\ndescription: x", "tags"),
}


@pytest.mark.parametrize(("folder", "front"), VALID.values(), ids=VALID)
def test_valid_cases_are_read_as_the_reference_reads_them(
    tmp_path: Path, folder: str, front: str
) -> None:
    text = document(front)
    parsed = parse_document(text, folder)
    path = tmp_path / folder
    path.mkdir()
    (path / "SKILL.md").write_text(text, encoding="utf-8")
    assert reference_validate(path) == []
    fields, body = reference_parse(text)
    assert parsed.name == fields["name"]
    assert parsed.description == fields["description"].strip()
    assert parsed.metadata == fields.get("metadata", {})
    assert parsed.license == fields.get("license")
    assert parsed.instructions == body


@pytest.mark.parametrize(("folder", "front", "why"), INVALID.values(), ids=INVALID)
def test_invalid_cases_are_refused_as_the_reference_refuses_them(
    tmp_path: Path, folder: str, front: str, why: str
) -> None:
    text = document(front)
    with pytest.raises(DocumentError, match=why):
        parse_document(text, folder)
    path = tmp_path / folder
    path.mkdir()
    (path / "SKILL.md").write_text(text, encoding="utf-8")
    assert reference_validate(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# no frontmatter", 1),
        ("---\nname: a\ndescription: x\n", 4),
        ("---\nname: a\ndescription: use: this\n---\n", 3),
        ("---\nname: a\ndescription: x\nmetadata: text\n---\n", 4),
        ("---\nlicense: MIT\nname: A\ndescription: x\n---\n", 3),
        ("---\nname: a\ndescription: x\nallowed-tools:\n  a: b\n---\n", 4),
    ],
)
def test_a_problem_names_its_line(text: str, line: int) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, "a")
    assert caught.value.line == line


def test_scalars_stay_strings_and_nested_metadata_stays_readable() -> None:
    parsed = parse_document(
        document(
            "name: a\ndescription: yes\nmetadata:\n  version: 1.10\n  checks: [one, {ask: no}]"
        ),
        "a",
    )
    assert parsed.description == "yes"
    assert parsed.metadata == {"version": "1.10", "checks": ["one", {"ask": "no"}]}


def test_allowed_tools_may_be_a_list_as_the_current_specification_says() -> None:
    parsed = parse_document(
        document("name: a\ndescription: x\nallowed-tools:\n  - Read\n  - Bash"), "a"
    )
    assert parsed.allowed_tools == ("Read", "Bash")


def test_dashes_within_a_value_do_not_end_the_frontmatter() -> None:
    parsed = parse_document(
        document("name: a\ndescription: before --- after", "Rule\n---\nmore"), "a"
    )
    assert parsed.description == "before --- after"
    assert parsed.instructions == "Rule\n---\nmore"


def test_an_unknown_field_is_a_warning_with_its_line() -> None:
    parsed = parse_document(document("name: a\ndescription: x\nversion: 2"), "a")
    assert [line for line, _ in parsed.warnings] == [4]


@pytest.mark.parametrize(
    "front",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nname: a\ndescription: x",
        "name: a\ndescription: x\nmetadata: " + "[" * 15_000,
        "name: a\ndescription: x\nmetadata: " + "{a: " * 5_000,
        "name: a\ndescription: x\nmetadata:\n" + "".join(f"  k{i}: v\n" for i in range(5_000)),
    ],
    ids=["aliases", "deep list", "deep mapping", "many keys"],
)
def test_yaml_that_grows_is_refused_at_once(front: str) -> None:
    started = time.perf_counter()
    with pytest.raises(DocumentError):
        parse_document(document(front), "a")
    assert time.perf_counter() - started < 2


@given(st.text(max_size=300))
@settings(max_examples=300)
def test_any_frontmatter_is_read_or_refused_and_nothing_else(front: str) -> None:
    text = f"---\n{front}\n---\nBody"
    try:
        name, line = parse_document(text, "a").name, 1
    except DocumentError as error:
        name, line = "a", error.line
    assert name == "a"
    assert 1 <= line <= text.count("\n") + 2


FRONT_PIECES = st.sampled_from(
    ["name: a", "name: b", "description: x", "description:", "license: MIT", "metadata:", "  k: v",
     "- x", "compatibility: ''", ": ", "\t", "name: A", "metadata: {}", "# note", ""]
)  # fmt: skip


@given(st.lists(FRONT_PIECES, max_size=6))
@settings(max_examples=300)
def test_what_is_accepted_the_reference_accepts_too(pieces: list[str]) -> None:
    from skills_ref.errors import ParseError
    from skills_ref.validator import validate_metadata

    front = "\n".join(pieces)
    text = f"---\n{front}\n---\nBody"
    try:
        parsed = parse_document(text, "a")
    except DocumentError:
        return
    if "{}" in front:  # flow style: the specification shows it, strictyaml knows none
        return
    try:
        fields, _ = reference_parse(text)
    except ParseError as error:
        pytest.fail(f"the reference refuses {text!r}: {error}")
    assert validate_metadata(fields, Path("a")) == []
    assert parsed.description == fields["description"]
