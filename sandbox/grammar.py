"""Reads a prompt in plain English: what it states, in which order, and how often.

The grammar covers the sandbox's world (`scene.py`) and the wordings that people, planners and
refiners use for it. It never raises: what it can't place it leaves out, and nouns that it
recognises as things the painter does not know are reported by name.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from .lexicon import COLOR_WORDS, OPPOSITE, RELATION_PATTERN, SIZE_WORDS, plural
from .phrases import Phrase, Sentence, sentences_of
from .scene import COLORS, Direction, Group, Relation, Scene

MAX_GROUPS = 4
MAX_COUNT = 8
MAX_SIGN = 12

ClauseKind = Literal["object", "count", "color", "size", "relation", "text", "background"]
"""The atomic facts that a prompt can state about a scene."""

_RELATION = re.compile(RELATION_PATTERN)
_PRONOUN = re.compile(r"\b(?:it|they|them|its|their|these|those|this|both)\b")


@dataclass(frozen=True)
class Mention:
    """One place where a prompt states a clause.

    Attributes:
        sentence: The sentence, lower case, words only.
        word: How many words and commas stand before it in the prompt.
        alone: Whether its sentence speaks of nothing else.
    """

    sentence: str
    word: int
    alone: bool


@dataclass
class Clause:
    """One atomic fact with every place that states it.

    Attributes:
        kind: What it is about.
        index: Index of the group (of the relation for `relation`; 0 for text and background).
        mentions: In order, at least one.
    """

    kind: ClauseKind
    index: int
    mentions: list[Mention] = field(default_factory=list)


@dataclass(frozen=True)
class Stated:
    """A group as far as the prompt states it; None is unstated."""

    kind: str
    color: str | None = None
    size: str | None = None
    count: int | None = None
    plural: bool = False


@dataclass(frozen=True)
class Reading:
    """What a prompt states.

    Attributes:
        groups: In order of first mention, possibly more than the painter can place.
        relations: Between groups, sorted.
        background: A colour name, or None.
        sign: The sign's text as written, or None.
        unknown: Nouns of things that the painter does not know, in order, each once.
        absent: Nouns that are said to be absent.
        clauses: Every stated fact.
        words: Number of words.
    """

    groups: tuple[Stated, ...]
    relations: tuple[Relation, ...]
    background: str | None
    sign: str | None
    unknown: tuple[str, ...]
    absent: tuple[str, ...]
    clauses: tuple[Clause, ...]
    words: int

    def scene(self, seed: int) -> Scene:
        """Returns a scene that shows this; the seed chooses what the prompt leaves open.

        More than four groups, counts above eight and sign letters that the painter lacks are cut
        (see `limits`). Relations that can't all hold are kept; the painter decides.
        """
        chance = random.Random(seed)  # noqa: S311 - repeatable choices, not a secret
        stated = self.groups[:MAX_GROUPS]
        used = {group.color for group in stated}
        background = self.background
        if background is None:
            free = [c for c in ("white", "gray", "black", "yellow") if c not in used]
            background = (free or [c for c in COLORS if c not in used])[0]
        groups: list[Group] = []
        for group in stated:
            color = group.color
            if color is None:
                free = [c for c in COLORS if c not in used and c not in {background, "white"}]
                color = chance.choice(free)
                used.add(color)
            count = group.count
            if count is None:
                count = chance.randint(2, 4) if group.plural else 1
            groups.append(
                Group(group.kind, color, group.size or "medium", min(max(count, 1), MAX_COUNT))
            )
        relations = tuple(
            r for r in self.relations if r.subject < len(groups) and r.object < len(groups)
        )
        # A group in the background's own colour would be invisible, so the background gives way.
        if any(group.color == background for group in groups):
            taken = {group.color for group in groups}
            background = next(c for c in ("white", "gray", *COLORS) if c not in taken)
        return Scene(tuple(groups), relations, background, sign_text(self.sign or ""))

    def limits(self) -> tuple[str, ...]:
        """Returns what the sandbox can't draw of this prompt, as noun phrases; empty if nothing."""
        found = [f"“{noun}”" for noun in self.unknown]
        found += [f"a fifth group (“{g.kind}”)" for g in self.groups[MAX_GROUPS:]]
        found += [
            f"{g.count} {plural(g.kind)} (at most {MAX_COUNT} of a kind)"
            for g in self.groups
            if g.count is not None and g.count > MAX_COUNT
        ]
        if self.sign is not None and sign_text(self.sign) != self.sign.upper().strip():
            found.append(f"all of the text “{self.sign}” (A to Z, 0 to 9, at most {MAX_SIGN})")
        if self.background and any(g.color == self.background for g in self.groups):
            found.append(f"{self.background} things on a {self.background} background")
        return tuple(found)


