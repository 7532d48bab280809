"""How every role reaches its chat model: one durable LangGraph task per model call.

LangGraph stores the result of a finished task at once, so a run that was killed in the middle of a
node (three votes, a repair turn) resumes without paying again for the calls that had finished.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.func import task
from langgraph.types import RetryPolicy, TimeoutPolicy

from .. import tally
from ..errors import GemsError
from ..graph.budget import tokens_left
from ..graph.context import Context, Role
from ..graph.state import State, StopReason, worked_seconds
from ..memory.artifacts import artifact_store
from ..models.chat import complete, usage_of
from ..models.failures import is_transient
from ..models.vision import image_refs
from ..records import RoleUsage, Usage
from .caller import require_seen

RETRIES = RetryPolicy(
    initial_interval=0.5,
    backoff_factor=2.0,
    max_interval=20.0,
    max_attempts=3,
    retry_on=is_transient,
)
"""For model calls and generations, on top of what a client does by itself. LangGraph's default
`retry_on` passes over ValueError, OSError, RuntimeError and HTTP 429: bad structured output,
sockets, CUDA memory and rate limits."""

CALL_TIMEOUT = TimeoutPolicy(run_timeout=900)
"""Last resort for one model call; the client's own timeouts (`GEMS_MLLM_TIMEOUT`) come first."""


class OutOfBudgetError(GemsError):
    """A budget of the run ran out in the middle of a step.

    Attributes:
        ends: Why the run ends, where there is an image to end with.
    """

    code = "out_of_budget"
    ends: StopReason = ""


class OutOfTimeError(OutOfBudgetError):
    """The run's `max_seconds` ran out during a call."""

    code = "out_of_time"
    ends: StopReason = "max_seconds"


class OutOfTokensError(OutOfBudgetError):
    """The run's `max_tokens` were used up before a call."""

    code = "out_of_tokens"
    ends: StopReason = "max_tokens"


P = ParamSpec("P")
T = TypeVar("T")
Update = dict[str, Any]
"""What a node returns: only the channels that changed."""


def durable(
    name: str, timeout: TimeoutPolicy, retries: RetryPolicy
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Returns a decorator that makes an async function a retried LangGraph task.

    It is `langgraph.func.task` with types that mypy can follow: given policies, `task` itself is
    typed for async and plain functions at once, and neither is inferred.
    """
    make: Any = task(name=name, retry_policy=retries, timeout=timeout)

    def as_task(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        made = make(function)
        # LangGraph looks a task's signature up once for each function that it finds by its
        # qualified name, and anew for every call of one that it does not: the plain function
        # behind a decorated one stands in no module, but its task has it.
        made.func.__qualname__ += ".func"
        return cast(Callable[P, Awaitable[T]], made)

    return as_task


# `complete` waits and tries again by itself, as the endpoint asks; this is for what it can't see.
@durable("call_model", CALL_TIMEOUT, RETRIES._replace(max_attempts=2))
async def call_model(
    role: Role,
    spec: str,
    messages: list[BaseMessage],
    options: dict[str, Any],
    seconds_left: float | None,
    vision_side: int | None = None,
) -> AIMessage:
    """Calls the model `spec` once; image references become images only inside this call.

    Raises:
        OutOfTimeError: `seconds_left` ran out first.
        ModelError: As `gems.models.chat.complete`.
        ArtifactError: An image is missing, or not the caller's.
    """
    await require_seen(*image_refs(messages))
    began = time.perf_counter()
    try:
        async with asyncio.timeout(seconds_left) as limit:
            answer = await complete(
                spec, messages, options, artifact_store().load, max_side=vision_side
            )
    except TimeoutError as error:
        late = OutOfTimeError("max_seconds ran out during a model call.")
        tally.add(tally.FAILURES, role, tally.code_of(late if limit.expired() else error))
        if limit.expired():
            raise late from None
        raise
    except Exception as error:
        tally.add(tally.FAILURES, role, tally.code_of(error))
        raise
    seconds = time.perf_counter() - began
    answer.response_metadata["seconds"] = round(seconds, 4)
    read, written = usage_of(answer)
    tally.add_call(role, seconds, read=read, written=written)
    return answer


class RoleModel:
    """The chat model of one role in one run; calling it makes one durable model call.

    Attributes:
        key: Identifies the model for what is remembered about it per process.
        answers: Every answer so far, for counting usage.
    """

    def __init__(
        self,
        role: Role,
        context: Context,
        seconds_left: float | None = None,
        tokens_left: int | None = None,
    ) -> None:
        self.role = role
        self.key = context.model_for(role)
        self.answers: list[AIMessage] = []
        self._seconds_left = seconds_left
        self._tokens_left = tokens_left
        self._vision_side = context.vision_side

    async def __call__(self, messages: list[BaseMessage], **options: Any) -> AIMessage:
        """Makes one durable call; `options` are what the model's `bind` takes.

        Raises:
            OutOfTokensError: The answers so far have used the tokens that were left.
        """
        used = sum(sum(usage_of(answer)) for answer in self.answers)
        if self._tokens_left is not None and used >= self._tokens_left:
            raise OutOfTokensError("max_tokens are used up.")
        answer = await call_model(
            self.role, self.key, messages, options, self._seconds_left, self._vision_side
        )
        self.answers.append(answer)
        return answer

    def usage(self) -> Usage:
        """Returns what the calls so far have used, under the role's name."""
        return {self.role: used_by(self.answers)}


def used_by(answers: Iterable[AIMessage]) -> RoleUsage:
    """Returns calls, tokens, seconds and bytes of images of these answers."""
    total = RoleUsage(calls=0, input_tokens=0, output_tokens=0, seconds=0.0, image_bytes=0)
    for answer in answers:
        read, written = usage_of(answer)
        total["calls"] += 1
        total["input_tokens"] += read
        total["output_tokens"] += written
        total["seconds"] += float(answer.response_metadata.get("seconds", 0.0))
        total["image_bytes"] += int(answer.response_metadata.get("image_bytes", 0))
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


def role_model(role: Role, state: State, context: Context) -> RoleModel:
    """Returns the chat model of a role with what is left of the turn's seconds and tokens."""
    return RoleModel(role, context, seconds_left(state, context), tokens_left(state, context))


def timed(node: Callable[P, Coroutine[Any, Any, Update]]) -> Callable[P, Awaitable[Update]]:
    """Adds to a node's update when it was at work, for `max_seconds` and the reports."""

    @wraps(node)
    async def timed_node(*args: P.args, **kwargs: P.kwargs) -> Update:
        start = time.time()
        update = await node(*args, **kwargs)
        return {**update, "stretches": [[start, time.time()]]}

    return timed_node
