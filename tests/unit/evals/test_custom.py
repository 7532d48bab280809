"""Prompts of one's own: what a line may say, and what is reported of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gems.evals.errors import DataError, JudgeError
from gems.evals.judges.painter import PainterJudge
from gems.evals.tasks.custom import Custom, _forms, _read_answer


def read(tmp_path, *lines):
    path = tmp_path / "own.jsonl"
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return Custom().read(path)


def test_a_prompt_is_enough(tmp_path):
    items = read(tmp_path, {"prompt": "a cat"}, "", {"prompt": "a dog", "id": 7, "tags": {"n": 1}})
    assert [item["id"] for item in items] == ["0001", "7"]
    assert items[1]["tags"] == {"n": "1"}
    assert not Custom().can_judge(items[0])


def test_questions_are_strings_or_objects(tmp_path):
    (item,) = read(
        tmp_path,
        {
            "prompt": "three cats",
            "questions": [
                "Are there cats?",
                {"question": "How many cats?", "answer": 3, "tags": {"kind": "count"}},
                {"question": "Any dogs?", "answer": " No "},
            ],
        },
    )
    assert item["reference"]["questions"] == [
        {"question": "Are there cats?", "answer": "yes", "tags": {}},
        {"question": "How many cats?", "answer": "three", "tags": {"kind": "count"}},
        {"question": "Any dogs?", "answer": "no", "tags": {}},
    ]
    assert Custom().can_judge(item)


def test_every_bad_line_is_named_and_the_first_ten_are_shown(tmp_path):
    bad = [
        {"prompt": "ok"},
        {"prompts": "a typo"},
        {"prompt": "  "},
        {"prompt": "x", "questions": "Is it?"},
        {"prompt": "x", "questions": [{"question": "Which colour?", "answer": "red"}]},
        {"prompt": "x", "questions": [{"qestion": "Is it?"}]},
        {"prompt": "x", "tags": ["a"]},
        {"prompt": "x", "id": "same"},
        {"prompt": "x", "id": "same"},
        "not json",
    ]
    with pytest.raises(DataError, match="line 10"):
        read(tmp_path, *bad)
    with pytest.raises(DataError) as caught:
        read(tmp_path, *bad[:-1])
    said = str(caught.value)
    assert [f"line {number}:" in said for number in range(1, 10)] == [
        False, True, True, True, True, True, True, False, True,
    ]  # fmt: skip
    assert "'red' is not yes, no or a number" in said
    with pytest.raises(DataError, match="and 5 more"):
        read(tmp_path, *[{"prompt": ""}] * 15)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Yes", "yes"),
        ("**No.**", "no"),
        (" 3 ", "three"),
        ("Two.", "two"),
        ("17", "many"),
        ("The answer is yes.", "yes"),
        ("Perhaps", ""),
        ("It depends on how you look at it", ""),
    ],
)
def test_an_answer_in_words(said, answer):
    assert _read_answer(said) == answer


@given(st.text(max_size=200))
def test_any_answer_is_read_or_not_understood(said):
    assert _read_answer(said) == _read_answer(said).strip().lower()


def test_the_forms_of_ten_do_not_begin_like_one():
    assert set(_forms("three")) == {"three", "Three", " three", " Three", "3", " 3"}
    assert set(_forms("ten")) == {"ten", "Ten", " ten", " Ten"}
    assert set(_forms("no")) == {"No", "no", " No", " no"}


def judged(item, score, metrics, parts=(), status="done"):
    return {
        "key": f"{item}#0",
        "status": status,
        "score": score,
        "metrics": metrics,
        "parts": list(parts),
    }


def test_the_metrics_name_says_how_it_was_judged(tmp_path):
    items = read(
        tmp_path,
        {"prompt": "a", "id": "a", "tags": {"set": "one"}, "questions": ["q"]},
        {"prompt": "b", "id": "b", "questions": ["q"]},
        {"prompt": "c", "id": "c"},
    )
    rows = [{"status": "done", "score": 0.5}, {"status": "failed", "score": 0.0}]
    part = {"name": "q", "score": 0.5, "tags": {"kind": "count"}}
    soft = [judged("a", 50.0, {"soft_tifa_gm": 50.0, "soft_tifa_am": 60.0}, [part])]
    found = {
        (f.name, f.group, f.member): (f.value, f.count) for f in Custom().figures(items, rows, soft)
    }
    assert found == {
        ("score", "", ""): (50.0, 1),
        ("soft_tifa_gm", "", ""): (50.0, 1),
        ("soft_tifa_gm", "set", "one"): (50.0, 1),
        ("soft_tifa_am", "", ""): (60.0, 1),
        ("soft_tifa_am", "set", "one"): (60.0, 1),
        ("question_score", "kind", "count"): (50.0, 1),
        ("own_score", "", ""): (50.0, 1),
    }
    words = [judged("b", 100.0, {"questions_right": 100.0, "all_right": 100.0})]
    assert [f.name for f in Custom().figures(items, [], words)] == [
        "score",
        "questions_right",
        "all_right",
    ]


async def test_the_painter_is_no_judge_of_own_prompts(tmp_path):
    asked, unasked = read(
        tmp_path, {"prompt": "a", "questions": ["Is it?"]}, {"prompt": "b", "id": "b"}
    )
    row = {"key": "0001#0"}
    with pytest.raises(JudgeError, match="painter"):
        await Custom().judge(asked, row, {"sha256": "0"}, PainterJudge())
    with pytest.raises(JudgeError, match="no questions"):
        await Custom().judge(unasked, row, {"sha256": "0"}, PainterJudge())
