"""What this process has found out about an endpoint: options it refuses, images it takes."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .failures import RequestRejectedError

_IMAGE_LIMITS = (
    re.compile(r"at most (\d+) (?:image|multi)", re.IGNORECASE),
    re.compile(
        r"(?:up to|max(?:imum)?(?: (?:of|is))?|limit(?: (?:of|is))?|only) (\d+) image", re.I
    ),
    re.compile(
        r"too many images.*?\b(?:max(?:imum)?(?: is)?|limit(?: is)?|up to|> ?)\D{0,12}(\d+)", re.I
    ),
)
"""How endpoints word their limit (vLLM, Groq, OpenAI, Anthropic)."""

_ONE_ONLY = re.compile(
    r"(?:multiple|more than one|several) images?|only (?:one|a single) image", re.I
)

_OPTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("logprob", ("logprobs", "top_logprobs")),
    ("temperature", ("temperature",)),
    ("top_p", ("top_p",)),
    ("seed", ("seed",)),
    ("max_tokens", ("max_tokens",)),
    ("parallel_tool_calls", ("parallel_tool_calls",)),
)
"""Options that an answer can be had without: the word in the error, and what to leave out."""

FEWER_LOGPROBS = 5
"""`top_logprobs` where the usual 20 are refused (several hosts allow 5)."""


@dataclass
class EndpointMemory:
    """What one model at one endpoint takes.

    Attributes:
        max_images: Images one request may carry; None means no limit is known.
        refused: Options that must be left out.
        top_logprobs: The most that may be asked for.
    """

    max_images: int | None = None
    refused: set[str] = field(default_factory=set)
    top_logprobs: int = 20

    def allowed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the options without those that are refused."""
        kept = {key: value for key, value in options.items() if key not in self.refused}
        if "top_logprobs" in kept:
            kept["top_logprobs"] = min(kept["top_logprobs"], self.top_logprobs)
        return kept

    def learn(self, error: RequestRejectedError, sent: Mapping[str, Any], shown: int) -> bool:
        """Takes a lesson from a refusal; returns whether another try differs from the last.

        Args:
            error: The refusal.
            sent: The options of the refused request.
            shown: How many images that request carried.
        """
        said = error.said
        limit = image_limit(said) if shown else None
        if limit is not None and 0 < limit < shown:
            self.max_images = min(limit, self.max_images or limit)
            return True
        for word, names in _OPTIONS:
            present = [name for name in names if name in sent]
            if present and word in said.lower():
                return self._without(present, sent)
        if "logprobs" in sent and "response_format" not in sent and "tools" not in sent:
            # A bare "bad request": the log-probabilities are the one unusual thing in it.
            self.refused |= {"logprobs", "top_logprobs"}
            return True
        return False

    def _without(self, names: list[str], sent: Mapping[str, Any]) -> bool:
        if "top_logprobs" in names and sent["top_logprobs"] > FEWER_LOGPROBS:
            self.top_logprobs = FEWER_LOGPROBS
        else:
            self.refused |= set(names)
        return True


def image_limit(said: str) -> int | None:
    """Returns how many images an endpoint's error says a request may carry, or None."""
    for pattern in _IMAGE_LIMITS:
        if match := pattern.search(said):
            return int(match[1])
    return 1 if _ONE_ONLY.search(said) else None


_memories: dict[str, EndpointMemory] = {}
_lock = threading.Lock()


def memory_of(name: str, max_images: int | None) -> EndpointMemory:
    """Returns what is known about a model at an endpoint; `max_images` is the setting."""
    with _lock:
        return _memories.setdefault(name, EndpointMemory(max_images=max_images))


def forget_endpoints() -> None:
    """Forgets what was found out about all endpoints."""
    with _lock:
        _memories.clear()
