"""The graph, wired as the picture in the README."""

from __future__ import annotations

from typing import Any

from langgraph.cache.base import BaseCache
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from langgraph.types import Checkpointer

from ..nodes.approval import approval
from ..nodes.decomposer import decomposer
from ..nodes.finalizer import finalizer
from ..nodes.generator import generator
from ..nodes.intake import intake
from ..nodes.planner import planner_node
from ..nodes.recall import recall
from ..nodes.refiner import refiner
from ..nodes.reflector import reflector
from ..nodes.rescue import rescue
from ..nodes.review import review
from ..nodes.reviser import reviser
from ..nodes.scorer import scorer
from ..nodes.selector import selector
from ..nodes.summarizer import summarizer
from ..nodes.verifier import verifier
from .context import Context
from .routing import (
    AFTER_ROUND,
    after_approval,
    after_generator,
    after_intake,
    after_recall,
    after_review,
    after_scorer,
)
from .state import GemsInput, GemsOutput, State, VerifierTask
from .tracing import start_tracing


def build_graph(
    *,
    checkpointer: Checkpointer = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
) -> CompiledStateGraph[State, Context, GemsInput, GemsOutput]:
    """Returns the compiled GEMS graph.

    Args:
        checkpointer: Keeps threads, so that runs can be resumed, continued and forked; a LangGraph
            server brings its own.
        store: Experience memory across runs; without one `recall` brings nothing.
        cache: LangGraph's node cache, for nodes with a cache policy.

    Returns:
        The graph: `GemsInput` in, `GemsOutput` out, `Context` as the run's settings.
    """
    start_tracing()
    builder = StateGraph(State, Context, input_schema=GemsInput, output_schema=GemsOutput)
    builder.set_node_defaults(error_handler=rescue)

    builder.add_node("intake", intake)
    builder.add_node("reviser", reviser)
    builder.add_node("recall", recall)
    builder.add_node("planner", planner_node())
    builder.add_node("decomposer", decomposer)
    builder.add_node("approval", approval)
    builder.add_node("generator", generator)
    builder.add_node("verifier", verifier, input_schema=VerifierTask)
    builder.add_node("scorer", scorer)
    builder.add_node("review", review)
    builder.add_node("summarizer", summarizer)
    builder.add_node("refiner", refiner)
    builder.add_node("reflector", reflector)
    builder.add_node("selector", selector)
    builder.add_node("finalizer", finalizer)

    builder.add_edge(START, "intake")
    builder.add_conditional_edges("intake", after_intake, ["reviser", "recall"])
    builder.add_edge("reviser", "recall")
    builder.add_conditional_edges("recall", after_recall, ["planner", "decomposer", "approval"])
    builder.add_edge("planner", "approval")
    builder.add_edge("decomposer", "approval")
    builder.add_conditional_edges("approval", after_approval, ["generator"])
    builder.add_conditional_edges("generator", after_generator, ["verifier", "scorer", "refiner"])
    builder.add_edge("verifier", "scorer")
    builder.add_conditional_edges("scorer", after_scorer, ["verifier", "review", *AFTER_ROUND])
    builder.add_conditional_edges("review", after_review, [*AFTER_ROUND])
    builder.add_edge("summarizer", "refiner")
    builder.add_edge("refiner", "generator")
    builder.add_edge("reflector", "generator")
    builder.add_edge("selector", "finalizer")
    builder.add_edge("finalizer", END)
    return builder.compile(checkpointer=checkpointer, store=store, cache=cache, name="gems")
