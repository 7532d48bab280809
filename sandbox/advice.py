"""What the sandbox's planner and refiner take from the texts of lessons.

A language model that reads «missed with "A ball to the right of a cube.", passed with "The cube is
to the left of the ball."» says its own relation in the same way. This is that step by rules: a
sentence that a lesson quotes is compared with the wordings of `emphasis.py`, and where it is one of
them, that wording is preferred, or avoided, for facts of the same kind. Nothing but the lessons'
text is used; what the generator reads well is not known here.
"""

from __future__ import annotations

import re
from collections import Counter

from .emphasis import Pattern, patterns_in

_QUOTED = re.compile(r"“([^”\n]+)”")
_HELPED = re.compile(r"\bwhat helped:", re.IGNORECASE)
_IN_VAIN = re.compile(r"\bthis did not help:", re.IGNORECASE)

Advice = Counter[Pattern]
"""How many lessons speak for a wording, minus those that speak against it."""


def advice_of(lessons: str) -> Advice:
    """Returns what the lessons, one a line, say for and against wordings; never raises."""
    found: Advice = Counter()
    for line in lessons.splitlines():
        helped, vain = _HELPED.search(line), _IN_VAIN.search(line)
        end = helped.start() if helped else vain.start() if vain else len(line)
        good = _patterns(line[helped.end() :]) if helped else set()
        bad = _patterns(line[vain.end() :]) if vain else set()
        # A sentence may state several facts: only what it was quoted for is known to have failed.
        bad |= {one for one in _patterns(line[:end]) if one.kind in {item.kind for item in good}}
        found.update(good)
        found.subtract(bad - good)
    return found


def _patterns(text: str) -> set[Pattern]:
    return {pattern for quoted in _QUOTED.findall(text) for pattern in patterns_in(quoted)}
