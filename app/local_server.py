"""A LangGraph server on this machine, for one person: what `gems ui` starts.

It is `langgraph dev` with the configuration that comes with this package. Its working folder is
`<data_dir>/server`, where it keeps the threads between starts; it listens on 127.0.0.1 only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from dotenv import dotenv_values
from filelock import FileLock, Timeout

from ..errors import ConfigurationError, GemsError, InputError
from ..settings import Settings

HOST = "127.0.0.1"
PORT = 2024
"""The port of `langgraph dev`; where it is taken, and none was asked for, a free one is used."""

START_SECONDS = 180.0
"""A quiet machine needs ten; the first start with `local` models reads libraries for longer."""

END_SECONDS = 20.0
"""For writing the threads down; then the server is ended by force."""

PROBE_SECONDS = 2.0

JOBS = "4"
"""Runs at once; the others wait."""

CONFIG = Path(__file__).parent.parent / "langgraph.json"
"""In a wheel, it lies beside the package's modules; in a checkout, that is the root."""

_PATHS = ("data_dir", "api_keys_file", "artifacts", "store")
"""Settings that may name a folder or file relative to the folder in which `gems` was started."""


class ServerEndedError(GemsError):
    """The server did not start, or it ended by itself."""

    code = "server"


class RunningElsewhereError(Exception):
    """Another `gems ui` serves this data folder.

    Attributes:
        url: Where.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class LocalServer:
    """The server as a context: it answers inside, and has ended outside.

    Attributes:
        url: Its address.
        folder: Its working folder.
        log: What it prints.
    """

    def __init__(self, settings: Settings, port: int | None = None) -> None:
        """Prepares a server.

        Args:
            settings: Of this process; the server runs with the same.
            port: Port to listen on; None takes `PORT`, or a free one.

        Raises:
            ConfigurationError: The extra `server` is not installed.
        """
        if any(find_spec(name) is None for name in ("langgraph_cli", "langgraph_api")):
            raise ConfigurationError(
                "The server is not installed.", hint="Run: pip install 'gems-graph[server]'"
            )
        self.folder = settings.data_dir.expanduser().resolve() / "server"
        self.log = self.folder / "server.log"
        self.url = ""
        self._environment = environment(settings, Path.cwd(), os.environ)
        self._port = port
        self._lock = FileLock(self.folder / "lock", timeout=0)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Starts the server and waits until it answers.

        Raises:
            RunningElsewhereError: Another one serves the same data.
            InputError: The port that was asked for is taken.
            ServerEndedError: It did not start.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise RunningElsewhereError(self._address_of_other()) from None
        except OSError as error:
            raise ConfigurationError(
                f"{self.folder} can't be used ({error.strerror}).", hint="Set GEMS_DATA_DIR."
            ) from None
        try:
            self._start()
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def watch(self) -> None:
        """Returns never: waits until a signal comes.

        Raises:
            ServerEndedError: The server ended by itself.
        """
        assert self._process is not None  # noqa: S101 - inside the context only
        self._process.wait()
        raise ServerEndedError(f"The server has ended.{self._last_words()}")

    def _start(self) -> None:
        port = _choose(self._port)
        config = self.folder / "langgraph.json"
        config.write_text(json.dumps(configuration(), indent=2))
        self.url = f"http://{HOST}:{port}"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, with our own arguments
                [
                    *(sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"),
                    *("--host", HOST, "--port", str(port), "--config", str(config)),
                    *("--n-jobs-per-worker", JOBS),
                ],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for this process, which then ends the server.
                start_new_session=True,
            )
        self._note().write_text(json.dumps({"url": self.url, "pid": self._process.pid}))

    def _wait(self) -> None:
        assert self._process is not None  # noqa: S101 - called by __enter__ only
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise ServerEndedError(f"The server did not start.{self._last_words()}")
            if answers(self.url):
                return
            time.sleep(0.2)
        raise ServerEndedError(
            f"The server did not answer within {START_SECONDS:.0f} s.{self._last_words()}"
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._note().unlink(missing_ok=True)
        self._lock.release()

    def _note(self) -> Path:
        return self.folder / "running.json"

    def _address_of_other(self) -> str:
        end = time.monotonic() + PROBE_SECONDS
        while time.monotonic() < end:
            try:
                url = json.loads(self._note().read_text())["url"]
            except (OSError, ValueError, KeyError, TypeError):
                time.sleep(0.1)  # it is just starting
                continue
            if isinstance(url, str):
                return url
        raise ServerEndedError(
            f"Another `gems ui` is starting or ending on {self.folder}.", hint="Try again soon."
        )

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return "\n".join(["", *lines[-15:], f"The whole log: {self.log}"])


def configuration() -> dict[str, Any]:
    """Returns the package's `langgraph.json` for a server outside of the checkout."""
    config: dict[str, Any] = json.loads(CONFIG.read_text("utf-8"))
    # The package is installed; what its process needs to know comes by the environment.
    config.pop("env", None)
    return {**config, "dependencies": ["."]}


def environment(settings: Settings, here: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a server that works elsewhere and means the same.

    Args:
        settings: As read in `here`.
        here: The folder whose `.env` and relative paths count.
        given: The environment of this process.
    """
    written = {key: value for key, value in dotenv_values(here / ".env").items() if value}
    result = {**written, **given}
    for name in _PATHS:
        value = getattr(settings, name)
        text = "" if value is None else str(value)
        if text and (":" not in text[2:] or isinstance(value, Path)):  # C:\… is a path, s3:… none
            result[f"GEMS_{name.upper()}"] = str(here / Path(text).expanduser())
    folders = [here / ".gems" / "skills"] if (here / ".gems" / "skills").is_dir() else []
    named = [part for part in settings.skills_path.split(os.pathsep) if part]
    folders += [here / Path(part).expanduser() for part in named]
    if folders:
        result["GEMS_SKILLS_PATH"] = os.pathsep.join(map(str, folders))
    result.setdefault("LANGGRAPH_CLI_NO_ANALYTICS", "1")
    result.setdefault("LANGGRAPH_NO_VERSION_CHECK", "true")
    return result


def answers(url: str) -> bool:
    """Returns whether a LangGraph server answers at an address."""
    try:
        return httpx.get(f"{url}/ok", timeout=PROBE_SECONDS).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _choose(asked: int | None) -> int:
    """Returns a port that is free now.

    Raises:
        InputError: The one that was asked for is not.
    """
    for port in (PORT, 0) if asked is None else (asked,):
        with socket.socket() as probe:
            # As the server will: a port that has just been left is free.
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            free: int = probe.getsockname()[1]
            return free
    raise InputError(f"--port: {asked} is taken.", hint="Leave it out to get a free one.")
