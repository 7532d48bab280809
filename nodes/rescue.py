"""rescue: where a node goes whose retries are used up; it keeps the best image so far."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.errors import NodeError
from langgraph.types import Command

from .. import tally
from ..graph.state import State, StopReason, VerifierTask, attempts_of_turn
from .calling import OutOfBudgetError
from .verifier import unanswered


def rescue(state: dict[str, Any], error: NodeError) -> Command[Literal["scorer", "finalizer"]]:
    """Makes a failed verification `unknown`, and any other failure the end of the run.

    LangGraph calls it as the graph's default error handler, after the retries. Before the first
    image there is nothing to keep: then the error ends the run.

    Raises:
        BaseException: What the node raised, when there is no image yet.
    """
    if not isinstance(error.error, Exception):
        raise error.error  # the process is going down: leave the thread as it is, to be resumed
    why = str(error.error)
    if error.node == "verifier":
        task = VerifierTask(**state)  # type: ignore[typeddict-item]  # a Send's own input
        return Command(goto="scorer", update={"verdicts": unanswered(task, why, "error")})
    whole = State(**state)  # type: ignore[typeddict-item]  # the graph's state as LangGraph hands it
    if error.node in ("intake", "approval", "finalizer") or not attempts_of_turn(whole):
        tally.add(tally.FAILED, tally.code_of(error.error))
        raise error.error
    notices = [f"The {error.node} failed: {why}"]
    if error.node == "selector":  # the run had ended already, for a reason of its own
        return Command(goto="finalizer", update={"notices": notices})
    reason: StopReason = "generator_failed" if error.node == "generator" else "model_failed"
    if isinstance(error.error, OutOfBudgetError):
        reason = error.error.ends
    return Command(
        goto="finalizer",
        update={"stopped_because": reason, "notices": notices},
    )
