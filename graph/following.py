"""Following a run: its events go to a view, its questions are answered there."""

from __future__ import annotations

from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command, Interrupt

from .state import GemsInput


class View(Protocol):
    """What shows a run while it goes on."""

    def feed(self, mode: str, event: Any) -> None:
        """Takes one event of the stream: `updates` of a node, or a `custom` progress event."""
        ...

    def ask(self, question: Interrupt) -> Any:
        """Returns a person's answer to an interrupt."""
        ...


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
