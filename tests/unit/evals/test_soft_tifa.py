"""Soft-TIFA: the arithmetic, against cases worked out by hand and an independent naive version."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gmean

from gems.evals.judges.base import FirstToken
from gems.evals.soft_tifa import (
    SMALLEST,
    analyse,
    atom_score,
    geneval2_forms,
    geometric_mean,
)

SKILLS = ("object", "attribute", "count", "position", "verb")


def naive(score_lists, skill_lists, atom_counts):
    """The analysis as the benchmark's README and scripts describe it, as plainly as can be.

    Running sums by skill over all atoms; running sums of geometric means (scipy's, as theirs) by
    atomicity; the totals of both methods.
    """
    totals, numbers = {}, {}
    for scores, skills in zip(score_lists, skill_lists, strict=True):
        for position in range(len(scores)):
            skill = skills[position]
            totals[skill] = totals.get(skill, 0) + scores[position]
            numbers[skill] = numbers.get(skill, 0) + 1
    by_skill = {skill: 100 * totals[skill] / numbers[skill] for skill in totals}
    means, prompts = {}, {}
    for scores, atoms in zip(score_lists, atom_counts, strict=True):
        means[atoms] = means.get(atoms, 0) + gmean(scores)
        prompts[atoms] = prompts.get(atoms, 0) + 1
    by_atoms = {atoms: means[atoms] * 100 / prompts[atoms] for atoms in means}
    gm = 100 * sum(gmean(scores) for scores in score_lists) / len(score_lists)
    am = 100 * sum(sum(scores) / len(scores) for scores in score_lists) / len(score_lists)
    return am, gm, by_skill, by_atoms


_prompts = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.one_of(st.floats(0, 1), st.floats(1e-12, 1e-6)), st.sampled_from(SKILLS)),
            min_size=1,
            max_size=12,
        ),
        st.integers(3, 10),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # scipy's gmean, at a zero
@given(_prompts)
def test_the_analysis_equals_the_official_way_of_counting(prompts):
    scores = [[score for score, _ in atoms] for atoms, _ in prompts]
    skills = [[skill for _, skill in atoms] for atoms, _ in prompts]
    counts = [count for _, count in prompts]
    ours = analyse(scores, skills, counts)
    am, gm, by_skill, by_atoms = naive(scores, skills, counts)
    assert ours.am.value == pytest.approx(am, abs=1e-9)
    assert ours.gm.value == pytest.approx(gm, abs=1e-9)
    assert {k: v.value for k, v in ours.skills.items()} == pytest.approx(by_skill, abs=1e-9)
    assert {k: v.value for k, v in ours.atomicity.items()} == pytest.approx(by_atoms, abs=1e-9)
    assert sum(share.count for share in ours.skills.values()) == sum(map(len, scores))
    assert sum(share.count for share in ours.atomicity.values()) == len(scores)
    assert ours.gm.value <= ours.am.value + 1e-9


def test_a_case_worked_out_by_hand():
    ours = analyse(
        [[0.5, 0.5, 0.125], [1.0, 0.25]], [["object", "count", "count"], ["object", "verb"]], [3, 4]
    )
    # AM: (1.125 / 3 + 0.625) / 2 = 0.5; GM: the cube root of 1/32 and the root of 1/4.
    assert ours.am.value == pytest.approx(50)
    assert ours.gm.value == pytest.approx(100 * (32 ** (-1 / 3) + 0.5) / 2)
    assert {name: (share.value, share.count) for name, share in ours.skills.items()} == {
        "count": (pytest.approx(31.25), 2),
        "object": (pytest.approx(75), 2),
        "verb": (pytest.approx(25), 1),
    }
    assert ours.atomicity[3].value == pytest.approx(100 * 32 ** (-1 / 3))
    assert ours.atomicity[4].value == pytest.approx(50)


def test_a_score_of_zero_makes_the_geometric_mean_zero_as_theirs_does():
    assert geometric_mean([0.9, 0.0, 1.0]) == 0


@pytest.mark.parametrize(
    ("scores", "skills", "counts"),
    [([], [], []), ([[0.5]], [["object", "count"]], [3]), ([[0.5]], [["object"]], [3, 4])],
)
def test_lists_that_do_not_fit_together_are_refused(scores, skills, counts):
    with pytest.raises(ValueError, match=r"no prompts|zip"):
        analyse(scores, skills, counts)


def test_the_forms_of_an_answer():
    assert set(geneval2_forms("How many cats are in the image?", "four")) == {
        "four", "Four", " four", " Four", "4", " 4",
    }  # fmt: skip
    assert set(geneval2_forms("Are the cats red?", "Yes")) == {"Yes", "yes", " Yes", " yes"}
    assert "10" in geneval2_forms("How many cats are in the image?", "ten")
    assert set(geneval2_forms("How many cats?", "twelve")) == {
        "twelve", "Twelve", " twelve", " Twelve",
    }  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(["Yes", "yes", " Yes", " yes", "No", "Y", "Yes."]), st.floats(0, 0.14)
    )
)
def test_the_spellings_are_summed_and_nothing_else(probabilities):
    first = FirstToken(text="Yes", probabilities=probabilities, floor=1e-9)
    found = atom_score(first, geneval2_forms("Is it?", "Yes"))
    right = [value for token, value in probabilities.items() if token.strip().lower() == "yes"]
    assert found.floored == (not right)
    assert found.score == pytest.approx(sum(right) if right else 1e-9)


@given(st.floats(0, 1), st.lists(st.floats(0.5, 1), min_size=1, max_size=9))
def test_a_missing_token_costs_much_and_not_everything(floor, others):
    missing = atom_score(FirstToken(text="No", probabilities={"No": 0.9}, floor=floor), ("Yes",))
    assert missing.floored
    assert missing.score == max(floor, SMALLEST)
    assert geometric_mean([missing.score, *others]) > 0


def test_a_local_judge_knows_every_token_so_nothing_is_floored():
    whole = {"Yes": 0.0, "yes": 0.0, " Yes": 0.0, " yes": 0.0, "No": 1.0}
    found = atom_score(FirstToken(text="No", probabilities=whole, floor=0.0), tuple(whole)[:4])
    assert (found.score, found.floored) == (0.0, False)
    assert math.isclose(SMALLEST ** (1 / 7), 0.0193, rel_tol=0.01)  # as its comment says
