"""A small graph with everything that threads of the real one have, for tests of checkpointers.

Rounds that add attempts with image references, a fan-out with `Send`, a subgraph, a durable task
and a person's answer.
"""

from __future__ import annotations

import operator
from collections import Counter
from typing import Annotated, Any

from langgraph.func import task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from gems.records import ImageRef

CALLS: Counter[str] = Counter()
"""How often each durable task really ran, by its name."""


class ToyState(TypedDict, total=False):
    prompt: str
    turn: int
    round: int
    rounds: int
    ask: bool
    crash: bool
    seen: Annotated[list[str], operator.add]
    attempts: Annotated[list[dict[str, Any]], operator.add]
    notes: str
    stopped_because: str


class PlannerState(TypedDict, total=False):
    notes: str


class Look(TypedDict):
    image: ImageRef
    question: int


def image(number: int) -> ImageRef:
    sha256 = f"{number:064x}"
    return ImageRef(
        uri=f"memory://x/{sha256}", sha256=sha256, mime="image/png", width=8, height=8, size=64
    )


@task
async def draw(number: int) -> ImageRef:
    CALLS[f"draw {number}"] += 1
    return image(number)


async def generator(state: ToyState) -> dict[str, Any]:
    round_ = state.get("round", 0) + 1
    ref = await draw(round_)
    if state.get("crash") and round_ == 2 and CALLS["crashed"] == 0:
        CALLS["crashed"] += 1
        raise RuntimeError("killed after the image was drawn")
    attempt = {"id": f"t1r{round_}c1", "turn": 1, "round": round_, "image": ref, "score": 0.5}
    return {"turn": 1, "round": round_, "attempts": [attempt]}


def fan_out(state: ToyState) -> list[Send]:
    ref = state["attempts"][-1]["image"]
    return [Send("verifier", Look(image=ref, question=number)) for number in range(3)]


async def verifier(look: Look) -> dict[str, Any]:
    return {"seen": [f"{look['image']['sha256'][-2:]}:{look['question']}"]}


async def scorer(state: ToyState) -> dict[str, Any]:
    if state.get("ask") and state["round"] == state["rounds"]:
        return {"stopped_because": interrupt({"best": state["attempts"][-1]["image"]})}
    return {"stopped_because": "max_rounds" if state["round"] >= state["rounds"] else ""}


def again(state: ToyState) -> str:
    return END if state["stopped_because"] else "planner"


async def note(state: PlannerState) -> dict[str, Any]:
    return {"notes": state.get("notes", "") + "."}


def toy_graph(saver: Any) -> Any:
    """The graph, compiled with a checkpointer."""
    planner = StateGraph(PlannerState)
    planner.add_node("note", note)
    planner.add_edge(START, "note")
    planner.add_edge("note", END)
    graph = StateGraph(ToyState)
    graph.add_node("planner", planner.compile())
    graph.add_node("generator", generator)
    graph.add_node("verifier", verifier)
    graph.add_node("scorer", scorer)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "generator")
    graph.add_conditional_edges("generator", fan_out, ["verifier"])
    graph.add_edge("verifier", "scorer")
    graph.add_conditional_edges("scorer", again, ["planner", END])
    return graph.compile(checkpointer=saver)


def on(thread_id: str) -> dict[str, Any]:
    """The config of a thread."""
    return {"configurable": {"thread_id": thread_id}}