def sign_text(text: str) -> str:
    """Returns text as the sign can show it: capitals, digits and single spaces, at most 12."""
    kept = "".join(c if c.isascii() and c.isalnum() else " " if c.isspace() else "" for c in text)
    return " ".join(kept.upper().split())[:MAX_SIGN].strip()


def read(prompt: str) -> Reading:
    """Returns what a prompt states; restated facts are merged into one clause."""
    return _Reader(prompt).reading()


class _Reader:
    """Goes through a prompt sentence by sentence and gathers its facts."""

    def __init__(self, prompt: str) -> None:
        self.groups: list[Stated] = []
        self.relations: list[Relation] = []
        self.background: str | None = None
        self.sign: str | None = None
        self.unknown: list[str] = []
        self.absent: list[str] = []
        self.clauses: dict[tuple[str, int], Clause] = {}
        self.words = 0
        self.offset = 0
        self.antecedent: int | None = None
        self.sides: dict[int, str] = {}
        for sentence in sentences_of(prompt):
            self._sentence(sentence)

    def reading(self) -> Reading:
        self._sides()
        order = sorted(
            range(len(self.relations)),
            key=lambda i: (
                self.relations[i].subject,
                self.relations[i].object,
                self.relations[i].direction,
            ),
        )
        for clause in self.clauses.values():
            if clause.kind == "relation":
                clause.index = order.index(clause.index)
        return Reading(
            tuple(self.groups),
            tuple(self.relations[i] for i in order),
            self.background,
            self.sign,
            tuple(dict.fromkeys(self.unknown)),
            tuple(dict.fromkeys(self.absent)),
            tuple(self.clauses.values()),
            self.words,
        )

    # Facts

    def _state(self, kind: ClauseKind, index: int, at: int) -> None:
        clause = self.clauses.setdefault((kind, index), Clause(kind, index))
        if not any(m.word == self.offset + at for m in clause.mentions):
            alone = self.alone_relation if kind == "relation" else self.alone
            clause.mentions.append(Mention(self.said, self.offset + at, alone=alone))

    def _sentence(self, sentence: Sentence) -> None:
        words = [token.low for token in sentence.tokens if token.kind != "mark"]
        self.said = " ".join(words)
        phrases = [p for p in sentence.phrases if not p.negated]
        self.absent += [p.noun for p in sentence.phrases if p.negated]
        kinds = {p.kind + (p.any_color or "") for p in phrases if p.role == "group"}
        others = {p.role for p in phrases if p.role != "group"}
        linked = bool(_RELATION.search(sentence.gap(0, len(sentence.tokens))))
        self.alone = len(kinds) + len(others) == 1 and not linked
        self.alone_relation = len(kinds) <= 2 and not others
        before = len(self.groups)
        here = [(phrase, self._phrase(phrase, before)) for phrase in phrases]
        self._relations(sentence, here)
        if not phrases and self.antecedent is not None and words and words[0] in {"it", "they"}:
            self._pronoun(self.antecedent, words)
        first = next((index for _, index in here if index is not None), None)
        if first is not None:
            self.antecedent = first
        self.words += len(words)
        self.offset += len(sentence.tokens)

    def _pronoun(self, index: int, said: list[str]) -> None:
        """Takes in "It is blue." about what the sentence before spoke of."""
        self.alone = True
        group = self.groups[index]
        for at, word in enumerate(said):
            color, size = COLOR_WORDS.get(word), SIZE_WORDS.get(word)
            if color is not None and group.color in {None, color}:
                self.groups[index] = group = replace(group, color=color)
                self._state("color", index, at)
            elif size is not None and group.size in {None, size}:
                self.groups[index] = group = replace(group, size=size)
                self._state("size", index, at)

    def _phrase(self, phrase: Phrase, before: int) -> int | None:
        """Takes in one phrase; returns the index of its group, or None."""
        at = phrase.start
        if phrase.role == "thing":
            self.unknown.append(phrase.noun)
        elif phrase.role == "background":
            color = phrase.any_color
            if color is not None and self.background in {None, color}:
                self.background = color
                self._state("background", 0, at)
        elif phrase.role == "sign":
            text = phrase.text.strip().strip(".,!?")
            if text and (self.sign is None or sign_text(self.sign) == sign_text(text)):
                self.sign = self.sign or text
                self._state("text", 0, at)
        else:
            return self._group(phrase, before)
        return None

    def _group(self, phrase: Phrase, before: int) -> int:
        index = self._find(phrase, before)
        new = index is None
        if index is None:
            index = len(self.groups)
            self.groups.append(Stated(phrase.kind, plural=phrase.plural))
        group = self.groups[index]
        counts = phrase.count is not None and phrase.comparison in {"exactly", "at least"}
        self.groups[index] = replace(
            group,
            color=group.color or phrase.any_color,
            size=group.size or phrase.any_size,
            count=phrase.count if group.count is None and counts else group.count,
            plural=group.plural or phrase.plural,
        )
        if new or not phrase.definite:
            self._state("object", index, phrase.start)
        # "a cube" hardly states a number; "three cubes" and "one cube" do.
        if counts and phrase.counted:
            self._state("count", index, phrase.start)
        if phrase.any_color:
            self._state("color", index, phrase.start)
        if phrase.any_size:
            self._state("size", index, phrase.start)
        return index

    def _find(self, phrase: Phrase, before: int) -> int | None:
        """Returns the group that a phrase speaks of again, or None for a new one."""

        def fits(group: Stated) -> bool:
            return (
                group.kind == phrase.kind
                and (phrase.any_color is None or group.color in {None, phrase.any_color})
                and (phrase.any_size is None or group.size in {None, phrase.any_size})
                and (phrase.count is None or group.count in {None, phrase.count})
            )

        candidates = [i for i, group in enumerate(self.groups) if fits(group)]
        if not phrase.definite:
            # Within one sentence "a red cube and a cube" are two; across sentences it is the same.
            candidates = [
                i
                for i in candidates
                if i < before
                or (
                    self.groups[i].color == phrase.any_color
                    and self.groups[i].size == phrase.any_size
                )
            ]
        exact = [
            i
            for i in candidates
            if self.groups[i].color == phrase.any_color
            and (phrase.any_size is None or self.groups[i].size == phrase.any_size)
        ]
        if exact:
            return exact[0]
        if candidates:
            return candidates[-1] if self.antecedent in candidates[-1:] else candidates[0]
        if phrase.definite and phrase.count is None:
            # "The ball is blue" after "a red ball" contradicts; the first statement stands.
            same = [
                i
                for i, group in enumerate(self.groups)
                if group.kind == phrase.kind and phrase.color in {None, group.color}
            ]
            if len(same) == 1 and phrase.color is None and phrase.said_color is not None:
                phrase.said_color = None
                return same[0]
        return None

    # Where things stand

    def _relations(self, sentence: Sentence, here: list[tuple[Phrase, int | None]]) -> None:
        subject: int | None = None
        previous: int | None = None
        fronted: tuple[Direction, int] | None = None
        position = 0
        known = [(p, i) for p, i in here if p.role != "thing"]
        for phrase, index in known:
            gap = sentence.gap(position, phrase.start)
            position = phrase.end
            match = _last(_RELATION, gap)
            if fronted is not None and index is not None and match is None:
                self._relate(index, fronted[0], fronted[1], phrase.start)
                fronted = None
            elif match is not None:
                fronted = self._joined(match, gap, phrase, (subject, previous, index)) or fronted
            if index is not None:
                previous = index
                subject = index if subject is None else subject
        match = _last(_RELATION, sentence.gap(position, len(sentence.tokens)))
        if match is not None and previous is not None:
            self._trailing(match, subject, previous, position)

    def _joined(
        self,
        match: re.Match[str],
        gap: str,
        phrase: Phrase,
        indices: tuple[int | None, int | None, int | None],
    ) -> tuple[Direction, int] | None:
        """Takes in a relation word between two phrases; returns one that lacks its subject."""
        subject, previous, index = indices
        direction, side = _direction(match)
        lead = gap[: match.start()]
        tail = gap[match.end() :].strip(" ,")
        if side and not (match.groupdict()["of1"]):
            # "on the left" without "of": a place in the picture, or beside what came before.
            pronoun = bool(_PRONOUN.search(match[0]))
            if pronoun and previous is not None:
                self._beside(subject, previous, direction, phrase.start)
            elif previous is not None and not re.search(r"(?:,|and|while|;)\s*$", lead):
                self.sides[previous] = direction
            elif index is not None:
                self.sides[index] = direction
            return None
        if _PRONOUN.match(tail) and previous is not None:
            self._beside(subject, previous, direction, phrase.start)
            return None
        if index is None:
            return None
        if previous is None:
            if _PRONOUN.search(lead) and self.antecedent is not None:
                self._relate(self.antecedent, direction, index, phrase.start)
                return None
            return direction, index
        whose = previous
        if re.search(r",|\band\b", lead) and not re.search(r"\b(?:which|that)\b", lead):
            whose = previous if subject is None else subject
        self._relate(whose, direction, index, phrase.start)
        return None

    def _trailing(
        self, match: re.Match[str], subject: int | None, previous: int, position: int
    ) -> None:
        """Takes in a relation word after the last phrase: "… with a star above it"."""
        direction, side = _direction(match)
        if side and not match.groupdict()["of1"] and not _PRONOUN.search(match[0]):
            self.sides[previous] = direction
        else:
            self._beside(subject, previous, direction, position)

    def _beside(self, subject: int | None, previous: int, direction: Direction, at: int) -> None:
        """States where `previous` stands relative to what the sentence (or the last) is about."""
        other = subject if subject not in {None, previous} else self.antecedent
        if other is not None:
            self._relate(previous, direction, other, at)

    def _relate(self, subject: int, direction: Direction, obj: int, at: int) -> None:
        if subject == obj:
            return
        for index, known in enumerate(self.relations):
            if (known.subject, known.direction, known.object) in {
                (subject, direction, obj),
                (obj, OPPOSITE[direction], subject),
            }:
                self._state("relation", index, at)
                return
        self.relations.append(Relation(subject, direction, obj))
        self._state("relation", len(self.relations) - 1, at)

    def _sides(self) -> None:
        """Turns "on the left … on the right" into a relation between the two."""
        self.said, self.alone_relation = "", False
        for one, other in (("left of", "right of"), ("above", "below")):
            firsts = [i for i, side in self.sides.items() if side == one]
            seconds = [i for i, side in self.sides.items() if side == other]
            for first in firsts:
                for second in seconds:
                    self._relate(first, cast("Direction", one), second, 0)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Returns the last match, or None."""
    found = list(pattern.finditer(text))
    return found[-1] if found else None


def _direction(match: re.Match[str]) -> tuple[Direction, bool]:
    """Returns the direction of a relation word and whether it may be a place in the picture."""
    parts = match.groupdict()
    if parts["side"]:
        return cast("Direction", f"{parts['side']} of"), True
    if parts["side2"]:
        return cast("Direction", f"{parts['side2']} of"), False
    if parts["end"]:
        return ("above" if parts["end"] in {"top", "upper"} else "below"), True
    return ("above" if parts["above"] else "below"), False


__all__ = [
    "MAX_COUNT",
    "MAX_GROUPS",
    "MAX_SIGN",
    "Clause",
    "ClauseKind",
    "Mention",
    "Reading",
    "Stated",
    "read",
    "sign_text",
]
