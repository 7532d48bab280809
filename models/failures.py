"""What went wrong at a model's endpoint, in this package's own errors.

Providers raise their own SDK's exceptions (openai, anthropic, google, httpx, …). They are read here
by what they carry (a status, a response, a cause), never by importing an SDK, and turned into a
`ModelError` whose text holds no key, no image and not more than a few hundred characters.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, GemsError, ModelBusyError, ModelError
from .limits import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRIED_STATUSES = frozenset({408, 409, 425, 429})
"""HTTP statuses below 500 after which the same request may pass."""

REJECTED_STATUSES = frozenset({400, 404, 405, 413, 415, 422, 501})
"""HTTP statuses that say: this request, as it is, will never pass."""

_LONGEST = 400
"""Characters of an endpoint's own words that a message keeps."""

_SECRETS = re.compile(
    r"(?i)\b(?:sk|rk|pk|gsk|xai|hf|key|lsv2)[-_][A-Za-z0-9_\-*.]{6,}"
    r"|\bbearer\s+\S+"
    r"|\bAIza[0-9A-Za-z_\-]{10,}"
    r"|(?<=://)[^/\s@]+@"
    r"|(?<=key=)[^&\s\"']+"
)
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=]*")

_ABOUT_REQUEST = re.compile(
    r"response_format|json_?schema|grammar|guided|tool_choice|logprobs|image input|mmproj", re.I
)
"""Words by which an HTTP 500 shows that the request, not the server, is the trouble (llama.cpp
answers 500 to an image it can't take, vLLM to a schema it can't compile, OpenAI 403 to
log-probabilities)."""

_TIMEOUT_NAMES = frozenset(
    {
        "APITimeoutError",
        "NodeTimeoutError",
        "ReadTimeout",
        "ConnectTimeout",
        "StreamChunkTimeoutError",
    }
)
_CONNECTION_NAMES = frozenset(
    {
        "APIConnectionError",
        "ConnectError",
        "NetworkError",
        "ReadError",
        "RemoteProtocolError",
        "ServiceUnavailable",
        "TransportError",
        "WriteError",
    }
)


class ModelTimeoutError(ModelBusyError):
    """A chat model did not answer within `mllm_timeout`."""

    code = "model_timeout"


class RequestRejectedError(ModelError):
    """The endpoint will not take this request as it is; a different request may pass.

    Attributes:
        status: The HTTP status, or None where the client itself refused.
        said: The endpoint's own words, redacted.
    """

    code = "model_request_rejected"

    def __init__(
        self, message: str, *, status: int | None = None, said: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.said = said


def redacted(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Returns `text` without keys, data URLs and line breaks, at most a few hundred characters.

    Args:
        text: What an endpoint or an SDK said.
        secrets: Values that must not be in the result, whatever they look like.
    """
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "[key]")
    text = _SECRETS.sub("[key]", _DATA_URL.sub("[image]", text))
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an exception and what it was raised from, at most ten."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _names(error: BaseException) -> set[str]:
    """Returns the names of all classes of an exception, so that no SDK need be imported."""
    return {cls.__name__ for cls in type(error).__mro__}


def status_of(error: BaseException) -> int | None:
    """Returns the HTTP error status that an exception of any SDK carries, or None."""
    for value in (
        getattr(error, "status_code", None),
        getattr(getattr(error, "response", None), "status_code", None),
        getattr(error, "code", None),
        getattr(error, "http_status", None),
    ):
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    return None


def _embedded_error(error: BaseException) -> tuple[int | None, str] | None:
    """Returns (status, message) of an error object that came in a body with HTTP 200.

    OpenRouter answers so when the provider behind it fails; langchain-openai raises a ValueError
    whose argument is that object.
    """
    if not (isinstance(error, ValueError) and error.args and isinstance(error.args[0], dict)):
        return None
    body: dict[str, Any] = error.args[0]
    code = body.get("code")
    status = (
        int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdigit()) else None
    )
    return status, str(body.get("message", body))


def _words(error: BaseException) -> str:
    """Returns what the endpoint said: its error message where the SDK parsed one."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict):
            for key in ("message", "detail", "error"):
                if isinstance(inner.get(key), str):
                    return str(inner[key])
        return json.dumps(body)
    return str(error)


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) or bool(_names(error) & _TIMEOUT_NAMES)


def _is_connection(error: BaseException) -> bool:
    if _names(error) & _CONNECTION_NAMES:
        return True
    return isinstance(error, OSError) and not isinstance(
        error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
    )


def _is_out_of_memory(error: BaseException) -> bool:
    return "OutOfMemoryError" in _names(error) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )


