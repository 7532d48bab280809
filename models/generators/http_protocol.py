"""`http:<url>`: the GEMS reference protocol, `POST <url>/generate?prompt=…` returning a PNG.

The paper's reference code serves each generator this way (arXiv 2603.28088). The protocol knows
the prompt only; seed, size, negative prompt, steps and guidance travel as further query
parameters, which a server reads or ignores.
"""

from __future__ import annotations

import asyncio

import httpx

from ...errors import GenerationError
from ...settings import get_settings
from ..failures import redacted
from .base import GeneratedImage, GenerationRequest
from .endpoint import (
    all_of,
    connection_error,
    endpoint_limit,
    http_connections,
    parse_url,
    public_url,
    read_limited,
    status_error,
)
from .received import decode_image

_SAFE_URL = 4000
"""Servers cut addresses off at 4 to 64 KiB; some say no more than HTTP 400 to a longer one."""


class HttpGenerator:
    """A server that speaks the GEMS reference protocol.

    Attributes:
        name: `http:<url>` without user, password and query.
        can_edit: False; the protocol has no way to send an image.
    """

    can_edit = False

    def __init__(self, url: str) -> None:
        """Prepares the generator; nothing is sent yet.

        Args:
            url: Where `/generate` is found. A path is kept (`http://host/z-image` posts to
                `http://host/z-image/generate`), and so is an address that ends in `/generate`.

        Raises:
            ConfigurationError: It is no http(s) address.
        """
        parts = parse_url(url, what="An http generator")
        path = parts.path.rstrip("/")
        if not path.endswith("/generate"):
            path += "/generate"
        self._url = parts._replace(path=path, fragment="").geturl()
        self._server = public_url(url)
        self.name = f"http:{self._server}"
        self._connections = http_connections("")
        self._limit = endpoint_limit(self._url)

    def __repr__(self) -> str:
        return f"HttpGenerator({self._server!r})"

    async def generate(self, request: GenerationRequest) -> list[GeneratedImage]:
        """Makes `request.n` images, one request each, at the same time within the limit.

        Raises:
            GeneratorBusyError: HTTP 429 or 5xx, no connection, a broken one, or no image in time.
            GenerationError: Any other failure.
        """
        return await all_of(self._one(request, request.seed + index) for index in range(request.n))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()

    async def _one(self, request: GenerationRequest, seed: int) -> GeneratedImage:
        query: dict[str, str | int | float] = {
            "prompt": request.prompt,
            "seed": seed,
            "width": request.width,
            "height": request.height,
        }
        if request.negative_prompt:
            query["negative_prompt"] = request.negative_prompt
        if request.steps is not None:
            query["steps"] = request.steps
        if request.guidance is not None:
            query["guidance"] = request.guidance
        async with self._limit.slot():
            data = await self._post(query)
        image = await decode_image(data, server=self._server)
        notices = []
        if image.size != (request.width, request.height):
            notices.append(
                f"The server made {image.width}x{image.height} pixels, not "
                f"{request.width}x{request.height}."
            )
        if request.references:
            notices.append("The http protocol can't edit: the reference images were not used.")
        return GeneratedImage(
            image=image,
            seed=seed,
            parameters={"width": image.width, "height": image.height}
            | {name: query[name] for name in ("steps", "guidance") if name in query},
            notices=tuple(notices),
        )

    async def _post(self, query: dict[str, str | int | float]) -> bytes:
        client = await self._connections.get()
        try:
            url = httpx.URL(self._url).copy_merge_params(query)
        except httpx.InvalidURL:  # more than 65,536 characters
            raise GenerationError(
                "The prompt is too long to travel in an address, as this protocol wants it.",
                hint="Shorten the prompt.",
            ) from None
        try:
            async with (
                asyncio.timeout(get_settings().generator_timeout),
                client.stream("POST", url) as response,
            ):
                data = await read_limited(response, server=self._server)
        except (httpx.HTTPError, TimeoutError) as error:
            raise connection_error(error, server=self._server) from error
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not response.is_success:
            said = data.decode("utf-8", "replace") if _is_text(kind) else ""
            failure = status_error(
                response.status_code, response.headers, said, server=self._server
            )
            if response.status_code == 400 and len(str(url)) > _SAFE_URL:
                failure.hint = "The prompt may be too long for this server: shorten it."
            raise failure
        if _is_text(kind) and data[:1] in (b"{", b"<", b"["):
            raise GenerationError(
                f"{self._server} answered {kind} where an image was due: "
                f"{redacted(data.decode('utf-8', 'replace'))}",
                hint="Check that the address serves POST /generate.",
            )
        return data


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in ("application/json", "application/problem+json")


def create(target: str) -> HttpGenerator:
    """Returns the generator for `http:<target>`.

    Raises:
        ConfigurationError: The target is no http(s) address.
    """
    return HttpGenerator(target)
