"""What is recorded of a run by tracers and event streams: no image bytes and no keys.

A chat model reports its whole input to every callback: LangSmith, OpenTelemetry, the server's event
stream. With images as data URLs that is megabytes a round, and pictures in places where nobody
expects them. So callbacks get the messages with references, and the images join below them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import Runnable, RunnableBinding

DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[\w.+-]+)*;base64,[A-Za-z0-9+/=_-]*")
"""A data URL with base64 content (RFC 2397)."""

HIDDEN_KEY = "***"


def redact(value: Any, secrets: tuple[str, ...] = ()) -> Any:
    """Returns JSON values without image bytes and keys: data URLs become their type and size.

    Args:
        value: Dictionaries, lists and strings, nested; anything else stays as it is.
        secrets: Strings that may not appear.
    """
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN_KEY)
        return DATA_URL.sub(_size, value) if ";base64," in value else value
    if isinstance(value, dict):
        return {key: redact(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, secrets) for item in value]
    return value


def _size(found: re.Match[str]) -> str:
    encoded = len(found.group().partition(",")[2])
    return f"({found.group(1) or 'data'}, {encoded * 3 // 4:,} bytes, not recorded)"


class RedactedChat(BaseChatModel):
    """A chat model for one call: its callbacks see other messages than the model does.

    Everything that a callback is told comes from the model behind it, except the messages, and
    errors: those of an SDK may quote a request or a key, and are translated before they are seen.

    Attributes:
        behind: The model that is called.
        shown: What it is shown, whatever messages this one is called with.
        translate: Makes an error of this package of the SDK's.
    """

    behind: BaseChatModel
    shown: list[BaseMessage]
    translate: Callable[[BaseException], Exception]

    @property
    def _llm_type(self) -> str:
        return self.behind._llm_type

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return dict(self.behind._identifying_params)

    @property
    def _serialized(self) -> dict[str, Any]:
        # Otherwise the whole of this object, images included, by its `repr`.
        return self.behind._serialized

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return self.behind._get_invocation_params(stop=stop, **kwargs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return self.behind._get_ls_params(stop=stop, **kwargs)

    async def _agenerate_with_cache(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> ChatResult:
        # The place below the callbacks where caching, rate limits and streaming are decided: all of
        # them are the business of the model behind.
        try:
            return await self.behind._agenerate_with_cache(self.shown, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - every SDK has its own; all are translated
            failure = self.translate(error)
        raise failure

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("Only asynchronous calls are made.")


async def call_unseen(
    model: Runnable[Any, Any],
    seen: list[BaseMessage],
    shown: list[BaseMessage],
    translate: Callable[[BaseException], Exception],
) -> AIMessage:
    """Calls a chat model with `shown` while every callback is told `seen`.

    Args:
        model: A chat model, or one with options bound to it.
        seen: What tracers and event streams record.
        shown: What the model gets.
        translate: Makes an error of this package of the SDK's; the result is raised.
    """
    if isinstance(model, RunnableBinding) and isinstance(model.bound, BaseChatModel):
        veiled = _veil(model.bound, shown, translate)
        ready: Runnable[Any, Any] = model.model_copy(update={"bound": veiled})
    else:
        ready = _veil(cast(BaseChatModel, model), shown, translate)
    return cast(AIMessage, await ready.ainvoke(seen))


def _veil(
    model: BaseChatModel,
    shown: list[BaseMessage],
    translate: Callable[[BaseException], Exception],
) -> RedactedChat:
    return RedactedChat.model_construct(
        behind=model,
        shown=shown,
        translate=translate,
        name=model.name or type(model).__name__,
        callbacks=model.callbacks,
        tags=model.tags,
        metadata=model.metadata,
        verbose=model.verbose,
        cache=False,
    )
