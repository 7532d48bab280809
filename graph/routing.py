"""Where the run goes next: functions of the state and the run's settings, for conditional edges.

They take no `runtime`: `update_state` works out the next node outside of a run, where LangGraph has
none to hand over, and fails if a function asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from langgraph.runtime import Runtime, get_runtime
from langgraph.types import Send

from ..nodes.approval import to_come
from ..nodes.dispatch import next_questions
from ..nodes.selector import tied
from .context import Context, context_of
from .state import State, attempts_of_turn


def after_intake(state: State) -> Literal["reviser", "recall"]:
    """Returns the reviser when a thread goes on with something new, else recall."""
    return "reviser" if state["worked_on"] not in ("", state["prompt"]) else "recall"


def after_recall(state: State) -> Sequence[Literal["planner", "decomposer", "approval"]]:
    """Returns planner and decomposer in parallel, without the one whose work is there already."""
    return to_come(state, _settings()) or ["approval"]


def after_approval(state: State) -> Literal["generator"] | list[Literal["generator"]]:
    """Returns the generator; nothing while planner or decomposer is tried again on a resume."""
    runtime = _runtime()
    waits = runtime is not None and to_come(state, context_of(runtime))
    return [] if waits else "generator"


def after_generator(state: State) -> list[Send] | Literal["scorer", "refiner"]:
    """Returns one verifier for each question; the scorer when there is nothing left to ask with.

    Prompts that moderation refused go to the refiner, to be worded anew.
    """
    if state["refused"]:
        return "refiner"
    return _verifiers(state, _settings()) or "scorer"


AfterRound = Literal["summarizer", "reflector", "selector", "finalizer"]
"""Where a judged round leads."""

AFTER_ROUND: tuple[AfterRound, ...] = get_args(AfterRound)


def after_scorer(state: State) -> list[Send] | Literal["review"] | AfterRound:
    """Returns the next wave of verifiers, a person's review, the next round, or the end."""
    context = _settings()
    wave = _verifiers(state, context)
    if wave:
        return wave
    if context.review in ("rounds", "all"):
        return "review"
    return after_review(state)


def after_review(state: State) -> AfterRound:
    """Returns the end when there is a reason to stop, else the next round.

    Before the end comes the selector when attempts tie and it is to decide; before the next round
    the reflector in place of summarizer and refiner where the two are fused.
    """
    context = _settings()
    if state["stopped_because"]:
        ties = context.selection == "pairwise" and tied(attempts_of_turn(state))
        return "selector" if ties else "finalizer"
    # Without experiences the summarizer makes no call that could be saved.
    fused = context.reflection == "fused" and context.trajectory == "experiences"
    return "reflector" if fused else "summarizer"


def _settings() -> Context:
    """Returns the run's settings; the defaults while a person edits a state outside of a run."""
    runtime = _runtime()
    return Context() if runtime is None else context_of(runtime)


def _runtime() -> Runtime[Context] | None:
    try:
        runtime: Runtime[Context] | None = get_runtime(Context)
    except RuntimeError:  # not called by LangGraph at all
        return None
    return runtime


def _verifiers(state: State, context: Context) -> list[Send]:
    return [Send("verifier", task) for task in next_questions(state, context)]
