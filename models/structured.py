"""Structured answers from any chat model: three ways to ask, one repair, one memory.

Endpoints differ in what they do with a schema: obey it, ignore it, echo it, answer nothing, put
the JSON into the reasoning, or refuse the request. `ask` goes down a ladder (JSON schema, forced
tool call, JSON in the text) until an answer fits, shows the model its error once, and remembers
for the life of the process which step worked for which model.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, ValidationError

from ..errors import StructuredOutputError
from .failures import RequestRejectedError
from .json_text import json_objects
from .schemas import wire_schema
from .thoughts import text_of, thought_of

__all__ = ["ModelCall", "Reply", "ask", "forget_steps", "thought_of"]

T = TypeVar("T", bound=BaseModel)

Step = Literal["schema", "tool", "text"]
LADDER: tuple[Step, ...] = ("schema", "tool", "text")
"""From the most to the least reliable way to ask for JSON."""


class ModelCall(Protocol):
    """One call of a chat model, with the options that `model.bind(**options)` takes."""

    async def __call__(self, messages: list[BaseMessage], **options: Any) -> AIMessage:
        """Returns the model's answer."""
        ...


@dataclass(frozen=True)
class Reply(Generic[T]):
    """A structured answer.

    Attributes:
        value: The answer.
        thought: The reasoning that came with it, else its `rationale` field, else empty.
        messages: Every answer of the model on the way, for counting usage.
    """

    value: T
    thought: str
    messages: list[AIMessage]


@dataclass
class _Known:
    """What this process has learned about one model.

    Attributes:
        step: Index in `LADDER` to begin with.
        proven: Whether that step has worked.
        strikes: Failures of the proven step in a row.
    """

    step: int = 0
    proven: bool = False
    strikes: int = 0


_known: dict[str, _Known] = {}
_lock = threading.Lock()

_SCHEMA_WORDS = frozenset({"type", "$ref", "anyOf", "allOf", "oneOf", "enum", "const"})

STRIKES = 2
"""Failures in a row after which a step that used to work is given up; one may be a slip."""


def forget_steps() -> None:
    """Forgets which step worked for which model."""
    with _lock:
        _known.clear()


def step_of(model_key: str) -> Step:
    """Returns the step that `ask` begins with for this model."""
    with _lock:
        return LADDER[_known.get(model_key, _Known()).step]


@dataclass
class _Attempts(Generic[T]):
    """The state of one `ask`."""

    schema: type[T]
    messages: list[AIMessage] = field(default_factory=list)
    problem: str = ""
    repaired: bool = False


async def ask(
    call: ModelCall, messages: list[BaseMessage], schema: type[T], *, model_key: str
) -> Reply[T]:
    """Asks a chat model for an answer that fits a schema.

    Calls go one after another, only through `call`, at most four. An answer is read in every way
    whatever was asked for (tool call, text, reasoning), so that a replayed call fits too.

    Args:
        call: The model; raises `RequestRejectedError` where the endpoint refuses the options.
        messages: The question; its wording should name the fields.
        schema: What the answer must be.
        model_key: Under which name to remember what works, e.g. `openai:gpt-5`.

    Raises:
        StructuredOutputError: No answer fitted, not even after a repair turn.
        ModelError: The endpoint failed otherwise.
    """
    with _lock:
        first = _known.get(model_key, _Known()).step
    state = _Attempts(schema)
    rejections: list[RequestRejectedError] = []
    for index in range(first, len(LADDER)):
        step = LADDER[index]
        try:
            value, shaped = await _try(call, messages, step, state)
        except RequestRejectedError as error:
            if step == LADDER[-1]:
                raise  # then it was not the way of asking that the endpoint refused
            rejections.append(error)
            continue
        _accepted(model_key, index, after_rejection=bool(rejections))
        if value is None and not state.repaired and (shaped or step == LADDER[-1]):
            # JSON with a wrong field is nearly right: showing the error is better than asking in
            # a less reliable way. So is anything at the ladder's end.
            value = await _repair(call, messages, step, state)
        if value is not None:
            _worked(model_key, index)
            return Reply(value, _thought(state.messages, value), state.messages)
    refused = f" It had refused another way of asking: {rejections[0].said}" if rejections else ""
    raise StructuredOutputError(
        f"{model_key} did not answer as {schema.__name__}: {state.problem}.{refused}",
        hint="Try a stronger model for this role, or raise its output limit.",
    )


async def _try(
    call: ModelCall, messages: list[BaseMessage], step: Step, state: _Attempts[T]
) -> tuple[T | None, bool]:
    """Makes one call; returns the value or None, and whether the answer held JSON at all."""
    asked = [*messages, HumanMessage(_instruction(state.schema))] if step == "text" else messages
    message = await call(asked, **_options(state.schema, step))
    state.messages.append(message)
    return _read(message, state)


async def _repair(
    call: ModelCall, messages: list[BaseMessage], step: Step, state: _Attempts[T]
) -> T | None:
    """Shows the model its answer and what is wrong with it, once."""
    state.repaired = True
    said = _raw(state.messages[-1])
    turn = f"{_instruction(state.schema)}\nYour last answer could not be used: {state.problem}."
    # As text only: a tool call in the history would have to be answered by a tool message.
    shown: list[BaseMessage] = [AIMessage(said)] if said else []
    try:
        message = await call(
            [*messages, *shown, HumanMessage(turn)], **_options(state.schema, step)
        )
    except RequestRejectedError:
        return None  # an endpoint that takes no second turn
    state.messages.append(message)
    return _read(message, state)[0]


