"""`openai:<model>`: the Images API of OpenAI and of the servers that speak it.

vLLM-Omni, SGLang, LocalAI and others are reached by `GEMS_GENERATOR_BASE_URL`. They take seed,
steps, guidance and a negative prompt as further fields; a field that a server refuses by name
(HTTP 400 or 422) is left out from then on and reported as a notice.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import json
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from ...errors import (
    ConfigurationError,
    GenerationError,
    GenerationRefusedError,
)
from ...settings import get_settings
from .base import GeneratedImage, GenerationRequest
from .endpoint import (
    CONNECT_SECONDS,
    PerLoop,
    all_of,
    connection_error,
    endpoint_limit,
    excerpt,
    http_connections,
    parse_url,
    public_url,
    read_limited,
    status_error,
)
from .received import decode_image, encode_png

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from PIL import Image

OPENAI_URL = "https://api.openai.com/v1"

MAX_REFERENCES = 16
"""Images that one edit may take (OpenAI's API reference, images/edit)."""

_FIXED_SIZES = ((1024, 1024), (1536, 1024), (1024, 1536))
"""What gpt-image-1, -1-mini, -1.5 and chatgpt-image-latest draw (OpenAI's API reference)."""

_REFUSED_CODES = {"moderation_blocked", "content_policy_violation", "content_filter"}
_REFUSED_WORDS = re.compile(
    r"safety system|content policy|content[_ ]filter|moderation|safety_violations|nsfw", re.I
)
_KEY_SHAPE = re.compile(r"\b(?:sk|key|pk)-[\w*.-]{6,}")


@dataclass(frozen=True)
class _Model:
    """What is known about a model from its name.

    Attributes:
        hosted: One of OpenAI's own: no seed, steps, guidance or negative prompt.
        sizes: The only sizes it draws; empty for any.
        grid: Both sides must be multiples of this.
        ratio: The longest side over the shortest, at most.
        longest: Pixels of the longest side at most.
        asks_b64: Whether it takes `response_format`.
    """

    hosted: bool = False
    sizes: tuple[tuple[int, int], ...] = ()
    grid: int = 1
    ratio: float = 0.0
    longest: int = 0
    asks_b64: bool = True


def _model(name: str) -> _Model:
    version = re.match(r"gpt-image-(\d+(?:\.\d+)?)", name)
    if version and float(version[1]) >= 2:
        return _Model(hosted=True, grid=16, ratio=3.0, longest=3840, asks_b64=False)
    if version or name.startswith("chatgpt-image"):
        return _Model(hosted=True, sizes=_FIXED_SIZES, asks_b64=False)
    return _Model()


_refused_lock = threading.Lock()
_refused_fields: dict[tuple[str, str, str], set[str]] = {}
"""(address, model, operation) -> fields the server refused; for the life of the process."""


class OpenAIImages:
    """One model behind an Images API.

    Attributes:
        name: `openai:<model>`.
        can_edit: True until the server says that it has no edits endpoint.
    """

    def __init__(self, model: str, *, base_url: str, api_key: SecretStr | None) -> None:
        """Prepares the generator; nothing is sent yet.

        Args:
            model: As the server names it.
            base_url: With the version path, e.g. `http://127.0.0.1:8000/v1`.
            api_key: None for a server that asks for none.

        Raises:
            ConfigurationError: The model is empty or the address is no http(s) address.
        """
        if not model:
            raise ConfigurationError(
                "'openai:' needs the name of a model.", hint="Write for instance openai:gpt-image-2."
            )
        parse_url(base_url, what="An openai generator")
        self.name = f"openai:{model}"
        self.can_edit = True
        self._model_name = model
        self._model = _model(model)
        self._url = base_url.rstrip("/")
        self._server = public_url(self._url)
        self._key = api_key
        self._clients: PerLoop[AsyncOpenAI] = PerLoop(self._connect, _close)
        self._downloads = http_connections("")
        self._limit = endpoint_limit(self._url)

    def __repr__(self) -> str:
        return f"OpenAIImages({self._model_name!r}, base_url={self._server!r})"

    async def generate(self, request: GenerationRequest) -> list[GeneratedImage]:
        """Makes `request.n` images: by one call where the model takes no seed, else one each.

        Raises:
            GeneratorBusyError: HTTP 429 or 5xx, no connection, a broken one, or no image in time.
            GenerationRefusedError: Moderation refused the prompt or the image.
            GenerationError: Any other failure.
        """
        width, height = _fit(self._model, request.width, request.height)
        notices: list[str] = []
        if (width, height) != (request.width, request.height):
            notices.append(
                f"{self._model_name} does not draw {request.width}x{request.height}; "
                f"{width}x{height} was asked for."
            )
        references = request.references[:MAX_REFERENCES]
        if len(references) < len(request.references):
            notices.append(f"Only the first {MAX_REFERENCES} reference images were sent.")
        files = [await encode_png(image) for image in references]
        operation = "edit" if files else "generate"
        size = f"{width}x{height}"
        if self._model.hosted or "seed" in self._refused(operation):
            batches = [(request.seed, request.n)]
        else:
            batches = [(request.seed + index, 1) for index in range(request.n)]
        made = await all_of(
            self._call(request, files, size=size, seed=seed, n=n) for seed, n in batches
        )
        notices += self._unsupported(request, operation)
        images = [item for batch in made for item in batch][: request.n]
        if len(images) < request.n:
            notices.append(f"The server made {len(images)} of {request.n} images.")
        seeded = not self._model.hosted and "seed" not in self._refused(operation)
        results = []
        for index, (image, revised) in enumerate(images):
            own = list(notices)
            if image.size != (width, height):
                own.append(
                    f"The server made {image.width}x{image.height} pixels, not {width}x{height}."
                )
            parameters: dict[str, str | int | float | bool | None] = {
                "model": self._model_name,
                "width": image.width,
                "height": image.height,
                "seeded": seeded,
            }
            for name, value in self._extras(request, request.seed + index).items():
                if name != "seed" and name not in self._refused(operation):
                    parameters[name] = value
            if revised:
                parameters["revised_prompt"] = revised
            results.append(
                GeneratedImage(
                    image=image,
                    seed=request.seed + index,
                    parameters=parameters,
                    notices=tuple(own),
                )
            )
        return results

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._clients.aclose()
        await self._downloads.aclose()

    def _connect(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        seconds = get_settings().generator_timeout
        return AsyncOpenAI(
            api_key=self._key.get_secret_value() if self._key else "none",
            base_url=self._url,
            timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            max_retries=0,  # the graph's retry policy decides, so that budgets hold
        )

    def _refused(self, operation: str) -> set[str]:
        with _refused_lock:
            return set(_refused_fields.get((self._url, self._model_name, operation), ()))

    def _extras(self, request: GenerationRequest, seed: int) -> dict[str, Any]:
        """The fields beside OpenAI's, by the names that vLLM-Omni and SGLang give them."""
        if self._model.hosted:
            return {}
        fields: dict[str, Any] = {"seed": seed}
        if request.negative_prompt:
            fields["negative_prompt"] = request.negative_prompt
        if request.steps is not None:
            fields["num_inference_steps"] = request.steps
        if request.guidance is not None:
            fields["guidance_scale"] = request.guidance
        return fields

    def _unsupported(self, request: GenerationRequest, operation: str) -> list[str]:
        refused = self._refused(operation)
        asked = {
            "negative_prompt": ("negative prompt", bool(request.negative_prompt)),
            "num_inference_steps": ("number of steps", request.steps is not None),
            "guidance_scale": ("guidance scale", request.guidance is not None),
            "seed": ("seed: the same seed gives another image", True),
            "size": ("size", True),
        }
        return [
            f"{self._model_name} takes no {words}."
            for field, (words, wanted) in asked.items()
            if wanted and (field in refused or (self._model.hosted and field != "size"))
        ]

    async def _call(
        self, request: GenerationRequest, files: list[bytes], *, size: str, seed: int, n: int
    ) -> list[tuple[Image.Image, str]]:
        operation = "edit" if files else "generate"
        extras = self._extras(request, seed)
        optional: dict[str, Any] = {"size": size, **extras}
        if self._model.asks_b64:
            optional["response_format"] = "b64_json"
        async with self._limit.slot():
            while True:
                left_out = self._refused(operation)
                fields = {name: value for name, value in optional.items() if name not in left_out}
                try:
                    body = await self._send(request.prompt, files, fields, n)
                except _FieldRefusedError as refusal:
                    with _refused_lock:
                        _refused_fields.setdefault(
                            (self._url, self._model_name, operation), set()
                        ).add(refusal.field)
                    continue  # ends: each turn leaves one more field out
                break
        return await all_of(self._picture(item) for item in body)

    async def _send(
        self, prompt: str, files: list[bytes], fields: dict[str, Any], n: int
    ) -> list[dict[str, Any]]:
        import openai

        client = await self._clients.get()
        own = {name: fields[name] for name in ("size", "response_format") if name in fields}
        extra = {name: value for name, value in fields.items() if name not in own}
        call: Any = client.images.with_streaming_response
        arguments: dict[str, Any] = {
            "model": self._model_name,
            "prompt": prompt,
            "n": n,
            "extra_body": extra or None,
            **own,
        }
        if files:
            named = [(f"reference-{i}.png", data, "image/png") for i, data in enumerate(files)]
            # One file goes as `image`, several as `image[]`, which some servers do not know.
            arguments["image"] = named[0] if len(named) == 1 else named
        try:
            async with asyncio.timeout(get_settings().generator_timeout):
                manager = call.edit(**arguments) if files else call.generate(**arguments)
                async with manager as response:
                    data = await read_limited(response.http_response, server=self._server)
        except openai.APIStatusError as error:
            raise self._failure(error, fields, editing=bool(files)) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            raise connection_error(cause, server=self._server) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise connection_error(error, server=self._server) from None
        return await asyncio.to_thread(self._items, data)

    def _items(self, data: bytes) -> list[dict[str, Any]]:
        try:
            body = json.loads(data)
        except ValueError:
            raise GenerationError(
                f"{self._server} did not answer JSON: {self._clean(data[:500])}",
                hint="Check that the address is an Images API, with its version path (…/v1).",
            ) from None
        if isinstance(body, dict) and body.get("error"):  # some gateways send it with HTTP 200
            raise self._said(_message(body))
        items = body.get("data") if isinstance(body, dict) else None
        found = [item for item in items or [] if isinstance(item, dict)]
        if not found:
            raise GenerationError(
                f"{self._server} answered without an image.",
                hint="Its answer has no 'data'; check that the model makes images.",
            )
        return found

    async def _picture(self, item: dict[str, Any]) -> tuple[Image.Image, str]:
        if isinstance(item.get("b64_json"), str) and item["b64_json"]:
            try:
                data = await asyncio.to_thread(_base64, item["b64_json"])
            except binascii.Error:
                raise GenerationError(
                    f"{self._server} sent an image whose base64 is broken.",
                    hint="Trying again may help.",
                ) from None
        elif isinstance(item.get("url"), str) and item["url"]:
            data = await self._download(item["url"])
        else:
            raise GenerationError(f"{self._server} sent an entry with neither b64_json nor url.")
        revised = item.get("revised_prompt")
        image = await decode_image(data, server=self._server)
        return image, revised if isinstance(revised, str) else ""

    async def _download(self, url: str) -> bytes:
        if url.startswith("data:"):
            return await asyncio.to_thread(_base64, url.partition(",")[2])
        await _check_download(url, self._url, server=self._server)
        client = await self._downloads.get()  # without the key: this may be another server
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

    def _failure(
        self, error: APIStatusError, fields: dict[str, Any], *, editing: bool
    ) -> Exception:
        status = error.status_code
        message = _message(error.body) or error.message
        code = str(error.code or "")
        if status in (400, 403) and (code in _REFUSED_CODES or _REFUSED_WORDS.search(message)):
            return self._said(message, refused=True)
        if status in (400, 422):
            field = _named_field(error, message, fields)
            if field:
                return _FieldRefusedError(field)
        if code in ("insufficient_quota", "billing_hard_limit_reached"):
            return GenerationError(
                f"{self._server} refuses: {self._clean(message)}",
                hint="The account has no credit left; waiting does not help.",
            )
        if editing and status in (404, 405, 501):
            self.can_edit = False
            return GenerationError(
                f"{self._server} has no edits endpoint for {self._model_name} (HTTP {status}).",
                hint="Set refine_by to 'prompt', or choose a model that edits.",
            )
        failure = status_error(
            status, error.response.headers, self._clean(message), server=self._server
        )
        if status == 401:
            failure.hint = "Set GEMS_GENERATOR_API_KEY (or OPENAI_API_KEY) to a valid key."
        return failure

    def _said(self, message: str, *, refused: bool = False) -> GenerationError:
        if refused or _REFUSED_WORDS.search(message):
            return GenerationRefusedError(
                f"{self._model_name} refused the prompt: {self._clean(message)}",
                hint="Another wording may pass.",
            )
        return GenerationError(f"{self._server} failed: {self._clean(message)}")

    def _clean(self, text: str | bytes) -> str:
        """The server's words, short and without the key (servers echo it in HTTP 401)."""
        words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        if self._key and self._key.get_secret_value():
            words = words.replace(self._key.get_secret_value(), "(key)")
        return excerpt(_KEY_SHAPE.sub("(key)", words))


class _FieldRefusedError(Exception):
    """The server named a field that it does not take."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


async def _close(client: AsyncOpenAI) -> None:
    await client.close()


def _base64(text: str) -> bytes:
    return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text)


def _message(body: object) -> str:
    """The human part of an error body: OpenAI's, FastAPI's `detail`, or plain text."""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    for key in ("error", "message", "detail"):
        value = body.get(key)
        if isinstance(value, dict):
            return _message(value)
        if isinstance(value, str) and value:
            return value
        if value:
            return json.dumps(value)
    return ""


def _named_field(error: APIStatusError, message: str, fields: dict[str, Any]) -> str:
    """Which of the optional fields sent an HTTP 400 or 422 complains about, or nothing."""
    param = str(error.param or "")
    if param in fields:
        return param
    # A size that is merely wrong must not be dropped silently unless the server says so by `param`.
    for field in fields:
        if re.search(rf"(?<![A-Za-z_]){re.escape(field)}(?![A-Za-z_])", message):
            return field
    return ""


def _fit(model: _Model, width: int, height: int) -> tuple[int, int]:
    """Returns the size nearest to the one wished that the model draws."""
    if model.sizes:
        # By aspect ratio: a wide picture must stay wide, whatever its pixel count.
        return min(model.sizes, key=lambda size: abs(size[0] * height - size[1] * width) / size[1])
    if model.ratio:
        width = min(width, round(height * model.ratio))
        height = min(height, round(width * model.ratio))
    if model.longest:
        scale = min(1.0, model.longest / max(width, height))
        width, height = round(width * scale), round(height * scale)
    if model.grid > 1:
        width = max(model.grid, width // model.grid * model.grid)
        height = max(model.grid, height // model.grid * model.grid)
    return width, height


async def _check_download(url: str, endpoint: str, *, server: str) -> None:
    """Refuses addresses that a remote server has no business sending us to.

    An image's address comes from the server, so it is not trusted: http(s) only, and a private
    network only where the server itself is in one (otherwise a public server could make us call
    inside ours). Link-local addresses (cloud metadata) are never called.
    """
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


async def _addresses(
    host: str, server: str
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None)
    except OSError as error:
        raise connection_error(httpx.ConnectError(str(error)), server=server) from None
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def create(target: str) -> OpenAIImages:
    """Returns the generator for `openai:<target>`, configured by the process's settings.

    `OPENAI_API_KEY` is sent to OpenAI or to `OPENAI_BASE_URL` and nowhere else; another address
    gets `GEMS_GENERATOR_API_KEY` or no key.

    Raises:
        ConfigurationError: The model is missing, the address is malformed, or OpenAI's own address
            is used without a key.
    """
    settings = get_settings()
    shared = settings.openai_base_url or OPENAI_URL
    base_url = settings.generator_base_url or shared
    key = settings.generator_api_key
    own = urlsplit(base_url).hostname == urlsplit(OPENAI_URL).hostname
    if key is None and (own or base_url.rstrip("/") == shared.rstrip("/")):
        key = settings.openai_api_key
    if key is None and own:
        raise ConfigurationError(
            f"openai:{target} needs a key for {OPENAI_URL}.",
            hint="Set GEMS_GENERATOR_API_KEY or OPENAI_API_KEY, or GEMS_GENERATOR_BASE_URL to "
            "another server.",
        )
    return OpenAIImages(target.strip(), base_url=base_url, api_key=key)
