"""Strict reading of data and result files: every line that can't be used is named by its number.

A benchmark with lines left out is another benchmark, so nothing is skipped in silence: all bad
lines of a file are collected, and one `DataError` names the first ten.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import DataError

NAMED = 10
"""Bad lines that an error names; the others are counted."""

LARGEST = 256 * 2**20
"""Bytes a file may have; the largest benchmark here has some 10 MB."""

SHOWN = 60
"""Characters of a wrong value that an error shows."""

_Model = TypeVar("_Model", bound=BaseModel)


class Faults:
    """Collects what is wrong with a file, line by line, and raises it all at once."""

    def __init__(self, path: Path, unit: str = "line", hint: str = "") -> None:
        """Begins with nothing wrong.

        Args:
            path: The file, as the error names it.
            unit: What the numbers count: `line`, `entry`.
            hint: What to do when something is wrong.
        """
        self._path = path
        self._unit = unit
        self._hint = hint
        self._found: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, number: int, message: str) -> None:
        """Notes what is wrong with a line; of several faults of a line, the first stays."""
        self._found.setdefault(number, message)

    def takes_object(self, value: Any, number: int) -> TypeGuard[dict[str, Any]]:
        """Returns whether a value is a JSON object, and notes what is wrong where it is not."""
        if isinstance(value, dict):
            return True
        self.add(number, f"a JSON {json_type(value)} where an object should be")
        return False

    def check(self) -> None:
        """Raises what was collected.

        Raises:
            DataError: Something is wrong; names the first ten lines.
        """
        if not self._found:
            return
        ordered = sorted(self._found.items())
        said = "; ".join(f"{self._unit} {number}: {what}" for number, what in ordered[:NAMED])
        more = len(ordered) - NAMED
        rest = f"; and {more} more" if more > 0 else ""
        raise DataError(f"{self._path} can't be read: {said}{rest}.", hint=self._hint)


def read_text(path: Path) -> str:
    """Returns a file's text: UTF-8, with or without a byte order mark.

    Raises:
        DataError: There is no such file, it is too large, or not UTF-8 (names the line).
    """
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder, not a file.")
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path} is larger than {LARGEST // 2**20} MiB.")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} can't be read: line {line}: not UTF-8.") from None


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Returns the lines that are not blank, stripped, each with its 1-based number.

    Raises:
        DataError: As `read_text`.
    """
    # Only "\n" ends a line: str.splitlines would also cut at U+2028, which may stand in a prompt.
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def read_jsonl(path: Path, *, hint: str = "") -> list[tuple[int, dict[str, Any]]]:
    """Returns the objects of a file with one JSON object a line, each with its 1-based line number.

    Blank lines are passed over.

    Args:
        path: The file.
        hint: What the error should tell to do.

    Raises:
        DataError: Lines are not JSON objects; names the first ten by number. Or as `read_text`.
    """
    faults = Faults(path, hint=hint)
    found: list[tuple[int, dict[str, Any]]] = []
    for number, line in read_lines(path):
        try:
            value = parse_json(line)
        except json.JSONDecodeError as error:
            faults.add(number, f"{error.msg} at column {error.colno}")
            continue
        except ValueError as error:
            faults.add(number, str(error))
            continue
        if faults.takes_object(value, number):
            found.append((number, value))
    faults.check()
    if not found:
        raise DataError(f"{path} is empty.", hint=hint)
    return found


