"""Chat models by name, and the one way in which they are called.

`complete` is what the agent's roles call: it shows the images, keeps to the endpoint's limits,
tries again what may pass, learns what an endpoint refuses, and raises only this package's errors.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ..errors import GemsError, ModelBusyError, ModelError
from ..settings import get_settings
from .answers import keep_answer_logprobs
from .endpoint_memory import memory_of
from .failures import ModelTimeoutError, RequestRejectedError, translate
from .limits import backoff, limit_for
from .providers import endpoint_of, make_model, secrets_of
from .redaction import call_unseen
from .thoughts import with_thought
from .vision import Load, count_images, sent_image_bytes, with_images

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable

TIMEOUT_RETRIES = 1
"""How often a call that timed out is tried again: each costs the whole `mllm_timeout`."""

_lock = threading.Lock()
_registered: dict[str, BaseChatModel] = {}
_without_loop: dict[str, BaseChatModel] = {}
_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, BaseChatModel]] = (
    weakref.WeakKeyDictionary()
)


def register_chat_model(spec: str, model: BaseChatModel) -> None:
    """Makes `spec` name a chat model of the caller's own.

    For programs that bring their own `BaseChatModel` (a gateway, a fine-tuned model, a recording):
    register it under any name and set that name as a role's model. Replaces what `spec` named.

    Args:
        spec: Any name, e.g. `mine` or `openai:gpt-5`.
        model: Used as it is, by all event loops.
    """
    with _lock:
        _registered[spec] = model


def forget_chat_models() -> None:
    """Forgets all models of this process, registered ones too."""
    with _lock:
        _registered.clear()
        _without_loop.clear()
        _by_loop.clear()


def chat_model(spec: str) -> BaseChatModel:
    """Returns the chat model that `spec` names, the same object for the same event loop.

    Args:
        spec: `sandbox`, `openai:<model>` (any OpenAI-compatible endpoint, see
            `Settings.mllm_base_url`), another `provider:model` of LangChain's `init_chat_model`
            whose package is installed, or a registered name.

    Raises:
        ConfigurationError: `spec` names nothing, or a package or key is missing.
    """
    try:
        loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    return model_on_loop(spec, loop)


def _made(spec: str, loop: asyncio.AbstractEventLoop | None) -> BaseChatModel | None:
    """Returns the model where it has been made or registered before."""
    with _lock:
        if spec in _registered:
            return _registered[spec]
        models = _without_loop if loop is None else _by_loop.get(loop, {})
        return models.get(spec)


def model_on_loop(spec: str, loop: asyncio.AbstractEventLoop | None) -> BaseChatModel:
    """Returns a chat model as `chat_model` does, for an event loop that runs in another thread.

    Making one for the first time imports its library: call it in a worker thread.

    Raises:
        ConfigurationError: As `chat_model`.
    """
    known = _made(spec, loop)
    if known is not None:
        return known
    made = make_model(spec, get_settings())
    with _lock:
        # By loop, because an HTTP client's open connections belong to the loop that opened them.
        models = _without_loop if loop is None else _by_loop.setdefault(loop, {})
        return models.setdefault(spec, made)


def usage_of(message: AIMessage) -> tuple[int, int]:
    """Returns (input tokens, output tokens) of a reply as the endpoint reports them, else 0."""
    usage = message.usage_metadata
    return (usage["input_tokens"], usage["output_tokens"]) if usage else (0, 0)


async def complete(
    spec: str,
    messages: list[BaseMessage],
    options: Mapping[str, Any],
    load: Load,
    *,
    max_side: int | None = None,
) -> AIMessage:
    """Returns a chat model's answer.

    Swaps `image_ref` blocks for images (as many as the endpoint takes), waits for a place at the
    endpoint, tries again while it is busy (honouring `Retry-After`), and does without options that
    it refuses. The reasoning of the answer is in `additional_kwargs["reasoning_content"]`; of the
    log-probabilities only those of a yes/no answer are kept. Where images were sent,
    `response_metadata["image_bytes"]` has their encoded bytes before base64, with every retry.

    Args:
        spec: Which model, see `chat_model`.
        messages: The conversation.
        options: What `model.bind` takes: `response_format`, `tools`, `tool_choice`, `logprobs`,
            `top_logprobs`, `temperature`, …
        load: Gives the stored bytes of an image.
        max_side: Longest side in pixels of the images shown; None takes `vision_max_side`.

    Raises:
        ConfigurationError: The model or its key is missing or refused.
        ModelBusyError: Still busy after all attempts, or a longer wait is asked for than allowed.
        RequestRejectedError: The endpoint does not take the request.
        ModelError: Any other failure.
        ArtifactError: An image can't be read.
    """
    settings = get_settings()
    loop = asyncio.get_running_loop()
    model = _made(spec, loop)
    if model is None:
        model = await asyncio.to_thread(model_on_loop, spec, loop)
    await _close_with_loop(loop)
    where, secrets = endpoint_of(spec, settings), secrets_of(settings)
    limit = limit_for(where, settings.mllm_concurrency)
    known = memory_of(f"{where} {spec}", settings.mllm_max_images)
    images = count_images(messages)
    attempt = 0
    image_bytes = 0

    def in_our_words(error: BaseException) -> GemsError:
        return translate(error, spec, secrets)

    while True:
        shown = images if known.max_images is None else min(images, known.max_images)
        ready = await with_images(
            messages,
            load,
            max_side=settings.vision_max_side if max_side is None else max_side,
            quality=settings.vision_quality,
            image_format=settings.vision_format,
            max_images=known.max_images,
            overflow=settings.mllm_image_overflow,
        )
        sent = known.allowed(options)
        image_bytes += sent_image_bytes(ready)
        try:
            async with limit.slot(), asyncio.timeout(settings.mllm_timeout):
                answer = await call_unseen(_bound(model, sent), messages, ready, in_our_words)
            answer = keep_answer_logprobs(with_thought(answer))
            if image_bytes:
                answer.response_metadata["image_bytes"] = image_bytes
            return answer
        except Exception as error:  # noqa: BLE001 - every SDK has its own; all are translated
            failure = in_our_words(error)
        if isinstance(failure, RequestRejectedError):
            if known.learn(failure, sent, shown):
                continue
            raise _about_images(failure, images)
        attempt += 1
        if not isinstance(failure, ModelBusyError) or attempt >= settings.mllm_attempts:
            raise _about_images(failure, images)
        if isinstance(failure, ModelTimeoutError) and attempt > TIMEOUT_RETRIES:
            raise failure
        asked = failure.retry_after
        if asked is not None and asked > settings.mllm_max_wait:
            raise failure
        wait = backoff(attempt, settings.mllm_max_wait)
        if asked is not None:
            limit.pause(asked)
            wait = max(wait, asked)
        await asyncio.sleep(wait)


def _about_images(failure: GemsError, images: int) -> GemsError:
    """Adds a hint where images may be the trouble; servers word it in a hundred ways."""
    if images and not failure.hint and isinstance(failure, ModelError):
        failure.hint = "If this model takes no images, set another one for this role."
    return failure


def _bound(model: BaseChatModel, options: dict[str, Any]) -> Runnable[Any, Any]:
    """Returns the model with options; tools in the provider's own form."""
    options = dict(options)
    tools = options.pop("tools", None)
    if not tools:
        return model.bind(**options) if options else model
    choice = options.pop("tool_choice", None)
    with_tools = model.bind_tools(tools, **({"tool_choice": choice} if choice else {}))
    return with_tools.bind(**options) if options else with_tools


# --- clients are closed with their event loop -----------------------------------------------------

_closers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncGenerator[None]] = (
    weakref.WeakKeyDictionary()
)


async def _close_with_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Sees to it that this loop's HTTP clients are closed when the loop ends.

    `asyncio.run` and its like end the asynchronous generators that are still open before they
    close the loop; one of them, waiting at its `yield`, is our place to close the clients.
    """
    if loop in _closers:
        return
    closer = _until_loop_ends()
    _closers[loop] = closer
    await anext(closer)


async def _until_loop_ends() -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await aclose_chat_models()


async def aclose_chat_models() -> None:
    """Closes the HTTP connections of the running event loop's chat models; new ones are made."""
    loop = asyncio.get_running_loop()
    with _lock:
        models = _by_loop.pop(loop, {})
    for model in models.values():
        client = getattr(model, "root_async_client", None)
        if client is not None:
            await client.close()


__all__ = [
    "aclose_chat_models",
    "chat_model",
    "complete",
    "forget_chat_models",
    "register_chat_model",
    "usage_of",
]
