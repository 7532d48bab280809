"""Soft-TIFA, the scoring of GenEval2: plain arithmetic on probabilities, nothing else.

A prompt is split into atoms, each a question with its answer; the judge is asked
`"{question} Answer in one word."`, and an atom's score is the probability that its answer begins
with the right word. The arithmetic mean over a prompt's atoms (AM) estimates how often an atom is
right, the geometric mean (GM) how often all are.

Source: Kamath et al., GenEval 2, arXiv 2512.16853, and what `evaluation.py` and
`soft_tifa_analysis.py` in facebookresearch/GenEval2 compute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, log

from .judges.base import FirstToken

QUESTION = "{} Answer in one word."
"""How a question is put to the judge."""

YES = ("Yes", "yes", " Yes", " yes")
NO = ("No", "no", " No", " no")

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""Numbers that are known as words and as digits."""

SMALLEST = 1e-12
"""The least that a floor may be. One missing token among seven atoms then costs a factor of 50 in
GM, and not everything."""


@dataclass(frozen=True)
class AtomScore:
    """What one question gave.

    Attributes:
        score: Probability of the right answer, 0..1.
        floored: None of the answer's forms was among the tokens given, so that `score` is the
            most that they can have had together with everything else that was not given.
        said: The token that the judge chose.
    """

    score: float
    floored: bool
    said: str


@dataclass(frozen=True)
class Share:
    """A mean with what it was taken over.

    Attributes:
        value: 0..100.
        count: Of how many scores.
    """

    value: float
    count: int


@dataclass(frozen=True)
class Analysis:
    """The figures of a run, each 0..100.

    Attributes:
        am: Mean over prompts of the arithmetic mean of their atoms.
        gm: Mean over prompts of the geometric mean of their atoms.
        skills: Skill -> mean over its atoms in all prompts.
        atomicity: Atoms in the prompt as the data file counts them -> mean of the geometric means.
    """

    am: Share
    gm: Share
    skills: dict[str, Share]
    atomicity: dict[int, Share]


def geneval2_forms(question: str, answer: str) -> tuple[str, ...]:
    """Returns the spellings whose probabilities are summed, as the official script takes them.

    "How many" takes the number as a word, capitalised, and as a digit (up to 10), each with and
    without a leading space; every other question takes yes, whatever `answer` says.
    """
    if not question.startswith("How many"):
        return YES
    digit = NUMBERS.index(answer) if answer in NUMBERS[1:] else None
    forms = [answer, answer.capitalize()] + ([str(digit)] if digit is not None else [])
    return tuple(form for word in dict.fromkeys(forms) for form in (word, f" {word}"))


def atom_score(first: FirstToken, forms: Sequence[str]) -> AtomScore:
    """Returns the score of an atom.

    An endpoint gives 20 tokens at most. Where none of the forms is among them, their probability is
    not zero but unknown, and zero would make GM zero whatever the other atoms are. They get
    `first.floor`, the most a token that was not given can have: the smallest probability given, or
    what is left of 1 if that is less. It is never below `SMALLEST`, except when the judge knows
    the whole vocabulary (a local model: every form is found).
    """
    found = [first.probabilities[form] for form in forms if form in first.probabilities]
    if found:
        return AtomScore(min(fsum(found), 1.0), floored=False, said=first.text)
    return AtomScore(max(first.floor, SMALLEST), floored=True, said=first.text)


def arithmetic_mean(scores: Sequence[float]) -> float:
    """Returns the mean; `scores` may not be empty."""
    return fsum(scores) / len(scores)


def geometric_mean(scores: Sequence[float]) -> float:
    """Returns the geometric mean, 0 when a score is 0; `scores` may not be empty."""
    if min(scores) <= 0:
        return 0.0
    return exp(fsum(map(log, scores)) / len(scores))


def analyse(
    score_lists: Sequence[Sequence[float]],
    skill_lists: Sequence[Sequence[str]],
    atom_counts: Sequence[int],
) -> Analysis:
    """Returns what the official analysis prints, and AM and GM over everything.

    Skills pool the atoms of all prompts, so a prompt with many atoms counts more; atomicity takes
    each prompt once. An article ("a dog") is asked about but not counted in `atom_counts`.

    Args:
        score_lists: The scores of each prompt's atoms, 0..1.
        skill_lists: The skill of each of them.
        atom_counts: The atomicity of each prompt.

    Raises:
        ValueError: No prompts, a prompt without atoms, or lists of different lengths.
    """
    if not score_lists:
        raise ValueError("There are no prompts.")
    skills: dict[str, list[float]] = defaultdict(list)
    atomicity: dict[int, list[float]] = defaultdict(list)
    for scores, names, count in zip(score_lists, skill_lists, atom_counts, strict=True):
        atomicity[count].append(geometric_mean(scores))
        for score, name in zip(scores, names, strict=True):
            skills[name].append(score)
    return Analysis(
        am=_share([arithmetic_mean(scores) for scores in score_lists]),
        gm=_share([geometric_mean(scores) for scores in score_lists]),
        skills={name: _share(found) for name, found in sorted(skills.items())},
        atomicity={count: _share(found) for count, found in sorted(atomicity.items())},
    )


def _share(values: Sequence[float]) -> Share:
    return Share(100 * arithmetic_mean(values), len(values))
