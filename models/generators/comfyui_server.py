"""The HTTP side of a ComfyUI server: its queue, its history, its files, and its errors.

The facts are those of ComfyUI's `server.py` and `execution.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from ...errors import GenerationError
from ..failures import redacted
from .endpoint import (
    connection_error,
    http_connections,
    public_url,
    read_limited,
    status_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class ComfyServer:
    """The HTTP side of a ComfyUI server.

    Attributes:
        name: Its address without user and password.
        url: Its full address.
    """

    def __init__(self, url: str) -> None:
        """Prepares connections to `url`, an http(s) address whose path may be a prefix."""
        self.url = url.rstrip("/")
        self.name = public_url(self.url)
        self._connections = http_connections(self.url)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()

    async def call(self, method: str, path: str, **request: Any) -> bytes:
        """Returns the body of a successful answer.

        Args:
            method: `GET` or `POST`.
            path: With the leading slash, below the server's address.
            request: `params`, `json`, `data` and `files`, as httpx takes them.

        Raises:
            GeneratorBusyError: HTTP 429 or 5xx, no connection, or a broken one.
            GenerationError: Any other failed status, in ComfyUI's words.
        """
        client = await self._connections.get()
        try:
            async with client.stream(method, path, **request) as response:
                data = await read_limited(response, server=self.name)
        except (httpx.HTTPError, TimeoutError) as error:
            raise connection_error(error, server=self.name) from error
        if not response.is_success:
            said = data.decode("utf-8", "replace")
            raise status_error(response.status_code, response.headers, said, server=self.name)
        return data

    async def json(self, method: str, path: str, **request: Any) -> Any:
        """Returns the decoded JSON of a successful answer; otherwise as `call`."""
        data = await self.call(method, path, **request)
        try:
            return json.loads(data) if data else None
        except ValueError:
            raise GenerationError(
                f"{self.name}{path} did not answer JSON.",
                hint="Check that the address belongs to ComfyUI.",
            ) from None

    async def queue(
        self, nodes: dict[str, Any], client_id: str, title: Callable[[str], str]
    ) -> str:
        """Queues a workflow and returns its prompt id.

        Raises:
            GeneratorBusyError: As in `call`.
            GenerationError: ComfyUI rejected the workflow; the message names the nodes.
        """
        client = await self._connections.get()
        try:
            response = await client.post("/prompt", json={"prompt": nodes, "client_id": client_id})
        except (httpx.HTTPError, TimeoutError) as error:
            raise connection_error(error, server=self.name) from error
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.status_code == 400 and isinstance(body, dict):
            raise GenerationError(
                f"ComfyUI rejected the workflow: {_rejection(body, title)}",
                hint="Run the workflow once in ComfyUI itself, then export it again (API).",
            )
        if not response.is_success:
            raise status_error(
                response.status_code, response.headers, response.text, server=self.name
            )
        prompt_id = body.get("prompt_id") if isinstance(body, dict) else None
        if not isinstance(prompt_id, str) or not prompt_id:
            raise GenerationError(
                f"{self.name}/prompt answered without a prompt_id.",
                hint="Check that the address belongs to ComfyUI.",
            )
        return prompt_id

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """Returns the history of a finished job, or None while there is none."""
        found = await self.json("GET", f"/history/{prompt_id}")
        entry = found.get(prompt_id) if isinstance(found, dict) else None
        return entry if isinstance(entry, dict) else None

    async def queued(self, prompt_id: str) -> str:
        """Returns `running`, `pending`, or nothing where the queue does not hold the job."""
        queue = await self.json("GET", "/queue")
        for state in ("running", "pending"):
            items = queue.get(f"queue_{state}") if isinstance(queue, dict) else None
            if any(isinstance(item, list) and prompt_id in item[1:2] for item in items or []):
                return state
        return ""

    async def stop(self, prompt_id: str) -> None:
        """Takes a job out of the queue, or interrupts it where it has begun.

        Interrupting ends whatever runs on versions of ComfyUI that do not read `prompt_id`, so it
        is asked for only while our own job runs.
        """
        await self.call("POST", "/queue", json={"delete": [prompt_id]})
        if await self.queued(prompt_id) == "running":
            await self.call("POST", "/interrupt", json={"prompt_id": prompt_id})


def _rejection(body: dict[str, Any], title: Callable[[str], str]) -> str:
    """ComfyUI's words: the error, then what is wrong with which node."""
    parts = []
    error = body.get("error")
    if isinstance(error, dict):
        parts.append(_words(error))
    elif error:
        parts.append(str(error))
    nodes = body.get("node_errors")
    for node, found in (nodes if isinstance(nodes, dict) else {}).items():
        parts += [
            f"{title(node)} (node {node}): {_words(each)}" for each in found.get("errors", [])
        ]
    return redacted("; ".join(part for part in parts if part))


def _words(error: dict[str, Any]) -> str:
    return ": ".join(str(error[key]) for key in ("message", "details") if error.get(key))
