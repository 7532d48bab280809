"""dispatch: which questions are asked next, about which images. Pure functions of the state."""

from __future__ import annotations

from collections.abc import Mapping

from ..graph.budget import out_of_time, tokens_left, verifier_calls_left
from ..graph.context import Context
from ..graph.state import AttemptVerdict, State, VerifierTask, attempts_of_turn
from ..records import Attempt, Requirement
from .calling import seconds_left
from .requirements import fold_dependencies, next_wave


def next_questions(state: State, context: Context) -> list[VerifierTask]:
    """Returns what the verifiers are sent now; empty when the round has been judged.

    `none`: nothing. `each`: one task a requirement, all at once. `staged`: one task a requirement,
    only those whose dependencies have been met. `joint`: one task an image, then one for each
    verdict that `recheck` doubts, the least sure first. No more are sent than the budgets of calls
    and tokens allow; what is not asked is judged unknown by the scorer, and a doubted verdict that
    is not asked again stays.
    """
    if context.verification == "none" or state.get("stopped_because"):
        return []
    if out_of_time(state, context):
        return []
    seconds, tokens = seconds_left(state, context), tokens_left(state, context)
    answered: dict[str, dict[str, AttemptVerdict]] = {}
    for item in state.get("verdicts", []):
        answered.setdefault(item["attempt"], {})[item["requirement"]] = item
    tasks: list[VerifierTask] = []
    rechecks: list[tuple[float, VerifierTask]] = []
    for attempt in attempts_of_turn(state):
        if attempt["round"] != state["round"]:
            continue
        known = answered.get(attempt["id"], {})

        def task(asked: list[Requirement], attempt: Attempt = attempt) -> VerifierTask:
            return VerifierTask(
                attempt=attempt["id"],
                image=attempt["image"],
                asked=asked,
                seconds_left=seconds,
                tokens_left=tokens,
            )

        if context.verification == "staged":
            tasks += [task([one]) for one in next_wave(state["requirements"], known)]
            continue
        unasked = [item for item in state["requirements"] if item["id"] not in known]
        if context.verification == "each":
            tasks += [task([one]) for one in unasked]
        elif unasked:
            tasks.append(task(unasked))
        for one in doubtful(state["requirements"], known, context.recheck):
            verdict = known[one["id"]]
            again = VerifierTask(**{**task([one]), "doubted": verdict})
            rechecks.append((verdict["confidence"], again))
    tasks += [again for _, again in sorted(rechecks, key=lambda item: item[0])]
    left = verifier_calls_left(state, context)
    return tasks if left is None else tasks[: left // context.votes]


def doubtful(
    requirements: list[Requirement], verdicts: Mapping[str, AttemptVerdict], recheck: float
) -> list[Requirement]:
    """Returns the requirements whose joint verdict is to be asked again singly now.

    Those that are unknown or less sure than `recheck`, in waves along the dependencies: what
    depends on a doubted requirement waits for it, and what depends on a failed one counts as
    failed whatever its own answer is. With `recheck` 0 there are none.
    """
    if not recheck:
        return []
    doubted = {
        name
        for name, verdict in verdicts.items()
        if verdict.get("joint")
        and (verdict["answer"] == "unknown" or verdict["confidence"] < recheck)
    }
    failed = {
        verdict["requirement"]
        for verdict in (fold_dependencies(requirements, verdicts) if doubted else ())
        if verdict["answer"] == "no"
    }
    return [
        item
        for item in requirements
        if item["id"] in doubted and not (doubted | failed) & set(item["depends_on"])
    ]
