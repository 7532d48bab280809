"""Models by name: what each name gives, and what is wrong with the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage

from gems.errors import ConfigurationError, ModelError
from gems.models import chat, endpoint_memory
from gems.models.endpoint_memory import EndpointMemory, image_limit
from gems.models.failures import RequestRejectedError
from gems.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMS_MLLM_BASE_URL", "GEMS_MLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    chat.forget_chat_models()
    endpoint_memory.forget_endpoints()
    yield
    get_settings.cache_clear()
    chat.forget_chat_models()


def env(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()


async def nothing(_: Any) -> bytes:
    raise AssertionError


async def test_a_programs_own_model_is_used_under_its_name() -> None:
    own = GenericFakeChatModel(messages=iter([AIMessage("<think>hm</think>yes")]))
    chat.register_chat_model("mine", own)
    assert chat.chat_model("mine") is own
    reply = await chat.complete("mine", [HumanMessage("Is it?")], {}, nothing)
    assert (reply.content, reply.additional_kwargs["reasoning_content"]) == ("yes", "hm")
    assert chat.usage_of(reply) == (0, 0)


async def test_what_an_own_model_raises_is_one_of_our_errors() -> None:
    chat.register_chat_model("mine", GenericFakeChatModel(messages=iter([])))
    with pytest.raises(ModelError):
        await chat.complete("mine", [HumanMessage("Is it?")], {}, nothing)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gpt-5", "not of the form 'provider:model'"),
        ("openai:", "not of the form"),
        ("", "not of the form"),
        ("openai:gpt-5", "needs a key.*OPENAI_API_KEY"),
        ("anthropic:claude-x", "langchain-anthropic"),
        ("nobody:x", "can't be made"),
    ],
)
def test_a_name_that_gives_nothing_says_why(spec: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        chat.chat_model(spec)


def test_addresses_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    env(monkeypatch, OPENAI_API_KEY="sk-of-openai")
    model: Any = chat.chat_model("openai:gpt-5")
    assert model.openai_api_base == "https://api.openai.com/v1"
    assert model.openai_api_key.get_secret_value() == "sk-of-openai"

    chat.forget_chat_models()
    env(monkeypatch, OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    model = chat.chat_model("openai:gpt-5")
    assert model.openai_api_base == "http://127.0.0.1:1/v1"
    assert model.openai_api_key.get_secret_value() == "sk-of-openai"

    chat.forget_chat_models()
    env(monkeypatch, GEMS_MLLM_BASE_URL="http://127.0.0.1:2/v1")
    model = chat.chat_model("openai:gpt-5")
    assert model.openai_api_base == "http://127.0.0.1:2/v1"
    assert model.openai_api_key.get_secret_value() == "none"

    chat.forget_chat_models()
    env(monkeypatch, GEMS_MLLM_BASE_URL="file:///etc/passwd")
    with pytest.raises(ConfigurationError, match=r"no http\(s\) address"):
        chat.chat_model("openai:gpt-5")


def test_openais_own_models_may_give_reasoning_summaries(monkeypatch: pytest.MonkeyPatch) -> None:
    env(monkeypatch, OPENAI_API_KEY="sk-x-123456", GEMS_MLLM_REASONING_SUMMARY="concise")
    model: Any = chat.chat_model("openai:gpt-5")
    payload = model._get_request_payload(
        [HumanMessage("Is it?")], logprobs=True, top_logprobs=20, max_tokens=10
    )
    assert payload["reasoning"] == {"summary": "concise"}
    assert payload["max_output_tokens"] == 10
    assert not {"logprobs", "top_logprobs"} & payload.keys(), "the Responses API has no such fields"


def test_models_are_kept_for_their_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    env(monkeypatch, GEMS_MLLM_BASE_URL="http://127.0.0.1:2/v1")

    async def two() -> tuple[Any, Any]:
        return chat.chat_model("openai:m"), chat.chat_model("openai:m")

    first, again = asyncio.run(two())
    other, _ = asyncio.run(two())
    assert first is again
    assert other is not first


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("At most 1 image(s) may be provided in one request.", 1),
        ("At most 4 image(s) may be provided in one prompt.", 4),
        ("Too many images provided. This model supports up to 5 images", 5),
        ("Too many images in request. Max is 50.", 50),
        ("This model does not support multiple images", 1),
        ("context length exceeded", None),
        ("image too large, at most 20 MB", None),
    ],
)
def test_how_endpoints_word_their_image_limit(said: str, limit: int | None) -> None:
    assert image_limit(said) == limit


def test_nothing_is_learned_from_an_unrelated_refusal() -> None:
    memory = EndpointMemory()
    error = RequestRejectedError("no", said="context length exceeded", status=400)
    assert not memory.learn(error, {"response_format": {}, "temperature": 0}, shown=3)
    assert memory == EndpointMemory()


def test_a_limit_is_learned_by_calls_that_were_under_way_and_not_for_ever() -> None:
    memory = EndpointMemory()
    error = RequestRejectedError("no", said="At most 1 image(s) may be provided", status=400)
    assert memory.learn(error, {}, shown=3)
    assert memory.learn(error, {}, shown=3), "sent before the first one came back"
    assert memory.max_images == 1
    assert not memory.learn(error, {}, shown=1), "else it would be tried for ever"


def test_a_temperature_that_is_refused_is_left_out_logprobs_stay() -> None:
    memory = EndpointMemory()
    options = {"logprobs": True, "top_logprobs": 20, "temperature": 0.7}
    said = "Unsupported value: 'temperature' does not support 0.7 with this model."
    assert memory.learn(RequestRejectedError("no", said=said), options, shown=1)
    assert memory.allowed(options) == {"logprobs": True, "top_logprobs": 20}
