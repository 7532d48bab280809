"""One job on a ComfyUI server: queue it, follow it, take it back.

`POST /prompt` queues it, the websocket `/ws?clientId=…` tells how it goes, `GET /history/<id>`
holds the result, `POST /queue` and `POST /interrupt` end it.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from ...errors import GenerationError, GeneratorBusyError
from ...settings import get_settings
from ..failures import redacted
from .endpoint import CONNECT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from websockets.asyncio.client import ClientConnection

    from .base import Progress
    from .comfyui_server import ComfyServer

POLL_SECONDS = 1.0
"""Between two looks at the history while there is no websocket."""

QUIET_SECONDS = 10.0
"""After this long without a message the history is looked at: messages can get lost."""

HISTORY_SECONDS = 10.0
"""ComfyUI announces the end before it writes the history; this long is waited for it."""

STOP_SECONDS = 5.0
"""What taking a job back may cost a caller who has already cancelled."""

_MAX_MESSAGE = 32 * 1024 * 1024  # previews travel over the same websocket
_MAX_MISSES = 5  # failed looks in a row: the server is gone

_stopping: set[asyncio.Task[None]] = set()  # asyncio keeps only weak references to tasks


class Job:
    """One queued workflow, from the queue to its history."""

    def __init__(
        self,
        server: ComfyServer,
        nodes: dict[str, Any],
        *,
        title: Callable[[str], str],
        progress: Progress | None,
    ) -> None:
        """Prepares a job; nothing is sent yet.

        Args:
            server: Where it runs.
            nodes: The filled workflow.
            title: What people call a node, by its id.
            progress: Told about the steps of the node that runs.
        """
        self._server = server
        self._nodes = nodes
        self._title = title
        self._progress = progress
        self._client_id = uuid.uuid4().hex
        self._prompt_id = ""
        self._misses = 0
        self._over = False  # nothing left on the server that could be stopped

    async def run(self) -> dict[str, Any]:
        """Runs the job and returns its history entry; a cancelled call takes the job back.

        Raises:
            GeneratorBusyError: The server could not be reached any more, or lost the job.
            GenerationError: ComfyUI rejected the workflow, a node failed, or someone interrupted
                the job on the server.
        """
        socket = await self._listen()
        try:
            await self._queue()
            try:
                return await self._follow(socket)
            except BaseException:  # cancelled, too slow, or the caller's progress raised
                if not self._over:
                    await self._settle(self._server.stop(self._prompt_id))
                raise
        finally:
            if socket is not None:
                await socket.close()

    async def _listen(self) -> ClientConnection | None:
        parts = urlsplit(self._server.url)
        address = parts._replace(
            scheme="wss" if parts.scheme == "https" else "ws",
            path=f"{parts.path}/ws",
            query=f"clientId={self._client_id}",
        ).geturl()
        seconds = min(CONNECT_SECONDS, get_settings().generator_timeout)
        try:
            return await connect(
                address, open_timeout=seconds, close_timeout=1, max_size=_MAX_MESSAGE
            )
        except (OSError, WebSocketException):  # a proxy without websockets: the history will do
            return None

    async def _queue(self) -> None:
        queueing = asyncio.ensure_future(
            self._server.queue(self._nodes, self._client_id, self._title)
        )
        try:
            self._prompt_id = await asyncio.shield(queueing)
        except asyncio.CancelledError:
            # The server may be queueing it at this moment: learn its id, then take it back.
            await self._settle(self._take_back(queueing))
            raise

    async def _take_back(self, queueing: asyncio.Future[str]) -> None:
        await self._server.stop(await queueing)

    async def _settle(self, stopping: Coroutine[Any, Any, None]) -> None:
        """Waits a little for the stop, and lets it go on where the caller can't wait longer."""

        async def quietly() -> None:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await stopping
            except (GenerationError, TimeoutError):
                pass  # the server is gone or refuses: nothing more can be done for it

        task = asyncio.create_task(quietly())
        _stopping.add(task)
        task.add_done_callback(_stopping.discard)
        await asyncio.shield(task)

    async def _follow(self, socket: ClientConnection | None) -> dict[str, Any]:
        while socket is not None:
            try:
                message = await asyncio.wait_for(socket.recv(), QUIET_SECONDS)
            except TimeoutError:
                entry = await self._look_patiently()
                if entry is not None:
                    return entry
                continue
            except ConnectionClosed:
                break
            if isinstance(message, str) and self._ended(message):
                return await self._finished()
        return await self._poll()

    def _ended(self, message: str) -> bool:
        """Reads one message; tells whether the job is over.

        Raises:
            GenerationError: A node failed, or the job was interrupted.
        """
        try:
            event = json.loads(message)
            kind, data = event["type"], event["data"]
        except (ValueError, KeyError, TypeError):
            return False  # extensions send what they like
        if not isinstance(data, dict) or data.get("prompt_id") != self._prompt_id:
            return False
        if kind == "progress":
            self._report(data)
        elif kind == "progress_state":
            for node in (data.get("nodes") or {}).values():
                if isinstance(node, dict) and node.get("state") == "running":
                    self._report(node)
        elif kind in ("execution_error", "execution_interrupted"):
            self._over = True
            raise _failure(kind, data, self._title)
        return kind == "execution_success" or (kind == "executing" and data.get("node") is None)

    def _report(self, data: dict[str, Any]) -> None:
        done, total = data.get("value"), data.get("max")
        if (
            self._progress is not None
            and isinstance(done, int | float)
            and isinstance(total, int | float)
            and total > 1  # nodes without steps count 0 of 1
        ):
            self._progress(int(done), int(total))

    async def _finished(self) -> dict[str, Any]:
        clock = asyncio.get_running_loop().time
        end, wait = clock() + HISTORY_SECONDS, 0.02
        while True:
            entry = await self._server.history(self._prompt_id)
            if entry is not None:
                return self._checked(entry)
            if clock() > end:
                self._over = True
                raise _LostError(self._server.name)
            await asyncio.sleep(wait)
            wait = min(1.0, wait * 2)

    async def _poll(self) -> dict[str, Any]:
        while True:
            entry = await self._look_patiently()
            if entry is not None:
                return entry
            await asyncio.sleep(POLL_SECONDS)

    async def _look_patiently(self) -> dict[str, Any] | None:
        """As `_look`; a server that does not answer a few times in a row is still given time."""
        try:
            entry = await self._look()
        except _LostError:
            raise
        except GeneratorBusyError:
            self._misses += 1
            if self._misses >= _MAX_MISSES:
                raise
            return None
        self._misses = 0
        return entry

    async def _look(self) -> dict[str, Any] | None:
        """Returns the history entry, or None while the job waits or runs.

        Raises:
            GeneratorBusyError: The server does not answer, or lost the job: it neither waits nor
                runs nor has ended.
        """
        entry = await self._server.history(self._prompt_id)
        if entry is None and not await self._server.queued(self._prompt_id):
            # It may have ended between the two looks.
            entry = await self._server.history(self._prompt_id)
            if entry is None:
                self._over = True
                raise _LostError(self._server.name)
        return None if entry is None else self._checked(entry)

    def _checked(self, entry: dict[str, Any]) -> dict[str, Any]:
        self._over = True
        status = entry.get("status")
        if isinstance(status, dict) and status.get("status_str") == "error":
            for message in status.get("messages") or []:
                if message[0] in ("execution_error", "execution_interrupted"):
                    raise _failure(message[0], message[1], self._title)
            raise GenerationError("ComfyUI says that the job failed, and nothing more.")
        return entry


class _LostError(GeneratorBusyError):
    """The server does not know the job any more."""

    def __init__(self, server: str) -> None:
        super().__init__(
            f"{server} lost the job: it is neither queued nor in the history.",
            hint="Was ComfyUI restarted, or its queue or history cleared?",
        )


def _failure(kind: str, data: dict[str, Any], title: Callable[[str], str]) -> GenerationError:
    node = str(data.get("node_id", "?"))
    where = f"{title(node)} (node {node})"
    if kind == "execution_interrupted":
        return GenerationError(
            f"The job was interrupted on the ComfyUI server, at {where}.",
            hint="Somebody cancelled it there; start the run again if that was not meant.",
        )
    kind_of = str(data.get("exception_type", "error"))
    said = redacted(f"{kind_of}: {data.get('exception_message', '')}").rstrip()
    hint = "Run the workflow once in ComfyUI itself to see the node."
    if "OutOfMemory" in kind_of or "out of memory" in said.lower():
        hint = "ComfyUI's GPU is full: use a smaller size or model."
    return GenerationError(f"ComfyUI failed in {where}: {said}", hint=hint)
