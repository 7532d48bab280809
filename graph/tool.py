"""The graph as a tool for other agents: few arguments in, a short answer out.

An MCP client of the server's `/mcp` sees a graph's input as the tool's arguments and gets its
output as text. The graph `gems` would answer with its whole trajectory, and its settings are no
arguments; this one wraps it for a language model that wants an image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Required

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import Field
from typing_extensions import TypedDict

from ..errors import GemsError
from ..records import ImageRef
from .build import build_graph
from .context import Context, context_of
from .run import run_input
from .state import StopReason

_SETTINGS = ("max_rounds", "candidates", "width", "height")


class ImageRequest(TypedDict, total=False):
    """What the image must show; all but the prompt may be left out."""

    prompt: Required[
        Annotated[
            str,
            Field(
                description="What the image must show, in full: every thing with its number, "
                "colour and place; text that must be readable in quotes."
            ),
        ]
    ]
    negative_prompt: Annotated[str, Field(description="What it must not show.")]
    requirements: Annotated[
        list[str],
        Field(
            description="Yes/no questions that the finished image must answer with yes. Left out, "
            "they are made from the prompt."
        ),
    ]
    width: Annotated[int, Field(description="Pixels, 256 to 4096, a multiple of 8.")]
    height: Annotated[int, Field(description="Pixels, 256 to 4096, a multiple of 8.")]
    max_rounds: Annotated[
        int, Field(description="Attempts at most, each correcting the last one; 5 if left out.")
    ]
    candidates: Annotated[int, Field(description="Images per round, 1 to 8; 1 if left out.")]
    seed: Annotated[int, Field(description="The same seed makes the same image again.")]


class ImageAnswer(TypedDict, total=False):
    """The image and what is right and wrong about it.

    Attributes:
        image: Where it is, and its hash, type and size.
        path: Where this server serves it.
        score: Fraction of the requirements that it meets, 0..1.
        met: The questions that it answers with yes.
        unmet: The others, each with what was seen.
        rounds: How many rounds it took.
        stopped_because: Why the run ended.
        used_seed: Give it as `seed` to make the same image again.
        notices: What was not done as asked.
        problem: Why there is no image; then everything else is missing.
    """

    image: ImageRef
    path: str
    score: float
    met: list[str]
    unmet: list[str]
    rounds: int
    stopped_because: StopReason
    used_seed: int
    notices: list[str]
    problem: str


class _Call(ImageRequest, ImageAnswer, total=False):
    """Arguments and answer."""


def build_tool() -> CompiledStateGraph[Any, Context, Any, Any]:
    """Returns the graph with one step, which runs the whole agent."""
    agent = build_graph()

    async def generate_image(state: _Call, runtime: Runtime[Context]) -> dict[str, Any]:
        settings: dict[str, Any] = {
            name: value for name, value in state.items() if name in _SETTINGS and value is not None
        }
        try:
            values = await agent.ainvoke(
                run_input(
                    state.get("prompt") or "",
                    negative_prompt=state.get("negative_prompt") or "",
                    requirements=state.get("requirements"),
                    seed=state.get("seed"),
                ),
                context=replace(context_of(runtime), **settings),
            )
        except GemsError as error:
            # The server's MCP endpoint would pass on nothing but the name of the error.
            return {"problem": str(error)}
        return dict(_answer(values))

    builder = StateGraph(_Call, Context, input_schema=ImageRequest, output_schema=ImageAnswer)
    builder.add_node("generate_image", generate_image)
    builder.add_edge(START, "generate_image")
    builder.add_edge("generate_image", END)
    return builder.compile(name="generate_image")


def _answer(values: Any) -> ImageAnswer:
    judged = [(item["question"], item.get("verdict")) for item in values["requirements"]]
    return ImageAnswer(
        image=values["image"],
        path=f"/artifacts/{values['image']['sha256']}",
        score=round(values["score"], 4),
        met=[question for question, verdict in judged if verdict and verdict["answer"] == "yes"],
        unmet=[
            f"{question} {verdict['answer']}: {verdict['rationale']}" if verdict else question
            for question, verdict in judged
            if not verdict or verdict["answer"] != "yes"
        ],
        rounds=max(attempt["round"] for attempt in values["attempts"]),
        stopped_because=values["stopped_because"],
        used_seed=values["seed"],
        notices=values.get("notices", []),
    )
