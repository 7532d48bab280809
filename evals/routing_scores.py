"""Scores of a routing run: how often the planner loaded the right skills, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .routing import Routed

RESAMPLES = 2_000
"""Bootstrap samples; the ends of a 95 % interval then vary by about half a point themselves."""

CONFIDENCE = 0.95
"""Share of the resampled values that lie within an interval."""


@dataclass(frozen=True)
class Rate:
    """A share of cases with its bootstrap interval.

    Attributes:
        value: 0..1; None when there was no case to count.
        low: Lower end of the 95 % percentile interval (Efron, 1979); None as `value`.
        high: Upper end.
        cases: How many cases it is a share of.
    """

    value: float | None
    low: float | None
    high: float | None
    cases: int


@dataclass(frozen=True)
class SkillScore:
    """How one skill was routed.

    Attributes:
        skill: Its name.
        needed: Cases that need it.
        loaded: Cases in which it was loaded, those that allow it (`also`) left out.
        right: Cases that need it and in which it was loaded.
    """

    skill: str
    needed: int
    loaded: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of its loads that were needed; None when it was never loaded."""
        return self.right / self.loaded if self.loaded else None

    @property
    def recall(self) -> float | None:
        """Share of the cases that need it in which it was loaded; None when none needs it."""
        return self.right / self.needed if self.needed else None


@dataclass(frozen=True)
class RoutingReport:
    """The scores of one run over a labelled set.

    Attributes:
        exact: All needed skills and no unwanted ones loaded.
        one: `exact` of the cases that need one skill.
        two: `exact` of the cases that need several.
        none: Share of the cases without a skill in which nothing was loaded that is not allowed.
        near_misses: `none` of those that look like a skill.
        over_triggering: Share of all cases in which an unwanted skill was loaded.
        skills: Each skill that is labelled or was loaded, by name.
        failed: Cases without an answer; they are in none of the shares.
        tokens: Mean input tokens of the planner a case, as the endpoint reports them.
        seconds: Mean wall time of the planner's calls a case.
    """

    exact: Rate
    one: Rate
    two: Rate
    none: Rate
    near_misses: Rate
    over_triggering: Rate
    skills: tuple[SkillScore, ...]
    failed: int
    tokens: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values, precision and recall included."""
        return {
            **asdict(self),
            "skills": [
                {**asdict(item), "precision": item.precision, "recall": item.recall}
                for item in self.skills
            ],
        }


def score_routing(outcomes: Sequence[Routed], seed: int = 0) -> RoutingReport:
    """Returns the scores of the outcomes.

    Args:
        outcomes: What `route` returned.
        seed: Of the bootstrap; the same outcomes and seed give the same intervals.
    """
    answered = [item for item in outcomes if not item.error]
    exact = [(item, item.exact) for item in answered]

    def share(chosen: list[bool]) -> Rate:
        return _rate(np.array(chosen, dtype=np.float64), seed)

    return RoutingReport(
        exact=share([right for _, right in exact]),
        one=share([right for item, right in exact if len(item.case.skills) == 1]),
        two=share([right for item, right in exact if len(item.case.skills) > 1]),
        none=share([right for item, right in exact if not item.case.skills]),
        near_misses=share(
            [right for item, right in exact if item.case.near and not item.case.skills]
        ),
        over_triggering=share([bool(item.unwanted) for item in answered]),
        skills=_by_skill(answered),
        failed=len(outcomes) - len(answered),
        tokens=_mean([item.tokens for item in answered]),
        seconds=_mean([item.seconds for item in answered]),
    )


def _by_skill(answered: Sequence[Routed]) -> tuple[SkillScore, ...]:
    names = {name for item in answered for name in (*item.case.skills, *item.loaded)}
    return tuple(
        SkillScore(
            name,
            needed=sum(name in item.case.skills for item in answered),
            loaded=sum(name in item.loaded and name not in item.case.also for item in answered),
            right=sum(name in item.loaded and name in item.case.skills for item in answered),
        )
        for name in sorted(names)
    )


def _rate(values: NDArray[np.float64], seed: int) -> Rate:
    if not len(values):
        return Rate(None, None, None, 0)
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[draws].mean(axis=1), [outside, 1 - outside])
    return Rate(float(values.mean()), float(low), float(high), len(values))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
