"""`openai:<model>`: the Images API of OpenAI and of the servers that speak it.

vLLM-Omni, SGLang, LocalAI and others are reached by `GEMS_GENERATOR_BASE_URL`. They take seed,
steps, guidance and a negative prompt as further fields; a field that a server refuses by name
(HTTP 400 or 422) is left out from then on and reported as a notice.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import (
    ConfigurationError,
    GenerationError,
    GenerationRefusedError,
)
from ...settings import get_settings
from ..failures import redacted
from .base import GeneratedImage, GenerationRequest
from .downloads import Downloads
from .endpoint import (
    PerLoop,
    all_of,
    connection_error,
    endpoint_limit,
    is_connection_error,
    parse_url,
    public_url,
    read_limited,
    status_error,
)
from .openai_errors import FieldRefusedError, is_refusal, message_of, named_field
from .openai_models import drawn_size, image_model
from .received import decode_image, encode_png

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from PIL import Image
    from pydantic import SecretStr

OPENAI_URL = "https://api.openai.com/v1"

MAX_REFERENCES = 16
"""Images that one edit may take (OpenAI's API reference, images/edit)."""

MAX_PER_CALL = 10
"""Images that one call may ask for (OpenAI's API reference, images/generate, `n`)."""

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
                "'openai:' needs the name of a model.",
                hint="Write for instance openai:gpt-image-2.",
            )
        parse_url(base_url, what="An openai generator")
        self.name = f"openai:{model}"
        self.can_edit = True
        self._model_name = model
        self._model = image_model(model)
        self._url = base_url.rstrip("/")
        self._server = public_url(self._url)
        self._key = api_key
        self._clients: PerLoop[AsyncOpenAI] = PerLoop(self._connect, _close)
        self._downloads = Downloads(self._url)
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
        width, height = drawn_size(self._model, request.width, request.height)
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
        made = await all_of(
            self._call(request, files, size=f"{width}x{height}", seed=seed, n=n)
            for seed, n in self._batches(request, operation)
        )
        notices += self._unsupported(request, operation)
        images = [item for batch in made for item in batch][: request.n]
        if len(images) < request.n:
            notices.append(f"The server made {len(images)} of {request.n} images.")
        results = []
        for index, (image, revised) in enumerate(images):
            own = list(notices)
            if image.size != (width, height):
                own.append(
                    f"The server made {image.width}x{image.height} pixels, not {width}x{height}."
                )
            results.append(
                GeneratedImage(
                    image=image,
                    seed=request.seed + index,
                    parameters=self._parameters(request, operation, image, revised),
                    notices=tuple(own),
                )
            )
        return results

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._clients.aclose()
        await self._downloads.aclose()

    def _connect(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        return AsyncOpenAI(
            api_key=self._key.get_secret_value() if self._key else "none",
            base_url=self._url,
            timeout=get_settings().generator_timeout,
            # A server must not send prompts and images elsewhere.
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
            max_retries=0,  # the graph's retry policy decides, so that budgets hold
        )

    def _seeded(self, operation: str) -> bool:
        return not self._model.hosted and "seed" not in self._refused(operation)

    def _batches(self, request: GenerationRequest, operation: str) -> list[tuple[int, int]]:
        """The calls to make, as (seed, number of images)."""
        if self._seeded(operation):  # one image a call: each can be made again from its own seed
            return [(request.seed + index, 1) for index in range(request.n)]
        return [
            (request.seed + start, min(MAX_PER_CALL, request.n - start))
            for start in range(0, request.n, MAX_PER_CALL)
        ]

    def _parameters(
        self, request: GenerationRequest, operation: str, image: Image.Image, revised: str
    ) -> dict[str, str | int | float | bool | None]:
        """What was really used, without the fields that the server refused."""
        refused = self._refused(operation)
        used: dict[str, str | int | float | bool | None] = {
            "model": self._model_name,
            "width": image.width,
            "height": image.height,
            "seeded": self._seeded(operation),
        }
        used |= {
            name: value
            for name, value in self._extras(request, request.seed).items()
            if name != "seed" and name not in refused
        }
        if revised:
            used["revised_prompt"] = revised
        return used

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
        left_out = self._refused(operation)
        async with self._limit.slot():
            while True:  # ends: each turn leaves one more field out
                fields = {name: value for name, value in optional.items() if name not in left_out}
                try:
                    body = await self._send(request.prompt, files, fields, n)
                except FieldRefusedError as refusal:
                    left_out.add(refusal.field)
                    continue
                break
        with _refused_lock:  # only what helped is remembered
            _refused_fields.setdefault((self._url, self._model_name, operation), set()).update(
                left_out
            )
        return await all_of(self._picture(item) for item in body)

    async def _send(
        self, prompt: str, files: list[bytes], fields: dict[str, Any], n: int
    ) -> list[dict[str, Any]]:
        client = await self._clients.get()  # in a thread, and with it the import of openai
        import openai

        own: dict[str, Any] = {
            name: fields[name] for name in ("size", "response_format") if name in fields
        }
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
            raise connection_error(error.__cause__ or error, server=self._server) from None
        except Exception as error:
            if is_connection_error(error):  # the body broke off: the client does not wrap that
                raise connection_error(error, server=self._server) from None
            raise
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
            raise self._said(message_of(body))
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
            url = item["url"]
            data = (
                await asyncio.to_thread(_base64, url)
                if url.startswith("data:")
                else await self._downloads.fetch(url)
            )
        else:
            raise GenerationError(f"{self._server} sent an entry with neither b64_json nor url.")
        revised = item.get("revised_prompt")
        image = await decode_image(data, server=self._server)
        return image, revised if isinstance(revised, str) else ""

    def _failure(
        self, error: APIStatusError, fields: dict[str, Any], *, editing: bool
    ) -> Exception:
        status = error.status_code
        message = message_of(error.body) or error.message
        code = str(error.code or "")
        if is_refusal(message, status=status, code=code):
            return self._said(message, refused=True)
        if status in (400, 422):
            field = named_field(error, message, fields)
            if field:
                return FieldRefusedError(field)
        if code in ("insufficient_quota", "billing_hard_limit_reached"):
            return GenerationError(
                f"{self._server} refuses: {self._clean(message)}",
                hint="The account has no credit left; waiting does not help.",
            )
        if editing and status in (404, 405, 501) and code != "model_not_found":
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
        if refused or is_refusal(message):
            return GenerationRefusedError(
                f"{self._model_name} refused the prompt: {self._clean(message)}",
                hint="Another wording may pass.",
            )
        return GenerationError(f"{self._server} failed: {self._clean(message)}")

    def _clean(self, text: str | bytes) -> str:
        """The server's words, short and without the key (servers echo it in HTTP 401)."""
        words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return redacted(words, (self._key.get_secret_value(),) if self._key else ())


async def _close(client: AsyncOpenAI) -> None:
    await client.close()


def _base64(text: str) -> bytes:
    return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text)


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
