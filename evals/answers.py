"""Reading what judges answer: JSON in fences or prose, labelled scores, letters, yes and no.

Every reader either returns what the judge said or raises `UnreadableError`; none guesses. `ask`
gives a judge a second try with a reminder of the form, then it is a `JudgeError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ..records import ImageRef
from .errors import JudgeError
from .judges.base import Judge

ANSWER_KEPT = 500
"""Characters of an answer that a `JudgedPart` keeps."""

_QUOTED = 160
"""Characters of an unreadable answer that the error quotes."""

_Read = TypeVar("_Read")

_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_NUMBER = r"(-?\d+(?:\.\d+)?)(?!\.?\d)(?!\s*[-–]\s*\d)"
_GAP = r"(?:\s|[*_:：=|–—]|-(?!\d))*"
_SCALE = r"(?:\([^()]{0,30}\)|\[[^\[\]]{0,30}\])?"
_LETTER = re.compile(
    r"""^[\W_]*                                    # bullets, asterisks, quotes
        (?:(?:q|question|answer)?\s*\#?(?P<number>\d{1,2})\s*[.):：\-–—|]+[\W_]*)?
        (?:(?:answer|option|choice)\s*[:：]?[\W_]*)?
        (?P<letter>[A-H])
        (?:\s*[:：.)\]\-–—,*|"']|\s*$)""",
    re.VERBOSE | re.IGNORECASE,
)


class UnreadableError(ValueError):
    """An answer does not have the form that was asked for; the message says why."""


async def ask(
    judge: Judge,
    images: Sequence[ImageRef],
    prompt: str,
    read: Callable[[str], _Read],
    *,
    form: str,
    system: str = "",
    temperature: float = 0.0,
    max_tokens: int = 1024,
    seed: int | None = None,
) -> _Read:
    """Asks a judge and reads its answer; asks once more when that can't be read.

    Args:
        judge: Whom to ask.
        images: What it looks at.
        prompt: What it is asked.
        read: Returns what an answer says, or raises `UnreadableError`.
        form: The form of the answer in a sentence; the reminder before the second try.
        system: System message.
        temperature: 0 is greedy.
        max_tokens: Longest answer.
        seed: For sampled answers.

    Raises:
        JudgeError: The judge failed, or neither answer can be read.
    """
    asked = prompt
    for last in (False, True):
        answer = await judge.text(
            images,
            asked,
            system=system,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
        )
        try:
            return read(without_thoughts(answer))
        except UnreadableError as error:
            if last:
                raise JudgeError(
                    f"The judge's answer can't be read: {error}. It says {_short(answer)!r}.",
                    hint="A larger model, or one without a length limit on answers, may do it.",
                ) from None
            asked = f"{prompt}\n\nYour last answer could not be read: {error}. {form}"
    raise AssertionError("unreachable")


def without_thoughts(text: str) -> str:
    """Returns an answer without what the model thought before it (`<think>…</think>`)."""
    text = _THOUGHT.sub("", text)
    _, closed, after = text.rpartition("</think>")
    text = after if closed else text
    return text.partition("<think>")[0].strip()


def json_values(text: str) -> list[Any]:
    """Returns every JSON object and list of an answer, outermost ones only, in their order."""
    return list(_json_values(text))


