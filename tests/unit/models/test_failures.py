"""Every SDK's exception becomes one of ours: what may pass, what may not, and no secrets."""

from __future__ import annotations

import json

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.errors import NodeTimeoutError

from gems.errors import (
    ConfigurationError,
    GenerationRefusedError,
    ModelBusyError,
    ModelError,
    StructuredOutputError,
)
from gems.models.failures import (
    ModelTimeoutError,
    RequestRejectedError,
    is_transient,
    redacted,
    translate,
)


def http(status: int, **headers: str) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1/v1")
    response = httpx.Response(status, request=request, headers=headers)
    return httpx.HTTPStatusError(f"HTTP {status}", request=request, response=response)


class OutOfMemoryError(RuntimeError):
    """As torch.cuda names it."""


class ThrottlingException(Exception):  # noqa: N818 - as botocore names it
    response = {"ResponseMetadata": {"HTTPStatusCode": 429}}  # noqa: RUF012 - as botocore has it


class AnthropicLikeError(Exception):
    status_code = 529


def caused_by(cause: Exception) -> Exception:
    try:
        try:
            raise cause
        except Exception as inner:
            raise ValueError("wrapped") from inner
    except ValueError as error:
        return error


PASSING = [
    http(429),
    http(408),
    http(409),
    http(500),
    http(503),
    httpx.ReadTimeout("slow"),
    httpx.ConnectError("refused"),
    httpx.RemoteProtocolError("gone"),
    openai.APITimeoutError(request=httpx.Request("POST", "http://x")),  # type: ignore[arg-type] # openai takes both httpx
    TimeoutError(),
    ConnectionResetError(),
    BrokenPipeError(),
    NodeTimeoutError("verifier", 9.0, kind="run", run_timeout=8.0),
    OutOfMemoryError("CUDA out of memory"),
    RuntimeError("CUDA error: out of memory"),
    ThrottlingException(),
    AnthropicLikeError(),
    ModelBusyError("busy"),
    StructuredOutputError("no JSON"),
    caused_by(ConnectionResetError()),
]
LASTING = [
    http(400),
    http(401),
    http(404),
    http(501),
    ValueError("a bug"),
    KeyError("a bug"),
    FileNotFoundError("x"),
    PermissionError("x"),
    ConfigurationError("no key"),
    GenerationRefusedError("no"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass_is_tried_again(error: BaseException) -> None:
    assert is_transient(error)


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_will_not_pass_is_not(error: BaseException) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize("error", [e for e in PASSING if type(e) is not StructuredOutputError])
def test_both_readings_agree(error: Exception) -> None:
    assert isinstance(translate(error, "openai:m"), ModelBusyError)


def test_each_kind_of_failure_has_its_error() -> None:
    busy = translate(http(429, **{"retry-after": "12"}), "openai:m")
    assert isinstance(busy, ModelBusyError)
    assert busy.retry_after == 12
    assert isinstance(translate(http(401), "openai:m"), ConfigurationError)
    rejected = translate(http(404), "openai:m")
    assert isinstance(rejected, RequestRejectedError)
    assert "model's name" in str(rejected)
    assert type(translate(http(402), "openai:m")) is ModelError
    assert isinstance(translate(httpx.ReadTimeout("slow"), "openai:m"), ModelTimeoutError)
    unknown_option = TypeError("create() got an unexpected keyword argument 'logprobs'")
    assert isinstance(translate(unknown_option, "x:m"), RequestRejectedError)
    broken = json.JSONDecodeError("Expecting value", "{", 1)
    assert isinstance(translate(broken, "openai:m"), ModelBusyError)
    assert isinstance(translate(ValueError({"code": 502, "message": "x"}), "o:m"), ModelBusyError)
    no_quota = translate(ValueError({"code": 429, "message": "insufficient_quota"}), "openai:m")
    assert not no_quota.transient


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abcdefghijklmnop.",
        "header Authorization: Bearer abcdef.ghi-jkl",
        "GET https://user:hunter2secret@host/v1?key=AIzaSyA-1234567890abc",
        "config my-very-own-secret here",
        "data:image/png;base64," + "A" * 5000,
    ],
)
def test_messages_hold_no_secrets_and_no_images(text: str) -> None:
    clean = redacted(text, ("my-very-own-secret",))
    for secret in ("sk-proj", "abcdef.ghi", "hunter2", "AIzaSy", "my-very-own", "AAAA"):
        assert secret not in clean


@given(st.text(), st.text(min_size=4))
def test_a_known_secret_is_never_in_a_message(text: str, secret: str) -> None:
    said = str(translate(RuntimeError(f"{text}{secret}{text}"), "openai:m", (secret,)))
    assert secret not in said or secret in str(translate(RuntimeError(""), "openai:m")) + "[key]"
    assert len(said) < 600
