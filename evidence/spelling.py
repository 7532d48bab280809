"""Whether a text stands among lines that were read by a machine, and how far off it is.

Pure functions. A reader of text makes errors of its own, so there are four results and not two:
the text is there; it is there up to what such a reader can't tell apart; it is there misspelt;
nothing like it is there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Result = Literal["found", "unsure", "misspelt", "absent"]

LEAST_LETTERS = 3
"""Letters (ideographs count double) that a text must have before something near it can be called
a misspelling: two-letter words are all neighbours of one another."""

NEAR = 3
"""One edit in so many letters is still the same text, misspelt; more is another text."""

OWN_ERRORS = 0.03
"""Share of characters that a reader of photographed text gets wrong by itself; a long text that is
off by no more may be right."""

_LOOK_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "2": "z", "8": "b"})
"""After folding case: characters that printed text does not tell apart without its context."""

_PUNCTUATION = str.maketrans("‘’‚‛′“”„″«»‐‑‒–—―−·•", '\'\'\'\'\'""""""-------..')


@dataclass(frozen=True)
class Comparison:
    """How a text compares with what was read.

    Attributes:
        result: `found`, also when no more than the allowed errors are in it; `unsure`: it differs
            only in what a reader can't tell apart; `misspelt`; `absent`.
        read: What stands in its place, or an empty string.
        errors: Edits between the two: characters put in, left out, exchanged, or two neighbours
            swapped; 0 where they can't be told apart.
        start: Where `read` begins in the joined text.
        end: Where it ends.
    """

    result: Result
    read: str = ""
    errors: int = 0
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class _Sequence:
    """Characters to compare, with the places where a word may begin or end."""

    text: str
    edges: tuple[bool, ...]
    origin: tuple[int, ...]


def compare(
    wanted: str,
    lines: Sequence[str],
    *,
    ignore_case: bool = False,
    ignore_spacing: bool = False,
    max_errors: int = 0,
    besides: Sequence[str] = (),
) -> Comparison:
    """Returns how `wanted` stands among the lines.

    A line break counts as a space. A text inside a longer word is not found ("OPEN" in "OPENING").
    Typographic quotes, dashes and full-width forms equal the plain ones.

    Args:
        wanted: The text that should be there.
        lines: What was read, in reading order.
        ignore_case: Whether capitals equal small letters.
        ignore_spacing: Whether spaces count for nothing.
        max_errors: Edits up to which a text counts as found.
        besides: Other texts that should be there as well: reading one of them is no misspelling of
            this one.
    """
    joined = "\n".join(lines)
    fold_case, squeeze = ignore_case, ignore_spacing
    target = _sequence(wanted, fold_case, squeeze).text
    source = _sequence(joined, fold_case, squeeze)
    if not target or not source.text:
        return Comparison("absent")
    for start in _occurrences(target, source.text):
        end = start + len(target)
        if source.edges[start] and source.edges[end]:
            return _comparison("found", joined, source, start, end, 0)
    errors, start, end = _nearest(target, source)
    if errors <= min(max_errors, len(target) - 1):
        return _comparison("found", joined, source, start, end, errors)
    near = _comparison("misspelt", joined, source, start, end, errors)
    folded = _loose(wanted)
    inside = _loosely(folded, joined)
    if any(_loose(one.read) == folded for one in inside):  # whole words, up to their look
        return next(one for one in inside if _loose(one.read) == folded)
    weight = sum(2 if _is_ideograph(letter) else 1 for letter in folded)
    if weight < LEAST_LETTERS or errors > max(1, len(target) // NEAR):
        return inside[0] if inside else Comparison("absent")
    if any(_loose(near.read) == _loose(other) for other in besides):
        return Comparison("absent")
    if errors <= int(OWN_ERRORS * len(target)):
        return replace(near, result="unsure")
    return near


def _loosely(folded: str, joined: str) -> list[Comparison]:
    """Returns the words in which the text stands up to what a reader can't tell apart."""
    if not folded:
        return []
    loose = _loose_sequence(joined)
    found = []
    for at in _occurrences(folded, loose.text):
        start, end = loose.origin[at], loose.origin[at + len(folded) - 1] + 1
        while start > 0 and not joined[start - 1].isspace():
            start -= 1
        while end < len(joined) and not joined[end].isspace():
            end += 1
        found.append(Comparison("unsure", " ".join(joined[start:end].split()), 0, start, end))
    return found


