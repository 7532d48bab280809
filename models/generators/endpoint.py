"""What every generator behind a network address shares: connections, limits, and honest errors."""

from __future__ import annotations

import asyncio
import threading
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx

from ...errors import ConfigurationError, GenerationError, GeneratorBusyError
from ...settings import get_settings
from ..failures import redacted
from ..limits import limit_for, retry_after_seconds

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping

    from ..limits import EndpointLimit

T = TypeVar("T")

CONNECT_SECONDS = 10.0
"""A server that does not accept a connection within this is down, however slow its images are."""


# Addresses ---------------------------------------------------------------------------------------


def parse_url(url: str, *, what: str) -> SplitResult:
    """Returns the parts of an http(s) address.

    Raises:
        ConfigurationError: It is none, or has no host.
    """
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 - raises on a port that is no number
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"{what} needs an http or https address, not {public_url(url)!r}.",
            hint="Write for instance http://127.0.0.1:8000.",
        )
    return parts


def public_url(url: str) -> str:
    """Returns the address without user, password, query and fragment: fit for names and errors."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return "(not an address)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


# Connections -------------------------------------------------------------------------------------


class PerLoop(Generic[T]):
    """One resource for each event loop, made at first use and closed with its loop.

    Connections belong to the loop they were opened in, and one process may run several loops (the
    command line calls `asyncio.run` more than once, a server gives threads their own). Each
    resource is held by an async generator that has been started: `asyncio.run` closes those before
    it closes the loop, so nothing is left open and nobody has to remember it.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        """Remembers how to make and close one.

        Args:
            make: Called in a worker thread, since it may import packages and read certificates.
            close: Called in the resource's own loop.
        """
        self._make = make
        self._close = close
        self._held: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[T]]
        ] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    async def get(self) -> T:
        """Returns the resource of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            held = self._held.get(loop)
        if held is not None:
            return held[0]
        made = await asyncio.to_thread(self._make)
        with self._lock:
            held = self._held.get(loop)
        if held is not None:  # another task of this loop was quicker
            await self._close(made)
            return held[0]
        lifetime = self._lifetime(loop, made)
        with self._lock:
            self._held[loop] = (made, lifetime)
        await anext(lifetime)  # does not yield to the loop: nothing in it waits
        return made

    async def aclose(self) -> None:
        """Closes the resource of this loop and tells the other running loops to close theirs."""
        here = asyncio.get_running_loop()
        with self._lock:
            held = list(self._held.items())
        for loop, (_, lifetime) in held:
            if loop is here:
                await lifetime.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(_finish(lifetime), loop)

    async def _lifetime(self, loop: asyncio.AbstractEventLoop, made: T) -> AsyncGenerator[T]:
        try:
            yield made
        finally:
            with self._lock:
                self._held.pop(loop, None)
            await self._close(made)


async def _finish(lifetime: AsyncGenerator[T]) -> None:
    await lifetime.aclose()


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # 20 ms of reading: once per process


def http_connections(url: str) -> PerLoop[httpx.AsyncClient]:
    """Returns pooled connections to one server, one pool per event loop.

    Redirects are not followed: a server must not send us (or a key) elsewhere.

    Args:
        url: Base address; paths of requests are relative to it. User and password in it are sent
            as basic authentication.
    """

    def make() -> httpx.AsyncClient:
        seconds = get_settings().generator_timeout
        return httpx.AsyncClient(
            base_url=url,
            verify=_certificates(),
            timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            headers={"user-agent": "gems-graph"},
        )

    return PerLoop(make, httpx.AsyncClient.aclose)


# Concurrency -------------------------------------------------------------------------------------


def endpoint_limit(url: str) -> EndpointLimit:
    """Returns the limit of a server (`GEMS_GENERATOR_CONCURRENCY`), shared by all that call it."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    return limit_for(f"images of {origin}", get_settings().generator_concurrency)


async def all_of(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Runs the calls at the same time and returns their results in order.

    The first failure cancels the rest and is raised as it is, not in an exception group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


# Answers -----------------------------------------------------------------------------------------


async def read_limited(response: httpx.Response, *, server: str) -> bytes:
    """Returns the body of a streamed response.

    Raises:
        GenerationError: It is larger than `GEMS_GENERATOR_MAX_BYTES`; the rest is not read.
    """
    limit = get_settings().generator_max_bytes
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > limit:
            raise GenerationError(
                f"{server} sent more than {limit} bytes for one answer.",
                hint="Raise GEMS_GENERATOR_MAX_BYTES if images of that size are expected.",
            )
        parts.append(part)
    return b"".join(parts)


def status_error(
    status: int, headers: Mapping[str, str], message: str, *, server: str
) -> GenerationError:
    """Returns the error for a failed HTTP status.

    Args:
        status: 300..599.
        headers: Of the response.
        message: What the server said, already free of secrets; may be empty.
        server: Name of the server for people.
    """
    said = redacted(message).rstrip(".")
    text = f"{server} answered HTTP {status}{': ' if said else ''}{said}."
    if status in (408, 409, 425, 429) or status >= 500:
        return GeneratorBusyError(
            text, hint="Trying again later may help.", retry_after=retry_after_seconds(headers)
        )
    return GenerationError(text, hint=_STATUS_HINTS.get(status, ""))


_STATUS_HINTS = {
    401: "Check the key or password for this server.",
    403: "The key or password does not allow this.",
    404: "Check the address and, where one is named, the model.",
    405: "Check the address: it is there, but does not take this kind of request.",
    413: "The request is too large for the server: use smaller reference images.",
    414: "The prompt is too long for this server: shorten it.",
    431: "The prompt is too long for this server: shorten it.",
}


def is_connection_error(error: BaseException) -> bool:
    """Tells whether a connection failed, broke or took too long, whichever client says so.

    By name, since the openai client brings an HTTP library of its own (httpx2 as of openai 3).
    """
    return isinstance(error, OSError) or "TransportError" in _class_names(error)  # TimeoutError too


def connection_error(error: BaseException, *, server: str) -> GeneratorBusyError:
    """Returns the error for a connection that failed, broke, or took too long."""
    names = _class_names(error)
    if names & {"ConnectTimeout", "ConnectError", "gaierror"}:
        return GeneratorBusyError(f"{server} can't be reached.", hint="Check that it is running.")
    if names & {"TimeoutException", "TimeoutError", "APITimeoutError"}:
        seconds = get_settings().generator_timeout
        return GeneratorBusyError(
            f"{server} gave no image within {seconds:g} s.",
            hint="Raise GEMS_GENERATOR_TIMEOUT if it is only slow.",
        )
    return GeneratorBusyError(
        f"The connection to {server} broke ({type(error).__name__}).",
        hint="Trying again may help.",
    )


def _class_names(error: BaseException) -> set[str]:
    return {each.__name__ for each in type(error).__mro__}
