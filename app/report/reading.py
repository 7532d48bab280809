"""Where a report's thread comes from: this machine's checkpointer, or a server's own API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from ...errors import ConfigurationError
from ...graph.context import Context, check_context
from ...graph.run import CONTEXT_KEY
from ..forking import ORIGIN_KEY
from ..trajectory import read_trajectory
from .readable import readable
from .render import Subject

RECORDED = {"langgraph_version": "langgraph", "langgraph_api_version": "langgraph-api"}
"""Versions that a server writes into a checkpoint's metadata."""


async def subject_here(thread: str) -> Subject:
    """Reads a thread of this machine.

    Raises:
        InputError: There is none of this id.
    """
    found = await read_trajectory(thread)
    return Subject(
        thread=thread,
        state=readable(found.values),
        context=found.context,
        status=found.info.status,
        updated=found.info.updated,
        origin=found.origin,
        recorded={},
    )


def subject_of_server(thread: Mapping[str, Any], state: Mapping[str, Any]) -> Subject:
    """Makes the subject of what a LangGraph server says about a thread.

    Args:
        thread: `GET /threads/{id}`.
        state: `GET /threads/{id}/state`.
    """
    values, metadata = state.get("values"), state.get("metadata") or {}
    origin = (thread.get("metadata") or {}).get(ORIGIN_KEY) or metadata.get(ORIGIN_KEY)
    return Subject(
        thread=str(thread.get("thread_id", "")),
        state=readable(values if isinstance(values, Mapping) else {}),
        context=context_of_metadata(metadata),
        status=_status(str(thread.get("status", "")), pending=bool(state.get("next"))),
        updated=_time(state.get("created_at")) or _time(thread.get("updated_at")),
        origin=origin if isinstance(origin, str) else "",
        recorded={
            name: str(metadata[key])[:40]
            for key, name in RECORDED.items()
            if isinstance(metadata.get(key), str)
        },
    )


def context_of_metadata(metadata: Mapping[str, Any]) -> Context:
    """Returns a run's settings out of a checkpoint's metadata; what is unusable has its default.

    Our own commands write them as one JSON text. A server writes the run's `context` beside its own
    entries, setting by setting.
    """
    known = {item.name for item in fields(Context)}
    saved = metadata.get(CONTEXT_KEY)
    given: Any = metadata
    if isinstance(saved, str):
        try:
            given = json.loads(saved)
        except ValueError:
            given = None
    if not isinstance(given, Mapping):
        given = metadata
    named = {name: value for name, value in given.items() if name in known}
    try:
        return check_context(named)
    except ConfigurationError:
        # One odd value: the others still count.
        usable = {name: value for name, value in named.items() if _usable(name, value)}
        return check_context(usable)


def _usable(name: str, value: Any) -> bool:
    try:
        check_context({name: value})
    except ConfigurationError:
        return False
    return True


def _status(said: str, *, pending: bool) -> str:
    """Returns a server's thread status in the words of `gems threads`."""
    return {"interrupted": "waiting", "error": "failed", "busy": "unfinished"}.get(
        said, "unfinished" if pending else "finished"
    )


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
