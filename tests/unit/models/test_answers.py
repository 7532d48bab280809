"""Yes means yes as an answer, not as a part of some word."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from gems.models.answers import keep_answer_logprobs, parse_answer


@pytest.mark.parametrize(
    ("text", "answer", "rationale"),
    [
        ("yes", "yes", ""),
        ("Yes, three cubes are seen.", "yes", "three cubes are seen."),
        ("**Yes**\nThe cat is black.", "yes", "The cat is black."),
        ("Answer: yes", "yes", ""),
        ("**Answer:** No.", "no", ""),
        ("Final answer: NO", "no", ""),
        ("no - there are two", "no", "there are two"),
        ("No\nOnly one ball is there, yes, but no cube.", "no", None),
        ("Yes\nNo other objects are visible.", "yes", "No other objects are visible."),
        ("The answer is no.", "no", None),
        ("\\boxed{yes}", "yes", ""),
        ('"Yes"', "yes", ""),
        ("- yes", "yes", ""),
        ("Let me look.\nThere is a cat.\n\nyes", "yes", "Let me look. There is a cat."),
        ('{"answer": "no", "rationale": "no cat"}', "no", "no cat"),
        ('```json\n{"answer": true}\n```', "yes", ""),
        ("<think>yes? no?</think>No", "no", ""),
        ("unknown\nThe corner is cut off.", "unknown", "The corner is cut off."),
        ("yesterday it was there", "unknown", None),
        ("Nothing is there", "unknown", None),
        ("Notably, there is a cat", "unknown", None),
        ("No doubt about that", "unknown", None),
        ("yes and no", "unknown", None),
        ("Yes/No", "unknown", None),
        ("Yes. No.", "unknown", None),
        ("Yes, at first. But the answer is no.", "unknown", None),
        ("It is not clear that the answer is not yes", "unknown", None),
        ("I see three cubes.", "unknown", None),
        ("", "unknown", ""),
        ("```", "unknown", None),
    ],
)
def test_answers_as_models_word_them(text: str, answer: str, rationale: str | None) -> None:
    read = parse_answer(AIMessage(text))
    assert read.answer == answer
    assert read.confidence is None
    if rationale is not None:
        assert read.rationale == rationale


def test_an_answer_in_the_reasoning_counts_when_nothing_was_said() -> None:
    thought = "No cat at first glance.\nBut there, behind the tree.\nThe answer is yes."
    message = AIMessage("", additional_kwargs={"reasoning_content": thought})
    assert parse_answer(message).answer == "yes"
    message = AIMessage("no", additional_kwargs={"reasoning_content": thought})
    assert parse_answer(message).answer == "no"


WORDS = st.text("abcdefghijklmnopqrstuvwxyz ", min_size=0, max_size=30)


@given(st.text())
def test_any_text_is_read_without_error(text: str) -> None:
    read = parse_answer(AIMessage(text))
    assert read.answer in ("yes", "no", "unknown")
    assert len(read.rationale) <= 500


@given(
    st.sampled_from(["yes", "no"]),
    st.sampled_from(["", "**", "*", '"', "Answer: ", "- ", " \n", "# "]),
    st.sampled_from([str.lower, str.upper, str.title]),
    st.sampled_from(["", ".", ",", "!", "**", ":"]),
)
def test_decoration_changes_nothing(word: str, before: str, case: Any, after: str) -> None:
    assert parse_answer(AIMessage(before + case(word) + after)).answer == word


@given(st.sampled_from(["yes", "no"]), st.text("abcdefghijklmnopqrstuvwxyz", min_size=1))
def test_a_word_that_only_begins_so_is_no_answer(start: str, rest: str) -> None:
    word = start + rest
    if word not in ("nope",):
        assert parse_answer(AIMessage(word)).answer == "unknown"


def told(text: str, *tokens: tuple[str, float, dict[str, float]]) -> AIMessage:
    content = [
        {
            "token": token,
            "logprob": logprob,
            "top_logprobs": [{"token": t, "logprob": p} for t, p in top.items()],
        }
        for token, logprob, top in tokens
    ]
    return AIMessage(text, response_metadata={"logprobs": {"content": content}})


def test_confidence_is_the_share_of_the_answer_in_yes_and_no() -> None:
    top = {"Yes": math.log(0.5), " yes": math.log(0.1), "NO": math.log(0.2), "Well": math.log(0.2)}
    read = parse_answer(told("Yes", ("Yes", math.log(0.5), top)))
    assert read.confidence == pytest.approx(0.6 / 0.8)


def test_the_answer_token_may_come_later() -> None:
    first = ("**", -0.1, {"**": -0.1, "Yes": -3.0})
    second = ("No", math.log(0.7), {"No": math.log(0.7), "Yes": math.log(0.3)})
    assert parse_answer(told("**No**", first, second)).confidence == pytest.approx(0.7)


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("Yes"),
        AIMessage("Yes", response_metadata={"logprobs": None}),
        AIMessage("Yes", response_metadata={"logprobs": {"content": None}}),
        told("Yes", ("Yes", 0.0, {})),
        told("Yes", ("Yes", 0.0, {"Yes": 0.0})),
        told("Ye s", ("Ye", -0.1, {"Ye": -0.1, "No": -2.0})),
        told("Yes", ("Yes", float("nan"), {})),
        told("unknown", ("unknown", -0.1, {"unknown": -0.1, "Yes": -3.0})),
    ],
)
def test_no_confidence_without_usable_probabilities(message: AIMessage) -> None:
    assert parse_answer(message).confidence is None


def test_a_lone_probability_is_taken_as_it_is() -> None:
    assert parse_answer(told("Yes", ("Yes", math.log(0.8), {}))).confidence == pytest.approx(0.8)


def test_only_the_answers_probabilities_are_kept_and_say_the_same() -> None:
    rest = [(f" word{n}", -0.1, {f" word{m}": -1.0 for m in range(20)}) for n in range(50)]
    answer = ("No", math.log(0.7), {"No": math.log(0.7), "Yes": math.log(0.3)})
    text = "No" + "".join(token for token, _, _ in rest)
    long = told(text, answer, *rest)
    short = keep_answer_logprobs(long)
    assert parse_answer(short) == parse_answer(long)
    assert len(str(short.response_metadata)) < len(str(long.response_metadata)) / 100
    assert "logprobs" not in keep_answer_logprobs(told("Hm", ("Hm", -0.1, {}))).response_metadata
