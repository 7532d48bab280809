"""Pages and cards: any text comes out as text, nothing runs, nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest
from html_reading import read_html
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from gems.records import Attempt, Requirement, Verdict
from gems.show.card import Card, card_html
from gems.show.page import environment, page, visible
from gems.show.score_curve import Point, score_curve
from gems.show.verdicts import outcome, percent

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><script>",
    "'; alert(1) //",
    "{{ 7 * 7 }}{% for %}",
    "\u202egnp.exe \u2066\u2069",
    "\x00\x1b[31m\x7f\ud800",
    "👨‍👩‍👧 مرحبا 球",
    "<!-- --> <![CDATA[ ]]> &lt;&amp;amp;",
]


def attempt(**changes: Any) -> Attempt:
    verdict = Verdict(
        requirement="r1", answer="no", confidence=0.9, rationale="none", source="model"
    )
    made = Attempt(
        id="t1r1c1",
        turn=1,
        round=1,
        candidate=1,
        prompt="a cat",
        negative_prompt="",
        seed=1,
        generator="tiny",
        image={
            "uri": "file:///secret",
            "sha256": "0" * 64,
            "mime": "image/png",
            "width": 64,
            "height": 64,
            "size": 1,
        },
        skills=[],
        rationale="",
        edited_from="",
        verdicts=[verdict],
        score=0.0,
        confidence=0.9,
        seconds=0.1,
    )
    made.update(changes)  # type: ignore[typeddict-item]  # names given by the tests below
    return made


def requirement(question: str) -> Requirement:
    return Requirement(
        id="r1", question=question, kind="object", depends_on=[], origin="decomposer"
    )


def card_of(text: str) -> str:
    verdict = Verdict(
        requirement="r1", answer="unknown", confidence=0.5, rationale=text, source="model"
    )
    return card_html(
        Card(
            prompt=text,
            line=text,
            foot=text,
            requirements=[requirement(text)],
            attempts=[attempt(verdicts=[verdict])],
            missing=text,
            notices=[text],
        )
    )


TAGS = [element.tag for element in read_html(card_of("plain")).elements]


@given(st.one_of(st.sampled_from(NASTY), st.text(max_size=80)))
def test_any_text_comes_out_of_a_card_as_text(text: str) -> None:
    read = read_html(card_of(text))
    assert read.problems == []
    shown = visible(text)
    assert [element.tag for element in read.elements] == TAGS
    for place in (("p", "gems-prompt"), ("p", "gems-line"), ("div", "gems-missing")):
        assert read.one(*place).text == shown
    assert read.one("span", "gems-unknown").attributes.get("title", "") == shown


@given(st.one_of(st.sampled_from(NASTY), st.text(max_size=80)))
def test_any_text_comes_out_of_a_page_as_text(text: str) -> None:
    body = environment().from_string("<p title='{{ text }}'>{{ text }}</p>").render(text=text)
    html = page(text, Markup(body))  # noqa: S704 - escaped by the environment, which is the test
    read = read_html(html)
    assert read.problems == []
    assert read.one("p").text == visible(text)
    assert read.one("p").attributes["title"] == visible(text)
    assert html.encode()  # no lone surrogate is left


def test_the_policy_allows_the_one_style_and_nothing_else() -> None:
    read = read_html(page("title", Markup("<p>text</p>")))
    (policy,) = [
        element.attributes["content"]
        for element in read.all("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(read.one("style").text.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # It comes before anything that it forbids.
    metas = [element.attributes for element in read.all("meta")]
    assert ["http-equiv" in attributes for attributes in metas[:2]] == [False, True]
    assert metas[0] == {"charset": "utf-8"}


def test_control_characters_are_pictured_and_others_stay() -> None:
    assert visible("a\x00\x1b\x7f\x85\ud800\n\tb") == "a␀␛␡\ufffd\ufffd\n\tb"
    assert visible("\u202e👨‍👩‍👧\u200c") == "\u202e👨‍👩‍👧\u200c"


def card_with(attempts: list[Attempt]) -> str:
    asked = [requirement("Is it?")]
    return card_html(Card(prompt="p", line="l", foot="f", requirements=asked, attempts=attempts))


def test_a_card_shows_the_latest_attempts_and_what_is_not_known_yet() -> None:
    attempts = [attempt(id=f"t1r{n}c1", round=n, verdicts=[]) for n in range(1, 9)]
    read = read_html(
        card_html(
            Card(
                prompt="p",
                line="l",
                foot="f",
                requirements=[requirement("Is it?")],
                attempts=attempts,
            )
        )
    )
    assert [cell.text for cell in read.all("th")][1:-1] == [f"round {n}" for n in range(3, 9)]
    assert [cell.text for cell in read.all("td")] == ["…"] * 6


def test_a_card_names_candidates_where_there_are_several() -> None:
    attempts = [attempt(), attempt(id="t1r1c2", candidate=2)]
    read = read_html(
        card_html(
            Card(
                prompt="p",
                line="l",
                foot="f",
                requirements=[requirement("Is it?")],
                attempts=attempts,
            )
        )
    )
    assert [cell.text for cell in read.all("th")] == [
        "Requirement",
        "round 1.1",
        "round 1.2",
        "Is it?",
    ]
    assert [cell.text for cell in read.all("td")] == ["not met", "not met"]


def test_a_curve_goes_through_the_best_of_each_round() -> None:
    drawing = score_curve(
        [
            Point(1, "round 1", "Round 1, candidate 1", 0.25),
            Point(1, "round 1", "Round 1, candidate 2", 0.5),
            Point(2, "round 2", "Round 2, candidate 1", float("nan")),
            Point(3, "round 3", "<b>", 7.0, best=True),
        ]
    )
    read = read_html(str(drawing))
    assert read.problems == []
    ends = [float(pair.split(",")[1]) for pair in read.one("polyline").attributes["points"].split()]
    assert ends == [86.0, 146.0, 26.0]  # 50 %, 0 % for what is no number, 100 % at most
    assert len(read.all("circle")) == 4
    assert "<b> 100 %" in read.one("svg").attributes["aria-label"]
    assert re.search(r"Round 1, candidate 2 50 %", read.one("svg").attributes["aria-label"])


def test_one_round_is_no_curve() -> None:
    assert score_curve([Point(1, "round 1", "Round 1", 1.0)] * 2) == ""


@pytest.mark.parametrize(
    ("best", "stopped_because", "said"),
    [
        (None, "", "No image yet"),
        (attempt(), "max_rounds", "Best of 1 round: 0 of 1 requirement met"),
        (attempt(round=3, verdicts=[]), "max_rounds", "Best of 3 rounds: not judged"),
        (attempt(round=2), "accepted_by_reviewer", "Accepted in round 2: 0 of 1 requirement met"),
    ],
)
def test_the_outcome_in_words(best: Attempt | None, stopped_because: str, said: str) -> None:
    assert outcome(best, [best] if best else [], stopped_because) == said


def test_100_percent_is_said_only_of_a_full_score() -> None:
    assert [percent(score) for score in (0.0, 0.5, 0.999, 1.0)] == ["0 %", "50 %", "99 %", "100 %"]
