"""What the sandbox reads from plain English, and that it writes what it reads."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gems.sandbox.emphasis import emphasis
from gems.sandbox.grammar import Stated, read, sign_text
from gems.sandbox.planning import choose_skill, first_prompts
from gems.sandbox.questions import claims_of
from gems.sandbox.scene import COLORS, OBJECT_KINDS, SIZES, Group, Relation, Scene
from gems.sandbox.wording import STYLES, describe, random_prompt

DIRECTIONS = ("left of", "right of", "above", "below")


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    background = draw(st.sampled_from(sorted(COLORS)))
    looks = draw(
        st.lists(
            st.tuples(
                st.sampled_from(OBJECT_KINDS), st.sampled_from(sorted(set(COLORS) - {background}))
            ),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    groups = tuple(
        Group(kind, color, draw(st.sampled_from(SIZES)), draw(st.integers(1, 8)))
        for kind, color in looks
    )
    pairs = [(a, b) for a in range(len(groups)) for b in range(len(groups)) if a < b]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    turned = [(b, a) if draw(st.booleans()) else (a, b) for a, b in chosen]
    relations = sorted(
        (Relation(a, draw(st.sampled_from(DIRECTIONS)), b) for a, b in turned),
        key=lambda r: (r.subject, r.object),
    )
    sign = draw(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ", max_size=12).map(sign_text))
    return Scene(groups, tuple(relations), background, sign)


@settings(deadline=None)
@given(scenes(), st.integers(0, STYLES - 1), st.integers(0, 2**32))
def test_reading_a_description_gives_the_scene_again(scene: Scene, style: int, seed: int) -> None:
    reading = read(describe(scene, style))

    assert reading.scene(seed) == scene
    assert reading.limits() == ()


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    scene = read(text).scene(1)
    assert len(scene.groups) <= 4
    assert all(group.color != scene.background for group in scene.groups)


WORDS = [
    "three",
    "red",
    "blue",
    "cubes",
    "cube",
    "ball",
    "the",
    "a",
    "an",
    "to",
    "left",
    "of",
    "right",
    "above",
    "below",
    "sign",
    "says",
    "OPEN",
    "'A",
    "B'",
    "on",
    "background",
    "gray",
    "is",
    "are",
    "and",
    ",",
    ".",
    ";",
    "with",
    "it",
    "pair",
    "exactly",
    "no",
    "dragon",
    "under",
    "top",
    "at",
    "4",
    "small",
    "its",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30), st.integers(1, 4))
def test_any_jumble_of_its_own_words_can_be_planned(jumble: list[str], candidates: int) -> None:
    prompt = " ".join(jumble)
    prompts = first_prompts(prompt, candidates)
    assert prompts
    assert len(set(prompts)) == len(prompts) <= candidates


def test_the_prompt_of_the_readme() -> None:
    reading = read(
        "three red cubes to the left of a blue ball, under a sign that says OPEN, "
        "on a gray background"
    )
    assert reading.groups == (
        Stated("cube", "red", None, 3, plural=True),
        Stated("ball", "blue", None, 1),
    )
    assert reading.relations == (Relation(0, "left of", 1),)
    assert (reading.sign, reading.background, reading.unknown) == ("OPEN", "gray", ())


@pytest.mark.parametrize(
    "prompt",
    [
        "Three RED boxes left of a blue sphere.",
        "3 red blocks on the left side of one blue circle",
        "To the left of a blue ball there are three red cubes",
        "On the left, three red cubes; on the right, a blue ball",
        "a blue ball with three red cubes to its left",
        "a blue ball. It is to the right of three red cubes.",
        "There are exactly three cubes. The cubes are red. There is a ball, it is blue. "
        "The cubes stand to the left of the ball.",
        "A clean, flat illustration of a trio of bright red cubes placed to the left of a shiny "
        "blue ball, in soft light",
    ],
)
def test_many_wordings_mean_the_same(prompt: str) -> None:
    reading = read(prompt)
    looks = {(g.kind, g.color, g.count or 1) for g in reading.groups}
    assert looks == {("cube", "red", 3), ("ball", "blue", 1)}
    [relation] = reading.relations
    left = relation.subject if relation.direction == "left of" else relation.object
    assert reading.groups[left].kind == "cube"
    assert reading.unknown == ()


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("a cup under a sign that says OPEN", "OPEN"),
        ("A sign reading “Room 12” hangs above a cup", "Room 12"),
        ("a cup; the banner says 'hello'", "hello"),
        ('the words "STOP HERE" over a cup', "STOP HERE"),
        ("a sign saying open late on a gray background, a cup", "open late"),
        ('A cup. The text reads exactly "OPEN".', "OPEN"),
    ],
)
def test_the_text_of_a_sign_is_kept_as_written(prompt: str, text: str) -> None:
    assert read(prompt).sign == text


def test_restated_facts_are_one_clause_that_is_stated_twice() -> None:
    reading = read("Exactly three red cubes. A blue ball. There are three red cubes.")
    count = next(c for c in reading.clauses if (c.kind, c.index) == ("count", 0))
    assert len(reading.groups) == 2
    assert len(count.mentions) == 2
    assert count.mentions[0].alone
    assert count.mentions[0].word < count.mentions[1].word


def test_next_to_demands_presence_only() -> None:
    reading = read("a red cube next to a blue ball")
    assert len(reading.groups) == 2
    assert reading.relations == ()


def test_alike_things_of_two_colours_stay_apart() -> None:
    reading = read("a red cube above a blue cube. The red cube is small.")
    assert [(g.color, g.size) for g in reading.groups] == [("red", "small"), ("blue", None)]


def test_things_it_does_not_know_are_named() -> None:
    assert read("a dragon riding a bicycle").unknown == ("dragon", "bicycle")
    assert read("two red cubes and a cat on a sofa").unknown == ("cat", "sofa")
    assert read("a bright picture of a red cube in soft light, with a lot of space").unknown == ()


def test_an_unstated_colour_comes_from_the_seed() -> None:
    reading = read("a cube")
    assert reading.scene(1) == reading.scene(1)
    assert len({reading.scene(seed).groups[0].color for seed in range(30)}) > 3


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 10))
def test_a_random_prompt_states_as_many_facts_as_asked(seed: int, atoms: int) -> None:
    sample = random_prompt(random.Random(seed), atoms)
    assert len(sample.claims) == atoms
    assert read(sample.prompt).scene(seed) == sample.scene


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 10), st.integers(1, 6))
def test_the_plan_keeps_every_fact(seed: int, atoms: int, candidates: int) -> None:
    sample = random_prompt(random.Random(seed), atoms)
    for prompt in first_prompts(sample.prompt, candidates):
        assert {c.question for c in sample.claims} <= {c.question for c in claims_of(read(prompt))}


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 10), st.integers(0, 9))
def test_an_emphasis_adds_a_mention_of_its_clause_and_no_new_fact(
    seed: int, atoms: int, turn: int
) -> None:
    sample = random_prompt(random.Random(seed), atoms)
    reading = read(sample.prompt)
    for clause in reading.clauses:
        key = (clause.kind, clause.index)
        sentence = emphasis(reading, key, turn)
        both = read(f"{sample.prompt} {sentence}")
        assert claims_of(both) == list(sample.claims), sentence
        stated = next(c for c in both.clauses if (c.kind, c.index) == key)
        assert len(stated.mentions) > len(clause.mentions), sentence


SKILLS = """\
- lettering: Renders words and letters on signs and posters. Use when a prompt quotes text.
- portraits: Faces, skin and hands. Use when a person is the subject. Not for signs.
"""


@pytest.mark.parametrize(
    ("prompt", "skill"),
    [
        ("a poster with the letters ABC", "lettering"),
        ("the hands and the face of an old person", "portraits"),
        ("a red cube left of a blue ball", None),
        ("a cat on a sofa", None),
    ],
)
def test_a_skill_is_chosen_by_its_description_or_none(prompt: str, skill: str | None) -> None:
    assert choose_skill(prompt, SKILLS) == skill
