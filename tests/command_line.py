"""The command line in this process: its real entry point, with the models that a test scripts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from gems.app.cli import main


@dataclass(frozen=True)
class Done:
    """A command that has ended.

    Attributes:
        code: Its exit code.
        out: What it wrote to stdout.
        err: Likewise, stderr.
    """

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code in (0, 3), self.err
        return json.loads(self.out)


class CommandLine:
    """Runs `gems` with arguments; nobody sits at the terminal."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Done:
        self._monkeypatch.setattr("sys.argv", ["gems", *map(str, arguments)])
        self._capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self._capfd.readouterr()
        return Done(code, out, err)
