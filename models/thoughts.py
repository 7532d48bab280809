"""The two parts of a reply: what the model thought and what it said.

Providers put reasoning in different places: `reasoning_content` or `reasoning` beside the content
(vLLM, SGLang, Kimi, DeepSeek, OpenRouter), `<think>…</think>` in the text (servers without a
reasoning parser), content blocks (OpenAI's Responses API, Anthropic, Google). All end up in
`additional_kwargs["reasoning_content"]`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

REASONING = "reasoning_content"
"""The key in `AIMessage.additional_kwargs` under which a reply's reasoning is kept."""

_OPEN, _CLOSE = "<think>", "</think>"
_THINK = re.compile(r"\s*<think>(?P<thought>.*?)(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)


def text_of(message: AIMessage) -> str:
    """Returns the text of a reply without reasoning; empty where there is none."""
    return split_think(str(message.text))[1]


def thought_of(message: AIMessage) -> str:
    """Returns the reasoning that came with a reply; empty where there is none."""
    kept = message.additional_kwargs.get(REASONING)
    if isinstance(kept, str) and kept.strip():
        return kept.strip()
    parts: list[str] = []
    if isinstance(message.content, list):
        for block in message.content:
            if isinstance(block, dict) and block.get("type") in ("reasoning", "thinking"):
                parts += _block_texts(block)
    in_text = split_think(str(message.text))[0]
    return "\n".join(part.strip() for part in [*parts, in_text] if part.strip())


def split_think(text: str) -> tuple[str, str]:
    """Returns (reasoning, rest) of a text with a `<think>` part at its start.

    A text that only closes the tag is split too: chat templates that open it themselves leave the
    model to write the end alone.
    """
    match = _THINK.match(text)
    if match:
        return match["thought"].strip(), text[match.end() :].lstrip()
    head, tag, tail = text.partition(_CLOSE)
    return (head.strip(), tail.lstrip()) if tag and _OPEN not in head else ("", text)


def with_thought(message: AIMessage) -> AIMessage:
    """Returns the message with its reasoning under `REASONING` and out of its text."""
    thought = thought_of(message)
    update: dict[str, Any] = {}
    if thought and message.additional_kwargs.get(REASONING) != thought:
        update["additional_kwargs"] = {**message.additional_kwargs, REASONING: thought}
    if isinstance(message.content, str) and split_think(message.content)[0]:
        update["content"] = split_think(message.content)[1]
    return message.model_copy(update=update) if update else message


def _block_texts(block: dict[str, Any]) -> list[str]:
    """Returns the texts of a reasoning block of any provider."""
    summary = block.get("summary")
    if isinstance(summary, list):
        return [str(part.get("text", "")) for part in summary if isinstance(part, dict)]
    return [str(block[key]) for key in ("reasoning", "thinking", "text") if block.get(key)]


class ThinkSplitter:
    """Splits a streamed text whose start may be `<think>…</think>`, piece by piece."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"

    def feed(self, piece: str) -> tuple[str, str]:
        """Returns (reasoning, text) that `piece` settles; a possible half tag is held back."""
        if self._state == "text":
            return "", piece
        self._held += piece
        thought = ""
        if self._state == "start":
            lead = self._held.lstrip()
            if _OPEN.startswith(lead.lower()) and len(lead) < len(_OPEN):
                return "", ""  # empty so far, or the beginning of the tag
            if not lead.lower().startswith(_OPEN):
                return self._give_text(self._held)
            self._held, self._state = lead[len(_OPEN) :], "thought"
        end = self._held.lower().find(_CLOSE)
        if end >= 0:
            thought, rest = self._held[:end], self._held[end + len(_CLOSE) :]
            self._state, self._held = "gap", rest
        elif self._state == "thought":
            safe = len(self._held) - _half_tag(self._held)
            thought, self._held = self._held[:safe], self._held[safe:]
        if self._state == "gap":
            rest = self._held.lstrip()
            if rest:
                return thought, self._give_text(rest)[1]
            self._held = ""
        return thought, ""

    def finish(self) -> tuple[str, str]:
        """Returns what is still held back when the stream ends."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thought" else ("", held)

    def _give_text(self, text: str) -> tuple[str, str]:
        self._state, self._held = "text", ""
        return "", text


def _half_tag(text: str) -> int:
    """Returns how many characters at the end of `text` may begin the closing tag."""
    for length in range(min(len(_CLOSE) - 1, len(text)), 0, -1):
        if _CLOSE.startswith(text[-length:].lower()):
            return length
    return 0
