"""What a finished run teaches: the words a requirement was missed with, and passed with."""

from __future__ import annotations

from typing import Any

from gems.nodes.distilling import about, draft_lesson, lessons_that_helped

QUESTIONS = [
    ("Is there a ball?", "object"),
    ("Are there exactly three red cubes?", "count"),
    ("Is the ball to the right of the cubes?", "relation"),
    ('Does the sign say "OPEN"?', "text"),
]


def requirements(questions: list[tuple[str, str]] = QUESTIONS) -> list[dict[str, Any]]:
    return [
        {"id": f"r{number}", "question": question, "kind": kind, "depends_on": []}
        for number, (question, kind) in enumerate(questions, start=1)
    ]


def attempt(round_: int, prompt: str, answers: str, **more: Any) -> dict[str, Any]:
    """Returns an attempt; `answers` has one letter, y n or u, for each requirement."""
    words = {"y": "yes", "n": "no", "u": "unknown"}
    return {
        "id": f"t1r{round_}c1",
        "turn": 1,
        "round": round_,
        "candidate": 1,
        "prompt": prompt,
        "skills": ["spatial"],
        "rationale": "The count comes first.",
        "edited_from": "",
        "verdicts": [
            {"requirement": f"r{number}", "answer": words[letter]}
            for number, letter in enumerate(answers, start=1)
        ],
        "score": answers.count("y") / len(answers),
        "confidence": 1.0,
        **more,
    }


def state(*attempts: dict[str, Any], **more: Any) -> Any:
    return {
        "turn": 1,
        "prompt": 'a ball to the right of three red cubes, a sign says "OPEN"',
        "requirements": requirements(),
        "attempts": list(attempts),
        "lessons": [],
        **more,
    }


FIRST = 'A ball to the right of three red cubes. A sign reads "OPEN".'


def test_a_run_that_met_everything_at_once_teaches_nothing() -> None:
    assert draft_lesson(state(attempt(1, FIRST, "yyyy"))) is None
    assert draft_lesson(state(attempt(1, FIRST, "ynyy"))) is None  # it ended there


def test_a_lesson_quotes_what_was_missed_and_what_passed() -> None:
    second = f"A group of three red cubes. The cubes are left of the ball. {FIRST}"
    lesson = draft_lesson(state(attempt(1, FIRST, "ynny"), attempt(2, second, "yyyy")))
    assert lesson is not None
    assert lesson["kinds"] == ["count", "relation"]
    assert lesson["failed"] == (
        "Missed at first: Are there exactly three red cubes? Is the ball to the right of the "
        "cubes? (said “A ball to the right of three red cubes”)"
    )
    assert "“A group of three red cubes”" in lesson["remedy"]
    assert lesson["gain"] == 0.5
    assert lesson["skill"] == "spatial"


def test_what_never_passed_or_failed_in_the_same_words_is_not_said_to_help() -> None:
    second = f"Exactly three red cubes. {FIRST}"
    third = f'The word "OPEN" stands on the sign. {second}'
    lesson = draft_lesson(
        state(
            attempt(1, FIRST, "ynnn"),
            attempt(2, second, "ynnn"),
            attempt(3, third, "yyny"),  # the count passes now, in words that had failed
        )
    )
    assert lesson is not None
    assert lesson["kinds"] == ["text"]
    assert lesson["remedy"] == 'saying “The word "OPEN" stands on the sign”'
    assert lesson["gain"] == 0.25


def test_a_run_that_met_nothing_more_warns_of_its_last_words() -> None:
    second = f"Exactly three red cubes. {FIRST}"
    lesson = draft_lesson(state(attempt(1, FIRST, "ynyy"), attempt(2, second, "ynyy")))
    assert lesson is not None
    assert lesson["gain"] == 0
    assert lesson["remedy"].startswith("saying “Exactly three red cubes”")


def test_where_no_sentence_tells_the_remedy_is_why_the_prompt_was_written() -> None:
    edit = attempt(2, "Add a red cube; keep the rest.", "yyyy", edited_from="t1r1c1")
    lesson = draft_lesson(state(attempt(1, FIRST, "ynyy"), edit))
    assert lesson is not None
    assert lesson["remedy"].startswith("The count comes first. The prompt began: Add a red cube")
    assert lesson["gain"] == 0.25


def test_sentences_about_a_question_share_its_words_or_quote_its_text() -> None:
    prompt = 'Three cubes. "OPEN" in neon. The ball is blue. A house, near the balls.'
    assert about("Are there exactly three cubes?", prompt) == ["Three cubes."]
    assert about('Does the sign say "OPEN"?', prompt) == ['"OPEN" in neon.']
    assert about("Is the ball blue?", prompt) == ["The ball is blue."]
    assert about("Is there a dragon?", prompt) == []
    assert about("Is it?", prompt) == []


def lesson_about(*kinds: str) -> dict[str, Any]:
    return {"id": " ".join(kinds), "kinds": list(kinds), "user": "ann"}


def test_a_lesson_helped_when_most_of_its_kinds_passed_at_once() -> None:
    told = [lesson_about("count"), lesson_about("text"), lesson_about("style")]
    found = state(attempt(1, FIRST, "ynyy"), lessons=told)
    helped, idle = lessons_that_helped(found)
    assert [lesson["id"] for lesson in helped] == ["text"]
    assert [lesson["id"] for lesson in idle] == ["count"]
    assert lessons_that_helped(state(lessons=told)) == ([], [])