def edit_distance(one: str, other: str) -> int:
    """Returns the edits between two texts, a swap of neighbours counting as one.

    Optimal string alignment: G. Navarro, "A guided tour to approximate string matching", ACM
    Computing Surveys 33(1), 2001.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        last, row = row, [i]
        for j, right in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = last
    return row[-1]


def _comparison(
    result: Result, joined: str, source: _Sequence, start: int, end: int, errors: int
) -> Comparison:
    """The comparison with its place in the joined text as it was read."""
    if start >= end:
        return Comparison("absent")
    first, last = source.origin[start], source.origin[end - 1] + 1
    read = " ".join(joined[first:last].split())
    return Comparison(result, read, errors, first, last)


def _sequence(text: str, fold_case: bool, squeeze: bool) -> _Sequence:
    """Characters of a text in the form they are compared in."""
    letters: list[str] = []
    origin: list[int] = []
    gaps: set[int] = set()
    for index, raw in enumerate(text):
        if raw.isspace():
            if not letters or letters[-1] == " ":
                continue
            gaps.add(len(letters))
            if not squeeze:
                letters.append(" ")
                origin.append(index)
            continue
        form = unicodedata.normalize("NFKC", raw.translate(_PUNCTUATION))
        for letter in form.casefold() if fold_case else form:
            if letters and letters[-1] == " " and _no_spaces(letter, letters[-2:-1]):
                letters.pop()
                origin.pop()
            letters.append(letter)
            origin.append(index)
    while letters and letters[-1] == " ":
        letters.pop()
        origin.pop()
    whole = "".join(letters)
    edges = tuple(
        place in (0, len(letters))
        or place in gaps
        or not (_is_word(letters[place - 1]) and _is_word(letters[place]))
        for place in range(len(letters) + 1)
    )
    return _Sequence(whole, edges, tuple(origin))


def _loose_sequence(text: str) -> _Sequence:
    """The text without what a reader can't tell apart."""
    plain = _sequence(text, True, True)
    kept = [
        (letter.translate(_LOOK_ALIKE), place)
        for letter, place in zip(plain.text, plain.origin, strict=True)
        if letter.isalnum() or letter == "|"
    ]
    return _Sequence("".join(letter for letter, _ in kept), (), tuple(place for _, place in kept))


def _loose(text: str) -> str:
    return _loose_sequence(text).text


def _no_spaces(letter: str, before: list[str]) -> bool:
    """Whether a space here means nothing: scripts of ideographs are written without."""
    return _is_ideograph(letter) or (bool(before) and _is_ideograph(before[0]))


def _is_ideograph(letter: str) -> bool:
    point = ord(letter)
    return 0x3040 <= point <= 0x30FF or 0x3400 <= point <= 0x9FFF or 0x20000 <= point <= 0x3FFFF


def _is_word(letter: str) -> bool:
    return letter.isalnum() and not _is_ideograph(letter)


def _occurrences(target: str, text: str) -> list[int]:
    found: list[int] = []
    at = text.find(target)
    while at >= 0 and len(found) < 1000:
        found.append(at)
        at = text.find(target, at + 1)
    return found


def _nearest(target: str, source: _Sequence) -> tuple[int, int, int]:
    """Returns edits, start and end of the whole words that are nearest to the target."""
    best = (len(target), len(target), 0, 0)
    for end in _ends(target, source.text):
        back = _ends(target[::-1], source.text[:end][::-1])
        start = end - min(back, key=lambda length: abs(length - len(target)))
        while start > 0 and not source.edges[start]:
            start -= 1
        while end < len(source.text) and not source.edges[end]:
            end += 1
        if source.text[start : start + 1] == " ":
            start += 1
        if source.text[end - 1 : end] == " ":
            end -= 1
        if end - start > 2 * len(target) + 8:  # a run of letters without edges, not a word
            continue
        errors = edit_distance(target, source.text[start:end])
        best = min(best, (errors, abs(end - start - len(target)), start, end))
    return best[0], best[2], best[3]


def _ends(target: str, text: str) -> list[int]:
    """Returns up to 8 places at which a stretch nearest to the target ends (Sellers, 1980)."""
    import numpy as np

    letters = np.array([ord(letter) for letter in text], dtype=np.int64)
    steps = np.arange(len(text) + 1)
    row = np.zeros(len(text) + 1, dtype=np.int64)
    for wanted in target:
        best = row + 1
        best[1:] = np.minimum(best[1:], row[:-1] + (letters != ord(wanted)))
        # what is put in runs along the row: a running minimum instead of a loop
        row = np.minimum.accumulate(best - steps) + steps
    return [int(place) for place in np.flatnonzero(row == row.min())[:8]]
