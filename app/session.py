"""One run from the command line: streams its events to a view and answers its interrupts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command, Interrupt

from ..errors import InputError
from ..graph.build import build_graph
from ..graph.context import Context, check_context
from ..graph.run import CONTEXT_KEY, Result, open_graph, result_of, run_config
from ..graph.state import GemsInput
from ..memory.artifacts import artifact_store
from ..memory.checkpoints import open_checkpointer
from ..nodes.scorer import best_attempt


class View(Protocol):
    """What shows a run while it goes on."""

    def feed(self, mode: str, event: Any) -> None:
        """Takes one event of the stream: `updates` of a node, or a `custom` progress event."""
        ...

    def ask(self, question: Interrupt) -> Any:
        """Returns a person's answer to an interrupt."""
        ...


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


async def follow(
    graph: CompiledStateGraph[Any, Any, Any, Any] | RemoteGraph,
    given: GemsInput | None,
    context: Any,
    config: RunnableConfig,
    view: View,
    **options: Any,
) -> dict[str, Any]:
    """Runs a graph, here or on a server, to its end and returns the thread's values.

    Args:
        graph: The graph, or a `RemoteGraph`.
        given: Input of a new turn; None resumes the thread.
        context: Settings of the run: a `Context`, or a dict for a server.
        config: Names the thread.
        view: Is fed with the stream, and answers interrupts.
        options: Go to `astream` as they are.

    Raises:
        GemsError: As the graph.
    """
    step: Any = given
    while True:
        if step is None:
            pending = (await graph.aget_state(config)).interrupts
            if pending:
                step = _answers(pending, view)
        async for part in graph.astream(
            step, config, context=context, stream_mode=["updates", "custom"], **options
        ):
            view.feed(part[0], part[1])  # a RemoteGraph's parts carry an id, too
        snapshot = await graph.aget_state(config)
        if not snapshot.interrupts:
            return dict(snapshot.values)
        step = _answers(snapshot.interrupts, view)


def _answers(pending: tuple[Interrupt, ...], view: View) -> Command[Any]:
    return Command(resume={item.id: view.ask(item) for item in pending})


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
