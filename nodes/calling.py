"""How every role reaches its chat model: one durable LangGraph task per model call.

LangGraph stores the result of a finished task at once, so a run that was killed in the middle of a
node (three votes, a repair turn) resumes without paying again for the calls that had finished.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.func import task
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy, TimeoutPolicy

from ..errors import GemsError
from ..graph.context import Context, Role, context_of
from ..graph.state import State, worked_seconds
from ..memory.artifacts import artifact_store
from ..models.chat import complete, usage_of
from ..models.failures import is_transient
from ..records import RoleUsage, Usage

RETRY = RetryPolicy(
    initial_interval=0.5,
    backoff_factor=2.0,
    max_interval=20.0,
    max_attempts=3,
    retry_on=is_transient,
)
"""For model calls and generations. LangGraph's default `retry_on` passes over ValueError, OSError,
RuntimeError and HTTP 429: bad structured output, sockets, CUDA memory and rate limits."""

CALL_TIMEOUT = TimeoutPolicy(run_timeout=900)
"""Last resort for one model call; the client's own timeouts (`GEMS_MLLM_TIMEOUT`) come first."""


class OutOfTimeError(GemsError):
    """The run's `max_seconds` ran out during a call."""

    code = "out_of_time"


@task(name="call_model", retry_policy=RETRY, timeout=CALL_TIMEOUT)
async def call_model(
    spec: str, messages: list[BaseMessage], options: dict[str, Any], seconds_left: float | None
) -> AIMessage:
    """Calls the model `spec` once; image references become images only inside this call.

    Raises:
        OutOfTimeError: `seconds_left` ran out first.
        ModelError: As `gems.models.chat.complete`.
    """
    began = time.perf_counter()
    try:
        async with asyncio.timeout(seconds_left) as limit:
            answer = await complete(spec, messages, options, artifact_store().load)
    except TimeoutError:
        if limit.expired():
            raise OutOfTimeError("max_seconds ran out during a model call.") from None
        raise
    answer.response_metadata["seconds"] = round(time.perf_counter() - began, 4)
    return answer


class RoleModel:
    """The chat model of one role in one run; calling it makes one durable model call.

    Attributes:
        key: Identifies the model for what is remembered about it per process.
        answers: Every answer so far, for counting usage.
    """

    def __init__(self, role: Role, context: Context, seconds_left: float | None = None) -> None:
        self.role = role
        self.key = context.model_for(role)
        self.answers: list[AIMessage] = []
        self._seconds_left = seconds_left

    async def __call__(self, messages: list[BaseMessage], **options: Any) -> AIMessage:
        answer = await call_model(self.key, messages, options, self._seconds_left)
        self.answers.append(answer)
        return answer

    def usage(self) -> Usage:
        """Returns what the calls so far have used, under the role's name."""
        return {self.role: used_by(self.answers)}


def used_by(answers: Iterable[AIMessage]) -> RoleUsage:
    """Returns calls, tokens and seconds of these answers."""
    total = RoleUsage(calls=0, input_tokens=0, output_tokens=0, seconds=0.0)
    for answer in answers:
        read, written = usage_of(answer)
        total["calls"] += 1
        total["input_tokens"] += read
        total["output_tokens"] += written
        total["seconds"] += float(answer.response_metadata.get("seconds", 0.0))
    return total


def conversation(
    system: str, text: str, images: Iterable[dict[str, Any]] = ()
) -> list[BaseMessage]:
    """Returns the messages of one question: images first, so that prefix caches hit, text last."""
    return [
        SystemMessage(system),
        HumanMessage([*images, {"type": "text", "text": text}]),
    ]


def seconds_left(state: State, context: Context) -> float | None:
    """Returns the working seconds left in this turn; None without a limit, never below 0.05.

    Pauses (a person's answer, the time between a crash and the resume) do not count.
    """
    if context.max_seconds is None:
        return None
    return max(0.05, context.max_seconds - worked_seconds(state.get("stretches", [])))


NodeState = TypeVar("NodeState")
Node = Callable[[NodeState, Runtime[Context]], Coroutine[Any, Any, dict[str, Any]]]


def timed(node: Node[NodeState]) -> Node[NodeState]:
    """Adds to a node's update when it was at work, for `max_seconds` and the reports."""

    @wraps(node)
    async def timed_node(state: NodeState, runtime: Runtime[Context]) -> dict[str, Any]:
        start = time.time()
        update = await node(state, runtime)
        return {**update, "stretches": [[start, time.time()]]}

    return timed_node


__all__ = [
    "RETRY",
    "OutOfTimeError",
    "RoleModel",
    "call_model",
    "context_of",
    "conversation",
    "seconds_left",
    "timed",
    "used_by",
]
