"""The project's own LangGraph server: `langgraph dev`, started as a user starts it.

A start costs about eight seconds, so take one for a module:

    @pytest.fixture(scope="module")
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LangGraphServer]:
        with LangGraphServer(tmp_path_factory.mktemp("server")) as server:
            yield server
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Self

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 120
"""The machine of the tests may be busy with other tests; a quiet one needs eight."""

_FOREIGN = ("GEMS_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_", "OTEL_")


class LangGraphServer:
    """`langgraph dev` on a free port of 127.0.0.1, with a data folder of its own.

    It runs in `folder`, not in the checkout: the server pickles threads into `.langgraph_api` of
    its working folder.

    Attributes:
        url: Where it answers.
        folder: Its working folder; `folder / "data"` is `GEMS_DATA_DIR`.
        pid: Its process id.
    """

    def __init__(
        self,
        folder: Path,
        *,
        env: dict[str, str] | None = None,
        config: dict[str, Any] | None = None,
        jobs: int = 4,
    ) -> None:
        """Prepares a server; `with` starts it.

        Args:
            folder: An empty folder.
            env: Further environment variables; they win over the ones set here.
            config: Keys that replace those of the project's `langgraph.json`.
            jobs: How many runs it works on at once.
        """
        self.folder = folder
        self.url = ""
        self._env = env or {}
        self._config = config or {}
        self._jobs = jobs
        self._process: subprocess.Popen[bytes] | None = None
        self._out: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has printed so far, from its first start on."""
        return (self.folder / "server.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it and waits until it answers; after `stop`, on the same folder once more."""
        port = _free_port()
        settings = json.loads((REPOSITORY / "langgraph.json").read_text())
        config = self.folder / "langgraph.json"
        config.write_text(json.dumps({**settings, **self._config}))
        self._out = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [
                Path(sys.executable).with_name("langgraph"),
                *("dev", "--no-browser", "--no-reload", "--host", "127.0.0.1"),
                *("--port", str(port), "--config", config),
                *("--n-jobs-per-worker", str(self._jobs)),
            ],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.url = f"http://127.0.0.1:{port}"
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends it and whatever it started; harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, sign)  # start_new_session: the group has its id
                    process.wait(15)
                    break
                except ProcessLookupError:
                    process.wait(15)
                    break
                except subprocess.TimeoutExpired:
                    continue
        if self._out is not None:
            self._out.close()
            self._out = None

    def _environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        return {
            **ours,
            "HOME": str(self.folder),
            "HF_HUB_OFFLINE": "1",
            "GEMS_DATA_DIR": str(self.folder / "data"),
            "GEMS_EMBEDDINGS": "lexical",
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            "LANGGRAPH_NO_VERSION_CHECK": "true",
            "LANGSMITH_TRACING": "false",
            **self._env,
        }

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended at once:\n{self.log[-4000:]}")
            try:
                if httpx.get(f"{self.url}/ok", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log[-4000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
