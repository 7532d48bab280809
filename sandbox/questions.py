"""Yes/no questions: what a prompt demands, asked; and answered from what the eyes saw.

The answers use nothing but a `Percept`, that is what `vision.py` made of the pixels. Questions are
read by the same phrases as prompts, so a person's own wording works as well as the decomposer's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from .grammar import ClauseKind, Reading, Stated, read, sign_text
from .lexicon import (
    COLOR_WORDS,
    DEFINITE,
    GROUPING,
    INDEFINITE,
    NUMBER_WORDS,
    OPPOSITE,
    RELATION_PATTERN,
    SAY_WORDS,
    SIZE_WORDS,
    TEXT_WORDS,
    kind_of,
    number_of,
    plural,
    words,
)
from .phrases import Phrase, Sentence, sentences_of
from .scene import Direction, Scene
from .vision import stands

if TYPE_CHECKING:
    from ..records import Answer, RequirementKind
    from .vision import Percept, Thing

_ABSENCE_CONFIDENCE = 0.93
"""Confidence in "there is none": the eyes report no confidence for what they did not see."""

_RELATION = re.compile(RELATION_PATTERN)
_YES_NO = re.compile(
    r"^\s*(?:is|are|does|do|can|has|have|was|were|did|will|should)\b", re.IGNORECASE
)
_FREE_OF = re.compile(
    r"^\s*(?:is|are) (?:the|this) (?:image|picture|scene|photo) free (?:of|from) "
    r"(?P<what>.+?)\??\s*$",
    re.IGNORECASE,
)
_SHOWS = re.compile(r"^\s*does the image show this:\s*", re.IGNORECASE)
_FUNCTION = frozenset(
    words(
        "is are was were be been does do did can has have will should there any a an the this "
        "that these those of to in on at it they them one image picture scene photo "
        "illustration visible shown seen depicted drawn present show shows contain contains "
        "depict depicts include includes see you we and both all each every exactly only just "
        "clearly directly number total least most more than fewer less placed located "
        "positioned standing stand side sides hand located somewhere indeed correctly legible "
        "legibly readable spelled written with which color colour colored coloured in from , "
        "( ) : 's overall anywhere entirely completely strictly very"
    )
)
_KNOWN = (
    _FUNCTION
    | DEFINITE
    | INDEFINITE
    | set(COLOR_WORDS)
    | set(SIZE_WORDS)
    | set(GROUPING)
    | set(NUMBER_WORDS)
    | SAY_WORDS
    | TEXT_WORDS
    | {"sign", "signboard", "banner", "board", "background", "backdrop", "canvas", "top", "shape"}
    | {"shapes", "no", "not", "without", "plain", "solid", "dozen"}
) - {"many", "several", "few"}


@dataclass(frozen=True)
class Claim:
    """One atomic fact that a prompt demands, as a question with yes for an answer.

    Attributes:
        question: The yes/no question.
        kind: As the graph's records have it.
        depends_on: Indices of the claims without which it is meaningless.
        clause: Which clause of the reading it asks about, or None for an unknown thing.
        index: Index of the group or relation of that clause.
    """

    question: str
    kind: RequirementKind
    depends_on: tuple[int, ...] = ()
    clause: ClauseKind | None = None
    index: int = 0


@dataclass(frozen=True)
class Judgement:
    """An answer with its reason.

    Attributes:
        answer: `unknown` where the question was not understood or the eyes can't tell.
        confidence: In 0..1.
        rationale: One sentence on what is seen.
    """

    answer: Answer
    confidence: float
    rationale: str


def claims_of(reading: Reading) -> list[Claim]:
    """Returns what a reading demands, one question for each atomic fact, objects first.

    Counts, attributes and relations depend on the presence of their objects. Unknown things are
    asked for as well; that they can't be judged here is the verifier's answer, not a reason to
    drop what the user wants.
    """
    claims: list[Claim] = []
    groups = reading.groups
    kinds = [group.kind for group in groups]
    here: dict[int, int] = {}
    for index, group in enumerate(groups):
        same = kinds[: index + 1].count(group.kind)
        here[index] = len(claims)
        if same == 1:
            question = f"Is there {_article(group.kind)}?"
        else:
            question = f"Are there at least {NUMBER_WORDS[same]} {plural(group.kind)}?"
        claims.append(Claim(question, "object", (), "object", index))
    for noun in reading.unknown:
        asked = f"Are there any {noun}?" if noun.endswith("s") else f"Is there {_article(noun)}?"
        claims.append(Claim(asked, "object"))
    stated = {(clause.kind, clause.index) for clause in reading.clauses}
    for index, group in enumerate(groups):
        name, many = _name(groups, index)
        needs = (here[index],)
        if group.color and kinds.count(group.kind) > 1:
            claims.append(
                Claim(
                    f"Is there {_article(f'{group.color} {group.kind}')}?",
                    "attribute",
                    needs,
                    "color",
                    index,
                )
            )
            needs = (len(claims) - 1,)
        elif group.color:
            verb = "Are" if many else "Is"
            claims.append(
                Claim(f"{verb} the {name} {group.color}?", "attribute", needs, "color", index)
            )
        if group.size and ("size", index) in stated:
            verb = "Are" if many else "Is"
            claims.append(
                Claim(f"{verb} the {name} {group.size}?", "attribute", needs, "size", index)
            )
        if group.count is not None and ("count", index) in stated:
            number = NUMBER_WORDS[group.count] if group.count < 13 else str(group.count)
            verb = "Is" if group.count == 1 else "Are"
            claims.append(
                Claim(f"{verb} there exactly {number} {name}?", "count", needs, "count", index)
            )
    for index, relation in enumerate(reading.relations):
        subject, many = _name(groups, relation.subject)
        other, _ = _name(groups, relation.object)
        where = relation.direction
        where_words = f"to the {where}" if where.endswith("of") else where
        claims.append(
            Claim(
                f"{'Are' if many else 'Is'} the {subject} {where_words} the {other}?",
                "relation",
                tuple(sorted({here[relation.subject], here[relation.object]})),
                "relation",
                index,
            )
        )
    if reading.sign is not None:
        claims.append(Claim(f'Does the sign say "{reading.sign}"?', "text", (), "text"))
    if reading.background is not None:
        claims.append(
            Claim(f"Is the background {reading.background}?", "attribute", (), "background")
        )
    claims += [Claim(f"Is the image free of {noun}?", "object") for noun in reading.absent]
    return claims


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _name(groups: tuple[Stated, ...], index: int) -> tuple[str, bool]:
    """Returns what to call a group in a question, and whether it is many."""
    group = groups[index]
    many = (group.count or 1) > 1 or (group.plural and group.count is None)
    noun = plural(group.kind) if many else group.kind
    several = [other.kind for other in groups].count(group.kind) > 1
    return (f"{group.color} {noun}" if several and group.color else noun), many


def true_of(claim: Claim, reading: Reading, scene: Scene) -> bool | None:
    """Returns whether a claim about `reading` holds in a painted scene; None where it is open.

    This is the painter's truth, for benchmarks: it compares plain data and looks at no picture.
    """
    if claim.clause == "background":
        return scene.background == reading.background
    if claim.clause == "text":
        return scene.sign == sign_text(reading.sign or "")
    if claim.clause is None:
        return None

    def found(index: int) -> list[int]:
        group = reading.groups[index]
        several = [other.kind for other in reading.groups].count(group.kind) > 1
        return [
            i
            for i, g in enumerate(scene.groups)
            if g.kind == group.kind and (not several or g.color == group.color)
        ]

    if claim.clause == "relation":
        relation = reading.relations[claim.index]
        ones, others = found(relation.subject), found(relation.object)
        if not ones or not others:
            return False
        known = set()
        for r in scene.relations:
            known |= {
                (r.subject, r.direction, r.object),
                (r.object, OPPOSITE[r.direction], r.subject),
            }
        answers: set[bool | None] = set()
        for one in ones:
            for other in others:
                if (one, relation.direction, other) in known:
                    answers.add(True)
                elif (one, OPPOSITE[relation.direction], other) in known:
                    answers.add(False)
                else:
                    answers.add(None)
        return False if False in answers else answers == {True} or None
    group = reading.groups[claim.index]
    if claim.clause == "object":
        same = [other.kind for other in reading.groups][: claim.index + 1].count(group.kind)
        return sum(g.count for g in scene.groups if g.kind == group.kind) >= same
    matching = [scene.groups[i] for i in found(claim.index)]
    if claim.clause == "color":
        return bool(matching) and all(g.color == group.color for g in matching)
    if claim.clause == "size":
        return bool(matching) and all(g.size == group.size for g in matching)
    return sum(g.count for g in matching) == group.count


# Answering


def answer(question: str, percept: Percept, size: tuple[int, int]) -> Judgement:
    """Returns the answer to a yes/no question about a picture that the eyes have looked at.

    Args:
        question: In plain English; what it can't read is answered with `unknown`.
        percept: What the eyes saw.
        size: Width and height of the picture in pixels, for "on the left side of the image".
    """
    if (free := _FREE_OF.match(question)) is not None:
        return _free_of(free["what"], percept)
    text, shown = _SHOWS.subn("", question)
    if not shown and not _YES_NO.match(question):
        return _unknown("This is not a yes/no question that the sandbox can read.")
    found: list[Judgement] = []
    if shown:
        found = [answer(claim.question, percept, size) for claim in claims_of(read(text))]
    for sentence in [] if shown else sentences_of(text):
        if strange := _strange(sentence):
            return _unknown(f"The sandbox's eyes can't judge “{strange}”.")
        found += _sentence(sentence, percept, size)
    if not found:
        return _unknown("The question names nothing that the sandbox's eyes know.")
    wrong = [item for item in found if item.answer == "no"]
    open_ = [item for item in found if item.answer == "unknown"]
    if wrong or open_:
        return (wrong or open_)[0]
    return Judgement("yes", min(item.confidence for item in found), found[-1].rationale)


def _unknown(reason: str) -> Judgement:
    return Judgement("unknown", 0.5, reason)


def _strange(sentence: Sentence) -> str:
    """Returns the first word of a question that the grammar has no meaning for, or ""."""
    things = [phrase.noun for phrase in sentence.phrases if phrase.role == "thing"]
    if things:
        return things[0]
    related = {
        word
        for match in _RELATION.finditer(sentence.gap(0, len(sentence.tokens)))
        for word in match[0].split()
    }
    signs = {
        at
        for phrase in sentence.phrases
        if phrase.role == "sign"
        for at in range(phrase.start, phrase.end)
    }
    for at, token in enumerate(sentence.tokens):
        known = token.low in _KNOWN or token.low in related or kind_of(token.low) is not None
        if not known and number_of(token.low) is None and token.kind == "word" and at not in signs:
            return token.low
    return ""


def _sentence(sentence: Sentence, percept: Percept, size: tuple[int, int]) -> list[Judgement]:
    phrases = list(sentence.phrases)
    if not phrases:
        return []
    if any(phrase.role == "thing" for phrase in phrases):
        noun = next(phrase.noun for phrase in phrases if phrase.role == "thing")
        return [_unknown(f"The sandbox's eyes can't recognise “{noun}”.")]
    whole = sentence.gap(0, len(sentence.tokens))
    placed = [p for p in phrases if p.role in {"group", "sign"}]
    matches = list(_RELATION.finditer(whole))
    match = matches[-1] if matches else None
    judgements: list[Judgement] = []
    if match is not None and not (len(placed) == 1 and placed[0].role == "sign"):
        relation = _relation(match, placed, sentence, percept, size)
        if relation is None:
            return [_unknown("The sandbox can't tell what stands where in this question.")]
        judgements.append(relation)
        phrases = [p for p in phrases if not p.definite]
    elif len({p.role for p in phrases}) == 1 and len(phrases) > 1 and phrases[-1].said_color:
        # "Are the cubes and the ball red?": what is said at the end is said of all.
        for phrase in phrases[:-1]:
            phrase.said_color = phrase.said_color or phrases[-1].said_color
    first = [_phrase(phrase, percept) for phrase in phrases]
    return [*(item for item in first if item is not None), *judgements]


def _phrase(phrase: Phrase, percept: Percept) -> Judgement | None:
    """Returns whether what one phrase says is so."""
    if phrase.role == "background":
        if phrase.any_color is None:
            return _unknown("Only the background's colour can be judged.")
        seen = f"The background is {percept.background}."
        return _settled(percept.background == phrase.any_color, _ABSENCE_CONFIDENCE + 0.05, seen)
    if phrase.role == "sign":
        return _sign(phrase, percept)
    wanted = phrase.definite and not phrase.negated
    color = phrase.color if wanted else phrase.any_color
    size = phrase.size if wanted else phrase.any_size
    things = _matching(percept, phrase.kind, color, size)
    seen = _seen(percept, phrase.kind)
    if phrase.negated:
        return _settled(not things, _sure(things), seen)
    if not things:
        return _settled(False, _ABSENCE_CONFIDENCE, seen)
    if wanted and (phrase.said_color or phrase.said_size):
        right = all(
            phrase.said_color in {None, thing.color} and phrase.said_size in {None, thing.size}
            for thing in things
        )
        return _settled(right, _sure(things), seen)
    if phrase.count is not None and phrase.counted:
        number = len(things)
        right = {
            "exactly": number == phrase.count,
            "at least": number >= phrase.count,
            "at most": number <= phrase.count,
            "more than": number > phrase.count,
            "fewer than": number < phrase.count,
        }[phrase.comparison]
        return _settled(right, _sure(things), seen)
    return _settled(True, _sure(things), seen)


def _sign(phrase: Phrase, percept: Percept) -> Judgement:
    seen = f"The sign reads “{percept.sign}”." if percept.sign else "No sign is visible."
    if phrase.negated:
        return _settled(not percept.sign, _ABSENCE_CONFIDENCE, seen)
    if not phrase.text:
        return _settled(bool(percept.sign), _ABSENCE_CONFIDENCE, seen)
    wanted = " ".join(phrase.text.upper().split()).strip(" .,!?")
    return _settled(" ".join(percept.sign.upper().split()) == wanted, 0.95, seen)


def _relation(
    match: re.Match[str],
    placed: list[Phrase],
    sentence: Sentence,
    percept: Percept,
    size: tuple[int, int],
) -> Judgement | None:
    """Returns whether two groups stand as asked; None when the question is not about two."""
    parts = match.groupdict()
    side = parts["side"] or parts["side2"]
    is_place = bool((parts["side"] and not parts["of1"]) or parts["end"])
    if side:
        direction = f"{side} of"
    elif parts["end"]:
        direction = "above" if parts["end"] in {"top", "upper"} else "below"
    else:
        direction = "above" if parts["above"] else "below"
    if len(placed) == 1:
        absolute = is_place or re.search(r"of the (?:image|picture|scene)", sentence.gap(0, 99))
        return _place(placed[0], direction, percept, size) if absolute else None
    if len(placed) != 2:
        return None
    one, other = placed
    if one.role == "sign" or other.role == "sign":
        if not percept.sign:
            return _settled(False, _ABSENCE_CONFIDENCE, "No sign is visible.")
        # The eyes read signs only along the top edge, so everything else is below.
        right = direction == ("above" if one.role == "sign" else "below")
        return _settled(right, 0.9, "The sign hangs at the top.")
    ones = _matching(percept, one.kind, one.any_color, one.any_size)
    others = _matching(percept, other.kind, other.any_color, other.any_size)
    for phrase, things in ((one, ones), (other, others)):
        if not things:
            return _settled(False, _ABSENCE_CONFIDENCE, _seen(percept, phrase.kind))
    right = stands(ones, cast("Direction", direction), others)
    verb = "are" if len(ones) > 1 else "is"
    seen = f"The {one.noun} {verb} {'' if right else 'not '}{direction} the {other.noun}."
    return _settled(right, _sure([*ones, *others]), seen)


def _place(
    phrase: Phrase, direction: str, percept: Percept, size: tuple[int, int]
) -> Judgement | None:
    """Returns whether things stand in a half of the picture; None for the sign."""
    if phrase.role != "group":
        return None
    things = _matching(percept, phrase.kind, phrase.any_color, phrase.any_size)
    if not things or not percept.things:
        return _settled(False, _ABSENCE_CONFIDENCE, _seen(percept, phrase.kind))
    axis = 0 if direction in {"left of", "right of"} else 1
    middle = size[axis] / 2
    low = direction in {"left of", "above"}
    right = all((_centre(thing)[axis] < middle) == low for thing in things)
    return _settled(right, _sure(things), _seen(percept, phrase.kind))


def _free_of(what: str, percept: Percept) -> Judgement:
    found = [p for sentence in sentences_of(f"no {what}") for p in sentence.phrases]
    if not found or any(phrase.role in {"thing", "background"} for phrase in found):
        return _unknown(f"The sandbox's eyes can't recognise “{what}”.")
    for phrase in found:
        phrase.negated = True
    judgements = [item for phrase in found if (item := _phrase(phrase, percept)) is not None]
    return next((item for item in judgements if item.answer != "yes"), judgements[0])


def _matching(percept: Percept, kind: str, color: str | None, size: str | None) -> list[Thing]:
    return [
        thing
        for thing in percept.things
        if thing.kind == kind and color in {None, thing.color} and size in {None, thing.size}
    ]


def _seen(percept: Percept, kind: str) -> str:
    """Returns one sentence on the things of a kind that are visible."""
    counts: dict[str, int] = {}
    for thing in percept.things:
        if thing.kind == kind:
            words = f"{thing.size} {thing.color}"
            counts[words] = counts.get(words, 0) + 1
    if not counts:
        return f"No {kind} is visible."
    parts = [f"{n} {words} {plural(kind) if n > 1 else kind}" for words, n in counts.items()]
    return f"Visible: {', '.join(parts)}."


def _centre(thing: Thing) -> tuple[float, float]:
    left, top, right, bottom = thing.box
    return (left + right) / 2, (top + bottom) / 2


def _sure(things: list[Thing]) -> float:
    """Returns the confidence in a statement about these things: that of the least certain."""
    return min((thing.confidence for thing in things), default=_ABSENCE_CONFIDENCE)


def _settled(right: bool, confidence: float, seen: str) -> Judgement:
    return Judgement("yes" if right else "no", min(max(confidence, 0.5), 0.99), seen)
