"""What to know before reading a comparison: partial data, other judges, other budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .comparison import Arm, Comparison
from .judges.registry import judge_name

SIMULATION = (
    "This is a simulation: a made-up painter with made-up flaws, judged by what it painted. It "
    "shows how the strategies work and what they cost, not how good any real model is."
)

PORTABLE = (
    "The benchmark's own scorer is another model: these figures are not comparable with published "
    "ones."
)


def cautions(comparison: Comparison) -> list[str]:
    """Returns sentences to stand above the tables, the gravest first."""
    found = []
    if comparison.simulated:
        found.append(SIMULATION)
    if comparison.task.judging == "portable":
        found.append(PORTABLE)
    found += _judges(comparison)
    found += _gaps(comparison)
    found += _mixtures(comparison)
    told: dict[str, list[str]] = {}
    for arm in comparison.arms:
        for text in arm.run.manifest.get("warnings") or ():
            told.setdefault(text, []).append(arm.name)
    for text, names in told.items():
        if comparison.simulated and "simulation" in text:
            continue  # said above, and in every caption
        everybody = len(names) == len(comparison.arms) > 1
        found.append(text if everybody else f"{', '.join(names)}: {text}")
    return list(dict.fromkeys(found))


def _judges(comparison: Comparison) -> list[str]:
    found = []
    if not comparison.judge:
        own = comparison.task.judging == "official"
        return [
            "The images are scored by the benchmark's own scorer only; what stands here is what "
            "the runs believed."
            if own
            else "Nobody has judged these images yet: there are no scores, only what the runs "
            "believed."
        ]
    for arm in comparison.arms:
        others = sorted(name for name in arm.run.judges() if name != comparison.judge)
        if not arm.scores:
            seen = f" (only {', '.join(others)})" if others else ""
            found.append(
                f"{arm.name} is not compared: {comparison.judge} has judged none of its images"
                f"{seen}."
            )
        elif others:
            found.append(
                f"{arm.name} was judged by {', '.join([comparison.judge, *others])}; all figures "
                f"are of {comparison.judge}."
            )
        verifier = (arm.run.manifest.get("models") or {}).get("verifier", "")
        if verifier and judge_name(verifier) == judge_name(comparison.judge):
            found.append(
                f"{arm.name}: the judge is the model that the run itself verified with "
                f"({comparison.judge}). A shared weakness counts as a success."
            )
    return found


def _gaps(comparison: Comparison) -> list[str]:
    found = []
    for arm in comparison.arms:
        covered = arm.coverage
        parts = [
            (covered.failed, "failed"),
            (covered.missing, "are missing"),
            (covered.judge_failed, "the judge failed on"),
            (covered.unjudged if comparison.judge and arm.scores else 0, "are not judged"),
        ]
        told = [f"{count} {what}" for count, what in parts if count]
        if told:
            found.append(
                f"{arm.name}: of {covered.planned} samples {', '.join(told)}. They count as "
                "missing, not as zero."
            )
    if comparison.judged_arms and any(
        set(arm.scores) - set(comparison.changed) != set(comparison.common)
        for arm in comparison.judged_arms
    ):
        found.append(
            "The strategies do not have scores for the same prompts: each mean is over its own, "
            f"the column 'common' over the {len(comparison.common)} that all have, and every test "
            "over those that both have."
        )
    if comparison.changed:
        shown = ", ".join(comparison.changed[:5])
        found.append(
            f"{len(comparison.changed)} prompts are worded differently under the same id "
            f"({shown}): they are in no test."
        )
    return found


def _mixtures(comparison: Comparison) -> list[str]:
    """Returns what differs between arms besides their strategies."""
    arms = comparison.arms
    told = [
        ("generator", "made by different generators", _of(arms, "generator")),
        ("source", "run by different commits", _commits(arms)),
        ("data", "run on different data files", _data(arms)),
        ("seeds", "run with different seeds", _of(arms, "seeds")),
        ("samples", "run with different numbers of samples", _of(arms, "samples")),
        ("versions", "run with different versions of packages", _of(arms, "versions")),
        ("process", "run with different settings of the process", _of(arms, "process")),
        ("prices", "costed with different price tables", _of(arms, "prices")),
        ("models", "run with different chat models", _of(arms, "models")),
        ("size", "run at different image sizes", _sizes(arms)),
    ]
    found = [
        f"The strategies were {what}: {_differing(values)}."
        for _, what, values in told
        if len({repr(value) for value in values.values()}) > 1
    ]
    dirty = [arm.name for arm in arms if (_field(arm, "source") or {}).get("dirty")]
    if dirty:
        found.append(f"The source had uncommitted changes when these ran: {', '.join(dirty)}.")
    return found


def _field(arm: Arm, name: str) -> Any:
    """Returns a field of a manifest; None where it was written without it."""
    return arm.run.manifest.get(name)


def _of(arms: Sequence[Arm], name: str) -> dict[str, Any]:
    return {arm.name: _field(arm, name) for arm in arms}


def _commits(arms: Sequence[Arm]) -> dict[str, Any]:
    return {arm.name: ((_field(arm, "source") or {}).get("commit") or "")[:12] for arm in arms}


def _data(arms: Sequence[Arm]) -> dict[str, Any]:
    return {arm.name: ((_field(arm, "data") or {}).get("sha256") or "")[:12] for arm in arms}


def _sizes(arms: Sequence[Arm]) -> dict[str, Any]:
    contexts = {arm.name: arm.run.manifest.get("context") or {} for arm in arms}
    return {
        name: f"{context.get('width')}×{context.get('height')}"
        for name, context in contexts.items()
    }


def _differing(values: Mapping[str, Any]) -> str:
    """Returns what differs, value by value: `a (loop, gems), b (single)`; of dicts, key by key."""
    if all(isinstance(value, dict) for value in values.values()):
        keys = sorted({key for value in values.values() for key in value})
        parts = []
        for key in keys:
            each = {name: value.get(key) for name, value in values.items()}
            if len({repr(value) for value in each.values()}) > 1:
                parts.append(f"{key}: {_differing(each)}")
        return "; ".join(parts)
    names: dict[str, list[str]] = {}
    for name, value in values.items():
        names.setdefault("none" if value in (None, "") else str(value), []).append(name)
    return ", ".join(f"{value} ({', '.join(found)})" for value, found in names.items())


def budgets(comparison: Comparison) -> str:
    """Returns one line: whether the arms had the same budget, and how far their spending differs.

    Only what a manifest's `budget` sets counts; a strategy that makes one image by its nature
    spends less under the same budget, and the line says how much.
    """
    of_arms = _of(comparison.arms, "budget")
    if len(comparison.arms) < 2:
        return f"Budget of each prompt: {_limits(of_arms.get(comparison.arms[0].name))}."
    if len({repr(value) for value in of_arms.values()}) == 1:
        limits = _limits(next(iter(of_arms.values())))
        text = f"All strategies had the same budget ({limits})."
    else:
        text = f"The strategies had different budgets: {_differing(of_arms)}."
    spent = []
    for cost, noun in (("images", "images"), ("calls", "model calls"), ("tokens", "tokens")):
        means = {
            name: sum(found.values()) / len(found)
            for name, costs in comparison.costs.items()
            if (found := costs[cost])
        }
        if means:
            low, high = min(means, key=lambda k: means[k]), max(means, key=lambda k: means[k])
            spent.append(
                f"{noun} from {_number(means[low])} ({low}) to {_number(means[high])} ({high})"
            )
    return f"{text} Spent a sample: {'; '.join(spent)}." if spent else text


def _limits(budget: Mapping[str, Any] | None) -> str:
    given = [f"{name} {value:g}" for name, value in (budget or {}).items() if value is not None]
    return ", ".join(given) or "no limit"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