def _options(schema: type[BaseModel], step: Step) -> dict[str, Any]:
    """Returns the options that ask for the schema in this way."""
    name, (body, strict) = schema.__name__, wire_schema(schema)
    if step == "schema":
        inner = {"name": name, "schema": body, "strict": strict}
        return {"response_format": {"type": "json_schema", "json_schema": inner}}
    if step == "tool":
        function = {
            "name": name,
            "description": (schema.__doc__ or "Give the answer.").split("\n")[0],
            "parameters": body,
        }
        return {"tools": [{"type": "function", "function": function}], "tool_choice": name}
    return {}


def _instruction(schema: type[BaseModel]) -> str:
    body = json.dumps(wire_schema(schema)[0], ensure_ascii=False, separators=(",", ":"))
    return (
        "Answer with one JSON object and nothing else: no prose, no code fence, and not the schema "
        f"itself but values that fit it. The schema is: {body}"
    )


def _read(message: AIMessage, state: _Attempts[T]) -> tuple[T | None, bool]:
    """Returns the value in an answer, wherever it is, or None; and whether there was any JSON."""
    found: list[Any] = [call["args"] for call in message.tool_calls]
    for text in _places(message):
        found += json_objects(text)
    found = [value for value in found if not _is_schema(value, state.schema)]
    problem = ""
    # The last fitting object wins: models that think aloud draft before they answer.
    for value in reversed(found):
        for candidate in _unwrapped(value, state.schema):
            try:
                return state.schema.model_validate(candidate), True
            except ValidationError as error:
                problem = problem or _explained(error)
    if not problem:
        refusal = message.additional_kwargs.get("refusal")
        echoed = "it repeats the schema" if _raw(message).strip() else "it is empty"
        prose = "there is no JSON object in it" if text_of(message).strip() else echoed
        cut = "it was cut off at the output limit, be shorter"
        problem = cut if _is_cut(message) else f"it is a refusal: {refusal}" if refusal else prose
    state.problem = problem
    return None, bool(found)


def _is_cut(message: AIMessage) -> bool:
    """Tells whether the answer ended at the output limit, in any provider's words."""
    told = message.response_metadata
    return (
        told.get("finish_reason") in ("length", "MAX_TOKENS")
        or told.get("stop_reason") == "max_tokens"
        or (told.get("incomplete_details") or {}).get("reason") == "max_output_tokens"
    )


def _places(message: AIMessage) -> list[str]:
    """Returns the texts in which an answer may be, the least likely first."""
    calls = [str(call["args"]) for call in message.invalid_tool_calls if call["args"]]
    return [thought_of(message), *calls, text_of(message)]


def _raw(message: AIMessage) -> str:
    calls = [json.dumps(call["args"], ensure_ascii=False) for call in message.tool_calls]
    return next((text for text in (*calls, *reversed(_places(message))) if text.strip()), "")


def _is_schema(value: Any, schema: type[BaseModel]) -> bool:
    """Tells whether the model has echoed the schema in place of an answer."""
    if not isinstance(value, dict) or "properties" in schema.model_fields:
        return False
    properties = value.get("properties")
    return isinstance(properties, dict) and all(
        isinstance(each, dict) and not each.keys().isdisjoint(_SCHEMA_WORDS)
        for each in properties.values()
    )


def _unwrapped(value: Any, schema: type[BaseModel]) -> list[Any]:
    """Returns the value and what it may wrap: `{"RequirementList": {…}}`, a bare list."""
    tries = [value]
    fields = schema.model_fields
    if isinstance(value, dict) and len(value) == 1:
        key, inner = next(iter(value.items()))
        if key not in fields and isinstance(inner, (dict, list)):
            tries.append(inner)
            value = inner
    if isinstance(value, dict) and "properties" in value and "properties" not in fields:
        tries.append(value["properties"])  # values written into the schema's own frame
    if isinstance(value, list) and len(fields) == 1:
        tries.append({next(iter(fields)): value})
    return tries


def _explained(error: ValidationError) -> str:
    """Returns what does not fit, short enough for a prompt, without the values themselves."""
    parts = []
    for each in error.errors(include_url=False, include_input=False)[:5]:
        where = ".".join(str(part) for part in each["loc"]) or "the object"
        parts.append(f"{where}: {each['msg']}")
    return "; ".join(parts)


def _thought(messages: list[AIMessage], value: BaseModel) -> str:
    for message in reversed(messages):
        thought = thought_of(message)
        said = message.tool_calls or text_of(message).strip()
        if thought and said:  # without anything said, the thought is the answer itself
            return thought
    rationale = getattr(value, "rationale", "")
    return rationale if isinstance(rationale, str) else ""


def _accepted(model_key: str, index: int, *, after_rejection: bool) -> None:
    """Notes that an endpoint takes this step where it refused the ones before (HTTP 400)."""
    with _lock:
        known = _known.setdefault(model_key, _Known())
        if after_rejection and known.step < index:
            _known[model_key] = _Known(step=index)


def _worked(model_key: str, index: int) -> None:
    with _lock:
        known = _known.setdefault(model_key, _Known())
        if index == known.step:
            known.proven, known.strikes = True, 0
        elif index > known.step:
            known.strikes += 1
            if not known.proven or known.strikes >= STRIKES:
                _known[model_key] = _Known(step=index, proven=True)
