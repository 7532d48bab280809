"""Verdicts, scores and outcomes in the words that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..records import Attempt, Verdict

ANSWERS = {"yes": "met", "no": "not met", "unknown": "can't tell"}
"""An answer as a reader of a grid takes it; the keys are the CSS classes, too."""

SOURCES = {
    "logprobs": "the model's token probabilities",
    "votes": "repeated votes of the model",
    "model": "one answer of the model",
    "dependency": "a requirement that it depends on",
    "evidence": "a measuring tool",
    "error": "the verifier failed",
    "budget": "not asked: the budget was used up",
}

STOPPED = {
    "accepted": "enough requirements were met",
    "accepted_by_reviewer": "a person accepted it",
    "stopped_by_reviewer": "a person stopped it",
    "max_rounds": "all rounds were used",
    "max_model_calls": "the budget of model calls was used up",
    "max_seconds": "the time was used up",
    "max_images": "the budget of images was used up",
    "max_tokens": "the budget of tokens was used up",
    "not_verified": "nothing was to be checked",
    "generator_failed": "the image generator failed",
    "model_failed": "the chat model failed",
}


def source_text(verdict: Verdict) -> str:
    """Returns what decided a verdict, with the tool's name where a tool did."""
    if verdict["source"] == "evidence" and verdict.get("evidence"):
        return f"measured by {verdict.get('evidence', '')}"
    return SOURCES.get(verdict["source"], verdict["source"])


def met_count(verdicts: Sequence[Verdict]) -> tuple[int, int]:
    """Returns how many verdicts are yes, and how many there are."""
    return sum(verdict["answer"] == "yes" for verdict in verdicts), len(verdicts)


def outcome(best: Attempt | None, attempts: Sequence[Attempt], stopped_because: str) -> str:
    """Returns the outcome of a turn in one sentence, without a full stop.

    Args:
        best: The attempt that is handed over; None while there is none.
        attempts: The attempts of its turn.
        stopped_because: `graph.state.StopReason`; empty while the run goes on.
    """
    if best is None:
        return "No image yet"
    met, asked = met_count(best["verdicts"])
    what = (
        "not judged"
        if not asked
        else f"all {asked} requirements met"
        if met == asked > 1
        else f"{met} of {asked} requirement{'' if asked == 1 else 's'} met"
    )
    accepted = stopped_because in ("accepted", "accepted_by_reviewer")
    if accepted:
        return f"Accepted in round {best['round']}: {what}"
    rounds = max((item["round"] for item in attempts), default=best["round"])
    return f"Best of {rounds} round{'' if rounds == 1 else 's'}: {what}"


def percent(score: float) -> str:
    """Returns a score of 0..1 as a whole percentage that says 100 only when it is."""
    rounded = round(score * 100)
    return f"{99 if rounded == 100 and score < 1 else rounded} %"


def verdict_of(attempt: Mapping[str, Any], requirement: str) -> Verdict | None:
    """Returns an attempt's verdict on a requirement, or None when it was not asked."""
    for verdict in attempt["verdicts"]:
        if verdict["requirement"] == requirement:
            found: Verdict = verdict
            return found
    return None
