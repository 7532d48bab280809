"""The files of a run's folder: rows and judgments, a line each, written so that a kill loses none.

`results.jsonl` and `judgments.jsonl` belong to a whole run, `results.2-of-8.jsonl` to a shard. A
line is appended with one write and is on the disk before the next step begins. What a kill leaves
is at most one line that is cut off at the end of a file: readers pass over it, and the next writer
removes it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError
from .errors import DataError
from .manifest import MANIFEST, Manifest
from .records import Judgment, Row

if TYPE_CHECKING:
    from io import FileIO

Key = str
JudgmentKey = tuple[str, str, str]
"""(key, attempt, judge)."""

_NAME = re.compile(r"(?:results|judgments)(?:\.\d+-of-\d+)?\.jsonl")


def part_name(stem: str, shard: tuple[int, int], suffix: str) -> str:
    """Returns the name of a run's file: `results.jsonl`, of shard 2 of 8 `results.2-of-8.jsonl`."""
    index, count = shard
    return f"{stem}.{suffix}" if count == 1 else f"{stem}.{index}-of-{count}.{suffix}"


def read_manifest(out: Path) -> Manifest:
    """Returns the manifest of a run's folder.

    Raises:
        InputError: The folder holds no run.
        DataError: The manifest can't be read.
    """
    path = out / MANIFEST
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{out} holds no run: there is no {MANIFEST}.",
            hint="`gems eval run TASK --data FILE --out DIR` makes one.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read: {error}.") from None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}.") from None
    if not isinstance(value, dict) or "task" not in value:
        raise DataError(f"{path} is not the manifest of a run.")
    return cast(Manifest, value)


def read_rows(out: Path) -> dict[Key, Row]:
    """Returns the rows of a run, of all its shards, by key.

    Of several rows of one key the last of a file counts; between the files of different shards,
    a finished one, then the later one.

    Raises:
        DataError: A line can't be read; names it.
    """
    rows: dict[Key, Row] = {}
    for path in _parts(out, "results"):
        of_part: dict[Key, Row] = {}
        for number, value in _lines(path):
            _demand(path, number, value, ("key", "item", "status", "finished"))
            of_part[value["key"]] = cast(Row, value)
        for key, row in of_part.items():
            old = rows.get(key)
            if old is None or _rank(old) <= _rank(row):
                rows[key] = row
    return rows


def read_judgments(out: Path) -> dict[JudgmentKey, Judgment]:
    """Returns the judgments of a run, of all its shards, by (key, attempt, judge).

    Of several of one key the last of a file counts; between files, one that did not fail.

    Raises:
        DataError: A line can't be read; names it.
    """
    judgments: dict[JudgmentKey, Judgment] = {}
    for path in _parts(out, "judgments"):
        of_part: dict[JudgmentKey, Judgment] = {}
        for number, value in _lines(path):
            _demand(path, number, value, ("key", "attempt", "judge", "status"))
            of_part[value["key"], value["attempt"], value["judge"]] = cast(Judgment, value)
        for key, judgment in of_part.items():
            old = judgments.get(key)
            if old is None or old["status"] == "failed" or judgment["status"] == "done":
                judgments[key] = judgment
    return judgments


class Ledger:
    """Appends lines to one file; one process at a time may have it open.

    Attributes:
        path: The file.
        repaired: Bytes of a line that was cut off, removed when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, made where it is missing, and removes a line that was cut off."""
        self.path = path
        self.repaired = _repair(path)
        # Unbuffered and appending: one `write` is one line.
        self._file: FileIO = path.open("ab", buffering=0)
        self._turn = asyncio.Lock()
        _sync_folder(path.parent)

    async def append(self, value: Mapping[str, Any]) -> None:
        """Appends one record; it is on the disk when this returns."""
        line = json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        async with self._turn:
            # Shielded: a line that Ctrl-C meets is written to its end.
            await asyncio.shield(asyncio.to_thread(self._write, line))

    def _write(self, line: bytes) -> None:
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes were written to {self.path}")
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; may be called again."""
        self._file.close()


@contextmanager
def open_ledger(out: Path, stem: str, shard: tuple[int, int] = (1, 1)) -> Iterator[Ledger]:
    """Opens `results` or `judgments` of a run or a shard for appending.

    Raises:
        InputError: Another process has it open.
    """
    path = out / part_name(stem, shard, "jsonl")
    with alone(
        path.with_name(f".{path.name}.lock"),
        f"Another process writes to {path}.",
        "Wait for it to end, or give each process a shard of its own (--shard 1/2, --shard 2/2).",
    ):
        ledger = Ledger(path)
        try:
            yield ledger
        finally:
            ledger.close()


@contextmanager
def alone(lock: Path, message: str, hint: str, *, wait: float = 0) -> Iterator[None]:
    """Holds a lock file that the system releases when the process ends, however it ends.

    Raises:
        InputError: Another process holds it; says `message` and `hint`.
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock, timeout=wait)
    try:
        held.acquire()
    except Timeout:
        raise InputError(message, hint=hint) from None
    try:
        yield
    finally:
        held.release()


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Makes a file atomically: whole under its name, or not at all, also after a power failure.

    Args:
        path: Where it will be; its folder is made.
        write: Writes the contents to the path that it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: image writers go by it. A second process may write the same file.
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def replace_json(path: Path, value: Mapping[str, Any]) -> None:
    """Makes a JSON file atomically."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    replace_file(path, lambda part: part.write_text(text, "utf-8"))


def _parts(out: Path, stem: str) -> list[Path]:
    if not out.is_dir():
        raise InputError(f"There is no folder {out}.")
    return sorted(
        path
        for path in out.iterdir()
        if path.name.startswith(stem) and _NAME.fullmatch(path.name) and path.is_file()
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields line numbers and records; a last line that was cut off is passed over."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            whole = line.endswith(b"\n")
            try:
                value = json.loads(line)
            except ValueError:
                if not whole:
                    return
                raise DataError(
                    f"{path}, line {number}: no JSON.",
                    hint="The file was changed by something else; remove that line.",
                ) from None
            if not isinstance(value, dict):
                if not whole:  # half of a record never parses, but a digit or two of one does
                    return
                raise DataError(f"{path}, line {number}: no record.")
            yield number, value


def _demand(path: Path, number: int, value: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if not isinstance(value.get(name), str)]
    if missing:
        raise DataError(f"{path}, line {number}: {', '.join(missing)} is missing.")


def _rank(row: Row) -> tuple[bool, str]:
    return row["status"] == "done", row["finished"]


def _repair(path: Path) -> int:
    """Ends the file with a whole line; returns how many bytes were removed."""
    try:
        file = path.open("rb+")
    except FileNotFoundError:
        return 0
    with file:
        size = file.seek(0, os.SEEK_END)
        end = size
        block = 64 * 1024
        while end > 0:
            start = max(0, end - block)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end == size:
            return 0
        file.seek(end)
        try:
            whole = isinstance(json.loads(file.read()), dict)
        except ValueError:
            whole = False
        if whole:  # only the line break is missing
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
        else:
            file.truncate(end)
        file.flush()
        os.fsync(file.fileno())
        return 0 if whole else size - end


def _sync_folder(folder: Path) -> None:
    """Makes new names in a folder last; not every system can, and none needs it for its files."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
