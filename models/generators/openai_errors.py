"""What the error bodies of Images APIs say: OpenAI's own form, FastAPI's, and plain text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import APIStatusError

_REFUSED_CODES = {"moderation_blocked", "content_policy_violation", "content_filter"}
_REFUSED_WORDS = re.compile(
    r"safety system|content policy|content[_ ]filter|moderation|safety_violations|nsfw", re.I
)


class FieldRefusedError(Exception):
    """The server named an optional field that it does not take; never leaves this room.

    Attributes:
        field: Its name.
    """

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def is_refusal(message: str, *, status: int = 400, code: str = "") -> bool:
    """Tells whether moderation refused, by the error's code or else by its words."""
    if code in _REFUSED_CODES:
        return True
    return status in (400, 403) and _REFUSED_WORDS.search(message) is not None


def message_of(body: object) -> str:
    """The human part of an error body: OpenAI's, FastAPI's `detail`, or plain text."""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    for key in ("error", "message", "detail"):
        value = body.get(key)
        if isinstance(value, dict):
            return message_of(value)
        if isinstance(value, str) and value:
            return value
        if value:
            return json.dumps(value)
    return ""


def named_field(error: APIStatusError, message: str, fields: dict[str, Any]) -> str:
    """Which of the optional fields sent an HTTP 400 or 422 complains about, or nothing."""
    param = str(error.param or "")
    if param in fields:
        return param
    # A size that is merely wrong must not be dropped silently unless the server says so by `param`.
    for field in fields:
        if re.search(rf"(?<![A-Za-z_]){re.escape(field)}(?![A-Za-z_])", message):
            return field
    return ""
