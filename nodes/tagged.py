"""Tagged blocks: how untrusted text stands in a prompt without being able to leave its place."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..memory.experiences import Lesson, as_advice
from ..records import Attempt, Experience, Requirement, Verdict


def tagged(name: str, text: str) -> str:
    """Returns `<name>text</name>` with the text escaped, or an empty string for empty text."""
    if not text.strip():
        return ""
    return f"<{name}>\n{escape(text)}\n</{name}>"


def escape(text: str) -> str:
    """Returns text in which no tag can open or close."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def blocks(*parts: str) -> str:
    """Returns the parts that are not empty, one below the other."""
    return "\n\n".join(part for part in parts if part)


def verdict_lines(requirements: Iterable[Requirement], verdicts: Iterable[Verdict]) -> str:
    """Returns one line for each requirement: `- no: Is the cat black? (it is grey)`."""
    by_id = {verdict["requirement"]: verdict for verdict in verdicts}
    lines = []
    for requirement in requirements:
        verdict = by_id.get(requirement["id"])
        if verdict is None:
            continue
        why = f" ({verdict['rationale']})" if verdict["rationale"] else ""
        lines.append(f"- {verdict['answer']}: {requirement['question']}{why}")
    return "\n".join(lines)


def attempt_text(attempt: Attempt, requirements: list[Requirement]) -> str:
    """Returns one attempt as facts: where it stands, its prompt, what passed and what failed."""
    head = (
        f"round {attempt['round']}, candidate {attempt['candidate']}, score {attempt['score']:.2f}"
    )
    return (
        f"{head}\nprompt: {attempt['prompt']}\n{verdict_lines(requirements, attempt['verdicts'])}"
    )


def experience_lines(experiences: Iterable[Experience]) -> str:
    """Returns one line for each experience."""
    return "\n".join(f"- round {item['round']}: {item['text']}" for item in experiences)


def advice_lines(lessons: Iterable[Lesson]) -> str:
    """Returns one line of advice for each lesson of past runs."""
    return "\n".join(f"- {as_advice(lesson)}" for lesson in lessons)


THOUGHT_WORDS = 1500
"""Words of a raw thought that a model is shown for compressing."""

_SPACES = re.compile(r"\s+")


def same_wording(one: str, other: str) -> bool:
    """Returns whether two prompts differ at most in spacing and case."""
    return _SPACES.sub(" ", one).strip().casefold() == _SPACES.sub(" ", other).strip().casefold()


def cut_to_words(text: str, limit: int) -> str:
    """Returns at most `limit` words of the text, ending in an ellipsis where it was cut."""
    words = text.split()
    return text.strip() if len(words) <= limit else " ".join(words[:limit]) + " …"
