"""Runs of this machine: starts and resumes them before a view, reads what they are about."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError
from ..graph.build import build_graph
from ..graph.context import Context, check_context
from ..graph.following import View, follow
from ..graph.run import CONTEXT_KEY, Result, open_graph, result_of, run_config
from ..graph.state import GemsInput
from ..memory.artifacts import artifact_store
from ..memory.checkpoints import open_checkpointer
from ..nodes.scorer import best_attempt


async def drive(given: GemsInput | None, context: Context, thread: str, view: View) -> Result:
    """Runs `given` on a thread, or resumes the thread when `given` is None.

    Raises:
        GemsError: The run failed before there was an image.
    """
    async with open_graph() as graph:
        # Durability as in `agenerate`: a kill must not lose a step that was paid for.
        values = await follow(
            graph, given, context, run_config(thread, context), view, durability="sync"
        )
    return result_of(values, thread)


async def settings_of(thread: str) -> tuple[str, Context]:
    """Returns the prompt of a thread and the settings it ran with.

    Raises:
        InputError: There is no such thread.
    """
    async with open_checkpointer() as checkpointer:
        found = await checkpointer.aget_tuple({"configurable": {"thread_id": thread}})
    if found is None:
        raise InputError(f"There is no thread {thread!r}.", hint="`gems threads list` shows them.")
    saved = dict(found.metadata).get(CONTEXT_KEY)
    context = check_context(json.loads(saved)) if isinstance(saved, str) else Context()
    return str(found.checkpoint["channel_values"].get("prompt", "")), context


async def best_so_far(thread: str) -> Path | str | None:
    """Returns where the best image of an interrupted thread is; None when there is none yet."""
    async with open_checkpointer() as checkpointer:
        graph = build_graph(checkpointer=checkpointer)
        snapshot = await graph.aget_state({"configurable": {"thread_id": thread}})
    best = best_attempt(snapshot.values.get("attempts", []))
    if best is None:
        return None
    return artifact_store().path(best["image"]) or best["image"]["uri"]
