"""The sandbox's planner: picks a skill by its description and writes the first prompts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .advice import Advice, advice_of
from .emphasis import ClauseKey, advised, emphasis
from .grammar import ClauseKind, Reading, read
from .lexicon import BOUNDARIES, COLOR_WORDS, words
from .questions import claims_of
from .wording import definite, indefinite, listed, relation_words, sentences_for

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORD = re.compile(r"[a-z][a-z']+")
_NOT_FOR = re.compile(r"\b(?:not|never|except|unless|don't|do not)\b[^.;]*[.;]?", re.IGNORECASE)
_EXAMPLES = re.compile(r"\b(?:such as|for example|e\.g\.)[^.;]*", re.IGNORECASE)
_SKILL_LINE = re.compile(r"^- (?P<name>[^:\s]+): (?P<description>.+)$", re.MULTILINE)
_COMMON = frozenset(
    words(
        "a an the use used when where prompt prompts asks asked ask thing things that this "
        "these those such make makes keep keeps come comes out right one more other each its "
        "it with without under over about very plain just some any stand stands background "
        "scene read everything says say all at shows show called like"
    )
) - {"says", "say"}
_PICTURE_WORDS = frozenset(
    words(
        "image picture scene view composition design style color colour background top bottom "
        "part object thing item size large small medium"
    )
)
_TELLING = frozenset(
    words("left right above below behind inside between next says say reads holding")
)
"""Joints of a sentence that tell what a prompt is about."""
_KINDS_IN_LESSONS: tuple[tuple[ClauseKind, str], ...] = (
    ("count", r"\b(?:counts?|counting|numbers?|quantit\w+|exactly)\b"),
    ("relation", r"\b(?:left|right|above|below|relations?|positions?|places?|layout|spatial)\b"),
    ("text", r"\b(?:signs?|text|letters?|spell\w*|words on)\b"),
    ("color", r"\bcolou?rs?\b"),
    ("size", r"\b(?:sizes?|small|large)\b"),
    ("background", r"\b(?:background|backdrop)\b"),
    ("object", r"\b(?:missing|objects?|groups?)\b"),
)
FITS = 1.25
"""Words in common, rare ones counting more, from which a skill "really fits"."""


def choose_skill(prompt: str, skills: str) -> str | None:
    """Returns the name of the skill whose name and description fit the prompt best, or None.

    Compares words, nothing else: what a description excludes ("Not for …") or gives as an
    example is left out, and words that many descriptions share count less. No skill is known by
    its name.

    Args:
        prompt: The user's prompt.
        skills: Lines `- name: description`.
    """
    known = {m["name"]: m["description"] for m in _SKILL_LINE.finditer(skills)}
    told = {
        name: _stems(f"{name} {_EXAMPLES.sub(' ', _NOT_FOR.sub(' ', text))}")
        for name, text in known.items()
    }
    wanted = _stems(prompt)
    spread = {word: sum(word in own for own in told.values()) for word in wanted}
    best, most = None, 0.0
    for name, own in told.items():
        fit = sum(spread[word] ** -0.5 for word in wanted & own)
        fit += len(wanted & _stems(name))
        if fit > most:
            best, most = name, fit
    return best if most >= FITS else None


def _stems(text: str) -> set[str]:
    """Returns the content words of a text without their endings."""
    skipped = _COMMON | _PICTURE_WORDS | set(COLOR_WORDS) | (BOUNDARIES - _TELLING)
    found = set()
    for word in _WORD.findall(text.lower().replace("-", " ")):
        if word not in skipped and len(word) > 2:
            found.add(re.sub(r"(?<=\w{3})(?:ing|ed|es|s|e)$", "", word))
    return found


def first_prompts(prompt: str, candidates: int, lessons: str = "") -> list[str]:
    """Returns `candidates` prompts of different structure for a user's prompt.

    A prompt that holds more than the grammar can place stays whole, and only what was understood
    is put in front; what was understood entirely is written anew.

    Args:
        prompt: The user's prompt.
        candidates: How many, at least 1.
        lessons: What earlier tasks taught. Facts for which they quote a wording that helped are
            said in that wording first; where they quote none, the kinds of facts that they speak
            of come first.
    """
    reading = read(prompt)
    advice = advice_of(lessons)
    lifted = [] if advice else _lifted(reading, lessons)
    written: list[str] = []
    for turn in range(candidates * 3):
        text = (
            _structure(reading, turn, lifted)
            if understood(reading)
            else _kept(prompt, reading, turn)
        )
        text = _as_advised(reading, advice, text)
        if text not in written:
            written.append(text)
        if len(written) == candidates:
            break
    return written or [prompt]


def _as_advised(reading: Reading, advice: Advice, text: str) -> str:
    """Returns the text with what lessons advise said first, unless that would bend a fact."""
    said = [advised(reading, (clause.kind, clause.index), advice) for clause in reading.clauses]
    front = [sentence for sentence in dict.fromkeys(said) if sentence and sentence not in text]
    if not front:
        return text
    demanded = {claim.question for claim in claims_of(reading)}
    for parts in ([*front, text], [text, *front]):
        new = " ".join(parts)
        if demanded == {claim.question for claim in claims_of(read(new))}:
            return new
    return text


def understood(reading: Reading) -> bool:
    """Returns whether a reading holds all of its prompt, as far as the grammar can tell."""
    return bool(reading.clauses) and not reading.unknown and not reading.absent


def _kept(prompt: str, reading: Reading, turn: int) -> str:
    """Returns the user's own words, with one understood clause said again in front."""
    if turn == 0 or not reading.clauses:
        return (
            prompt
            if turn == 0
            else f"{prompt.rstrip(' .')}. Seen from the front, all of it in view."
        )
    clause = reading.clauses[(turn - 1) % len(reading.clauses)]
    return f"{emphasis(reading, (clause.kind, clause.index), turn)} {prompt}"


