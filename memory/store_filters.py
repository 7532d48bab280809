"""Filters of the store: LangGraph's meaning, and the part of it that Chroma can check first.

`matches` decides. `prefilter` only saves work: every item that matches a filter also passes its
prefilter, never the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from ..errors import MemoryStoreError

Scalar: TypeAlias = str | int | float | bool
Where: TypeAlias = dict[str, Any]
"""A Chroma `where` clause."""

MAX_INDEXED_TEXT = 256
"""Characters; longer texts are not copied into Chroma's metadata index, where they would take
their size three times over. A filter that asks for one is checked in Python."""


class StoreFilterError(MemoryStoreError, ValueError):
    """A search filter uses an operator that LangGraph does not define."""


_ORDER = frozenset({"$gt", "$gte", "$lt", "$lte"})
_OPERATORS = _ORDER | {"$eq", "$ne"}


def matches(value: Mapping[str, Any], filters: Mapping[str, Any] | None) -> bool:
    """Returns whether a stored value satisfies a LangGraph search filter.

    As LangGraph's stores have it: all conditions must hold; a missing key reads as None; a dict
    without operators is compared key by key; lists are compared element by element; the order
    operators compare as numbers. Beyond them: `$and` joins filters (the LangGraph server sends it
    when it adds an authorisation filter), two texts that are no numbers compare as texts (ISO
    dates), and values that can't be compared do not match instead of raising. `check_filter` says
    whether the filter makes sense.
    """
    for key, wanted in (filters or {}).items():
        if key == "$and":
            if not all(matches(value, part) for part in _parts(wanted)):
                return False
        elif not _satisfies(value.get(key), wanted):
            return False
    return True


def check_filter(filters: Mapping[str, Any] | None) -> None:
    """Checks a filter's operators, so that a wrong one is an error even where nothing is stored.

    Raises:
        StoreFilterError: An operator is unknown.
    """
    for key, wanted in (filters or {}).items():
        if key == "$and":
            for part in _parts(wanted):
                check_filter(part)
        else:
            _check_operators(wanted)


def _check_operators(wanted: Any) -> None:
    if isinstance(wanted, Mapping):
        operators = any(str(key).startswith("$") for key in wanted)
        for key, part in wanted.items():
            if not operators:
                _check_operators(part)
            elif key not in _OPERATORS:
                raise StoreFilterError(
                    f"The filter operator {key!r} is not known.",
                    hint="Use $eq, $ne, $gt, $gte, $lt or $lte.",
                )
    elif isinstance(wanted, (list, tuple)):
        for part in wanted:
            _check_operators(part)


def _parts(wanted: object) -> list[Mapping[str, Any]]:
    if not isinstance(wanted, list) or not all(isinstance(part, Mapping) for part in wanted):
        raise StoreFilterError(
            "The filter $and takes a list of filters.",
            hint='For example {"$and": [{"a": 1}, {"b": 2}]}.',
        )
    return wanted


def _satisfies(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if any(str(key).startswith("$") for key in wanted):
            return all(_compare(actual, operator, wanted[operator]) for operator in wanted)
        return isinstance(actual, Mapping) and all(
            _satisfies(actual.get(key), part) for key, part in wanted.items()
        )
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(actual, (list, tuple))
            and len(actual) == len(wanted)
            and all(_satisfies(a, w) for a, w in zip(actual, wanted, strict=True))
        )
    return bool(actual == wanted)


def _compare(actual: Any, operator: str, wanted: Any) -> bool:
    if operator == "$eq":
        return bool(actual == wanted)
    if operator == "$ne":
        return bool(actual != wanted)
    left, right = as_number(actual), as_number(wanted)
    if left is not None and right is not None:
        return _ordered(left, operator, right)
    if isinstance(actual, str) and isinstance(wanted, str):
        return _ordered(actual, operator, wanted)
    return False


def _ordered(left: Any, operator: str, right: Any) -> bool:
    if operator == "$gt":
        return bool(left > right)
    if operator == "$gte":
        return bool(left >= right)
    if operator == "$lt":
        return bool(left < right)
    return bool(left <= right)


def as_number(value: object) -> float | None:
    """Returns what the order operators compare: numbers, booleans and numeric texts, else None."""
    if isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None
    return None


def filterable(value: Mapping[str, Any]) -> dict[str, str | float]:
    """Returns the metadata that `prefilter` relies on: top-level texts and numbers of a value."""
    metadata: dict[str, str | float] = {}
    for key, part in value.items():
        if not _storable(key):
            continue
        if isinstance(part, str) and _indexed(part):
            metadata[f"s:{key}"] = part
        if (number := as_number(part)) is not None:
            metadata[f"n:{key}"] = number
    return metadata


def _storable(text: str) -> bool:
    return "\x00" not in text and text.isprintable()


def _indexed(text: str) -> bool:
    return len(text) <= MAX_INDEXED_TEXT and _storable(text)


def prefilter(filters: Mapping[str, Any] | None) -> list[Where]:
    """Returns Chroma conditions that every matching item fulfils; maybe none."""
    conditions: list[Where] = []
    for key, wanted in (filters or {}).items():
        if key == "$and":
            for part in _parts(wanted):
                conditions += prefilter(part)
        elif _storable(key):
            if isinstance(wanted, Mapping):
                if any(str(part).startswith("$") for part in wanted):
                    for operator, operand in wanted.items():
                        conditions += _condition(key, operator, operand)
            else:
                conditions += _condition(key, "$eq", wanted)
    return conditions


def _condition(key: str, operator: str, operand: Any) -> list[Where]:
    if operator == "$eq":
        if isinstance(operand, str):
            return [{f"s:{key}": {"$eq": operand}}] if _indexed(operand) else []
        if isinstance(operand, (int, float)) and (number := as_number(operand)) is not None:
            return [{f"n:{key}": {"$eq": number}}]
    elif (
        operator in _ORDER
        and isinstance(operand, (int, float))
        and (number := as_number(operand)) is not None
    ):
        # Not for texts: "abc" < "b" holds without a number behind it.
        return [{f"n:{key}": {operator: number}}]
    return []
