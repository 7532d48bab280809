"""rescue: where a node goes whose retries are used up; it keeps the best image so far."""

from __future__ import annotations

from copy import copy
from typing import Any

from langgraph.errors import NodeError
from langgraph.types import Command

from .. import tally
from ..errors import GemsError
from ..graph.state import State, StopReason, VerifierTask, attempts_of_turn
from .calling import OutOfBudgetError
from .verifier import unanswered


def rescue(state: dict[str, Any], error: NodeError) -> Command[str]:
    """Makes a failed verification `unknown`, and any other failure the end of the run.

    LangGraph calls it as the graph's default error handler, after the retries. Before the first
    image there is nothing to keep: then the error ends the run, and a resumed run tries the node
    again. (LangGraph calls the handler again on a resume, not the node, with the error as text.)

    Raises:
        BaseException: What the node raised, when there is no image yet.
    """
    raised: BaseException | str = error.error
    if not isinstance(raised, Exception | str):
        raise _anew(raised)  # the process is going down: leave the thread as it is, to be resumed
    why = str(raised)
    if error.node == "verifier":
        task = VerifierTask(**state)  # type: ignore[typeddict-item]  # a Send's own input
        return Command(goto="scorer", update={"verdicts": unanswered(task, why, "error")})
    whole = State(**state)  # type: ignore[typeddict-item]  # the graph's state as LangGraph hands it
    if error.node in ("intake", "approval", "finalizer") or not attempts_of_turn(whole):
        if isinstance(raised, str):
            return Command(goto=error.node)
        tally.add(tally.FAILED, tally.code_of(raised))
        raise _anew(raised)
    notices = [f"The {error.node} failed: {why}"]
    if error.node == "selector":  # the run had ended already, for a reason of its own
        return Command(goto="finalizer", update={"notices": notices})
    reason: StopReason = "generator_failed" if error.node == "generator" else "model_failed"
    if isinstance(raised, OutOfBudgetError):
        reason = raised.ends
    return Command(
        goto="finalizer",
        update={"stopped_because": reason, "notices": notices},
    )


def _anew(error: BaseException) -> BaseException:
    """Returns an equal error that is another object.

    LangGraph takes the very object that it handed to a handler for handled: raised again, it would
    end the thread as if it had finished, and there would be nothing to resume.
    """
    try:
        return copy(error)
    except Exception:  # noqa: BLE001  # a third party's class that can't be made from its `args`
        return GemsError(f"{type(error).__name__}: {error}")
