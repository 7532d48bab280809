"""Processes that start one step at the same instant, for tests of what they share."""

from __future__ import annotations

import subprocess
import sys


def start_together(script: str, arguments: list[list[str]]) -> list[tuple[bytes, bytes]]:
    """Runs `script` once for each list of arguments and returns their outputs.

    Each prints `ready` and waits for a line; all get it when the last one is ready. All must exit
    with 0.
    """
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for given in arguments
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"go\n")
            child.stdin.flush()
        outputs = [child.communicate(timeout=90) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert [child.returncode for child in children] == [0] * len(arguments), outputs
    return outputs
