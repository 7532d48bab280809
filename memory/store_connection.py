"""Where the store's Chroma lives: a folder, a server, or memory.

A folder belongs to one process: Chroma's embedded index does not see what another process writes.
Within the process a folder is opened once and shared, since the LangGraph server opens its store in
every thread.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import GemsError, MemoryStoreError

if TYPE_CHECKING:
    import httpx
    from chromadb.api import ClientAPI
    from filelock import FileLock

MEMORY = "memory:"
"""The location of a store that is gone when it is closed."""

LOCK_NAME = "gems.lock"


@dataclass
class Connection:
    """An open Chroma client; every `connect` is undone by one `close`.

    Attributes:
        client: The Chroma client.
        label: How messages name it; without credentials.
        suffix: Appended to collection names; keeps stores in memory apart from each other.
        write_lock: Held while one write reads and changes records.
    """

    client: ClientAPI
    label: str
    suffix: str = ""
    write_lock: threading.RLock = field(default_factory=threading.RLock)
    folder: Path | None = None
    _file_lock: FileLock | None = None
    _sessions: list[httpx.Client] = field(default_factory=list)
    _users: int = 1

    def close(self) -> None:
        """Gives the client back; the last user of a folder closes it and frees its lock."""
        with _shared_lock:
            self._users -= 1
            if self._users:
                return
            if self.folder is not None:
                _shared.pop((os.getpid(), self.folder), None)
            self.client.close()  # type: ignore[attr-defined]  # on Client, not on its interface
            for session in self._sessions:
                session.close()  # Chroma's close leaves its sockets open
            if self._file_lock is not None:
                self._file_lock.release()


_shared: dict[tuple[int, Path], Connection] = {}
_shared_lock = threading.RLock()


def connect(location: str, *, token: str | None = None, timeout: float = 30.0) -> Connection:
    """Returns an open connection. Blocks.

    Args:
        location: `memory:`, `http://host:port`, `https://…`, or a folder (made if missing).
        token: Bearer token for a server behind a proxy.
        timeout: Seconds one request to a server may take.

    Raises:
        MemoryStoreError: The folder is in use by another process or can't be written, the server
            does not answer, or the location is malformed.
    """
    if location == MEMORY:
        return _in_memory()
    if location.startswith(("http://", "https://")):
        return _server(location, token, timeout)
    if location.startswith("file://"):
        location = location.removeprefix("file://")
    elif "://" in location or not location:
        raise MemoryStoreError(
            f"The store location {location.partition('://')[0]!r} is not known.",
            hint="Set GEMS_STORE to a folder, http://host:port, or memory:.",
        )
    return _folder(Path(location).expanduser().resolve())


def _settings(**values: Any) -> Any:
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False, **values)


def _in_memory() -> Connection:
    import chromadb

    label = "in memory"
    with translated(label):
        # All ephemeral clients of a process share one database: the suffix tells stores apart.
        client = chromadb.EphemeralClient(settings=_settings())
    return Connection(client, label, suffix=f"-{uuid.uuid4().hex}")


def _folder(folder: Path) -> Connection:
    import chromadb
    from filelock import FileLock, Timeout

    with _shared_lock:
        shared = _shared.get((os.getpid(), folder))
        if shared is not None:
            shared._users += 1
            return shared
        label = str(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = FileLock(folder / LOCK_NAME, timeout=0, thread_local=False)
            lock.acquire()
        except Timeout as error:
            raise MemoryStoreError(
                f"The store {folder} is in use by another process, and an embedded Chroma serves "
                "only one.",
                hint="End the other process, or share the store: end both, run "
                f"'chroma run --path {folder} --host 127.0.0.1 --port 8000', and set "
                "GEMS_STORE=http://127.0.0.1:8000 for each.",
            ) from error
        except OSError as error:
            raise MemoryStoreError(
                f"The store folder {folder} can't be used ({error.strerror}).",
                hint="Set GEMS_STORE or GEMS_DATA_DIR to a folder that can be written.",
            ) from error
        try:
            with translated(label):
                client = chromadb.PersistentClient(str(folder), settings=_settings())
        except BaseException:
            lock.release()
            raise
        connection = Connection(client, label, folder=folder, _file_lock=lock)
        _shared[(os.getpid(), folder)] = connection
        return connection


def _server(location: str, token: str | None, timeout: float) -> Connection:
    import chromadb
    import httpx

    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if not host or parts.username or parts.path.strip("/") or parts.query:
        raise MemoryStoreError(
            "The store address is malformed.",
            hint="Set GEMS_STORE to http://host:port, and a token, if any, to GEMS_STORE_TOKEN.",
        )
    tls = parts.scheme == "https"
    port = port or (443 if tls else 8000)
    shown = f"[{host}]" if ":" in host else host
    label = f"{parts.scheme}://{shown}:{port}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with translated(label):
        # Chroma's client waits forever for a server that accepts and says nothing.
        httpx.get(
            f"{label}/api/v2/heartbeat", headers=headers, timeout=min(timeout, 10.0)
        ).raise_for_status()
        client = chromadb.HttpClient(
            host=shown, port=port, ssl=tls, headers=dict(headers), settings=_settings()
        )
        # A client and its administrator each have a session, made without a timeout.
        servers = [
            getattr(owner, "_server", None)
            for owner in (client, getattr(client, "_admin_client", None))
        ]
        sessions = [getattr(server, "_session", None) for server in servers]
        known = [session for session in sessions if isinstance(session, httpx.Client)]
        if len(known) < len(sessions):  # better to say so than to wait forever one day
            raise MemoryStoreError("This version of chromadb gives its requests no timeout.")
        for session in known:
            session.timeout = httpx.Timeout(timeout)
    return Connection(client, label, _sessions=known)


@contextmanager
def translated(label: str) -> Iterator[None]:
    """Turns what Chroma and its HTTP client raise into `MemoryStoreError`."""
    import httpx
    from chromadb.errors import ChromaError

    try:
        yield
    except httpx.TransportError as error:
        failure = MemoryStoreError(
            f"The Chroma server at {label} does not answer ({type(error).__name__}).",
            hint="Start it with 'chroma run --path <folder>', or correct GEMS_STORE.",
        )
        failure.transient = True
        raise failure from error
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        failure = MemoryStoreError(
            f"The Chroma server at {label} answered HTTP {status}.",
            hint="Check GEMS_STORE and GEMS_STORE_TOKEN.",
        )
        failure.transient = status in {408, 425, 429} or status >= 500
        raise failure from error
    except GemsError:
        raise
    except (ChromaError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise MemoryStoreError(
            f"The store {label} failed: {type(error).__name__}: {str(error)[:300]}",
            hint="If it is a folder: is its disk full, or was it written by a newer Chroma?",
        ) from error


def describe(metadata: Mapping[str, Any] | None) -> tuple[str, int] | None:
    """Returns the embedding model and dimension that a collection records, or None."""
    name = (metadata or {}).get("gems_embedding")
    dimension = (metadata or {}).get("gems_dimension")
    if not isinstance(name, str) or not isinstance(dimension, int):
        return None
    return name, dimension
