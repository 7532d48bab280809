"""Budgets: what is left of a run's rounds, calls and seconds. Pure functions of the state."""

from __future__ import annotations

from .context import Context
from .state import State, StopReason, worked_seconds

CALLS_OF_A_ROUND = 3
"""A further round is worth starting only with a call each for summarizer, refiner and verifier."""


def calls_used(state: State) -> int:
    """Returns the chat model calls of this turn."""
    usage = state.get("usage", {})
    every = sum(used["calls"] for role, used in usage.items() if role != "generator")
    return every - state.get("calls_before", 0)


def calls_left(state: State, context: Context) -> int | None:
    """Returns the chat model calls left in this turn; None without a limit."""
    if context.max_model_calls is None:
        return None
    return max(0, context.max_model_calls - calls_used(state))


def out_of_time(state: State, context: Context) -> bool:
    """Returns whether the turn has worked for `max_seconds`."""
    if context.max_seconds is None:
        return False
    return worked_seconds(state.get("stretches", [])) >= context.max_seconds


def stop_reason(state: State, context: Context, score: float) -> StopReason:
    """Returns why the run ends after a scored round, or "" to go on.

    Acceptance comes first: a round that met everything with the last call was accepted.
    """
    if score >= context.accept_score:
        return "accepted"
    if out_of_time(state, context):
        return "max_seconds"
    left = calls_left(state, context)
    if left is not None and left < CALLS_OF_A_ROUND:
        return "max_model_calls"
    if state["round"] >= context.max_rounds:
        return "max_rounds"
    return ""
