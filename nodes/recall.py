"""recall: brings lessons of similar past tasks from the experience store."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from ..errors import GemsError
from ..graph.context import Context, context_of
from ..graph.state import State
from ..memory import experiences
from .caller import caller_of
from .calling import timed


@timed
async def recall(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Returns the lessons that fit the prompt: often few, none while the graph has no store.

    A memory that fails is a notice, never the end of a run.
    """
    context = context_of(runtime)
    if runtime.store is None or context.memory == "off":
        return {}
    try:
        found = await experiences.recall(
            runtime.store,
            user=user_of(runtime),
            generator=context.image_generator(),
            prompt=state["prompt"],
            limit=context.recall_limit,
        )
    except GemsError as error:
        return {"notices": [f"Nothing was recalled: {error}"]}
    return {"lessons": found}


def user_of(runtime: Runtime[Context]) -> str:
    """Returns whose lessons a run reads and writes: the person who is logged in, if there is one.

    On a server with logins a caller can't name somebody else through the context.
    """
    return caller_of(runtime).user
