"""The simulated generator's blind spots: by wording alone, unknown to those who write prompts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gems.sandbox
from gems.sandbox.generator import survival
from gems.sandbox.grammar import read
from gems.sandbox.quirks import BADLY, WELL, lift


@pytest.mark.parametrize(
    ("kind", "prompt", "expected"),
    [
        ("relation", "The cube is to the left of the ball.", WELL),
        ("relation", "The ball is to the right of the cube.", BADLY),
        ("relation", "To the right of the cube is the ball.", WELL),
        ("relation", "A red cube below a blue cube.", BADLY),
        ("relation", "A red cube above a blue cube.", WELL),
        ("text", 'A sign reads "OPEN".', BADLY),
        ("text", 'The word "OPEN" stands on the sign.', WELL),
        ("text", 'The text on the sign is "OPEN".', 0),
        ("count", "Three red cubes.", BADLY),
        ("count", "Exactly three red cubes.", 0),
        ("count", "A group of three red cubes.", WELL),
        ("size", "A small red cube.", BADLY),
        ("size", "A red cube. The cube is small.", WELL),
        ("color", "A red cube.", 0),
    ],
)
def test_a_wording_is_read_well_or_badly(kind: str, prompt: str, expected: float) -> None:
    reading = read(prompt)
    [clause] = [one for one in reading.clauses if one.kind == kind][:1]
    assert lift(reading, clause) == expected


def test_one_good_sentence_makes_up_for_a_bad_one() -> None:
    bad = read("A ball to the right of a cube.")
    both = read("A ball to the right of a cube. The cube is to the left of the ball.")
    chances = [
        survival(reading, next(one for one in reading.clauses if one.kind == "relation"))
        for reading in (bad, both)
    ]
    assert chances[0] < 0.4
    assert chances[1] > 0.8


def test_only_the_generator_knows_them() -> None:
    folder = Path(gems.sandbox.__file__).parent
    knows = {
        path.stem
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "quirks"
    }
    assert knows == {"generator"}