def is_transient(error: BaseException) -> bool:
    """Tells whether the same work may succeed when tried again.

    Made for LangGraph's `RetryPolicy(retry_on=is_transient)`, whose own default refuses every
    `OSError`, `ValueError` and `RuntimeError` and HTTP 429.

    Args:
        error: Any exception that a node raised.

    Returns:
        True for a `GemsError` that says so, HTTP 408, 409, 425, 429 and 5xx (501 excepted),
        timeouts (LangGraph's `NodeTimeoutError` too), broken connections and a GPU out of memory.
    """
    if isinstance(error, GemsError):
        return error.transient
    if isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception):
        return False
    for each in _chain(error):
        if isinstance(each, GemsError):
            return each.transient
        status = status_of(each)
        if status is not None:
            return status in RETRIED_STATUSES or (status >= 500 and status != 501)
        if _is_timeout(each) or _is_connection(each) or _is_out_of_memory(each):
            return True
    return False


def translate(error: BaseException, where: str, secrets: tuple[str, ...] = ()) -> GemsError:
    """Returns this package's error for whatever a chat model raised.

    Args:
        error: What was caught.
        where: Which model, without secrets, e.g. `openai:gpt-5`.
        secrets: Values that must not appear in the message.

    Returns:
        `ModelBusyError` where trying again may help (with `retry_after`), `RequestRejectedError`
        where the request itself is the trouble, else `ModelError`; a `GemsError` stays itself.
    """
    if isinstance(error, GemsError):
        return error
    embedded = _embedded_error(error)
    status, said = embedded if embedded else (status_of(error), _words(error))
    said = redacted(said, secrets)
    if status is not None:
        return _by_status(status, said, where, _retry_after(error))
    for each in _chain(error):
        if _is_timeout(each):
            return ModelTimeoutError(
                f"{where} did not answer in time.", hint="Raise GEMS_MLLM_TIMEOUT if it is slow."
            )
        if isinstance(each, json.JSONDecodeError):
            return ModelBusyError(f"{where} sent a broken answer ({redacted(str(each), secrets)}).")
        if _is_connection(each):
            return ModelBusyError(
                f"Could not reach {where}: {redacted(str(each), secrets) or type(each).__name__}.",
                hint="Is the server running, and is GEMS_MLLM_BASE_URL its address?",
            )
        if _is_out_of_memory(each):
            return ModelBusyError(f"{where} ran out of memory.")
    if embedded is None and "Unexpected response type" in said:
        return ModelError(
            f"{where} answered with something that is not JSON: {said}",
            hint="Check GEMS_MLLM_BASE_URL; it usually ends in /v1.",
        )
    if isinstance(error, (TypeError, NotImplementedError, ValueError)) and embedded is None:
        # A client that does not know an option says so with these.
        return RequestRejectedError(f"{where} could not take the request: {said}", said=said)
    return ModelError(f"{where} failed: {said or type(error).__name__}")


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return retry_after_seconds(headers) if headers is not None else None


def _by_status(status: int, said: str, where: str, retry_after: float | None) -> GemsError:
    """Returns the error for an HTTP status."""
    if status == 401:
        return ConfigurationError(
            f"{where} refused the key (HTTP 401).",
            hint="Set GEMS_MLLM_API_KEY (or OPENAI_API_KEY for OpenAI's own models).",
        )
    if status == 429 and "insufficient_quota" in said.lower():
        return ModelError(f"{where}: the account has no quota left (HTTP 429).")
    refused = status in REJECTED_STATUSES or (
        (status == 403 or status >= 500) and _ABOUT_REQUEST.search(said)
    )
    if not refused and (status in RETRIED_STATUSES or status >= 500):
        state = "is busy" if status in (429, 503, 529) else "failed for now"
        return ModelBusyError(f"{where} {state} (HTTP {status}): {said}", retry_after=retry_after)
    if refused:
        hint = "Is the model's name right, and does GEMS_MLLM_BASE_URL end in /v1?"
        return RequestRejectedError(
            f"{where} rejected the request (HTTP {status}): {said}",
            status=status,
            said=said,
            hint=hint if status == 404 else "",
        )
    return ModelError(f"{where} answered HTTP {status}: {said}")
