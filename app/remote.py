"""A run on a server: the same view and the same result as a run in this process.

The graph is LangGraph's `RemoteGraph`; the image comes from the server's `/artifacts/{sha256}`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from langchain_core.runnables import RunnableConfig
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Interrupt, StateSnapshot
from langgraph_sdk import get_client

from .. import errors
from ..errors import ArtifactError, GemsError, InputError
from ..graph.following import View, follow
from ..graph.run import Result, result_of
from ..memory.artifacts import artifact_store, sha256_of
from ..nodes.scorer import best_attempt
from ..records import ImageRef
from ..settings import get_settings

if TYPE_CHECKING:
    from langgraph_sdk.client import LangGraphClient

    from ..graph.state import GemsInput

GRAPH = "gems"
"""The graph's name in `langgraph.json`."""

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 300.0
"""Longest silence of a server; while a run streams it sends a heartbeat every few seconds."""

IMAGE_SECONDS = 120.0

MASKED = "An internal error occurred"
"""What langgraph-api says in place of the message of an error that is none of Python's own kinds
(`langgraph_api.serde.default`)."""


class ServerError(GemsError):
    """A LangGraph server could not be reached, refused the call, or its run failed."""

    code = "server"


class ServerGraph(RemoteGraph):
    """A `RemoteGraph` that asks for a thread's newest state the way that every server understands.

    `RemoteGraph` posts a checkpoint without an id for it; aegra answers that with 400.
    """

    async def aget_state(
        self, config: RunnableConfig, *, subgraphs: bool = False, **_: Any
    ) -> StateSnapshot:
        """Returns the newest state of the thread that `config` names."""
        state = await self._validate_client().threads.get_state(
            config["configurable"]["thread_id"], subgraphs=subgraphs
        )
        found = [item for task in state["tasks"] for item in task["interrupts"]]
        return StateSnapshot(
            values=state["values"] or {},
            next=tuple(state["next"] or ()),
            config=config,
            metadata=None,
            created_at=state["created_at"],
            parent_config=None,
            tasks=(),
            interrupts=tuple(Interrupt(value=item["value"], id=item["id"]) for item in found),
        )


