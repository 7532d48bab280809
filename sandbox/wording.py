"""Writes plain English about scenes: the inverse of `grammar.py`."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .grammar import MAX_GROUPS, Reading, Stated, read
from .lexicon import NUMBER_WORDS, OPPOSITE, plural
from .questions import Claim, claims_of
from .scene import COLORS, OBJECT_KINDS, Direction, Group, Relation, Scene

STYLES = 4
"""How many structurally different wordings `describe` has."""

_PHRASES: dict[Direction, str] = {
    "left of": "to the left of",
    "right of": "to the right of",
    "above": "above",
    "below": "below",
}
_SIGN_WORDS = ("OPEN", "CAFE", "HELLO", "EXIT", "SALE", "BAKERY", "ROOM 12", "STOP HERE", "MUSEUM")


def article(words: str) -> str:
    """Returns the words with "a" or "an" in front."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def in_words(number: int) -> str:
    """Returns a number as a word up to twelve, as digits above."""
    return NUMBER_WORDS[number] if number < len(NUMBER_WORDS) else str(number)


def indefinite(group: Group | Stated) -> str:
    """Returns a group as it is introduced: "three small red cubes", "an orange fish"."""
    several = group.plural if isinstance(group, Stated) else False
    count = group.count
    noun = plural(group.kind) if (count or 1) > 1 or (several and count is None) else group.kind
    size = group.size if group.size != "medium" else None
    words = " ".join(part for part in (size, group.color, noun) if part)
    if count is None:
        return f"some {words}" if several else article(words)
    return article(words) if count == 1 else f"{in_words(count)} {words}"


def definite(group: Group | Stated, *, color: bool = True) -> str:
    """Returns a group as it is spoken of again: "the red cubes"."""
    several = (group.count or 1) > 1 or (isinstance(group, Stated) and group.plural)
    noun = plural(group.kind) if several else group.kind
    return f"the {group.color} {noun}" if color and group.color else f"the {noun}"


def be(group: Group | Stated) -> str:
    """Returns "is" or "are" for a group."""
    several = (group.count or 1) > 1 or (isinstance(group, Stated) and group.plural)
    return "are" if several else "is"


def relation_words(relation: Relation) -> str:
    """Returns a direction as it stands in a sentence: "to the left of"."""
    return _PHRASES[relation.direction]


def relation_sentence(groups: tuple[Stated, ...] | tuple[Group, ...], relation: Relation) -> str:
    """Returns one relation in a sentence of its own."""
    subject, obj = groups[relation.subject], groups[relation.object]
    return f"{definite(subject)} {be(subject)} {relation_words(relation)} {definite(obj)}."


def listed(parts: list[str]) -> str:
    """Returns "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def describe(scene: Scene, style: int = 0) -> str:
    """Returns a prompt for a scene, in one of `STYLES` wordings.

    `read(describe(scene, style)).scene(seed)` is the scene again, for every seed, when its groups
    differ in kind or colour and its relations are sorted.
    """
    style %= STYLES
    groups = scene.groups
    background = f"{article(scene.background)} background"
    if not groups:
        lead = f"An empty picture on {background}."
        return f'{lead} A sign says "{scene.sign}".' if scene.sign else lead
    used: set[Relation] = set()
    parts: list[str] = []
    if style == 0:
        at = 0
        while at < len(groups):
            inline = next(
                (r for r in scene.relations if (r.subject, r.object) == (at, at + 1)), None
            )
            if inline is None:
                parts.append(indefinite(groups[at]))
                at += 1
                continue
            used.add(inline)
            parts.append(
                f"{indefinite(groups[at])} {relation_words(inline)} {indefinite(groups[at + 1])}"
            )
            at += 2
        first = ", and ".join(parts)
        if scene.sign:
            first += f", under a sign that says {scene.sign}"
        sentences = [f"{first}, on {background}."]
    elif style == 1:
        sentences = [f"There {be(group)} {indefinite(group)}." for group in groups]
        if scene.sign:
            sentences.append(f'A sign at the top reads "{scene.sign}".')
        sentences.append(f"The background is {scene.background}.")
    elif style == 2:
        sentences = [f"A picture of {listed([indefinite(group) for group in groups])}."]
        if scene.sign:
            sentences.append(f'Above everything hangs a sign with the text "{scene.sign}".')
        sentences.append(f"Everything stands on {background}.")
    else:
        sentences = [f"On {background}: {listed([indefinite(group) for group in groups])}."]
        if scene.sign:
            sentences.append(f'The sign says "{scene.sign}".')
    for relation in scene.relations:
        if relation not in used:
            sentences.append(relation_sentence(groups, relation))
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


@dataclass(frozen=True)
class Sample:
    """A prompt of known meaning.

    Attributes:
        prompt: What a user would write.
        scene: The scene it describes.
        claims: The atomic facts it states, each true of `scene`.
    """

    prompt: str
    scene: Scene
    claims: tuple[Claim, ...]


def random_prompt(chance: random.Random, atoms: int) -> Sample:
    """Returns a random prompt that states exactly `atoms` facts (3 to 10).

    Args:
        chance: The source of all choices.
        atoms: Presence, count, colour and size of each group, each relation, the sign's text and
            the background count one each.

    Raises:
        ValueError: `atoms` is out of range.
    """
    if not 3 <= atoms <= 10:
        raise ValueError(f"atoms is {atoms}, not 3 to 10.")
    while True:
        number = chance.randint(1, min(MAX_GROUPS, (atoms - 1) // 2))
        extras = [(kind, i) for kind in ("count", "size") for i in range(number)]
        extras += [("relation", i) for i in range(1, number)] + [("text", 0)]
        spare = atoms - 2 * number - 1  # every prompt states its background
        if len(extras) >= spare:
            break
    chosen = set(chance.sample(extras, spare))
    background = chance.choice(["white", "gray", "pink", "yellow"])
    colors = chance.sample([c for c in COLORS if c not in {background, "white"}], number)
    kinds = chance.sample(OBJECT_KINDS, number)
    if number > 1 and chance.random() < 0.15:
        kinds[1] = kinds[0]
    groups = tuple(
        Group(
            kind,
            color,
            chance.choice(["small", "large"]) if ("size", i) in chosen else "medium",
            chance.randint(2, 5) if ("count", i) in chosen else 1,
        )
        for i, (kind, color) in enumerate(zip(kinds, colors, strict=True))
    )
    relations = []
    for i in range(1, number):
        if ("relation", i) in chosen:
            direction = chance.choice(sorted(OPPOSITE))
            relations.append(Relation(i - 1, direction, i))
    sign = chance.choice(_SIGN_WORDS) if ("text", 0) in chosen else ""
    scene = Scene(groups, tuple(relations), background, sign)
    prompt = describe(scene, chance.randrange(STYLES))
    return Sample(prompt, scene, tuple(claims_of(read(prompt))))


def sentences_for(reading: Reading) -> list[str]:
    """Returns a reading as plain sentences, one for each group, relation, sign, background."""
    sentences = [f"There {be(group)} {indefinite(group)}." for group in reading.groups]
    sentences += [relation_sentence(reading.groups, r) for r in reading.relations]
    if reading.sign is not None:
        sentences.append(f'A sign reads "{reading.sign}".')
    if reading.background is not None:
        sentences.append(f"The background is {reading.background}.")
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]
