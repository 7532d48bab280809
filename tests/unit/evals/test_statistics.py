"""Intervals and tests of the report, against hand-computed cases, naive versions and scipy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gems.evals.statistics import (
    FEWEST,
    Interval,
    holm,
    mcnemar,
    mean_interval,
    paired,
    rank_correlation,
    sign_flips,
    with_correction,
)

SCORES = st.integers(0, 8).map(lambda eighths: eighths / 8)


def test_an_interval_is_the_mean_between_quantiles_of_resampled_means():
    values = [0.0] * 30 + [1.0] * 70
    found = mean_interval(values, seed=3)
    assert found.value == pytest.approx(0.7)
    assert found.count == 100
    # A binomial share of 100 has quantiles that tables list.
    assert found.low == pytest.approx(stats.binom(100, 0.7).ppf(0.025) / 100, abs=0.011)
    assert found.high == pytest.approx(stats.binom(100, 0.7).ppf(0.975) / 100, abs=0.011)
    assert mean_interval(values, seed=3) == found


@settings(deadline=None)
@given(st.lists(SCORES, min_size=FEWEST, max_size=40).filter(lambda found: len(set(found)) > 1))
def test_a_mean_lies_within_its_interval_and_the_interval_within_the_values(values):
    found = mean_interval(values)
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert min(values) - 1e-12 <= found.low <= found.value <= found.high <= max(values) + 1e-12


def test_it_agrees_with_scipys_percentile_bootstrap():
    values = np.random.default_rng(5).beta(2, 1, 200)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9_999, rng=1)
    ours = mean_interval(values.tolist())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.003)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.003)


def test_about_95_of_100_intervals_hold_the_true_mean():
    draws = np.random.default_rng(11)
    held = 0
    for number in range(200):
        found = mean_interval((draws.random(60) < 0.6).astype(float).tolist(), seed=number)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.6 <= found.high
    assert 178 <= held <= 199  # 190 are expected


def test_too_few_and_equal_values_have_no_interval():
    assert mean_interval([]) == Interval(None, None, None, 0)
    assert mean_interval([0.5]) == Interval(0.5, None, None, 1)
    assert mean_interval([0.0, 1.0, 0.0, 1.0]) == Interval(0.5, None, None, 4)
    assert mean_interval([1.0] * 30) == Interval(1.0, None, None, 30)


def test_mcnemar_counts_the_discordant_prompts_only():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(2 * 0.5**5)
    assert mcnemar(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert mcnemar(4, 4) == 1.0


@settings(deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_sign_flips_equal_counting_every_pattern_by_hand(differences):
    observed = abs(sum(differences))
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    naive = sum(value >= observed for value in sums) / len(sums)
    assert sign_flips(differences) == pytest.approx(naive)


def test_many_sign_flips_are_drawn_and_agree_with_scipy():
    differences = np.random.default_rng(2).normal(0.12, 0.5, 80)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=9_999, rng=4
    )
    assert sign_flips(differences.tolist()) == pytest.approx(theirs.pvalue, abs=0.01)
    assert sign_flips([1.0] * 100) == pytest.approx(1 / 10_001)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_its_definition(values):
    corrected = holm(values)
    count = len(values)
    ranked = sorted(values)
    for value, found in zip(values, corrected, strict=True):
        # The largest of the step-down products of all p-values that are not larger.
        rank = max((i for i, other in enumerate(ranked) if other <= value), default=0)
        steps = [min(1.0, ranked[i] * (count - i)) for i in range(rank + 1)]
        assert value <= found <= 1
        assert found <= max(steps)
        assert found >= max(steps[: ranked.index(value) + 1])


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []


def test_a_pair_is_compared_on_common_prompts_whatever_their_order():
    one = {"a": 1.0, "b": 0.5, "c": 1.0, "d": 0.5, "e": 0.5, "only here": 0.0}
    other = {"e": 0.5, "d": 0.75, "c": 0.5, "b": 0.5, "a": 0.0, "there": 1.0, "and there": 1.0}
    found = paired(("one", one), ("other", other), best=1.0)
    assert found.difference.value == pytest.approx((1.0 + 0.0 + 0.5 - 0.25 + 0.0) / 5)
    assert (found.difference.count, found.left_out) == (5, 3)
    assert (found.better, found.worse) == (2, 1)
    assert found.test == "sign flips"
    turned = paired(("other", other), ("one", one), best=1.0)
    assert turned.difference.value == pytest.approx(-0.25)
    assert turned.p == found.p == pytest.approx(4 / 8)  # |1±.5±.25| >= 1.25: two of four, twice


def test_the_same_difference_everywhere_is_one():
    one = {str(n): 1.0 for n in range(10)}
    other = {str(n): 0.0 for n in range(10)}
    found = paired(("one", one), ("other", other), best=1.0)
    assert (found.difference.low, found.difference.high) == (1.0, 1.0)
    assert found.different
    assert not paired(("one", one), ("too", dict(one)), best=1.0).different


def test_scores_that_are_all_or_nothing_get_mcnemar():
    one = {str(n): 100.0 * (n < 8) for n in range(10)}
    other = {str(n): 0.0 for n in range(10)}
    found = paired(("one", one), ("other", other), best=100.0)
    assert found.test == "McNemar"
    assert found.p == pytest.approx(2 * 0.5**8)
    assert found.different


def test_a_difference_whose_interval_holds_0_is_not_called_one():
    draws = np.random.default_rng(9)
    one = {str(n): float(v) for n, v in enumerate(draws.random(50))}
    other = {str(n): float(v) for n, v in enumerate(draws.random(50))}
    found = paired(("one", one), ("other", other), best=1.0)
    assert found.difference.low < 0 < found.difference.high
    assert not found.different


def test_a_difference_that_fails_the_correction_is_not_called_one():
    one = {str(n): float(n < 6) for n in range(20)}
    other = {str(n): 0.0 for n in range(20)}
    alone = paired(("one", one), ("other", other), best=1.0)
    assert alone.p == pytest.approx(2 * 0.5**6)
    assert alone.different
    family = with_correction([alone, *[alone] * 9])
    assert not any(item.different for item in family)


def test_few_common_prompts_are_no_test():
    one = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}
    found = paired(("one", one), ("other", {"a": 0.0, "b": 0.0, "z": 1.0}), best=1.0)
    assert (found.test, found.p, found.different) == ("none", 1.0, False)
    assert with_correction([found])[0].corrected == 1.0


def test_rank_correlation_is_none_where_it_is_not_defined():
    assert rank_correlation([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.9]) == pytest.approx(1.0)
    assert rank_correlation([1, 1, 1], [0.1, 0.2, 0.3]) is None
    assert rank_correlation([1, 2], [1, 2]) is None
