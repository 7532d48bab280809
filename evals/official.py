"""Result files of the official scorers, read back beside what our judges found.

`gems eval fetch-instructions TASK` prints each scorer's command; it writes its result into the
run's folder, where the report looks for it. A file elsewhere is given with `--official`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .tasks.base import Figure, Task

PLACES: dict[str, tuple[str, ...]] = {
    "geneval": ("geneval.jsonl",),
    "geneval2": ("score_lists.json",),
    "dpg": ("dpg_results.txt",),
    "oneig-en": ("results",),
    "oneig-zh": ("results",),
    "longtext-en": ("official/results.jsonl", "official/scores.txt"),
    "longtext-zh": ("official/results.jsonl", "official/scores.txt"),
    "spatialgeneval": ("spatialgeneval.jsonl",),
    "crea": ("evaluation_results.json",),
    "artimuse": ("artimuse.json",),
}
"""Task -> where its scorer leaves its result, below the run's folder, the best first."""


@dataclass(frozen=True)
class Official:
    """What an official scorer found.

    Attributes:
        path: Its result file or folder.
        figures: The main one first; without intervals, for most files hold only means.
    """

    path: Path
    figures: tuple[Figure, ...]


def read_official(task: Task, folder: Path, given: Path | None = None) -> Official | None:
    """Returns what the official scorer found about a run; None where it has not been run.

    Args:
        task: The benchmark.
        folder: The run's.
        given: Where the result is; None looks where the printed command leaves it.

    Raises:
        InputError: There is no such file, or the benchmark has no result file.
        DataError: It is not the scorer's result.
    """
    if given is not None and not given.exists():
        raise InputError(f"--official: there is no {given}.")
    places = (given,) if given else tuple(folder / place for place in PLACES.get(task.name, ()))
    found = next((place for place in places if place.exists()), None)
    if found is None:
        return None
    try:
        return Official(found, tuple(task.read_official(found)))
    except NotImplementedError:
        raise InputError(f"{task.title} has no official result file that can be read.") from None


def read_places(texts: list[str], folders: Mapping[str, Path]) -> dict[Path, Path]:
    """Returns run folder -> result file, from `DIR=FILE` texts.

    Args:
        texts: As given; with one run the file alone will do.
        folders: The runs' folders, by the text they were given as.

    Raises:
        InputError: A text names no folder of the report.
    """
    found = {}
    for text in texts:
        name, equals, file = text.rpartition("=")
        if not equals and len(folders) == 1:
            found[next(iter(folders.values()))] = Path(text)
        elif name in folders:
            found[folders[name]] = Path(file)
        else:
            raise InputError(
                f"--official: {text!r} names no run of this report.", hint="Give DIR=FILE."
            )
    return found
