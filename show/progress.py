"""How far a run is, put together from the events of its stream."""

from __future__ import annotations

import time
from typing import Any

from ..records import Answer, Attempt, Requirement

_DOING = {
    "intake": "recalling",
    "recall": "planning and listing requirements",
    "planner": "planned",
    "decomposer": "requirements listed",
    "approval": "generating",
    "generator": "verifying",
    "scorer": "scored",
    "review": "going on",
    "summarizer": "refining the prompt",
    "refiner": "generating",
    "reflector": "generating",
    "selector": "compared those that tie",
    "finalizer": "done",
}
"""What is going on after a node has finished."""


class Progress:
    """What a run's events have told so far.

    Attributes:
        requirements: As soon as they are known.
        attempts: By id, with the verdicts so far.
        calls: Calls of chat models.
        doing: What is going on, in a few words.
    """

    def __init__(self) -> None:
        self.requirements: list[Requirement] = []
        self.attempts: dict[str, Attempt] = {}
        self.calls = 0
        self.doing = "starting"
        self._answers: dict[tuple[str, str], Answer] = {}
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def feed(self, mode: str, event: Any) -> list[Attempt]:
        """Takes one event of the stream and returns the attempts that it scored.

        Args:
            mode: `updates` or `custom`.
            event: Updates by node, or a generator's progress.
        """
        if mode == "custom":
            self.doing = f"generating, step {event['step']} of {event['steps']}"
            return []
        scored: list[Attempt] = []
        for node, update in event.items():
            if not isinstance(update, dict):
                continue
            self.doing = _DOING.get(node, self.doing)
            self.requirements = update.get("requirements") or self.requirements
            for used in (update.get("usage") or {}).items():
                self.calls += used[1]["calls"] if used[0] != "generator" else 0
            for verdict in update.get("verdicts") or () if node == "verifier" else ():
                self._answers[verdict["attempt"], verdict["requirement"]] = verdict["answer"]
            for attempt in update.get("attempts") or ():
                self.attempts[attempt["id"]] = attempt
                if node == "scorer":
                    scored.append(attempt)
        return scored

    def answer(self, attempt: Attempt, requirement: Requirement) -> Answer | None:
        """Returns the answer on a requirement so far, or None while there is none."""
        for verdict in attempt["verdicts"]:
            if verdict["requirement"] == requirement["id"]:
                return verdict["answer"]
        return self._answers.get((attempt["id"], requirement["id"]))
