"""Variety: how the candidates of a round differ, and a measure of how alike two prompts are built.

The measure is about order, not meaning: the longest common subsequence of two prompts' words. A
prompt whose synonyms were swapped or that got a decoration keeps its order and measures alike; one
that begins with another part of the scene, or tells it from another viewpoint, does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..graph.context import Context

ALIKE = 0.8
"""From this likeness on two prompts count as one structure. Of a prompt of three sentences that
swaps two of them a third has moved (0.67); one that swaps a fifth of its words for synonyms is at
0.8, one with an added half-sentence above it."""

LONGEST = 600
"""Words of a prompt that are compared."""

STRUCTURE = """

The candidates must differ in structure, and that is checked: each begins with another part of \
the scene, tells the parts in another order, and takes another viewpoint, composition or layout \
wherever the task leaves it open. Synonyms and added decoration do not count as a difference."""
"""What planner and refiner are told with `variety=structure` and several candidates."""

# Languages without spaces count each character as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")


def prompts_wanted(context: Context, candidates: int) -> int:
    """Returns how many prompts a round of `candidates` images needs."""
    return 1 if context.variety == "seed" else candidates


def instruction(context: Context, candidates: int) -> str:
    """Returns what is added to the instructions of planner and refiner; empty for most runs."""
    return STRUCTURE if context.variety == "structure" and candidates > 1 else ""


def likeness(one: str, other: str) -> float:
    """Returns how alike two prompts are built, 0..1.

    Twice the length of the longest common subsequence of their words, over the number of words of
    both; case, spacing and punctuation do not count. Texts without words are alike.
    """
    left = [word.casefold() for word in _WORD.findall(one)[:LONGEST]]
    right = [word.casefold() for word in _WORD.findall(other)[:LONGEST]]
    if not left and not right:
        return 1.0
    return 2 * _common(left, right) / (len(left) + len(right))


def _common(left: list[str], right: list[str]) -> int:
    """Returns the length of the longest common subsequence.

    By bits (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"): row by row in one number,
    in which a zero stands for a place where the subsequence grows.
    """
    places: dict[str, int] = {}
    for at, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << at
    everything = (1 << len(left)) - 1
    row = everything
    for word in right:
        match = row & places.get(word, 0)
        row = ((row + match) | (row - match)) & everything
    return len(left) - row.bit_count()


def distinct(prompts: Iterable[str], kept: Iterable[str] = ()) -> list[str]:
    """Returns `kept` and those of the prompts that are built like none before them, in order."""
    found = list(kept)
    for prompt in prompts:
        if all(likeness(prompt, other) < ALIKE for other in found):
            found.append(prompt)
    return found
