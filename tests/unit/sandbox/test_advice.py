"""Lessons change prompts only by what their text says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gems.sandbox.advice import advice_of
from gems.sandbox.emphasis import emphasis, patterns_in
from gems.sandbox.grammar import read
from gems.sandbox.planning import first_prompts
from gems.sandbox.questions import claims_of
from gems.sandbox.refining import Tried, next_prompts
from gems.sandbox.wording import random_prompt

TURNED = (
    "- Missed at first: Is the ball to the right of the cube? (said “A ball to the right of a "
    "cube”). What helped: saying “The cube is to the left of the ball”."
)
LETTERS = (
    '- Missed at first: Does the sign say "OPEN"? (said “A sign at the top reads "OPEN"”). '
    'What helped: saying “The word "OPEN" stands on the sign”.'
)
VAIN = (
    '- Missed at first: Does the sign say "OPEN"?. This did not help: saying '
    '“The word "OPEN" stands on the sign”.'
)


def test_a_wording_that_helped_is_used_for_another_fact_of_its_kind() -> None:
    prompt = 'a red star to the right of a blue house, a sign that says "CAFE"'
    [plain] = first_prompts(prompt, 1)
    [told] = first_prompts(prompt, 1, f"{TURNED}\n{LETTERS}")
    front = told.removesuffix(plain)
    assert "The house is to the left of the star." in front
    assert 'The word "CAFE" stands on the sign.' in front


def test_it_is_not_used_where_it_does_not_fit() -> None:
    prompt = "a red star above a blue house"  # the lesson is about left and right
    assert first_prompts(prompt, 1, TURNED) == first_prompts(prompt, 1)


def test_lessons_that_contradict_each_other_advise_nothing() -> None:
    assert max(advice_of(LETTERS).values()) == 1
    assert max(advice_of(f"{LETTERS}\n{VAIN}").values()) == 0
    prompt = 'a red star, a sign that says "CAFE"'
    assert first_prompts(prompt, 1, f"{LETTERS}\n{VAIN}") == first_prompts(prompt, 1)


def test_the_refiner_tries_first_what_helped_elsewhere_and_last_what_did_not() -> None:
    prompt = 'a red star, a sign that says "CAFE"'
    tried = [Tried(0.5, "A red star.", failed=['Does the sign say "CAFE"?'])]

    def front(lessons: str) -> str:
        _, [written] = next_prompts(prompt, tried, 1, [], "", lessons)
        return written.split(". ")[0]

    assert front("") == 'A sign at the top reads "CAFE"'
    assert front(LETTERS) == 'The word "CAFE" stands on the sign'
    assert front(VAIN) != 'The word "CAFE" stands on the sign'


@pytest.mark.parametrize("text", ["", "- Say it first.", "- “”", "What helped: “a dragon”"])
def test_lessons_without_a_known_wording_advise_nothing(text: str) -> None:
    assert not +advice_of(text)


@settings(deadline=None, max_examples=40)  # shared CI machines stall
@given(st.integers(0, 10**6), st.integers(3, 10), st.integers(0, 4))
def test_every_wording_is_known_again_and_advice_bends_no_fact(
    seed: int, atoms: int, turn: int
) -> None:
    sample = random_prompt(random.Random(seed), atoms)
    reading = read(sample.prompt)
    said = [emphasis(reading, (c.kind, c.index), turn) for c in reading.clauses]
    kinds = [group.kind for group in reading.groups]
    if len(set(kinds)) == len(kinds) and "fish" not in kinds:  # "the fish": one or many?
        assert all(patterns_in(sentence) for sentence in said)
    lessons = "\n".join(f"- Missed. What helped: saying “{one.rstrip('.')}”." for one in said)
    [told] = first_prompts(sample.prompt, 1, lessons)
    assert {c.question for c in sample.claims} == {c.question for c in claims_of(read(told))}
