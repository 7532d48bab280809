"""Which questions get evidence, and how evidence and the model's word become one verdict."""

from __future__ import annotations

import pytest

from gems.errors import InputError
from gems.evidence.base import Finding
from gems.nodes.evidence import (
    evidence_verdict,
    text_evidence,
    with_skill_checks,
    with_text_evidence,
)
from gems.nodes.requirements import settle_requirements
from gems.settings import get_settings
from gems.skills.checks import read_checks

YES, NO, OPEN = (
    Finding("yes", "Fact one.", 0.9),
    Finding("no", "Fact two.", 0.8),
    Finding("unknown", "?", 0),
)


def requirements(*questions, kind="text"):
    given = [{"question": question, "kind": kind} for question in questions]
    return settle_requirements(given, "decomposer")


def checks(text):
    found, faults = read_checks(text)
    assert faults == []
    return found


QUOTED = """
- question: Does the image show the text "{quote}", spelled exactly like this?
  kind: text
  evidence:
    - tool: ocr
      parameters: {text: "{quote}", ignore_spacing: true}
"""
PLAIN = """
- question: Is the background plain white?
  kind: attribute
  when: [white background]
  evidence:
    - {tool: color, parameters: {color: white, region: background}}
"""


@pytest.mark.parametrize(
    ("question", "decides"),
    [
        ('Does the sign say "OPEN"?', "both"),
        ('Is the text "OPEN" readable and spelled exactly so?', "both"),
        ("招牌上写着「营业中」吗？", "both"),
        ('Does the left sign say "OPEN"?', "no"),
        ('Is "OPEN" written in red letters?', "no"),
        ('Is "OPEN" the only text in the image?', "no"),
        ('Does the sign say "red line"?', "both"),
        ("「营业中」是红色的吗？", "no"),
    ],
)
def test_ocr_answers_what_it_measures_and_no_more(question, decides):
    (requirement,) = requirements(question)
    (check,) = text_evidence(requirement)
    assert (check["tool"], check["decides"]) == ("ocr", decides)


@pytest.mark.parametrize(
    "question",
    [
        'Is the image free of the text "SALE"?',
        'Is there no sign that says "SALE"?',
        'Doesn\'t the sign say "SALE"?',
        "Is the text legible?",
        "图中没有「特价」吗？",
    ],
)
def test_denials_and_questions_without_a_quote_get_no_ocr(question):
    assert text_evidence(requirements(question)[0]) == []


def test_only_requirements_about_text_get_ocr_and_know_the_other_texts():
    got = with_text_evidence(
        [
            *requirements('Does it say "Day 1"?', 'Does it say "Day 2"?'),
            *requirements('Is the "Mona Lisa" there?', kind="object"),
        ]
    )
    assert [item.get("evidence", [{}])[0].get("parameters") for item in got] == [
        {"text": "Day 1", "besides": ["Day 2"]},
        {"text": "Day 2", "besides": ["Day 1"]},
        None,
    ]


def test_evidence_off_adds_none(monkeypatch):
    monkeypatch.setenv("GEMS_EVIDENCE", "off")
    get_settings.cache_clear()
    asked = requirements('Does it say "OPEN"?')
    assert with_text_evidence(asked) == asked
    added = with_skill_checks([], checks(PLAIN), "a cup on a white background")
    assert [(item["question"], "evidence" in item) for item in added] == [
        ("Is the background plain white?", False)
    ]


@pytest.mark.parametrize(
    ("findings", "answer", "confidence", "evidence"),
    [
        ([("ocr", YES)], "yes", 0.9, "ocr"),
        ([("ocr", NO)], "no", 0.8, "ocr"),
        ([("ocr", YES), ("color", NO)], "no", 0.8, "color"),
        ([("ocr", OPEN), ("color", NO)], "no", 0.8, "color"),
        ([("ocr", YES), ("color", YES)], "yes", 0.9, "ocr, color"),
    ],
)
def test_one_no_is_no_and_yes_needs_all(findings, answer, confidence, evidence):
    (asked,) = requirements("Is it so?")
    verdict = evidence_verdict("t1r1c1", asked, findings)
    assert verdict is not None
    assert (verdict["answer"], verdict["confidence"]) == (answer, confidence)
    assert (verdict["source"], verdict["evidence"]) == ("evidence", evidence)
    assert verdict["rationale"].startswith(f"{evidence.split(',')[0]}: Fact")


@pytest.mark.parametrize("findings", [[], [("ocr", OPEN)], [("ocr", YES), ("color", OPEN)]])
def test_where_the_tools_can_not_tell_the_model_decides(findings):
    assert evidence_verdict("t1r1c1", requirements("Is it so?")[0], findings) is None


def test_a_skills_check_is_made_for_each_quote_that_is_not_asked_for_yet():
    asked = requirements('Does the sign say "OPEN"?')
    got = with_skill_checks(asked, checks(QUOTED), 'a sign "OPEN" and a poster "SALE"')
    assert [(item["id"], item["question"], item["origin"]) for item in got] == [
        ("r1", 'Does the sign say "OPEN"?', "decomposer"),
        ("r2", 'Does the image show the text "SALE", spelled exactly like this?', "skill"),
    ]
    texts = [item["evidence"][0]["parameters"] for item in got]
    assert texts == [
        {"text": "OPEN", "ignore_spacing": True},
        {"text": "SALE", "ignore_spacing": True},
    ]


def test_lent_evidence_decides_no_more_than_the_question_allows():
    asked = requirements('Does the left sign say "OPEN"?')
    (got,) = with_skill_checks(asked, checks(QUOTED), 'two signs, the left says "OPEN"')
    assert got["evidence"][0]["decides"] == "no"


@pytest.mark.parametrize(
    ("prompt", "made"),
    [("a cup on a White  Background", 1), ("a cup", 0), ("a white cup, dark background", 0)],
)
def test_a_check_with_when_is_made_only_for_such_prompts(prompt, made):
    assert len(with_skill_checks([], checks(PLAIN), prompt)) == made


def test_checks_are_added_once_and_never_beyond_the_limit():
    twice = checks(PLAIN) * 2
    assert len(with_skill_checks([], twice, "white background")) == 1
    full = requirements(*(f"Is there thing {number}?" for number in range(60)))
    assert with_skill_checks(full, twice, "white background") == full


def test_a_quote_can_not_fill_in_more_than_its_place():
    (got,) = with_skill_checks([], checks(QUOTED), 'it says "{quote} {0.__class__}"')
    assert got["evidence"][0]["parameters"]["text"] == "{quote} {0.__class__}"


def test_a_caller_may_declare_evidence_and_is_told_what_is_wrong_with_it():
    check = {"tool": "properties", "parameters": {"aspect": "16:9"}}
    (got,) = settle_requirements([{"question": "Is it wide?", "evidence": [check]}], "caller")
    assert got["evidence"] == [{**check, "decides": "both"}]
    with pytest.raises(InputError, match="Requirement 1: There is no evidence tool 'magic'"):
        settle_requirements([{"question": "Is it?", "evidence": [{"tool": "magic"}]}], "caller")
    with pytest.raises(InputError, match="evidence is a list"):
        settle_requirements([{"question": "Is it?", "evidence": check}], "caller")
