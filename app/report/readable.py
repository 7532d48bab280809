"""What of a thread's state can be shown.

On a server the state is a client's to write: any JSON may stand in any channel. A record that does
not have its shape is left out and counted; the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import TypeAdapter, ValidationError

from ...memory.experiences import Lesson
from ...records import Attempt, Comparison, Experience, Requirement, RoleUsage, Usage


@dataclass
class Readable:
    """The channels of a thread that a report shows, each with its shape.

    Attributes:
        prompt: The whole task of the latest turn.
        message: The user's own words of the latest turn.
        messages: The user's messages of a chat, in order.
        negative_prompt: May be empty.
        seed: Seed of the latest turn; None before the first step.
        turn: Number of the latest turn.
        attempts: Every attempt, in order.
        requirements: Every requirement of the thread, the current ones last worded.
        current: Ids of the latest turn's requirements.
        comparisons: Attempts that tied, compared side by side.
        experiences: What each round taught.
        digest: What earlier turns taught.
        lessons: What was recalled from other runs.
        skills: Skills that the planner loaded.
        usage: Calls, tokens and seconds by role.
        notices: What was not done as asked.
        best: Id of the best attempt; may be empty.
        stopped_because: Why the latest turn ended; may be empty.
        seconds: Working seconds of the latest turn.
        left_out: Records that are not readable.
    """

    prompt: str = ""
    message: str = ""
    messages: list[str] = field(default_factory=list)
    negative_prompt: str = ""
    seed: int | None = None
    turn: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    experiences: list[Experience] = field(default_factory=list)
    digest: str = ""
    lessons: list[Lesson] = field(default_factory=list)
    skills: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    best: str = ""
    stopped_because: str = ""
    seconds: float = 0.0
    left_out: int = 0


def readable(values: Mapping[str, Any]) -> Readable:
    """Reads the channels of a thread's latest state; never fails."""
    made = Readable()
    for name in ("prompt", "message", "negative_prompt", "digest", "best", "stopped_because"):
        setattr(made, name, _one(values.get(name), str, "", made))
    made.seed = _one(values.get("seed"), int, None, made)
    made.turn = _one(values.get("turn"), int, 0, made)
    made.attempts = _many(values.get("attempts"), Attempt, made)
    asked = _many(values.get("asked"), Requirement, made)
    current = _many(values.get("requirements"), Requirement, made)
    # `asked` has every question of the thread: an earlier turn's are no longer among the current.
    made.requirements = list({item["id"]: item for item in [*asked, *current]}.values())
    made.current = [item["id"] for item in current]
    made.experiences = _many(values.get("experiences"), Experience, made)
    made.comparisons = _many(values.get("comparisons"), Comparison, made)
    made.lessons = _many(values.get("lessons"), Lesson, made)
    made.skills = _many(values.get("skills"), str, made)
    made.notices = _many(values.get("notices"), str, made)
    made.messages = _human(values.get("messages"))
    usage = values.get("usage")
    for role, used in usage.items() if isinstance(usage, Mapping) else ():
        # A count that is newer than the thread is 0 in it.
        full = {**_NOTHING_USED, **used} if isinstance(used, Mapping) else used
        read = _one(full, RoleUsage, None, made)
        if read is not None:
            made.usage[str(role)] = read
    stretches = _many(values.get("stretches"), tuple[float, float], made)
    made.seconds = sum(max(0.0, end - start) for start, end in stretches)
    return made


_NOTHING_USED = dict.fromkeys(RoleUsage.__annotations__, 0)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _one(value: Any, kind: Any, default: Any, made: Readable) -> Any:
    if value is None:
        return default
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError:
        made.left_out += 1
        return default


def _many(value: Any, kind: Any, made: Readable) -> list[Any]:
    found = (_one(item, kind, None, made) for item in (value if isinstance(value, list) else ()))
    return [item for item in found if item is not None]


def _human(messages: Any) -> list[str]:
    """Returns the texts of a chat's human messages: objects here, dictionaries from a server."""
    found: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, BaseMessage):
            if message.type == "human":
                found.append(_text(message.content))
        elif isinstance(message, Mapping) and message.get("type") == "human":
            found.append(_text(message.get("content")))
    return found


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))
