"""Every benchmark by the name it has on the command line."""

from __future__ import annotations

from importlib import import_module

from ...errors import InputError
from .base import Task

MODULES: dict[str, str] = {
    "geneval": "geneval:GenEval",
    "geneval2": "geneval2:GenEval2",
    "dpg": "dpg:DPGBench",
    "oneig-en": "oneig:OneIGEnglish",
    "oneig-zh": "oneig:OneIGChinese",
    "wise": "wise:WISE",
    "wise-verified": "wise:WISEVerified",
    "longtext-en": "longtext:LongTextEnglish",
    "longtext-zh": "longtext:LongTextChinese",
    "spatialgeneval": "spatialgeneval:SpatialGenEval",
    "crea": "crea:CREA",
    "artimuse": "artimuse:ArtiMuse",
    "custom": "custom:Custom",
    "sandbox": "sandbox:Sandbox",
}
"""Name -> module and class in this folder; a task is imported when it is asked for."""


def task(name: str) -> Task:
    """Returns a benchmark.

    Raises:
        InputError: There is none of that name.
    """
    where = MODULES.get(name)
    if where is None:
        raise InputError(f"There is no task {name!r}.", hint=f"Tasks: {', '.join(MODULES)}.")
    module, _, class_name = where.partition(":")
    made: Task = getattr(import_module(f".{module}", __package__), class_name)()
    return made
