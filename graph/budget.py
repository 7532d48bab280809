"""Budgets: what is left of a run's rounds, calls, tokens, images and seconds. Pure functions."""

from __future__ import annotations

from ..records import Usage
from .context import Context
from .state import State, StopReason, attempts_of_turn, worked_seconds


def calls_of_a_round(context: Context) -> int:
    """Returns the fewest model calls with which a further round is worth starting.

    One for the refiner, one for a verifier, and one for the summarizer where it makes one.
    """
    separate = context.reflection == "separate" and context.trajectory == "experiences"
    return 3 if separate else 2


def calls_used(state: State) -> int:
    """Returns the chat model calls of this turn."""
    usage = state.get("usage", {})
    every = sum(used["calls"] for role, used in usage.items() if role != "generator")
    return every - state.get("calls_before", 0)


def used_before(usage: Usage) -> dict[str, int]:
    """Returns the channels from which on a turn's budgets of calls and tokens count.

    Args:
        usage: What the thread has used so far.
    """
    return {
        "calls_before": sum(used["calls"] for role, used in usage.items() if role != "generator"),
        "tokens_before": sum(
            used["input_tokens"] + used["output_tokens"] for used in usage.values()
        ),
    }


def calls_left(state: State, context: Context) -> int | None:
    """Returns the chat model calls left in this turn; None without a limit."""
    if context.max_model_calls is None:
        return None
    return max(0, context.max_model_calls - calls_used(state))


def tokens_left(state: State, context: Context) -> int | None:
    """Returns the tokens left in this turn, never below 0; None without a limit.

    What a call uses is known only after it: a run can end above its budget, by the calls that were
    under way when it ran out.
    """
    if context.max_tokens is None:
        return None
    usage = state.get("usage", {}).values()
    every = sum(used["input_tokens"] + used["output_tokens"] for used in usage)
    return max(0, context.max_tokens - (every - state.get("tokens_before", 0)))


def out_of_tokens(state: State, context: Context) -> bool:
    """Returns whether the turn has used `max_tokens`."""
    return tokens_left(state, context) == 0


def verifier_calls_left(state: State, context: Context) -> int | None:
    """Returns how many verifier calls the budgets of calls and tokens allow; None without a limit.

    For tokens, as many as fit when each needs what a verifier's call has needed so far.
    """
    calls, tokens = calls_left(state, context), tokens_left(state, context)
    used = state.get("usage", {}).get("verifier")
    if tokens is None:
        return calls
    if not used or not used["calls"]:
        by_tokens = None if tokens else 0
    else:
        mean = (used["input_tokens"] + used["output_tokens"]) / used["calls"]
        by_tokens = int(tokens / mean) if mean else None
    return min((item for item in (calls, by_tokens) if item is not None), default=None)


def may_ask_again(state: State, context: Context, made: int) -> bool:
    """Returns whether a node that has made `made` calls may make one more that it could do without.

    Another call must be left after it, to verify what comes of it.
    """
    left = calls_left(state, context)
    return (left is None or left - made >= 2) and not out_of_tokens(state, context)


def candidates_of_round(state: State, context: Context, round_: int) -> int:
    """Returns how many images a round makes: fewer than `candidates` where `max_images` ends it.

    At least 1: what has no image left to make does not begin (see `stop_reason`).
    """
    if context.max_images is None:
        return context.candidates
    made = sum(item["round"] < round_ for item in attempts_of_turn(state))
    return max(1, min(context.candidates, context.max_images - made))


def out_of_images(state: State, context: Context) -> bool:
    """Returns whether the turn has made `max_images`."""
    if context.max_images is None:
        return False
    return len(attempts_of_turn(state)) >= context.max_images


def out_of_time(state: State, context: Context) -> bool:
    """Returns whether the turn has worked for `max_seconds`."""
    if context.max_seconds is None:
        return False
    return worked_seconds(state.get("stretches", [])) >= context.max_seconds


def stop_reason(state: State, context: Context, score: float) -> StopReason:
    """Returns why the run ends after a scored round, or "" to go on.

    Acceptance comes first: a round that met everything with the last call was accepted. A run that
    verifies nothing has nothing to refine by and ends at once.
    """
    if context.verification == "none":
        return "not_verified"
    if score >= context.accept_score:
        return "accepted"
    if out_of_time(state, context):
        return "max_seconds"
    left = calls_left(state, context)
    if left is not None and left < calls_of_a_round(context):
        return "max_model_calls"
    if out_of_tokens(state, context):
        return "max_tokens"
    if out_of_images(state, context):
        return "max_images"
    if state["round"] >= context.max_rounds:
        return "max_rounds"
    return ""
