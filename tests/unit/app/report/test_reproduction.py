"""The command line of a report makes the same run, whatever the prompt holds."""

from __future__ import annotations

import ast
import subprocess
import unicodedata
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gems.app.report.readable import Readable, readable
from gems.app.report.reproduction import (
    ascii_repr,
    reproduction,
    setting_rows,
    shell_word,
    without_credentials,
)
from gems.graph.context import Context

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40
)


JOINERS = "\u200c\u200d"
"""Scripts and emoji need them; they neither hide nor move anything."""


def words_of(line: str) -> list[str]:
    """The arguments that bash makes of a line, without running it."""
    script = f"set -f; args() {{ printf '%s\\0' \"$@\"; }}; args {line}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    return done.stdout.decode().split("\0")[:-1]


def state(**changes: object) -> Readable:
    return readable({"prompt": "a cat", "turn": 1, "seed": 7, **changes})


@settings(max_examples=60, deadline=None)
@given(TEXT)
def test_bash_reads_any_text_back(text: str) -> None:
    word = shell_word(text)
    assert words_of(word) == [text]
    assert not [c for c in word if unicodedata.category(c) in ("Cc", "Cf") and c not in JOINERS]


@given(st.text(max_size=40))
def test_python_reads_any_text_back(text: str) -> None:
    source = ascii_repr(text)
    assert ast.literal_eval(source) == text
    assert "\u202e" not in source


def test_the_command_line_has_what_differs_from_the_default() -> None:
    context = Context(max_rounds=3, candidates=2, width=1280, height=768, verification="joint")
    made = reproduction(state(negative_prompt="-fog"), context, forked=False)
    assert words_of(made.command) == [
        *("gems", "generate", "--seed", "7", "--size", "1280x768", "--rounds", "3"),
        *("--candidates", "2", "--verification", "joint", "--negative=-fog", "--", "a cat"),
    ]


def test_what_has_no_option_is_set_by_name() -> None:
    context = Context(votes=3, guidance=4.5, mllm="openai:gpt-5", user="ann")
    made = reproduction(state(), context, forked=False)
    assert {"--set=votes=3", "--set=guidance=4.5"} <= set(words_of(made.command))
    call = ast.parse(made.python).body[-1]
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    (given_context,) = [item.value for item in call.value.keywords if item.arg == "context"]
    assert isinstance(given_context, ast.Call)
    settings_ = {item.arg: ast.literal_eval(item.value) for item in given_context.keywords}
    wanted = {**asdict(context), "seed": 7, "user": "local"}
    assert asdict(Context(**settings_)) == wanted  # type: ignore[arg-type]  # literals


def test_requirements_that_somebody_gave_are_given_again() -> None:
    asked = {
        "id": "r1",
        "question": "Is it?",
        "kind": "other",
        "depends_on": [],
        "origin": "caller",
    }
    made = reproduction(state(requirements=[asked]), Context(), forked=False)
    assert "--require=Is it?" in words_of(made.command)
    made = reproduction(
        state(requirements=[{**asked, "origin": "decomposer"}]), Context(), forked=False
    )
    assert "--require" not in made.command


@pytest.mark.parametrize(
    ("turn", "forked", "said"),
    [(1, True, "is a fork"), (2, False, "several turns"), (1, False, "GEMS_MLLM")],
)
def test_it_says_what_it_does_not_repeat(turn: int, forked: bool, said: str) -> None:
    made = reproduction(state(turn=turn), Context(), forked=forked)
    assert any(said in caution for caution in made.cautions)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http:https://ann:pw@host:1/x", "http:https://***@host:1/x"),
        ("http://host/x?seed=1&api_key=abc&size=2", "http://host/x?seed=1&api_key=***&size=2"),
        ("openai:gpt-5", "openai:gpt-5"),
        ("ann@example.org", "ann@example.org"),
    ],
)
def test_addresses_lose_their_credentials(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


def test_every_setting_has_a_line_of_help() -> None:
    rows = setting_rows(Context(votes=3))
    assert rows[0].name == "votes"
    assert (rows[0].value, rows[0].default, rows[0].changed) == ("3", "1", True)
    assert {row.name for row in rows} == set(Context.__dataclass_fields__)
    assert all(row.help for row in rows)
