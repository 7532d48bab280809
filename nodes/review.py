"""review: a person looks at a scored round and says how to go on."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from ..errors import InputError
from ..graph.context import Context
from ..graph.state import State, attempts_of_turn

DECISIONS = ("continue", "accept", "stop")


async def review(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Interrupts with the round's attempts and takes a decision, with feedback if there is any.

    The interrupt's value is `{"ask": "round", "round": …, "attempts": […], "would_stop": …}`.
    Resume with `{"decision": "continue" | "accept" | "stop", "feedback": "…"}`; a plain string is
    feedback to go on with, `true` follows the verifier.

    Raises:
        InputError: The decision is none of the three.
    """
    this_round = [item for item in attempts_of_turn(state) if item["round"] == state["round"]]
    answer = interrupt(
        {
            "ask": "round",
            "round": state["round"],
            "attempts": this_round,
            "requirements": state["requirements"],
            "would_stop": state["stopped_because"],
            "how": "Resume with {'decision': 'continue'|'accept'|'stop', 'feedback': '...'}, "
            "or with true to do as the verifier says.",
        }
    )
    if isinstance(answer, str):
        answer = {"decision": "continue", "feedback": answer}
    if not isinstance(answer, dict):
        return {}
    decision = answer.get("decision", "continue")
    if decision not in DECISIONS:
        raise InputError(
            f"The decision {decision!r} is not one of {', '.join(DECISIONS)}.",
            hint="Resume once more with one of them.",
        )
    if decision == "accept":
        return {"stopped_because": "accepted_by_reviewer"}
    if decision == "stop":
        return {"stopped_because": "stopped_by_reviewer"}
    update: dict[str, Any] = {"feedback": str(answer.get("feedback") or "")}
    if state["stopped_because"] == "accepted":
        # The verifier was content, the person is not; a spent budget stays spent.
        update["stopped_because"] = ""
    return update
