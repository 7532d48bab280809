"""Finds the noun phrases of a text in the sandbox's English: first half of the grammar.

A phrase is what a noun and the words around it say: "exactly three small cubes, all of them red".
`grammar.py` puts phrases together to a reading, `questions.py` to a question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .lexicon import (
    BACKGROUND_WORDS,
    BOUNDARIES,
    COLOR_WORDS,
    DEFINITE,
    GENERIC_NOUNS,
    GROUPING,
    INDEFINITE,
    NEGATIONS,
    PLURAL,
    SAY_WORDS,
    SIGN_WORDS,
    SINGULAR,
    SIZE_WORDS,
    TEXT_WORDS,
    kind_of,
    number_of,
    words,
)

_TOKEN = re.compile(
    r'"(?P<q1>[^"\n]{1,200})"|“(?P<q2>[^”\n]{1,200})”'
    r"|(?<!\w)'(?P<q3>[^'\n]{1,200})'(?!\w)|(?<!\w)‘(?P<q4>[^’\n]{1,200})’(?!\w)"
    r"|(?P<word>\w+(?:['’\-]\w+)*)|(?P<mark>[^\w\s])|(?P<line>\n+)"
)
_AFTER_NOUN = frozenset(
    words(
        ", ( : it they is are all each both of them must be "
        "should colored coloured painted in very "
        "bright solid pure a the color colour that which exactly precisely clearly and shade "
        "plain completely only entirely number total there really has have also an strictly "
        "uniformly"
    )
)
"""What may stand between a noun and a colour, size or number said after it."""


Comparison = Literal["exactly", "at least", "at most", "more than", "fewer than"]
_COMPARISONS: tuple[tuple[tuple[str, str], Comparison], ...] = (
    (("at", "least"), "at least"),
    (("at", "most"), "at most"),
    (("more", "than"), "more than"),
    (("fewer", "than"), "fewer than"),
    (("less", "than"), "fewer than"),
)
_SIGN_TEXT_ENDS = frozenset(
    words(
        "on in under above below beneath over with and against at near to next the that which "
        "is are while hangs hanging in before behind beside a an all"
    )
)


@dataclass(frozen=True)
class Token:
    """One word, quoted passage or mark.

    Attributes:
        low: Lower case; the passage itself for a quotation.
        raw: As written.
        kind: What it is.
    """

    low: str
    raw: str
    kind: Literal["word", "quote", "mark"]


@dataclass
class Phrase:
    """What one noun phrase says.

    Attributes:
        role: A group of things the painter knows, the sign, the background, or an unknown thing.
        start: Index of its first token in the sentence.
        end: Index after its last token, words that follow the noun ("all red") included.
        noun: The noun as written, lower case.
        kind: Kind of object of a group.
        color: Colour said before the noun ("the red ball").
        size: Size said before the noun.
        said_color: Colour said after the noun ("the ball is red").
        said_size: Size said after the noun.
        count: Number, or None; 1 for "a".
        counted: Whether a number was said ("one cube", not "a cube").
        comparison: How the number is meant.
        plural: Whether the noun stands in the plural.
        definite: Whether it points back ("the cubes").
        negated: Whether it is said to be absent.
        text: What the sign says.
        side: Where in the picture it stands by itself ("on the left"), or "".
    """

    role: Literal["group", "sign", "background", "thing"]
    start: int
    end: int
    noun: str
    kind: str = ""
    color: str | None = None
    size: str | None = None
    said_color: str | None = None
    said_size: str | None = None
    count: int | None = None
    counted: bool = False
    comparison: Comparison = "exactly"
    plural: bool = False
    definite: bool = False
    negated: bool = False
    text: str = ""
    side: str = ""

    @property
    def any_color(self) -> str | None:
        """The colour said before or after the noun."""
        return self.color or self.said_color

    @property
    def any_size(self) -> str | None:
        """The size said before or after the noun."""
        return self.size or self.said_size


@dataclass(frozen=True)
class Sentence:
    """The tokens of one sentence and its noun phrases in order."""

    tokens: tuple[Token, ...]
    phrases: tuple[Phrase, ...]

    def gap(self, start: int, end: int) -> str:
        """Returns the lower-case words and marks of tokens `start` to `end`, spaced."""
        return " ".join(token.low for token in self.tokens[start:end])


def sentences_of(text: str) -> list[Sentence]:
    """Returns the sentences of a text with their noun phrases; never raises."""
    sentences: list[list[Token]] = [[]]
    for match in _TOKEN.finditer(text):
        quote = next((match[name] for name in ("q1", "q2", "q3", "q4") if match[name]), None)
        if quote is not None:
            sentences[-1].append(Token(quote, quote, "quote"))
            if quote.rstrip().endswith((".", "!", "?")) and text[match.end() : match.end() + 2] in {
                "",
                "\n",
            }:
                sentences.append([])
        elif match["word"]:
            word = match["word"].replace("’", "'")
            sentences[-1].append(Token(word.lower(), word, "word"))
        elif match["line"] or match["mark"] in {".", "!", "?", ";"}:
            sentences.append([])
        else:
            sentences[-1].append(Token(match["mark"], match["mark"], "mark"))
    return [_sentence(tokens, first=not i) for i, tokens in enumerate(filter(None, sentences))]


def _sentence(tokens: list[Token], *, first: bool) -> Sentence:
    """Returns one sentence with its phrases found."""
    phrases: list[Phrase] = []
    at = 0
    while at < len(tokens):
        phrase = _known(tokens, at, phrases[-1].end if phrases else 0)
        if phrase is None:
            at += 1
            continue
        phrases.append(phrase)
        at = max(at + 1, phrase.end)
    phrases += _unknown(tokens, phrases, first=first)
    phrases.sort(key=lambda phrase: phrase.start)
    return Sentence(tuple(tokens), tuple(phrases))


def _known(tokens: list[Token], at: int, floor: int) -> Phrase | None:
    """Returns the phrase whose noun is token `at`, if the sandbox knows that noun."""
    token = tokens[at]
    if token.kind == "quote":
        return Phrase("sign", at, at + 1, "text", text=token.raw)
    if token.kind == "mark":
        return None
    word = token.low
    following = tokens[at + 1].low if at + 1 < len(tokens) else ""
    if word in TEXT_WORDS or word in SIGN_WORDS or (word in SAY_WORDS and _quote_near(tokens, at)):
        return _sign(tokens, at, floor)
    if word in BACKGROUND_WORDS:
        phrase = Phrase("background", at, at + 1, word)
    else:
        kind = kind_of(word)
        if kind is None or (word in SINGULAR and _is_modifier(following)):
            return None
        phrase = Phrase("group", at, at + 1, word, kind=kind, plural=word in PLURAL)
        if word == "fish":
            phrase.plural = False
    _words_before(tokens, phrase, floor)
    _words_after(tokens, phrase)
    if phrase.role == "background" and phrase.any_color is None and word == "canvas":
        return None
    return phrase


def _is_modifier(following: str) -> bool:
    """Returns whether a noun before this word only describes it ("crescent moon")."""
    return bool(kind_of(following)) or following in GENERIC_NOUNS - set(COLOR_WORDS) - {
        "shape",
        "shapes",
        "clear",
        "left",
        "right",
    } - set(SIZE_WORDS)


def _words_before(tokens: list[Token], phrase: Phrase, floor: int) -> None:
    """Reads what stands before the noun: adjectives, number, determiner."""
    at = phrase.start - 1
    while at >= floor:
        word = tokens[at].low
        if tokens[at].kind == "quote":
            break
        if word == "," and at > floor and _describes(tokens[at - 1].low):
            at -= 1
            continue
        if word == "of" and at > floor and tokens[at - 1].low in GROUPING:
            phrase.count = phrase.count or GROUPING[tokens[at - 1].low]
            phrase.counted = phrase.count is not None
            phrase.start = at - 1
            at -= 2
            continue
        if word == "of" and at > floor and number_of(tokens[at - 1].low) is not None:
            at -= 1
            continue
        if word in DEFINITE:
            phrase.definite = True
            phrase.start = at
        elif word in NEGATIONS:
            phrase.negated = True
            phrase.start = at
            break
        elif word in INDEFINITE:
            phrase.start = at
            if word in {"a", "an", "single", "lone", "another"} and phrase.count is None:
                phrase.count = None if phrase.plural else 1
            phrase.counted = phrase.counted or word in {"single", "lone"}
        elif tokens[at].kind == "mark" or (word in BOUNDARIES and word not in {"left", "right"}):
            _comparison(tokens, phrase, at, floor)
            break
        elif (number := number_of(word)) is not None:
            phrase.count, phrase.counted = number, True
            phrase.start = at
        elif word in COLOR_WORDS and phrase.color is None:
            phrase.color = COLOR_WORDS[word]
            phrase.start = at
        elif word in SIZE_WORDS and phrase.size is None:
            phrase.size = SIZE_WORDS[word]
            phrase.start = at
        elif word in {"left", "right"}:
            break
        else:
            if phrase.count is not None or phrase.definite or _is_verb(word):
                _comparison(tokens, phrase, at, floor)
                break
            phrase.start = at
        at -= 1
    if phrase.count == 1 and phrase.plural:
        phrase.count = None


def _describes(word: str) -> bool:
    return word in COLOR_WORDS or word in SIZE_WORDS


def _is_verb(word: str) -> bool:
    return word in SAY_WORDS or word in {"depicts", "portrays"} or number_of(word) is not None


def _comparison(tokens: list[Token], phrase: Phrase, at: int, floor: int) -> None:
    """Reads "at least", "more than" … in front of the number."""
    pair = tuple(token.low for token in tokens[max(floor, at - 1) : at + 1])
    for sought, comparison in _COMPARISONS:
        if pair == sought and phrase.count is not None:
            phrase.comparison = comparison
            phrase.start = at - 1


def _words_after(tokens: list[Token], phrase: Phrase) -> None:
    """Reads what stands after the noun: "cubes, all red", "cubes (exactly 3)"."""
    at, budget = phrase.end, 7
    if at < len(tokens) and tokens[at].low in {"shape", "shapes"}:
        phrase.end = at = at + 1
    while at < len(tokens) and budget:
        word = tokens[at].low
        if tokens[at].kind == "quote":
            break
        number = number_of(word)
        is_said = _describes(word) or number is not None
        if is_said and _leads_to_noun(tokens, at + 1):
            break
        if _describes(word):
            if word in COLOR_WORDS:
                if phrase.any_color is not None and phrase.any_color != COLOR_WORDS[word]:
                    break
                phrase.said_color = COLOR_WORDS[word]
            else:
                if phrase.any_size is not None and phrase.any_size != SIZE_WORDS[word]:
                    break
                phrase.said_size = SIZE_WORDS[word]
            phrase.end, budget = at + 1, 5
        elif number is not None and phrase.role == "group" and tokens[at - 1].low != "one":
            if phrase.count is not None and phrase.count != number:
                break
            phrase.count, phrase.counted = number, True
            phrase.end, budget = at + 1, 5
        elif word not in _AFTER_NOUN:
            break
        at += 1
        budget -= 1


def _leads_to_noun(tokens: list[Token], at: int) -> bool:
    """Returns whether the words from here are adjectives that end in a noun of their own."""
    for token in tokens[at : at + 4]:
        if token.kind == "quote" or token.kind == "mark":
            return False
        word = token.low
        if kind_of(word) or word in BACKGROUND_WORDS or word in SIGN_WORDS:
            return True
        if word in BOUNDARIES or word in DEFINITE or word in INDEFINITE:
            return False
        if number_of(word) is not None or not (_describes(word) or word.isalpha()):
            return False
    return False


def _quote_near(tokens: list[Token], at: int) -> bool:
    return any(token.kind == "quote" for token in tokens[at + 1 : at + 3])


def _sign(tokens: list[Token], at: int, floor: int) -> Phrase:
    """Returns the sign phrase that starts at a sign word, with the text where it is said."""
    phrase = Phrase("sign", at, at + 1, tokens[at].low)
    _words_before(tokens, phrase, floor)
    said = tokens[at].low in TEXT_WORDS
    for there in range(at + 1, min(len(tokens), at + 14)):
        token = tokens[there]
        if token.kind == "quote":
            phrase.text, phrase.end = token.raw, there + 1
            return phrase
        if kind_of(token.low) and not said:
            return phrase
        said = said or token.low in SAY_WORDS or token.low in TEXT_WORDS
        if not said or (token.kind == "mark" and token.low != ":"):
            if token.low in {",", "("} and not said:
                return phrase
            continue
        if (
            token.low in SAY_WORDS
            or token.low in TEXT_WORDS
            or token.low in {":", "the", "exactly"}
        ):
            continue
        end = _bare_text(tokens, there)
        if end > there:
            phrase.text = " ".join(word.raw for word in tokens[there:end])
            phrase.end = end
        return phrase
    return phrase


def _bare_text(tokens: list[Token], at: int) -> int:
    """Returns where text without quotation marks ends: a run of capitals, else up to a joint."""
    end = at
    while end < len(tokens) and tokens[end].kind == "word":
        raw = tokens[end].raw
        capitals = raw == raw.upper()
        if end > at and tokens[at].raw == tokens[at].raw.upper() and not capitals:
            break
        if not capitals and tokens[end].low in _SIGN_TEXT_ENDS:
            break
        end += 1
    return end


def _unknown(tokens: list[Token], known: list[Phrase], *, first: bool) -> list[Phrase]:
    """Returns phrases that name a thing which the sandbox does not know ("a dragon")."""
    taken = {at for phrase in known for at in range(phrase.start, phrase.end)}
    found = []
    at = 0
    while at < len(tokens):
        word = tokens[at].low
        number = number_of(word)
        opens = word in {"a", "an", "some", "several", "many", "another"} or number is not None
        opens = opens or (word in NEGATIONS and word in {"no", "without"})
        bare = first and at == 0 and tokens[0].kind == "word" and word not in BOUNDARIES
        if at in taken or tokens[at].kind != "word" or not (opens or bare):
            at += 1
            continue
        end = start = at + 1 if opens else at
        while end < len(tokens) and end not in taken and _belongs(tokens, start, end):
            end += 1
        inside = [token.low for token in tokens[start:end]]
        while len(inside) > 1 and (
            inside[-1].endswith(("ed", "ly"))
            or (
                word in {"a", "an"}
                and inside[-1].endswith("s")
                and not inside[-1].endswith(("ss", "us"))
            )
        ):
            inside.pop()
            end -= 1
        meets_known = end < len(tokens) and end in taken
        of_kind = (
            end < len(tokens) and tokens[end].low == "of" and inside and inside[-1] in GENERIC_NOUNS
        )
        if inside and not of_kind and not (meets_known and not opens):
            head = inside[-1]
            is_filler = head in GENERIC_NOUNS or _describes(head) or head in GROUPING
            is_filler = is_filler or number_of(head) is not None or head.isdigit() or len(head) < 3
            is_filler = is_filler or head in DEFINITE or head in INDEFINITE or head in SAY_WORDS
            if not is_filler and (opens or end == len(tokens) or _goes_on(tokens[end])):
                negated = word in NEGATIONS
                plural = bool(number and number > 1) or word in {"some", "several", "many"}
                found.append(
                    Phrase("thing", at, end, head, count=number, plural=plural, negated=negated)
                )
        at = max(end, at + 1)
    return found


def _belongs(tokens: list[Token], start: int, end: int) -> bool:
    """Returns whether token `end` still belongs to the noun phrase that began at `start`."""
    token = tokens[end]
    if token.kind != "word" or token.low in BOUNDARIES or token.low in {"a", "an", "the"}:
        return False
    return not (end > start and token.low.endswith("ing") and len(token.low) > 5)


def _goes_on(token: Token) -> bool:
    """Returns whether a bare noun at the start of a text is followed by what follows a subject."""
    return token.low.endswith("ing") or token.low in BOUNDARIES or token.kind == "mark"
