"""Images that a server answers with as an address instead of bytes."""

from __future__ import annotations

import asyncio
import ipaddress
from urllib.parse import urlsplit

import httpx

from ...errors import GenerationError
from ...settings import get_settings
from .endpoint import (
    connection_error,
    http_connections,
    public_url,
    read_limited,
    status_error,
)


class Downloads:
    """Fetches images for one server, without its key: the address may be another server's."""

    def __init__(self, endpoint: str) -> None:
        """Remembers the address of the server that names the images."""
        self._endpoint = endpoint
        self._connections = http_connections("")

    async def fetch(self, url: str) -> bytes:
        """Returns the bytes behind an address that the server named.

        Raises:
            GeneratorBusyError: HTTP 429 or 5xx, no connection, a broken one, or too slow.
            GenerationError: The address is not allowed, or any other failed status.
        """
        await check_download(url, self._endpoint)
        client = await self._connections.get()
        where = public_url(url)
        try:
            async with (
                asyncio.timeout(get_settings().generator_timeout),
                client.stream("GET", url) as response,
            ):
                if not response.is_success:
                    raise status_error(response.status_code, response.headers, "", server=where)
                return await read_limited(response, server=where)
        except (httpx.HTTPError, TimeoutError) as error:
            raise connection_error(error, server=where) from None

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()


async def check_download(url: str, endpoint: str) -> None:
    """Refuses addresses that a remote server has no business sending us to.

    An image's address comes from the server, so it is not trusted: http(s) only, and a private
    network only where the server itself is in one (otherwise a public server could make us call
    inside ours). Link-local addresses (cloud metadata) are never called. A name that changes its
    address between this look and the request is not caught.

    Raises:
        GenerationError: The address is not allowed.
        GeneratorBusyError: Its name can't be resolved.
    """
    server = public_url(endpoint)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise GenerationError(
            f"{server} sent an image address that is not http or https.",
            hint="Only http(s) addresses are fetched.",
        )
    if parts.hostname == urlsplit(endpoint).hostname:
        return
    target = await _addresses(parts.hostname, server)
    if all(address.is_global for address in target):
        return
    home = await _addresses(urlsplit(endpoint).hostname or "", server)
    if any(address.is_link_local for address in target) or any(
        address.is_global for address in home
    ):
        raise GenerationError(
            f"{server} sent an image address inside a private network; it was not fetched.",
            hint="Ask the server for base64 images, or serve them from its own host.",
        )


async def _addresses(host: str, server: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None)
    except OSError as error:
        raise connection_error(httpx.ConnectError(str(error)), server=server) from None
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
