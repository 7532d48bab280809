"""A report that a server writes: `gems report --url`."""

from __future__ import annotations

from urllib.parse import quote

import httpx

from ...errors import InputError
from ...settings import get_settings
from ..remote import CONNECT_SECONDS, ServerError, address_of

SECONDS = 120.0

LARGEST = 64 * 1024 * 1024
"""Bytes; a report of the most images that one may have takes about 3 MB."""


async def download_report(url: str, thread: str) -> bytes:
    """Returns the report of a thread of the server at `url`.

    Raises:
        InputError: The server has no such thread for this caller, or the address is none.
        ServerError: It can't be reached or refuses the call.
    """
    server = address_of(url)
    key = get_settings().api_key
    headers = {"x-api-key": key.get_secret_value()} if key else {}
    # Quoted, an id can't lead to another path of the server.
    address = f"{server}/threads/{quote(thread, safe='')}/report"
    timeout = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)
    body = bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, headers=headers) as client,
            client.stream("GET", address) as answer,
        ):
            _check(server, thread, answer, has_key=bool(key))
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise ServerError(f"{server} sent more than {LARGEST} bytes.")
    except httpx.HTTPError as error:
        raise ServerError(
            f"The server at {server} can't be reached ({type(error).__name__}).",
            hint="Is it running? `langgraph dev` starts one.",
        ) from None
    return bytes(body)


def _check(server: str, thread: str, answer: httpx.Response, *, has_key: bool) -> None:
    kind = answer.headers.get("content-type", "")
    if answer.status_code == 200 and kind.startswith("text/html"):
        return
    if answer.status_code in (401, 403):
        hint = "It takes another key." if has_key else "Set GEMS_API_KEY to a key of this server."
        raise ServerError(f"The server at {server} refuses the call.", hint=hint)
    if answer.status_code == 404:
        raise InputError(
            f"The server at {server} has no thread {thread!r} of yours.",
            hint="If it has, it lacks the routes of gems.app.http (see docs/deploy.md).",
        )
    raise ServerError(f"The server at {server} answered {answer.status_code} {kind}".rstrip() + ".")