def read_json(path: Path, *, hint: str = "") -> Any:
    """Returns the value of a JSON file.

    Raises:
        DataError: It is not JSON; names the line. Or as `read_text`.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} can't be read: line {error.lineno}: {error.msg}.", hint=hint
        ) from None
    except ValueError as error:
        raise DataError(f"{path} can't be read: {error}.", hint=hint) from None


def read_records(path: Path, *, hint: str = "") -> list[tuple[int, dict[str, Any]]]:
    """Returns the objects of a JSON list or of a JSONL file, each with its 1-based number.

    The number is the entry's of a list and the line's of JSONL. Which of the two it is, the first
    character tells, not the file's name.

    Raises:
        DataError: As `read_jsonl` and `read_json`.
    """
    if record_unit(path) == "line":
        return read_jsonl(path, hint=hint)
    faults = Faults(path, "entry", hint)
    found: list[tuple[int, dict[str, Any]]] = []
    for number, value in enumerate(read_json(path, hint=hint), start=1):
        if faults.takes_object(value, number):
            found.append((number, value))
    faults.check()
    if not found:
        raise DataError(f"{path} is an empty list.", hint=hint)
    return found


def record_unit(path: Path) -> str:
    """Returns what `read_records` counts in a file: `entry` of a list, or `line`.

    Raises:
        DataError: As `read_text`.
    """
    return "entry" if read_text(path).lstrip().startswith("[") else "line"


def read_csv(
    path: Path, columns: Iterable[str], *, delimiter: str = ",", hint: str = ""
) -> list[tuple[int, dict[str, str]]]:
    """Returns the rows of a table with a head line, each with the number of its first line.

    Args:
        path: The file.
        columns: Columns that it must have; others are returned, too.
        delimiter: What separates the cells.
        hint: What the error should tell to do.

    Raises:
        DataError: A column is missing, or rows don't fit the head line; names the first ten.
    """
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    faults = Faults(path, hint=hint)
    rows: list[tuple[int, dict[str, str]]] = []
    head: list[str] | None = None
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            # What follows a broken quote can't be told apart any more.
            faults.add(first, str(error))
            break
        if not any(cell.strip() for cell in cells):
            continue
        if head is None:
            head = [cell.strip() for cell in cells]
            _check_head(path, head, columns, hint)
        elif len(cells) == len(head):
            rows.append((first, dict(zip(head, cells, strict=True))))
        else:
            faults.add(first, f"{len(cells)} cells where the head line has {len(head)}")
    faults.check()
    if not rows:
        raise DataError(f"{path} has no rows.", hint=hint)
    return rows


def _check_head(path: Path, head: list[str], columns: Iterable[str], hint: str) -> None:
    columns = list(columns)
    missing = [name for name in columns if name not in head]
    if missing:
        raise DataError(f"{path} has no column {', '.join(map(repr, missing))}.", hint=hint)
    # Spreadsheets leave several columns without a name; only ours must be told apart.
    doubled = sorted({name for name in columns if head.count(name) > 1})
    if doubled:
        raise DataError(f"{path} has columns twice: {', '.join(map(repr, doubled))}.", hint=hint)


def parse_json(text: str) -> Any:
    """Returns the value of a JSON text, strictly.

    Raises:
        ValueError: It is not JSON (a `json.JSONDecodeError` then), has a key twice, NaN or
            Infinity, is nested too deep, or has half of a surrogate pair (no file could be written
            from it). The message is for people.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(f"not JSON ({error.msg})", error.doc, error.pos) from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    if "\\u" in text.lower() and not _encodable(value):
        raise ValueError("half of a surrogate pair")
    return value


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {doubled[:SHOWN]!r} twice")
    return made


def json_type(value: Any) -> str:
    """Returns what JSON calls the type of a value."""
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def parsed(
    model: type[_Model], record: Mapping[str, Any], number: int, faults: Faults
) -> _Model | None:
    """Returns a record as a pydantic model, or None after noting in `faults` what is wrong."""
    try:
        return model.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        faults.add(number, f"{where}: {message}" if where else message)
        return None


def item_id(text: str) -> str:
    """Returns a text as an item's id: what is not a letter, digit, `_`, `-` or `.` becomes `_`.

    Two texts may give one id; see `Ids`.
    """
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", text.strip())
    return safe if safe.strip(".") else safe.replace(".", "_") or "_"


class Ids:
    """Makes the ids of a file's items and notes those that come twice."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._seen: dict[str, int] = {}

    def take(self, text: str, number: int) -> str:
        """Returns a text as an id, after noting in the faults if an earlier line has it."""
        made = item_id(text)
        first = self._seen.setdefault(made, number)
        if first != number:
            self._faults.add(number, f"id {made[:SHOWN]!r} again, as at {first}")
        return made
