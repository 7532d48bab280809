"""Sentences that state one clause of a prompt and nothing else, each in several wordings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from .grammar import read
from .lexicon import OPPOSITE, plural
from .scene import Relation
from .wording import be, definite, in_words, indefinite, relation_words

if TYPE_CHECKING:
    from .grammar import ClauseKind, Reading

ClauseKey = tuple["ClauseKind", int]
"""Kind and index of a clause, as in `grammar.Clause`."""


class Pattern(NamedTuple):
    """One wording of one kind of clause, whatever it is said of.

    Attributes:
        kind: The kind of clause.
        direction: The direction word of a relation's wording ("left of"); "" for other kinds.
        turn: Which of the wordings.
    """

    kind: ClauseKind
    direction: str
    turn: int


def emphasis(reading: Reading, clause: ClauseKey, turn: int) -> str:
    """Returns a short sentence that states one clause; another wording for each `turn`.

    What the text of the sign is stays verbatim, in straight quotation marks.
    """
    wordings = _wordings(reading, clause)
    sentence = wordings[turn % len(wordings)]
    return f"{sentence[0].upper()}{sentence[1:]}."


def preferred(reading: Reading, clause: ClauseKey, advice: Counter[Pattern]) -> list[str]:
    """Returns all sentences that state a clause, those with most advice for them first."""
    ranked: list[tuple[int, str]] = []
    for pattern, sentence in _patterned(reading, clause):
        ranked.append((-advice[pattern], sentence))
    ranked.sort(key=lambda item: item[0])
    return list(dict.fromkeys(sentence for _, sentence in ranked))


def advised(reading: Reading, clause: ClauseKey, advice: Counter[Pattern]) -> str:
    """Returns the sentence that advice speaks for most; "" where it speaks for none."""
    best = max(_patterned(reading, clause), key=lambda item: advice[item[0]])
    return best[1] if advice[best[0]] > 0 else ""


def patterns_in(sentence: str) -> set[Pattern]:
    """Returns the patterns that a sentence is an example of; none for any other sentence."""
    reading = read(sentence)
    plain = sentence.strip().rstrip(".").casefold()
    return {
        pattern
        for clause in reading.clauses
        for pattern, example in _patterned(reading, (clause.kind, clause.index))
        if example.rstrip(".").casefold() == plain
    }


def _patterned(reading: Reading, clause: ClauseKey) -> list[tuple[Pattern, str]]:
    """Returns every sentence for a clause with its pattern; a relation also from its other side."""
    kind, index = clause
    if kind != "relation":
        turns = range(len(_wordings(reading, clause)))
        return [(Pattern(kind, "", turn), emphasis(reading, clause, turn)) for turn in turns]
    relation = reading.relations[index]
    turned = Relation(relation.object, OPPOSITE[relation.direction], relation.subject)
    found = []
    for one in (relation, turned):
        for turn, words in enumerate(_relation_wordings(reading, one)):
            sentence = f"{words[0].upper()}{words[1:]}."
            found.append((Pattern(kind, one.direction, turn), sentence))
    return found


def _wordings(reading: Reading, clause: ClauseKey) -> list[str]:
    kind, index = clause
    if kind == "text":
        quoted = f'"{reading.sign}"'
        return [
            f"A sign at the top reads {quoted}",
            f"The word {quoted} stands on the sign",
            f"The sign says exactly {quoted}",
            f"The text on the sign is {quoted}",
            f"A board with the letters {quoted}",
        ]
    if kind == "background":
        color = reading.background
        return [
            f"the background is {color}",
            f"everything stands on a plain {color} background",
            f"a solid {color} backdrop",
            f"the whole backdrop is {color}",
        ]
    if kind == "relation":
        return _relation_wordings(reading, reading.relations[index])
    group = reading.groups[index]
    several = [other.kind for other in reading.groups].count(group.kind) > 1
    whole, named = indefinite(group), definite(group, color=several)
    if kind == "color" and not several:
        return [
            f"{named} {be(group)} {group.color}",
            f"each {group.kind} is {group.color}",
            f"a picture with {whole}",
            f"the color of {named} is {group.color}",
        ]
    if kind == "size":
        wordings = [f"{named} {be(group)} {group.size}", f"a picture with {whole}"]
        return wordings if several else [*wordings, f"each {group.kind} is {group.size}"]
    if kind == "count" and group.count is not None:
        words = f"{group.color or ''} {group.kind if group.count == 1 else plural(group.kind)}"
        number = in_words(group.count)
        return [
            f"there {be(group)} exactly {number} {words.strip()}",
            f"exactly {number} {words.strip()} can be seen",
            f"a group of exactly {number} {words.strip()}"
            if group.count > 1
            else f"only {number} {words.strip()}",
            f"{number} {words.strip()}, exactly {number}",
        ]
    return [
        f"there {be(group)} {whole}",
        f"{whole} can be seen clearly",
        f"the picture shows {whole}",
        f"in plain view: {whole}",
    ]


def _relation_wordings(reading: Reading, relation: Relation) -> list[str]:
    one, other = reading.groups[relation.subject], reading.groups[relation.object]
    several = [group.kind for group in reading.groups]
    first = definite(one, color=several.count(one.kind) > 1)
    second = definite(other, color=several.count(other.kind) > 1)
    back = relation_words(
        type(relation)(relation.object, OPPOSITE[relation.direction], relation.subject)
    )
    there = relation_words(relation)
    return [
        f"{first} {be(one)} {there} {second}",
        f"{second} {be(other)} {back} {first}",
        f"{there} {second} {be(one)} {first}",
        f"{indefinite(one)} {there} {indefinite(other)}",
        f"{back} {first} {be(other)} {second}",
    ]
