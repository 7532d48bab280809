"""What a command asks for, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .manifest import Manifest
from .progress import Tally
from .records import Row

BUDGETS = ("max_images", "max_model_calls", "max_tokens", "max_seconds")
"""Budgets of each prompt: settings of the graph that the strategies leave alone."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a command asks for.

    Attributes:
        data: The benchmark's data file.
        out: The run's folder.
        strategy: Name of the preset.
        overrides: Settings that differ from the preset's.
        samples: For each prompt and seed; None takes the benchmark's number.
        seeds: Of the run.
        limit: Only the first so many prompts of the file.
        shard: (i, n), 1-based.
        concurrency: Trajectories at the same time.
        budget: By name of `BUDGETS`, for each prompt; what is not there has no limit.
        max_cost: US dollars of the whole run after which no trajectory is begun.
        judge: Spec of the judge; empty judges only where the truth is known.
        judge_rounds: Whether the best image after each round is judged, too.
        judge_concurrency: Images judged at the same time.
        retry_failed: Whether failed samples and judgments, and samples that a failing model cut
            short, are tried again.
        keep: Whether the checkpoints of finished samples stay.
        prices: A price table besides the built-in one.
    """

    data: Path
    out: Path
    strategy: str = "gems"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    samples: int | None = None
    seeds: tuple[int, ...] = (1,)
    limit: int | None = None
    shard: tuple[int, int] = (1, 1)
    concurrency: int = 8
    budget: Mapping[str, float] = field(default_factory=dict)
    max_cost: float | None = None
    judge: str = ""
    judge_rounds: bool = False
    judge_concurrency: int = 8
    retry_failed: bool = False
    keep: bool = False
    prices: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        manifest: Of the run.
        tally: What was done.
        failed: Every failed row of this command's samples, those of earlier commands too.
        cut_short: Rows of these that have an image, but were ended by a failing model.
        left: Samples of this command that have no row yet.
        stopped: Why it stopped before its end; empty if it did not.
        exported: What was written for the official scorer besides the images.
    """

    manifest: Manifest
    tally: Tally
    failed: list[Row]
    cut_short: list[Row]
    left: int
    stopped: str
    exported: list[Path]