def address_of(url: str) -> str:
    """Returns a server's address without a slash at its end.

    Raises:
        InputError: It is no address of an HTTP server, or it carries a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            f"--url: {url!r} is no address of a server.", hint="Give http://host:port."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            "--url: an address has no password, question mark or # in it.",
            hint="A server's key belongs in GEMS_API_KEY.",
        )
    return url.rstrip("/")


def _key() -> str | None:
    key = get_settings().api_key
    return key.get_secret_value() if key else None


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[LangGraphClient]:
    """A client of the server at `url`, closed at the end.

    It sends GEMS_API_KEY, and no other key: LangSmith's own, which the SDK would take from the
    environment, stays here.

    Raises:
        ServerError: For what goes wrong inside, with the server's words.
        GemsError: The run failed on the server; the same class as in this process.
    """
    address = address_of(url)
    timeout = (CONNECT_SECONDS, SILENCE_SECONDS, SILENCE_SECONDS, CONNECT_SECONDS)
    try:
        # The SDK's client tries for 12 s before it says that nobody is there; this asks once.
        async with httpx.AsyncClient(timeout=CONNECT_SECONDS) as probe:
            await probe.head(f"{address}/ok")
        async with get_client(url=address, api_key=_key(), timeout=timeout) as client:
            yield client
    except RemoteException as error:
        raise _failed_run(error) from None
    except httpx.HTTPStatusError as error:
        raise _refusal(address, error.response) from None
    except json.JSONDecodeError:
        raise ServerError(
            f"What answers at {address} is no LangGraph server.",
            hint="Give the address that `langgraph dev` prints as API.",
        ) from None
    except httpx.TimeoutException:
        raise ServerError(f"The server at {address} does not answer in time.") from None
    except httpx.HTTPError as error:
        raise ServerError(
            f"The server at {address} can't be reached ({type(error).__name__}).",
            hint="Is it running? `langgraph dev` starts one.",
        ) from None


def _failed_run(error: RemoteException) -> GemsError:
    """Returns the error of a run as the class that it had on the server."""
    told = error.args[0] if error.args else ""
    if not isinstance(told, dict):
        return ServerError(f"The run failed on the server: {told}.")
    name, message = str(told.get("error", "")), str(told.get("message", ""))
    if message == MASKED:
        message = f"The run failed on the server with {name}; its reason is in the server's log."
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, GemsError):
        return kind(message)
    return ServerError(
        message if name in message else f"The run failed on the server: {name}: {message}"
    )


def _refusal(address: str, response: httpx.Response) -> GemsError:
    if response.status_code in (401, 403):
        hint = "It takes another key." if _key() else "Set GEMS_API_KEY to a key of this server."
        return ServerError(f"The server at {address} refuses the call.", hint=hint)
    try:
        body = response.json()
        detail = body.get("detail") or body.get("message") or ""
    except (httpx.StreamError, ValueError, AttributeError):
        detail = ""
    return ServerError(
        f"The server at {address} answered {response.status_code} {detail}".rstrip() + ".",
        hint="Is it a LangGraph server with the graph 'gems'?"
        if response.status_code == 404
        else "",
    )


async def drive_remote(
    url: str, given: GemsInput, settings: dict[str, Any], thread: str, view: View
) -> Result:
    """Runs `given` on a new thread of the server at `url` and fetches the best image.

    Args:
        url: Address of the server.
        given: Input of the run.
        settings: Settings of the run that differ from the server's assistant.
        thread: Id for the thread, a UUID.
        view: Shows the run and answers its questions.

    Returns:
        The finished run; its image lies in this machine's artifact store.

    Raises:
        GemsError: The server can't be reached, the run failed, or it made no image.
    """
    async with connect(url) as client:
        graph = ServerGraph(GRAPH, client=client)
        config = RunnableConfig(configurable={"thread_id": thread})
        # When this program ends, so does the run: nobody would see what it costs.
        values = await follow(graph, given, settings, config, view, on_disconnect="cancel")
    result = result_of(values, thread)
    return replace(result, image=await fetch(url, result.image))


async def best_remote(url: str, thread: str) -> Path | str | None:
    """Returns the best image so far of a thread on a server, fetched; None when there is none.

    Raises:
        GemsError: The server can't be reached, or it does not hand out the image.
    """
    async with connect(url) as client:
        state = await client.threads.get_state(thread)
    values = state["values"]
    best = best_attempt(values.get("attempts", [])) if isinstance(values, dict) else None
    if best is None:
        return None
    image = await fetch(url, best["image"])
    return artifact_store().path(image) or image["uri"]


async def fetch(url: str, image: ImageRef) -> ImageRef:
    """Puts an image of the server at `url` into this machine's store and returns its reference.

    Where both share a store (the same folder, the same bucket) nothing travels.

    Raises:
        ServerError: The server can't be reached or does not hand out the image.
        ArtifactError: What it sent is not that image.
    """
    store = artifact_store()
    sha256 = sha256_of(image)
    try:
        await store.load(image)
    except ArtifactError:
        pass  # not here yet
    else:
        return image
    data = await _download(f"{address_of(url)}/artifacts/{sha256}")
    if await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest()) != sha256:
        raise ArtifactError(f"The server sent something else than the image {sha256}.")
    return await store.put(data)


async def _download(address: str) -> bytes:
    """Returns the body at an address; no longer than an image may be, and without redirects."""
    limit = get_settings().generator_max_bytes
    key = _key()
    headers = {"x-api-key": key} if key else {}
    body = bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=httpx.Timeout(IMAGE_SECONDS)) as client,
            client.stream("GET", address, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                raise ServerError(
                    f"The run is done, but the server does not hand out its image: {address} "
                    f"answered {answer.status_code}.",
                    hint="The server needs the routes of gems.app.http (see docs/deploy.md).",
                )
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > limit:
                    raise ServerError(f"{address} sent more than {limit} bytes.")
    except httpx.HTTPError as error:
        raise ServerError(
            f"The run is done, but its image at {address} can't be fetched "
            f"({type(error).__name__})."
        ) from None
    return bytes(body)
