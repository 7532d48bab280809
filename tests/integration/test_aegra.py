"""The graph on aegra, an open-source Agent Protocol server, with PostgreSQL.

aegra 0.11 needs Python 3.12, so it is not among the test extras. Where it is installed elsewhere,
`AEGRA_PYTHON=/path/to/bin/python` names the interpreter that has it and this package:

    python3.12 -m venv /tmp/aegra && /tmp/aegra/bin/pip install aegra-cli -e .
    AEGRA_PYTHON=/tmp/aegra/bin/python pytest tests/integration/test_aegra.py
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import NotFoundError
from servers.postgres import postgres_server

from gems.app.credentials import as_line, new_key

HERE = importlib.util.find_spec("aegra_api") is not None
PYTHON = Path(os.environ.get("AEGRA_PYTHON") or sys.executable)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not HERE and "AEGRA_PYTHON" not in os.environ,
        reason="aegra is not installed (it needs Python 3.12); AEGRA_PYTHON can name one that is",
    ),
]

ROOT = Path(__file__).parents[2]
GEMS = Path(sys.executable).with_name("gems")
SMALL = {"seed": 1, "width": 256, "height": 256}


@dataclass
class Aegra:
    """A running server and the keys of two people."""

    url: str
    alice: str
    bob: str


@pytest.fixture(scope="module")
def aegra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aegra]:
    folder = tmp_path_factory.mktemp("aegra")
    alice, alices = new_key("alice", (), None)
    bob, bobs = new_key("bob", (), None)
    keys = folder / "keys.jsonl"
    keys.write_text(f"{as_line(alices)}\n{as_line(bobs)}\n")
    keys.chmod(0o600)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = folder / "log"
    with postgres_server() as address, log.open("wb") as out:
        process = subprocess.Popen(
            [
                PYTHON.with_name("aegra"),
                "serve",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--config",
                str(ROOT / "deploy/aegra/aegra.json"),
            ],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "DATABASE_URL": address,
                "GEMS_DATA_DIR": str(folder / "data"),
                "GEMS_EMBEDDINGS": "lexical",
                "GEMS_API_KEYS_FILE": str(keys),
            },
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + 120
            while not _answers(url):
                running = process.poll() is None and time.monotonic() < end
                assert running, log.read_text()[-4000:]
                time.sleep(0.2)
            yield Aegra(url, alice, bob)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_command_line_runs_there(aegra, tmp_path):
    done = subprocess.run(
        [
            GEMS,
            "generate",
            "a red ball",
            "--seed",
            "1",
            "--size",
            "256",
            "--json",
            "--url",
            aegra.url,
            "--out",
            "ball.png",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "GEMS_API_KEY": aegra.alice},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["stopped_because"] == "accepted"
    assert (tmp_path / "ball.png").stat().st_size == result["image"]["size"]


def test_threads_and_images_are_their_owners(aegra):
    with (
        get_sync_client(url=aegra.url, api_key=aegra.alice) as alice,
        get_sync_client(url=aegra.url, api_key=aegra.bob) as bob,
    ):
        thread = alice.threads.create()["thread_id"]
        result: Any = alice.runs.wait(thread, "gems", input={"prompt": "a red ball"}, context=SMALL)
        assert result["score"] == 1
        with pytest.raises(NotFoundError):
            bob.threads.get_state(thread)
        assert bob.threads.search() == []
    image = f"{aegra.url}/artifacts/{result['image']['sha256']}"
    told = [
        httpx.get(image, headers={"x-api-key": key} if key else {}).status_code
        for key in (aegra.alice, aegra.bob, "")
    ]
    assert told == [200, 404, 401]
    assert httpx.post(f"{aegra.url}/threads", json={}).status_code == 401


def test_cancel_ends_the_generation(aegra):
    task = {"prompt": "a red ball", "requirements": ["Is there a purple elephant?"]}
    with get_sync_client(url=aegra.url, api_key=aegra.alice) as client:
        thread = client.threads.create()["thread_id"]

        def made() -> int:
            values: Any = client.threads.get_state(thread)["values"]
            return len(values.get("attempts", []))

        run = client.runs.create(thread, "gems", input=task, context={**SMALL, "max_rounds": 50})
        end = time.monotonic() + 30
        while not made():
            assert time.monotonic() < end
            time.sleep(0.1)
        client.runs.cancel(thread, run["run_id"], wait=True)
        assert client.runs.get(thread, run["run_id"])["status"] == "interrupted"
        so_far = made()
        time.sleep(1.5)
        assert made() == so_far < 50
