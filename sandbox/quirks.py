"""Blind spots of the simulated generator: wordings that it reliably reads well or badly.

Real image models have such habits: one phrase is followed nearly always, another that means the
same is not. What these here are is made up, so that there is something about the generator that
can be learned in one run and used in the next; no real model was measured. They depend on the
wording alone, never on the seed:

- *relation*: what a sentence names first lands on the left or on top. "The cube is to the left of
  the ball" is read well, "the ball is to the right of the cube" badly, though both say the same.
- *text*: after "says" and "reads" letters go wrong; "the word …" and "the letters …" go right.
- *count*: a bare number in front of a noun is read loosely, "a group of" or "a row of" well.
- *size*: "a small cube" is hardly heard, "the cube is small" is.

Only `generator.py` reads this module: whoever writes prompts must find out from verdicts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .lexicon import COLOR_WORDS, SIZE_WORDS, kind_of

if TYPE_CHECKING:
    from .grammar import Clause, Reading

WELL, BADLY = 1.5, -1.6
"""Log-odds for a clause of which one sentence is worded well, and of which all are worded badly."""

_SAYS = re.compile(r"\b(?:says?|said|saying|reads?|reading)\b")
_LETTERS = re.compile(r"\b(?:words?|letters?|lettering)\b")
_GROUPED = re.compile(r"\b(?:group|row|line|cluster|set|pair|trio) of\b")
_EXACT = re.compile(r"\b(?:exactly|only)\b")
_PREDICATE = re.compile(
    rf"\b(?:is|are)(?: all| both| very| clearly)? (?:{'|'.join(map(re.escape, SIZE_WORDS))})\b"
    r"(?! \w+ (?:and|to|on|under|above|below)\b)"
)


def lift(reading: Reading, clause: Clause) -> float:
    """Returns the log-odds that a clause gains or loses by its wordings: `WELL`, `BADLY` or 0."""
    heard = [_heard(reading, clause, mention.sentence) for mention in clause.mentions]
    if any(sign > 0 for sign in heard):
        return WELL
    return BADLY if all(sign < 0 for sign in heard) else 0.0


def _heard(reading: Reading, clause: Clause, sentence: str) -> int:
    """Returns 1 for a sentence that is read well, -1 for one that is read badly, else 0."""
    match clause.kind:
        case "relation":
            return _in_order(reading, clause.index, sentence)
        case "text":
            if _LETTERS.search(sentence):
                return 1
            return -1 if _SAYS.search(sentence) else 0
        case "count":
            if _GROUPED.search(sentence):
                return 1
            return 0 if _EXACT.search(sentence) else -1
        case "size":
            return 1 if _PREDICATE.search(sentence) else -1
        case _:
            return 0


def _in_order(reading: Reading, index: int, sentence: str) -> int:
    """Returns 1 when the thing on the left or on top is named first, -1 when the other one is."""
    relation = reading.relations[index]
    subject, other = (
        _named(reading, relation.subject, sentence),
        _named(reading, relation.object, sentence),
    )
    if subject is None or other is None or subject == other:
        return 0
    leads = relation.direction in {"left of", "above"}
    return 1 if (subject < other) == leads else -1


def _named(reading: Reading, index: int, sentence: str) -> int | None:
    """Returns at which word a sentence first names a group; None where it does not."""
    group = reading.groups[index]
    several = [one.kind for one in reading.groups].count(group.kind) > 1
    said = sentence.split()
    for at, word in enumerate(said):
        if kind_of(word) != group.kind:
            continue
        colors = {COLOR_WORDS[near] for near in said[max(0, at - 2) : at] if near in COLOR_WORDS}
        if not several or not group.color or not colors or group.color in colors:
            return at
    return None
