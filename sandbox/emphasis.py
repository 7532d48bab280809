"""Sentences that state one clause of a prompt and nothing else, each in several wordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lexicon import OPPOSITE, plural
from .wording import be, definite, in_words, indefinite, relation_words

if TYPE_CHECKING:
    from .grammar import ClauseKind, Reading
    from .scene import Relation

ClauseKey = tuple["ClauseKind", int]
"""Kind and index of a clause, as in `grammar.Clause`."""


def emphasis(reading: Reading, clause: ClauseKey, turn: int) -> str:
    """Returns a short sentence that states one clause; another wording for each `turn`.

    What the text of the sign is stays verbatim, in straight quotation marks.
    """
    wordings = _wordings(reading, clause)
    sentence = wordings[turn % len(wordings)]
    return f"{sentence[0].upper()}{sentence[1:]}."


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
