"""dispatch: which questions are asked next, about which images. Pure functions of the state."""

from __future__ import annotations

from ..graph.budget import out_of_time, tokens_left, verifier_calls_left
from ..graph.context import Context
from ..graph.state import AttemptVerdict, State, VerifierTask, attempts_of_turn
from .calling import seconds_left
from .requirements import next_wave


def next_questions(state: State, context: Context) -> list[VerifierTask]:
    """Returns what the verifiers are sent now; empty when the round has been judged.

    `none`: nothing. `each`: one task a requirement, all at once. `staged`: one task a requirement,
    only those whose dependencies have been met. `joint`: one task an image. No more are sent than
    the budgets of calls and tokens allow; what is not asked is judged unknown by the scorer.
    """
    if context.verification == "none" or state.get("stopped_because"):
        return []
    if out_of_time(state, context):
        return []
    limit = seconds_left(state, context)
    answered: dict[str, dict[str, AttemptVerdict]] = {}
    for item in state.get("verdicts", []):
        answered.setdefault(item["attempt"], {})[item["requirement"]] = item
    tasks: list[VerifierTask] = []
    for attempt in attempts_of_turn(state):
        if attempt["round"] != state["round"]:
            continue
        known = answered.get(attempt["id"], {})
        if context.verification == "staged":
            asked = next_wave(state["requirements"], known)
        else:
            asked = [item for item in state["requirements"] if item["id"] not in known]
        groups = [asked] if context.verification == "joint" and asked else [[one] for one in asked]
        tasks += [
            VerifierTask(
                attempt=attempt["id"],
                image=attempt["image"],
                asked=group,
                seconds_left=limit,
                tokens_left=tokens_left(state, context),
            )
            for group in groups
        ]
    left = verifier_calls_left(state, context)
    return tasks if left is None else tasks[: left // context.votes]
