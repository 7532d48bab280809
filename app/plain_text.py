"""Text of files and people, made safe to show in a terminal."""

from __future__ import annotations

import unicodedata

from ..errors import InputError, SkillError

_KEPT = frozenset("\n\t\u200c\u200d")
"""Line breaks, tabs, and the two joiners that scripts and emoji need."""


def printable(text: str) -> str:
    r"""Returns text in which control and invisible characters are written out, as `\x1b`.

    A file from elsewhere can't move the cursor, recolour the terminal or hide words by them.
    """
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def as_mistake(error: SkillError) -> InputError:
    """Returns a skill's error as a wrong usage: about a name or path that a person typed."""
    hint = error.hint.replace("See the manifest.", "`gems skills list` shows what there is.")
    return InputError(printable(error.args[0]), hint=printable(hint))