def _json_values(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    start = 0
    while match := re.compile(r"[{\[]").search(text, start):
        try:
            value, start = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            start = match.start() + 1
        else:
            yield value


def labelled_scores(
    text: str,
    labels: Mapping[str, Sequence[str]],
    low: float,
    high: float,
    *,
    whole: bool = False,
) -> dict[str, float]:
    """Returns a score for each label, from a JSON object or from lines such as `Realism: 2`.

    Where a label stands several times, the last one counts: models repeat the scale first.

    Args:
        text: The answer.
        labels: Name of a score -> how answers may call it, small letters, words parted by spaces.
        low: Lowest score allowed.
        high: Highest score allowed.
        whole: Whether 1.5 is an error.

    Raises:
        UnreadableError: A label is missing, or a score is none or outside the range.
    """
    found: dict[str, float] = {}
    for value in json_values(text):
        if isinstance(value, dict):
            found |= _from_object(value, labels, low, high, whole)
    if not found:
        for name, aliases in labels.items():
            score = _from_lines(text, name, aliases, low, high, whole)
            if score is not None:
                found[name] = score
    missing = [name for name in labels if name not in found]
    if missing:
        raise UnreadableError(f"no score for {', '.join(missing)}")
    return {name: found[name] for name in labels}


def _from_object(
    value: Mapping[str, Any],
    labels: Mapping[str, Sequence[str]],
    low: float,
    high: float,
    whole: bool,
) -> dict[str, float]:
    plain = {re.sub(r"[\s_-]+", " ", key).strip().lower(): score for key, score in value.items()}
    found = {}
    for name, aliases in labels.items():
        for alias in aliases:
            score = plain.get(alias)
            if isinstance(score, dict):  # {"realism": {"score": 2, "reason": "…"}}
                score = score.get("score")
            if score is not None:
                found[name] = _checked(name, score, low, high, whole)
    return found


def _from_lines(
    text: str, name: str, aliases: Sequence[str], low: float, high: float, whole: bool
) -> float | None:
    names = "|".join(re.escape(alias).replace(r"\ ", r"[\s_-]+") for alias in aliases)
    pattern = rf"(?<![a-z])(?:{names})(?![a-z]){_GAP}{_SCALE}{_GAP}{_NUMBER}(?:\s*/\s*(\d+))?"
    matches = list(re.finditer(pattern, text, re.IGNORECASE))
    if not matches:
        return None
    score, scale = matches[-1].groups()
    if scale is not None and float(scale) != high:
        raise UnreadableError(f"{name} is {score}/{scale}, not out of {high:g}")
    return _checked(name, float(score), low, high, whole)


def _checked(name: str, score: Any, low: float, high: float, whole: bool) -> float:
    if isinstance(score, str) and re.fullmatch(r"\s*-?\d+(?:\.\d+)?\s*", score):
        score = float(score)
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise UnreadableError(f"{name} is {_short(str(score))!r}, not a number")
    if not low <= score <= high or (whole and score != int(score)):
        kind = "a whole number " if whole else ""
        raise UnreadableError(f"{name} is {_short(str(score))}, not {kind}from {low:g} to {high:g}")
    return float(score)


def score_list(text: str, names: Sequence[str], low: float, high: float) -> dict[str, float]:
    """Returns the scores of the last JSON list that has as many entries as there are names.

    Raises:
        UnreadableError: There is no such list, or an entry is no number in the range.
    """
    lists = [value for value in json_values(text) if isinstance(value, list)]
    fitting = [value for value in lists if len(value) == len(names)]
    if not fitting:
        raise UnreadableError(f"no list of {len(names)} numbers")
    return {
        name: _checked(name, score, low, high, whole=False)
        for name, score in zip(names, fitting[-1], strict=True)
    }


def choices(text: str, count: int) -> list[str]:
    """Returns the letters of `count` multiple-choice answers, in their order.

    Read are a JSON list of letters, a JSON object from numbers to letters, and lines that begin
    with a letter (`B: …`, `3. **C** – …`); other lines are passed over.

    Raises:
        UnreadableError: There are more or fewer answers, or their numbers don't run from 1.
    """
    for value in reversed(json_values(text)):
        letters = _letters_of(value, count)
        if letters is not None:
            return letters
    matches = [match for line in text.splitlines() if (match := _LETTER.match(line))]
    if len(matches) != count:
        raise UnreadableError(f"{len(matches)} answers where {count} were asked for")
    numbers = [int(match["number"]) for match in matches if match["number"]]
    if numbers and numbers != list(range(1, count + 1)):
        raise UnreadableError(f"the answers are not numbered from 1 to {count}")
    return [match["letter"].upper() for match in matches]


def _letters_of(value: Any, count: int) -> list[str] | None:
    if isinstance(value, dict):
        numbered = [value.get(str(number)) for number in range(1, count + 1)]
        value = numbered if None not in numbered else value.get("answers")
        if isinstance(value, dict):
            return _letters_of(value, count)
    if not isinstance(value, list) or len(value) != count:
        return None
    matches = [_LETTER.match(entry) if isinstance(entry, str) else None for entry in value]
    return [match["letter"].upper() for match in matches if match] if all(matches) else None


def yes_or_no(text: str) -> bool:
    """Returns whether an answer says yes.

    Raises:
        UnreadableError: It says neither, or both.
    """
    for value in json_values(text):
        if isinstance(value, dict):
            text = str(value.get("answer", ""))
    begins = re.match(r"[\W_]*(?:(?:final\s+)?answer\W+)?(yes|no)\b", text, re.IGNORECASE)
    if begins:
        return begins[1].lower() == "yes"
    said = {word.lower() for word in re.findall(r"\b(?:yes|no)\b", text, re.IGNORECASE)}
    if len(said) != 1:
        raise UnreadableError("neither yes nor no" if not said else "both yes and no")
    return said == {"yes"}


def plain_text(text: str, nothing: str) -> str:
    """Returns a text that a judge copied out: without fences, empty where it says `nothing`.

    Raises:
        UnreadableError: The answer is empty, though `nothing` was to be said then.
    """
    fenced = _FENCE.findall(text)
    text = "\n".join(fenced) if fenced else text
    if not text.strip():
        raise UnreadableError("the answer is empty")
    return "" if text.strip(" \t\r\n.*`'\"") == nothing else text.strip()


def cut(text: str) -> str:
    """Returns an answer as a `JudgedPart` keeps it."""
    return text if len(text) <= ANSWER_KEPT else text[: ANSWER_KEPT - 1] + "…"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else line[: _QUOTED - 1] + "…"
