"""How sure a figure is: bootstrap intervals over prompts, and paired tests between strategies.

A prompt is the unit: its samples and seeds are averaged before anything here sees them, since they
are not independent of each other. All random draws are seeded: the same values give the same ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 10_000
"""Bootstrap samples and sign flips; the ends of an interval then vary by about a hundredth of its
width, and the smallest p-value that can be found is 1 in 10,001."""

CONFIDENCE = 0.95
"""Share of the resampled means that lie within an interval."""

SIGNIFICANT = 0.05
"""Corrected p-value from which on two strategies are called different."""

FEWEST = 5
"""Prompts below which there is no interval: resampling two or three values tells nothing."""

_AT_ONCE = 4_000_000
"""Drawn numbers held at a time, so that 10,000 samples of a large benchmark fit into memory."""


@dataclass(frozen=True)
class Interval:
    """A mean over prompts with its 95 % interval.

    Attributes:
        value: The mean; None when there is no prompt.
        low: Lower end of the percentile interval (Efron, 1979); None with fewer than `FEWEST`
            prompts, and where all values are equal: resampling them can't show what else there is.
        high: Upper end, likewise.
        count: Prompts.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Paired:
    """What two strategies make of the same prompts.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        difference: Mean of first minus second over the common prompts, with its paired interval.
        better: Prompts on which the first is higher.
        worse: Prompts on which it is lower.
        test: `McNemar` (exact, for yes/no scores), `sign flips` (for graded ones), `none` when
            there are fewer than `FEWEST` common prompts.
        p: Two-sided, not corrected; 1.0 without a test.
        corrected: After Holm's correction over all comparisons of the family; `p` for one alone.
        left_out: Prompts that only one of the two has a score for.
    """

    first: str
    second: str
    difference: Interval
    better: int
    worse: int
    test: Literal["McNemar", "sign flips", "none"]
    p: float
    corrected: float
    left_out: int

    @property
    def different(self) -> bool:
        """Whether they may be called different: the interval leaves out 0 and p is small enough."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return False
        return not low <= 0 <= high and self.corrected < SIGNIFICANT


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Returns the mean with its bootstrap interval over prompts.

    Args:
        values: One for each prompt.
        seed: Of the draws.
    """
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return Interval(None, None, None, 0)
    mean = float(found.mean())
    if len(found) < FEWEST or (found == found[0]).all():
        return Interval(mean, None, None, len(found))
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(_resampled_means(found, seed), [outside, 1 - outside])
    # Rounding may leave an end a hair on the wrong side of a mean of equal values.
    return Interval(mean, min(float(low), mean), max(float(high), mean), len(found))


def _resampled_means(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    draws = np.random.default_rng(seed)
    each = max(1, _AT_ONCE // len(values))
    parts = []
    for begin in range(0, RESAMPLES, each):
        shape = (min(each, RESAMPLES - begin), len(values))
        parts.append(values[draws.integers(0, len(values), shape)].mean(axis=1))
    return np.concatenate(parts)


def paired(
    first: tuple[str, Mapping[str, float]],
    second: tuple[str, Mapping[str, float]],
    best: float,
    seed: int = 0,
) -> Paired:
    """Compares two strategies on the prompts that both have a score for.

    Args:
        first: Name, and prompt -> score (samples averaged).
        second: Likewise.
        best: The highest score there can be; where all scores are 0 or this, they are yes/no.
        seed: Of the draws.
    """
    common = sorted(first[1].keys() & second[1].keys())
    ours = np.array([first[1][prompt] for prompt in common], dtype=np.float64)
    theirs = np.array([second[1][prompt] for prompt in common], dtype=np.float64)
    differences = ours - theirs
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    test: Literal["McNemar", "sign flips", "none"]
    interval = mean_interval(differences.tolist(), seed)
    if len(common) < FEWEST:
        test, p = "none", 1.0
    elif np.isin(np.concatenate([ours, theirs]), (0.0, best)).all():
        test, p = "McNemar", mcnemar(better, worse)
    else:
        test, p = "sign flips", sign_flips(differences.tolist(), seed)
    if test != "none" and interval.low is None:  # the same difference on every prompt
        interval = replace(interval, low=interval.value, high=interval.value)
    return Paired(
        first=first[0],
        second=second[0],
        difference=interval,
        better=better,
        worse=worse,
        test=test,
        p=p,
        corrected=p,
        left_out=len(first[1].keys() ^ second[1].keys()),
    )


def mcnemar(better: int, worse: int) -> float:
    """Returns the exact two-sided p-value of McNemar's test (1947) from the discordant prompts."""
    from scipy.stats import binomtest

    if better + worse == 0:
        return 1.0
    return float(binomtest(better, better + worse, 0.5).pvalue)


def sign_flips(differences: Sequence[float], seed: int = 0) -> float:
    """Returns the two-sided p-value of a paired permutation test on the mean difference.

    If the strategies were alike, each difference could as well have the other sign (Fisher, 1935).
    All sign patterns are tried where there are at most `RESAMPLES`; else so many are drawn, and the
    observed one counts as one of them, so that p is never 0.

    Args:
        differences: One for each prompt.
        seed: Of the draws.
    """
    found = np.asarray(differences, dtype=np.float64)
    found = found[found != 0]  # a flip does not change them
    if not len(found):
        return 1.0
    observed = abs(found.sum())
    # Sums of the same numbers in another order differ in their last digits.
    reached = observed - 1e-9 * np.abs(found).sum()
    if 2 ** len(found) <= RESAMPLES:
        patterns = (np.arange(2 ** len(found))[:, None] >> np.arange(len(found))) & 1
        sums = np.abs((1 - 2 * patterns) @ found)
        return float((sums >= reached).mean())
    draws = np.random.default_rng(seed)
    each = max(1, _AT_ONCE // len(found))
    hits = 0
    for begin in range(0, RESAMPLES, each):
        shape = (min(each, RESAMPLES - begin), len(found))
        signs = 1 - 2 * draws.integers(0, 2, shape, dtype=np.int8)
        hits += int((np.abs(signs @ found) >= reached).sum())
    return (hits + 1) / (RESAMPLES + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for the number of comparisons (Holm, 1979), in the given order."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected


def with_correction(family: Sequence[Paired]) -> list[Paired]:
    """Returns the comparisons with Holm's correction over those of them that have a test."""
    tested = [index for index, item in enumerate(family) if item.test != "none"]
    found = dict(zip(tested, holm([family[index].p for index in tested]), strict=True))
    return [
        replace(item, corrected=found.get(index, item.corrected))
        for index, item in enumerate(family)
    ]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Returns Spearman's rank correlation, -1..1; None where it is not defined."""
    from scipy.stats import spearmanr

    if len(one) < 3 or len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(spearmanr(one, other).statistic)
