"""JSON objects inside what a chat model wrote."""

from __future__ import annotations

import json
import re
from typing import Any

_FENCE = re.compile(r"```[ \t]*\w*[ \t]*\r?\n(.*?)```", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")

MOST = 50
"""Objects that are read from one text; a reply with more is noise."""


def json_objects(text: str) -> list[Any]:
    """Returns the outermost JSON objects and lists of objects in a text, in their order.

    They may be fenced, prefixed, followed by prose, or have trailing commas. Anything else (bare
    numbers, strings, lists of numbers in prose) is no answer and not returned.
    """
    found: list[Any] = []
    for part in _FENCE.findall(text) or [text]:
        found += _scan(part)
    if not found and "```" in text:
        found = _scan(text)
    return found[:MOST]


def _scan(text: str) -> list[Any]:
    decoder = json.JSONDecoder(strict=False)  # strict=False: raw line breaks in strings are common
    found: list[Any] = []
    at = 0
    failures = 0
    while len(found) < MOST and (match := re.search(r"[{\[]", text[at:])):
        start = at + match.start()
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            value, end = _tolerant(decoder, text, start) if not found else (None, start + 1)
            if value is None:
                failures += 1
                if failures > 200:  # a page of braces is not worth quadratic time
                    break
        if isinstance(value, dict) or (
            isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
        ):
            found.append(value)
        at = max(end, start + 1)
    return found


def _tolerant(decoder: json.JSONDecoder, text: str, start: int) -> tuple[Any, int]:
    """Reads an object with trailing commas; returns (None, start + 1) where that fails too."""
    cleaned = _TRAILING_COMMA.sub("", text[start:])
    try:
        value, end = decoder.raw_decode(cleaned)
    except (ValueError, RecursionError):
        return None, start + 1
    return value, len(text) - (len(cleaned) - end)
