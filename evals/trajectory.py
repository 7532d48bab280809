"""One sample of a run: its trajectory through the graph, begun, resumed or only read, and its row.

The graph gets a prompt, a seed and a thread. It never gets the item: questions, answers and tags
stay on this side.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from ..errors import ConfigurationError, GemsError
from ..graph.run import run_config, run_input
from ..graph.state import worked_seconds
from ..models.failures import redacted
from ..nodes.scorer import best_attempt
from ..records import Attempt, Requirement, Usage
from .images import export_image
from .manifest import now
from .plan import Sample
from .records import AttemptFacts, CheckedRequirement, Row

if TYPE_CHECKING:
    from ..graph.context import Context

CHANNELS = (
    "image",
    "best",
    "score",
    "stopped_because",
    "attempts",
    "requirements",
    "usage",
    "notices",
    "stretches",
)
"""What of a thread's state a row is made of."""

CUT_SHORT = {"generator_failed", "model_failed"}
"""Ends of trajectories that have an image and would have gone on, had a model not failed."""


@dataclass
class Trajectories:
    """The graph of a run, which all its trajectories go through.

    Attributes:
        graph: Compiled once for all.
        saver: Its checkpointer.
        context: Settings of every trajectory.
        out: The run's folder.
        keep: Whether checkpoints stay when a sample has its row.
        worked: Whether a trajectory of this process has ended with an image.
    """

    graph: CompiledStateGraph[Any, Any, Any, Any]
    saver: BaseCheckpointSaver[Any]
    context: Context
    out: Path
    keep: bool = False
    worked: bool = field(default=False, init=False)

    async def run(
        self, sample: Sample, thread: str, layout: PurePosixPath, *, again: bool = False
    ) -> Row:
        """Takes a sample to its end, from wherever its checkpoints stand, and returns its row.

        Args:
            sample: The sample.
            thread: Its thread.
            layout: Where its image goes, below the folder of images.
            again: Begin anew if the thread has ended: it was cut short by a failing model.

        Raises:
            ConfigurationError: A setting is wrong, and nothing has worked in this process yet: the
                same would happen to every other sample.
        """
        began = time.monotonic()
        try:
            values = await self._values(sample.item["prompt"], sample.seed, thread, again)
            file = await export_image(self.out, layout, values["image"])
        except Exception as error:
            if isinstance(error, ConfigurationError) and not self.worked:
                raise
            kept = await self._kept(thread)
            return _failed(sample, thread, error, kept, time.monotonic() - began)
        self.worked = True
        return _done(sample, thread, values, file)

    async def forget(self, thread: str) -> None:
        """Deletes a thread's checkpoints; its row is on the disk."""
        if not self.keep:
            await self.saver.adelete_thread(thread)

    async def _values(self, prompt: str, seed: int, thread: str, again: bool) -> dict[str, Any]:
        config = run_config(thread, self.context)
        given: Any = run_input(prompt, seed=seed)
        if await self.saver.aget_tuple(config) is not None:
            snapshot = await self.graph.aget_state(config)
            # Not `next`: it is empty as well when every task of a step has ended and a kill came
            # before the step's checkpoint; its tasks still stand there, with what they returned.
            if snapshot.tasks:
                given = None  # resume: what had finished is not done again
            elif snapshot.values.get("image") and not again:
                return dict(snapshot.values)  # killed between the end and the row
            else:
                await self.saver.adelete_thread(thread)
        values = await self.graph.ainvoke(
            given,
            config,
            context=self.context,
            # A step begins only when the last is saved (see `graph.run.agenerate`).
            durability="sync",
            output_keys=list(CHANNELS),
        )
        if not values or not values.get("image"):
            raise GemsError("The trajectory ended without an image.")
        return dict(values)

    async def _kept(self, thread: str) -> dict[str, Any]:
        """What a failed trajectory has used; nothing where even that can't be read."""
        try:
            snapshot = await self.graph.aget_state(run_config(thread, self.context))
        except Exception:  # noqa: BLE001 - the failure that is being recorded matters more
            return {}
        return dict(snapshot.values)


def _done(sample: Sample, thread: str, values: dict[str, Any], file: str) -> Row:
    requirements: list[Requirement] = values.get("requirements", [])
    row = _row(sample, thread, values)
    row["status"] = "done"
    row["image"] = values["image"]
    row["file"] = file
    row["best"] = values["best"]
    row["best_by_round"] = best_by_round(values["attempts"], values["best"])
    row["score"] = values["score"]
    row["stopped_because"] = values["stopped_because"]
    row["requirements"] = [
        CheckedRequirement(
            question=item["question"], kind=item["kind"], answer=item["verdict"]["answer"]
        )
        for item in requirements
        if "verdict" in item
    ]
    return row


def _failed(
    sample: Sample, thread: str, error: Exception, kept: dict[str, Any], seconds: float
) -> Row:
    known = isinstance(error, GemsError)
    row = _row(sample, thread, kept)
    row["seconds"] = round(max(seconds, row["seconds"]), 3)
    row["error"] = redacted(str(error) if known else f"{type(error).__name__}: {error}")
    row["error_code"] = error.code if isinstance(error, GemsError) else "unexpected"
    return row


def _row(sample: Sample, thread: str, values: dict[str, Any]) -> Row:
    """What a finished and a failed sample have in common; all else as it is of a failed one."""
    usage: Usage = values.get("usage", {})
    attempts: list[Attempt] = values.get("attempts", [])
    return Row(
        key=sample.key,
        item=sample.item["id"],
        sample=sample.number,
        seed=sample.seed,
        prompt=sample.item["prompt"],
        tags=sample.item["tags"],
        status="failed",
        thread_id=thread,
        image=None,
        file="",
        best="",
        score=0.0,
        stopped_because="",
        rounds=max((item["round"] for item in attempts), default=0),
        attempts=[_facts(item) for item in attempts],
        requirements=[],
        usage=usage,
        # `get`: checkpoints from before bytes were counted.
        image_bytes=sum(used.get("image_bytes", 0) for used in usage.values()),
        seconds=round(worked_seconds(values.get("stretches", [])), 3),
        notices=values.get("notices", []),
        error="",
        error_code="",
        finished=now(),
    )


def _facts(attempt: Attempt) -> AttemptFacts:
    return AttemptFacts(
        id=attempt["id"],
        round=attempt["round"],
        candidate=attempt["candidate"],
        prompt=attempt["prompt"],
        seed=attempt["seed"],
        score=attempt["score"],
        image=attempt["image"],
    )


def best_by_round(attempts: list[Attempt], best: str) -> list[str]:
    """Returns the id of the best attempt after each round: what a run that ended there would give.

    Args:
        attempts: All attempts of a trajectory.
        best: The one that it handed over, which may have been chosen by more than its score.
    """
    rounds = max((item["round"] for item in attempts), default=0)
    found = []
    for number in range(1, rounds + 1):
        so_far = best_attempt([item for item in attempts if item["round"] <= number])
        found.append("" if so_far is None else so_far["id"])
    return [*found[:-1], best] if found else []
