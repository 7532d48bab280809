"""Judges answer in all sorts of forms: what is said is read, what isn't said is not made up."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_judge import IMAGE, ScriptedJudge

from gems.evals.answers import (
    UnreadableError,
    ask,
    choices,
    json_values,
    labelled_scores,
    plain_text,
    score_list,
    without_thoughts,
    yes_or_no,
)
from gems.evals.errors import JudgeError

LABELS = {"realism": ("realism",), "beauty": ("aesthetic quality", "beauty")}


@pytest.mark.parametrize(
    "answer",
    [
        "Realism: 2\nAesthetic Quality: 0",
        "**Realism:** 2\n**Aesthetic Quality**: 0",
        "realism=2, aesthetic_quality=0",
        "REALISM：2\nAESTHETIC QUALITY：0",
        "Realism (0-2): 2\nAesthetic Quality (0-2): 0",
        "| Realism | 2 |\n| Aesthetic Quality | 0 |",
        "- Realism: 2/2\n- Beauty: 0 / 2",
        "Realism 2. Beauty 0.",
        "Realism can be 0, 1 or 2.\nRealism: 1\nNo, after all:\nRealism: 2\nBeauty: 0",
        '{"realism": 2, "beauty": 0}',
        '```json\n{"Realism": 2, "Aesthetic-Quality": "0"}\n```',
        'I think so: {"realism": {"score": 2, "reason": "fine"}, "beauty": {"score": 0}} done.',
        "<think>Realism: 0\nBeauty: 2</think>Realism: 2\nBeauty: 0",
    ],
)
def test_labelled_scores_are_read_in_many_forms(answer):
    scores = labelled_scores(without_thoughts(answer), LABELS, 0, 2, whole=True)
    assert scores == {"realism": 2, "beauty": 0}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Realism: 2", "no score for beauty"),
        ("It is a lovely picture.", "no score for realism, beauty"),
        ("", "no score for realism, beauty"),
        ("Realism: 3\nBeauty: 0", "realism is 3.0, not a whole number from 0 to 2"),
        ("Realism: -1\nBeauty: 0", "realism is -1.0"),
        ("Realism: 1.5\nBeauty: 0", "realism is 1.5, not a whole"),
        ("Realism: 2/10\nBeauty: 0", "realism is 2/10, not out of 2"),
        ("Surrealism: 2\nBeauty: 0", "no score for realism"),
        ('{"realism": true, "beauty": 0}', "realism is 'True', not a number"),
        ('{"realism": "good", "beauty": 0}', "realism is 'good'"),
        ('{"realism": 1e999, "beauty": 0}', "realism is inf"),
        ('{"realism": NaN, "beauty": 0}', "realism is nan"),
        ('{"realism": %s, "beauty": 0}' % ("9" * 4000), "realism is 9"),
        ('{"realism": 1}', "no score for beauty"),
    ],
)
def test_what_is_no_score_is_not_read_as_one(answer, said):
    with pytest.raises(UnreadableError) as caught:
        labelled_scores(answer, LABELS, 0, 2, whole=True)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.integers(0, 2), st.integers(0, 2), st.sampled_from([": ", " = ", ":** ", " – "]))
def test_every_pair_of_scores_comes_back(realism, beauty, between):
    answer = f"Realism{between}{realism}\nBeauty{between}{beauty}"
    assert labelled_scores(answer, LABELS, 0, 2) == {"realism": realism, "beauty": beauty}


@given(st.text(max_size=200))
def test_no_answer_breaks_the_readers(answer):
    for read in (
        lambda: labelled_scores(answer, LABELS, 0, 2),
        lambda: score_list(answer, ["a", "b"], 1, 5),
        lambda: choices(answer, 3),
        lambda: yes_or_no(answer),
        lambda: plain_text(answer, "NO TEXT"),
    ):
        with suppress(UnreadableError):  # anything else fails the test
            read()


def test_json_is_found_in_prose_and_nothing_twice():
    text = 'First {"a": [1]} then [2, {"b": 3}] and {broken and [4]'
    assert json_values(text) == [{"a": [1]}, [2, {"b": 3}], [4]]


def test_a_list_of_scores_is_the_last_one_that_fits():
    names = ["a", "b", "c"]
    assert score_list("[1,2] [1,1,1] so: ```[2, 3.5, 5]```", names, 1, 5) == {
        "a": 2,
        "b": 3.5,
        "c": 5,
    }
    for answer in ("[1, 2]", "[1, 2, 9]", '[1, 2, "x"]', "[1, 2, true]", "1, 2, 3"):
        with pytest.raises(UnreadableError):
            score_list(answer, names, 1, 5)


@pytest.mark.parametrize(
    "answer",
    [
        "A: it is\nC: it is not\nE: None",
        "A\nC\nE",
        "1. A: it is\n2. C\n3. E: None - nothing shows it",
        "Here are my answers:\n\n1) **A** - because\n2) **C** - because\n3) **E** - None\n\nDone.",
        "Q1: A\nQ2: C\nQ3: E",
        "Question 1: A.\nQuestion 2: C.\nQuestion 3: E.",
        "**1.** (A) yes\n**2.** (C) no\n**3.** (E) None",
        "a: x\nc: y\ne: z",
        '["A", "C", "E"]',
        '```json\n["A: left", "C: right", "E: None"]\n```',
        '{"1": "A", "2": "C", "3": "E"}',
        '{"answers": ["A", "C", "E"]}',
        '{"answers": {"1": "A", "2": "C", "3": "E"}}',
        "Answer 1: Option A\nAnswer 2: Option C\nAnswer 3: Option E",
    ],
)
def test_choices_are_read_in_many_forms(answer):
    assert choices(answer, 3) == ["A", "C", "E"]


@pytest.mark.parametrize(
    "answer",
    [
        "A: x\nB: y",
        "A: x\nB: y\nC: z\nD: w",
        "1. A\n3. B\n2. C",
        "A lovely picture\nBeautiful\nCertainly",
        "1: yes\n2: no\n3: yes",
        "",
        '["A", "B"]',
        '["A", "B", 3]',
    ],
)
def test_answers_that_do_not_fit_the_questions_are_refused(answer):
    with pytest.raises(UnreadableError):
        choices(answer, 3)


@given(st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=12), st.booleans())
def test_every_row_of_letters_comes_back(letters, numbered):
    lines = [
        f"{place}. {letter}: because A" if numbered else f"{letter}: because B"
        for place, letter in enumerate(letters, start=1)
    ]
    assert choices("\n".join(lines), len(letters)) == letters


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        ("yes", True),
        ("No.", False),
        ("**Yes**, there is no doubt.", True),
        ("Answer: no", False),
        ("Final answer: YES", True),
        ('{"answer": "yes"}', True),
        ("The cat is black, so no.", False),
    ],
)
def test_yes_and_no_are_told_apart(answer, yes):
    assert yes_or_no(answer) is yes


@pytest.mark.parametrize("answer", ["", "maybe", "It may be yes or no.", "Nothing known.", "{}"])
def test_neither_is_not_taken_for_no(answer):
    with pytest.raises(UnreadableError):
        yes_or_no(answer)


def test_a_text_comes_without_fences_and_nothing_is_nothing():
    assert plain_text("```text\nGrand Opening\n```", "NO TEXT") == "Grand Opening"
    assert plain_text("  Grand Opening ", "NO TEXT") == "Grand Opening"
    assert plain_text('"NO TEXT".', "NO TEXT") == ""
    with pytest.raises(UnreadableError, match="empty"):
        plain_text(" \n", "NO TEXT")


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ("<think>no</think> yes", "yes"),
        ("no, wait </think>yes", "yes"),
        ("yes <think>and then it broke off", "yes"),
        ("yes", "yes"),
    ],
)
def test_thoughts_are_no_answers(answer, left):
    assert without_thoughts(answer) == left


async def test_an_unreadable_answer_gets_one_reminder():
    judge = ScriptedJudge(["perhaps", "yes"])
    said = await ask(
        judge, [IMAGE], "Is it?", yes_or_no, form="Say yes or no.", temperature=1.0, seed=7
    )
    assert said is True
    assert judge.asked[0].prompt == "Is it?"
    assert "neither yes nor no" in judge.asked[1].prompt
    assert "Say yes or no." in judge.asked[1].prompt
    assert [(call.temperature, call.seed) for call in judge.asked] == [(1.0, 7), (1.0, 7)]


async def test_the_second_unreadable_answer_is_an_error_that_quotes_it():
    judge = ScriptedJudge(["perhaps", "who knows " * 100])
    with pytest.raises(JudgeError, match=r"neither yes nor no.*who knows") as caught:
        await ask(judge, [IMAGE], "Is it?", yes_or_no, form="Say yes or no.")
    assert len(judge.asked) == 2
    assert len(str(caught.value)) < 500


async def test_a_fault_of_the_reader_is_not_taken_for_a_bad_answer():
    def broken(_: str) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await ask(ScriptedJudge(["x"]), [IMAGE], "?", broken, form="")
