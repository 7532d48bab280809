"""OpenAI-compatible chat models whose reasoning is kept.

`langchain-openai` reads only the fields that OpenAI documents and drops `reasoning_content` and
`reasoning`, which vLLM, SGLang, Kimi, DeepSeek and OpenRouter return; here they end up in
`additional_kwargs["reasoning_content"]`, in whole answers and in streamed pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

from .thoughts import REASONING, ThinkSplitter, with_thought

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput

_FIELDS = ("reasoning_content", "reasoning")


class ReasoningChatOpenAI(ChatOpenAI):
    """`ChatOpenAI` that keeps the reasoning and takes answers as they come."""

    @property
    def _llm_type(self) -> str:
        return "gems-openai-chat"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Returns False: a process makes its own models, they are not stored."""
        return False

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "input" in payload:  # the Responses API has no such options
            for name in ("logprobs", "top_logprobs"):
                payload.pop(name, None)
        elif isinstance(payload.get("response_format"), dict):
            # Given to the client by name, the answer would go through the client's own parser,
            # which raises on what open models send (cut-off text, tools that are not strict).
            body = {**(payload.get("extra_body") or {})}
            body["response_format"] = payload.pop("response_format")
            payload["extra_body"] = body
        if "max_completion_tokens" in payload and "api.openai.com" not in (
            self.openai_api_base or ""
        ):
            # The newer name is OpenAI's own; other servers ignore it and write on without a limit.
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        raw = response if isinstance(response, dict) else response.model_dump(warnings=False)
        for generation, choice in zip(result.generations, raw.get("choices") or [], strict=False):
            message = generation.message
            thought = _reasoning(choice.get("message"))
            if not isinstance(message, AIMessage):
                continue
            if thought:
                message.additional_kwargs[REASONING] = thought
            message.additional_kwargs = {
                key: value
                for key, value in message.additional_kwargs.items()
                if value is not None  # `refusal: null` says nothing
            }
            generation.message = with_thought(message)
        return result

    def _convert_chunk_to_generation_chunk(
        self,
        chunk: dict[str, Any],
        default_chunk_class: type,
        base_generation_info: dict[str, Any] | None,
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(
            chunk, default_chunk_class, base_generation_info
        )
        choices = chunk.get("choices") or []
        thought = _reasoning(choices[0].get("delta")) if choices else ""
        if made is not None and thought and isinstance(made.message, AIMessageChunk):
            made.message.additional_kwargs[REASONING] = thought
        return made

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        splitter = ThinkSplitter()
        # Without the run manager: listeners get the pieces after they are split, from here.
        for made in super()._stream(messages, stop=stop, **kwargs):
            chunk = _split(made, splitter)
            if run_manager:
                run_manager.on_llm_new_token(_token(chunk), chunk=chunk)
            yield chunk
        if last := _rest(splitter):
            yield last

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        splitter = ThinkSplitter()
        ended = self._use_responses_api({**kwargs, **self.model_kwargs})
        async for made in self._pieces(messages, stop=stop, **kwargs):
            ended = ended or "finish_reason" in (made.generation_info or {})
            chunk = _split(made, splitter)
            if run_manager:
                await run_manager.on_llm_new_token(_token(chunk), chunk=chunk)
            yield chunk
        if not ended:  # the client takes a closed connection for the end of the answer
            raise ConnectionError("the stream broke off in the middle of the answer")
        if last := _rest(splitter):
            yield last

    async def _pieces(
        self, messages: list[BaseMessage], **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Yields the raw pieces; without token usage from endpoints that refuse to count."""
        try:
            async for made in super()._astream(messages, **kwargs):
                yield made
        except ModelInvalidRequestError as error:
            if not self.stream_usage or "stream_options" not in str(error):
                raise
            self.stream_usage = False
            async for made in super()._astream(messages, **kwargs):
                yield made


def _reasoning(message: Any) -> str:
    """Returns the reasoning beside the content of a raw message or delta."""
    if not isinstance(message, dict):
        return ""
    return next((message[f] for f in _FIELDS if isinstance(message.get(f), str)), "")


def _token(chunk: ChatGenerationChunk) -> str:
    return str(chunk.message.text)


def _split(chunk: ChatGenerationChunk, splitter: ThinkSplitter) -> ChatGenerationChunk:
    """Moves what belongs to a `<think>` part from a piece's text to its reasoning."""
    message = chunk.message
    if not isinstance(message, AIMessageChunk) or not isinstance(message.content, str):
        return chunk
    thought, text = splitter.feed(message.content) if message.content else ("", "")
    if thought:
        kept = message.additional_kwargs.get(REASONING, "")
        message.additional_kwargs[REASONING] = kept + thought
    if text == message.content:
        return chunk
    message.content = text
    return ChatGenerationChunk(message=message, generation_info=chunk.generation_info)


def _rest(splitter: ThinkSplitter) -> ChatGenerationChunk | None:
    thought, text = splitter.finish()
    if not thought and not text:
        return None
    kept = {REASONING: thought} if thought else {}
    return ChatGenerationChunk(message=AIMessageChunk(content=text, additional_kwargs=kept))
