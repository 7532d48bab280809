"""`gems ui` as a person starts and ends it: a real server, threads that stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from command_line import CommandLine

pytestmark = pytest.mark.integration


class Page:
    """`gems ui --no-open` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [Path(sys.executable).with_name("gems"), "ui", "--no-open"]
        ours = {key: text for key, text in os.environ.items() if not key.startswith("LANGSMITH")}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**ours, "COLUMNS": "200", "LANGSMITH_TRACING": "false"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def address(self) -> str:
        """Its first line on stdout; it comes when the server answers."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), self.process.stderr
        return line

    def end(self, sign: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(sign)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def test_the_page_is_served_and_its_threads_stay(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(tmp_path)
    try:
        address = page.address()
        server = address.removesuffix("/ui/")
        assert httpx.get(f"{server}/ok").status_code == 200
        assert httpx.get(address).status_code in (200, 503)  # 503: built without a registry
        thread = httpx.post(f"{server}/threads", json={}).json()["thread_id"]
        asked = {
            "assistant_id": "gems",
            "input": {"prompt": "a red ball"},
            "context": {"seed": 1, "width": 256, "height": 256, "max_rounds": 1},
        }
        made = httpx.post(f"{server}/threads/{thread}/runs/wait", json=asked, timeout=60).json()

        # A second start finds the first one in place of fighting with it for the same data.
        second = CommandLine(capfd, monkeypatch)("ui", "--no-open")
        assert (second.code, second.out.strip()) == (0, address)
        assert "already" in second.err
    finally:
        code, said = page.end(signal.SIGINT)
    assert code == 0, said
    assert "the threads are kept" in said
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server}/ok")

    page = Page(tmp_path)
    try:
        server = page.address().removesuffix("/ui/")
        values = httpx.get(f"{server}/threads/{thread}/state").json()["values"]
        assert values["image"]["sha256"] == made["image"]["sha256"]
    finally:
        code, said = page.end(signal.SIGTERM)
    assert code == 0, said
    assert list(tmp_path.glob(".langgraph_api")) == []  # nothing is left where it was started


def test_another_server_is_looked_at_before_its_page_is_opened(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CommandLine(capfd, monkeypatch)
    nobody = run("ui", "--no-open", "--url", "http://127.0.0.1:9")
    assert (nobody.code, nobody.out) == (1, "")
    assert "can't be reached" in nobody.err
    for wrong in ("ftp://x", "http://user:word@x", "gems.example"):
        assert run("ui", "--no-open", "--url", wrong).code == 2
    assert run("ui", "--url", "http://127.0.0.1:9", "--port", "8080").code == 2


def test_without_the_extra_the_command_names_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gems.app import local_server

    monkeypatch.setattr(local_server, "find_spec", lambda name: None)
    done = CommandLine(capfd, monkeypatch)("ui", "--no-open")
    assert done.code == 2
    assert "gems-graph[server]" in done.err