def _lifted(reading: Reading, lessons: str) -> list[ClauseKey]:
    kinds = [kind for kind, words in _KINDS_IN_LESSONS if re.search(words, lessons.lower())]
    # A lesson that speaks of everything singles nothing out.
    if len(kinds) > 3:
        return []
    return [(c.kind, c.index) for kind in kinds for c in reading.clauses if c.kind == kind]


def _structure(reading: Reading, turn: int, lifted: Iterable[ClauseKey]) -> str:
    """Returns a prompt that says all of a reading, in one of four structures."""
    first = [emphasis(reading, key, turn) for key in lifted]
    groups, relations = reading.groups, reading.relations
    ends: tuple[tuple[ClauseKind, bool], ...] = (
        ("text", reading.sign is not None),
        ("background", bool(reading.background)),
    )
    tail = [emphasis(reading, (kind, 0), turn // 4) for kind, there in ends if there]
    sentences = sentences_for(reading)
    if turn % 4 == 0:
        # What stands where first, each group introduced where it is needed.
        said: set[int] = set()
        body = []
        for relation in relations:
            names = []
            for index in (relation.subject, relation.object):
                group = groups[index]
                single = (group.count or 1) == 1 and not group.plural
                again = index in said and single
                names.append(definite(group) if again else indefinite(group))
                said.add(index)
            body.append(f"{names[0]} {relation_words(relation)} {names[1]}.")
        body += [f"{indefinite(g)}." for i, g in enumerate(groups) if i not in said]
        parts = body + tail
    elif turn % 4 == 1:
        parts = sentences
    elif turn % 4 == 2:
        parts = [*tail, *(s for s in sentences if s not in _tail_sentences(reading))]
    else:
        parts = [f"{listed([indefinite(g) for g in groups])}." if groups else "", *tail]
        parts += [emphasis(reading, ("relation", i), turn // 4) for i in range(len(relations))]
    return " ".join(f"{part[0].upper()}{part[1:]}" for part in [*first, *parts] if part)


def _tail_sentences(reading: Reading) -> list[str]:
    """Returns the sentences of `sentences_for` about sign and background."""
    return sentences_for(reading)[len(reading.groups) + len(reading.relations) :]
