"""scorer: folds the verdicts into the attempts, keeps the best, and says when it is enough."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import Overwrite

from ..graph.budget import stop_reason
from ..graph.context import Context, context_of
from ..graph.state import State, attempts_of_turn
from ..records import Attempt, Requirement, Verdict
from .calling import timed
from .dispatch import next_questions
from .requirements import fold_dependencies


@timed
async def scorer(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Returns this round's attempts with verdicts and scores, the best attempt, and why to stop.

    With staged verification it runs after every wave; attempts are scored with what is known, and
    the pending verdicts stay until the next round begins.
    """
    context = context_of(runtime)
    this_round = [item for item in attempts_of_turn(state) if item["round"] == state["round"]]
    scored = [
        # What nobody looked at keeps no verdicts and the score 0.
        attempt
        if context.verification == "none"
        else score(attempt, state["requirements"], _pending(state, attempt))
        for attempt in this_round
    ]
    others = [item for item in attempts_of_turn(state) if item["round"] != state["round"]]
    best = best_attempt([*others, *scored])
    update: dict[str, Any] = {"attempts": scored}
    if state.get("comparisons"):
        # The run had ended and was sent on, by a fork: those attempts are not all there is now.
        update["comparisons"] = Overwrite([])
    if best is not None:
        update["best"] = best["id"]
        update["score"] = best["score"]
    if not state["stopped_because"] and not next_questions(state, context):
        update["stopped_because"] = stop_reason(state, context, update.get("score", 0.0))
    return update


def _pending(state: State, attempt: Attempt) -> dict[str, Verdict]:
    pending: dict[str, Verdict] = {}
    for item in state["verdicts"]:
        if item["attempt"] != attempt["id"]:
            continue
        verdict = Verdict(
            requirement=item["requirement"],
            answer=item["answer"],
            confidence=item["confidence"],
            rationale=item["rationale"],
            source=item["source"],
        )
        if "evidence" in item:
            verdict["evidence"] = item["evidence"]
        pending[item["requirement"]] = verdict
    return pending


def score(
    attempt: Attempt, requirements: list[Requirement], verdicts: dict[str, Verdict]
) -> Attempt:
    """Returns the attempt with one verdict a requirement and its score.

    The score is the fraction of requirements met, the confidence the mean over all verdicts; an
    image without requirements meets them all.
    """
    folded = fold_dependencies(requirements, verdicts)
    met = sum(verdict["answer"] == "yes" for verdict in folded)
    sure = sum(verdict["confidence"] for verdict in folded)
    total = len(folded)
    return Attempt(
        **{
            **attempt,
            "verdicts": folded,
            "score": met / total if total else 1.0,
            "confidence": round(sure / total, 4) if total else 1.0,
        }
    )


def best_attempt(attempts: list[Attempt]) -> Attempt | None:
    """Returns the attempt with the highest score, then confidence; the earliest of equals."""
    return max(attempts, key=lambda item: (item["score"], item["confidence"]), default=None)
