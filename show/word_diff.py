"""What changed between two prompts, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

Change = Literal["kept", "deleted", "inserted"]

LARGEST = 4_000_000
"""Words of the old text times words of the new one up to which they are compared; above it the
comparison could take seconds, and the changed part is shown as one replacement. Two prompts of
10,000 characters stay below."""

_SINGLE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts written without spaces: every character is a word."""

_PUNCTUATION = r",.;:!?()\[\]{}\"“”„«»…、。，！？；：（）"

_TOKEN = re.compile(rf"\s+|[{_SINGLE}]|[{_PUNCTUATION}]|[^\s{_SINGLE}{_PUNCTUATION}]+")

_GLUE = re.compile(rf"[\s{_PUNCTUATION}]*")
"""What holds no word: kept alone between two changes it would only cut them into pieces."""


class Piece(NamedTuple):
    """A stretch of text.

    Attributes:
        change: Whether both texts have it, or only the old (deleted) or the new one (inserted).
        text: Never empty.
    """

    change: Change
    text: str


def word_diff(old: str, new: str) -> list[Piece]:
    """Returns the pieces of both texts in order.

    Kept and deleted pieces joined are `old`, kept and inserted ones `new`, always. Of neighbouring
    changes the deletion comes first.
    """
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    middle_old, middle_new = before[start : len(before) - end], after[start : len(after) - end]
    pieces = [Piece("kept", "".join(before[:start]))]
    if len(middle_old) * len(middle_new) > LARGEST:
        pieces += [Piece("deleted", "".join(middle_old)), Piece("inserted", "".join(middle_new))]
    else:
        matcher = SequenceMatcher(None, middle_old, middle_new, autojunk=False)
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind == "equal":
                pieces.append(Piece("kept", "".join(middle_old[a:b])))
            else:
                pieces.append(Piece("deleted", "".join(middle_old[a:b])))
                pieces.append(Piece("inserted", "".join(middle_new[c:d])))
    pieces.append(Piece("kept", "".join(before[len(before) - end :])))
    return _joined([piece for piece in pieces if piece.text])


def _common(one: list[str], other: list[str]) -> int:
    """Returns how many tokens both begin with."""
    same = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        same += 1
    return same


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Joins neighbouring changes, with the spaces and commas between them, to one replacement."""
    result: list[Piece] = []
    deleted = inserted = ""
    for number, (change, text) in enumerate(pieces):
        if change == "deleted":
            deleted += text
        elif change == "inserted":
            inserted += text
        elif (deleted or inserted) and number + 1 < len(pieces) and _GLUE.fullmatch(text):
            deleted += text
            inserted += text
        else:
            result += _changes(deleted, inserted)
            deleted = inserted = ""
            result.append(Piece("kept", text))
    return result + _changes(deleted, inserted)


def _changes(deleted: str, inserted: str) -> list[Piece]:
    return [
        piece for piece in (Piece("deleted", deleted), Piece("inserted", inserted)) if piece.text
    ]
