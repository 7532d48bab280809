"""Chat models made from their names, and the endpoints behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .failures import translate

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from ..settings import Settings

_NO_KEY = "none"
"""What local servers get as a key: the openai client insists on one, they do not read it."""


def make_model(spec: str, settings: Settings) -> BaseChatModel:
    """Returns a new chat model.

    Args:
        spec: `sandbox`, `openai:<model>` or another `provider:model` of `init_chat_model`.
        settings: Addresses, keys, timeouts.

    Raises:
        ConfigurationError: `spec` names nothing, or a package or key is missing.
    """
    provider, _, name = spec.partition(":")
    if spec == "sandbox":
        from ..sandbox.chat import SandboxChatModel

        return SandboxChatModel()
    if not provider or not name:
        raise ConfigurationError(
            f"The chat model {spec!r} is not of the form 'provider:model'.",
            hint="Use 'sandbox' or, for example, 'openai:gpt-5'.",
        )
    return _make_openai(name, settings) if provider == "openai" else _make_other(spec, settings)


def _make_openai(name: str, settings: Settings) -> BaseChatModel:
    import httpx
    from openai import DefaultAsyncHttpxClient
    from pydantic import SecretStr

    from .openai_chat import ReasoningChatOpenAI

    base_url, key = _openai_endpoint(settings)
    if base_url is not None and urlsplit(base_url).scheme not in ("http", "https"):
        raise ConfigurationError(
            "GEMS_MLLM_BASE_URL is no http(s) address.", hint="For example http://127.0.0.1:8000/v1"
        )
    if base_url is None and key is None:
        raise ConfigurationError(
            f"openai:{name} needs a key.",
            hint="Set OPENAI_API_KEY, or GEMS_MLLM_BASE_URL to a server of your own.",
        )
    summary = settings.mllm_reasoning_summary
    timeout = httpx.Timeout(settings.mllm_timeout, connect=min(15.0, settings.mllm_timeout))
    return ReasoningChatOpenAI(
        model=name,
        base_url=base_url or "https://api.openai.com/v1",
        api_key=key or SecretStr(_NO_KEY),
        timeout=timeout,
        stream_chunk_timeout=settings.mllm_timeout,
        max_retries=0,  # `complete` does that, for the whole process
        stream_usage=True,
        # The openai client's own default client is shared by all event loops; ours is not.
        http_async_client=DefaultAsyncHttpxClient(timeout=settings.mllm_timeout),
        extra_body=settings.mllm_extra_body or None,
        reasoning={"summary": summary} if summary != "off" and base_url is None else None,
    )


def _openai_endpoint(settings: Settings) -> tuple[str | None, Any]:
    """Returns (base URL or None for OpenAI's own, key or None) of `openai:` models."""
    if settings.mllm_base_url:
        # OPENAI_API_KEY stays at home: this address need not be one that may see it.
        return settings.mllm_base_url, settings.mllm_api_key
    return settings.openai_base_url, settings.mllm_api_key or settings.openai_api_key


def _make_other(spec: str, settings: Settings) -> BaseChatModel:
    from langchain.chat_models import init_chat_model

    model: BaseChatModel
    try:
        model = init_chat_model(spec)
        fields = type(model).model_fields
        names = set(fields) | {field.alias for field in fields.values() if field.alias}
        ours: dict[str, Any] = {"timeout": settings.mllm_timeout, "max_retries": 0}
        model = init_chat_model(spec, **{key: ours[key] for key in ours if key in names})
    except ImportError as error:
        raise ConfigurationError(f"The chat model {spec!r} can't be used: {error}.") from None
    except Exception as error:  # noqa: BLE001 - any SDK's own complaint about keys or names
        reason = str(translate(error, spec)).splitlines()[0]
        raise ConfigurationError(
            f"The chat model {spec!r} can't be made: {reason}",
            hint="Is the provider's key set, and the provider known to LangChain?",
        ) from None
    return model


def endpoint_of(spec: str, settings: Settings) -> str:
    """Returns the name under which calls of a model share limits: its address or its provider."""
    provider = spec.partition(":")[0]
    if provider != "openai":
        return provider
    base_url = _openai_endpoint(settings)[0]
    if base_url is None:
        return "api.openai.com"
    parts = urlsplit(base_url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Returns the keys that must not appear in any message."""
    keys = (settings.mllm_api_key, settings.openai_api_key)
    return tuple(key.get_secret_value() for key in keys if key is not None)
