"""approval: a person approves or edits the requirements before the first image is made."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from ..graph.context import Context, context_of
from ..graph.state import State
from .requirements import settle_requirements


async def approval(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Asks with `review=requirements` or `all`; otherwise it is where planner and decomposer meet.

    The interrupt's value is `{"ask": "requirements", "requirements": […], "prompts": […]}`. Resume
    with `{"requirements": […]}` (questions or records) and/or `{"prompts": […]}` to change them,
    with anything else to approve.

    Raises:
        InputError: An edited requirement has no question.
    """
    context = context_of(runtime)
    if context.review not in ("requirements", "all"):
        return {}
    answer = interrupt(
        {
            "ask": "requirements",
            "requirements": state["requirements"],
            "prompts": state["prompts"],
            "how": "Resume with {'requirements': [...]} and/or {'prompts': [...]} to change them, "
            "or with true to go on.",
        }
    )
    update: dict[str, Any] = {}
    if isinstance(answer, dict) and answer.get("requirements"):
        update["requirements"] = settle_requirements(
            answer["requirements"], "reviewer", state["asked"]
        )
    if isinstance(answer, dict) and answer.get("prompts"):
        update["prompts"] = [str(prompt) for prompt in answer["prompts"] if str(prompt).strip()]
    return update
