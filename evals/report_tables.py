"""The tables of a report, as plain cells: printed, in Markdown, and in HTML they are the same.

A table carries its caption with it, and the caption of a simulation says that it is one: a table is
what gets copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .averages import prompt_means
from .breakdowns import Belief, Breakdown, Rounds
from .comparison import COSTS, MET, Arm, Comparison
from .published import caveat, published
from .statistics import SIGNIFICANT, Interval, Paired, mean_interval
from .tasks.base import Figure

NONE = "–"
"""What stands in a cell for which there is no figure."""

COST_NAMES = {
    "images": "images",
    "rounds": "rounds",
    "calls": "model calls",
    "tokens": "tokens",
    "image_bytes": "image bytes",
    "seconds": "seconds",
    "money": "US$",
}


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: Short and stable, for programs: `strategies`.
        caption: What is in it, one or more sentences.
        columns: Headings; one that ends in `>` is aligned to the right.
        rows: Cells.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def strategies(comparison: Comparison) -> Table:
    """Returns the main figure of each arm with its interval, and how much it stands on."""
    task = comparison.task
    uneven = any(set(arm.scores) != set(comparison.common) for arm in comparison.judged_arms)
    rows = []
    for arm in comparison.arms:
        covered = arm.coverage
        shared = mean_interval([arm.scores[item] for item in comparison.common if arm.scores])
        believed = mean_interval([arm.beliefs[item] for item in sorted(arm.beliefs)])
        cells = [
            arm.name,
            score_text(arm.score.value, task.best),
            interval_text(arm.score, task.best),
            *([score_text(shared.value, task.best)] if uneven else []),
            share_text(believed.value),
            str(arm.score.count),
            f"{covered.judged}/{covered.planned}",
            str(covered.failed + covered.judge_failed),
            str(covered.missing),
        ]
        rows.append(tuple(cells))
    judge = f"judged by {comparison.judge}" if comparison.judge else "not judged"
    common = f" 'common' is over the {len(comparison.common)} prompts that all have."
    return Table(
        "strategies",
        titled(
            comparison,
            f"{task.metric}, 0 to {task.best:g}, {judge}; the mean over prompts "
            f"with its 95 % bootstrap interval.{common if uneven else ''} 'believed' is the runs' "
            "own score, 0 to 1; 'judged' counts samples; 'failed' ones (image or judge) and "
            "missing ones are in no mean.",
        ),
        (
            "strategy",
            f"{task.metric}>",
            "95 % interval>",
            *(["common>"] if uneven else []),
            "believed>",
            "prompts>",
            "judged>",
            "failed>",
            "missing>",
        ),
        tuple(rows),
    )


def costs(comparison: Comparison) -> Table:
    """Returns what a sample cost on average, in each kind of cost that is known."""
    known = [name for name in COSTS if name != "money" or _paid(comparison)]
    rows = [
        (
            arm.name,
            *(cost_text(name, _spent(comparison, arm.name, name).value) for name in known),
        )
        for arm in comparison.arms
    ]
    partly = [
        arm.name
        for arm in comparison.arms
        if "money" in known
        and 0 < len(comparison.costs[arm.name]["money"]) < len(comparison.costs[arm.name]["images"])
    ]
    dates = {str(arm.run.manifest.get("prices") or "") for arm in comparison.arms} - {""}
    note = f" Prices of {', '.join(sorted(dates))}." if "money" in known and dates else ""
    note += f" US$ only over samples with known prices: {', '.join(partly)}." if partly else ""
    return Table(
        "costs",
        titled(
            comparison,
            f"what a sample cost on average (one image handed over; "
            "failed samples included). Calls and tokens are of chat models, the judge not "
            f"included; seconds are wall time, waiting included.{note}",
        ),
        ("strategy", *(f"{COST_NAMES[name]}>" for name in known)),
        tuple(rows),
    )


def _paid(comparison: Comparison) -> bool:
    """Returns whether anything cost money; the sandbox costs none, and its zeros say nothing."""
    return any(any(found["money"].values()) for found in comparison.costs.values())


def _spent(comparison: Comparison, arm: str, cost: str) -> Interval:
    found = comparison.costs[arm][cost]
    return mean_interval([found[item] for item in sorted(found)])


def pairs(comparison: Comparison) -> Table:
    """Returns every tested difference."""
    best = comparison.task.best
    rows = [
        (
            f"{pair.first} − {pair.second}",
            difference_text(pair.difference.value, best),
            difference_interval(pair.difference, best),
            f"{pair.better}/{pair.worse}",
            str(pair.difference.count),
            pair.test,
            p_text(pair.p),
            p_text(pair.corrected),
            "yes" if pair.different else "no",
        )
        for pair in comparison.pairs
    ]
    return Table(
        "pairs",
        titled(
            comparison,
            f"differences on the same prompts in {unit(best)}, with "
            "paired bootstrap intervals. McNemar is exact; sign flips are a paired permutation "
            f"test of the mean. Corrected by Holm over {len(rows)} comparisons. Called different "
            "only where the interval leaves out 0 and the corrected p is below 0.05.",
        ),
        (
            "comparison",
            "difference>",
            "95 % interval>",
            "better/worse>",
            "prompts>",
            "test",
            "p>",
            "p (Holm)>",
            "different",
        ),
        tuple(rows),
    )


def breakdown(comparison: Comparison, found: Breakdown) -> Table:
    """Returns one column for each arm, one row for each value."""
    names = [arm.name for arm in comparison.arms if arm.name in found.values]
    best = 1.0 if found.share else comparison.task.best

    def cell(arm: str, member: str) -> str:
        value = found.values[arm].get(member)
        if value is None or value.value is None:
            return NONE
        return f"{score_text(value.value, best)} {bracket(value, best)}".strip()

    counts = {
        member: max(
            (found.values[name][member].count for name in names if member in found.values[name]),
            default=0,
        )
        for member in found.members
    }
    what = (
        "share of the runs' own requirements that they believe met: no judge has a part in it"
        if found.believed
        else f"share of judged parts that are met (score {MET} or more), by {comparison.judge}"
        if found.share
        else f"{comparison.task.metric} by {comparison.judge}"
    )
    return Table(
        f"by_{'own_' if found.believed else 'part_' if found.share else ''}{found.name}",
        titled(
            comparison,
            f"by {found.name}: {what}; mean over prompts with its 95 % interval.",
        ),
        (found.name, "prompts>", *(f"{name}>" for name in names)),
        tuple(
            (member, str(counts[member]), *(cell(name, member) for name in names))
            for member in found.members
        ),
    )


def rounds(comparison: Comparison, curves: Sequence[Rounds]) -> Table:
    """Returns the curves by round, each point with how many samples were still at work."""
    rows = []
    for curve in curves:
        best = 1.0 if curve.believed else comparison.task.best
        rows += [
            (
                curve.arm,
                str(point.round),
                score_text(point.score.value, best),
                interval_text(point.score, best),
                str(point.running),
                "its own belief" if curve.believed else comparison.judge,
            )
            for point in curve.points
        ]
    return Table(
        "rounds",
        titled(
            comparison,
            "by round: the score of what the run would have handed over "
            "had it stopped there; runs that had ended keep theirs. 'running' counts samples that "
            "made an image in that round.",
        ),
        ("strategy", "round>", "so far>", "95 % interval>", "running>", "scored by"),
        tuple(rows),
    )


def beliefs(comparison: Comparison, found: Sequence[Belief]) -> Table:
    """Returns what each arm's verifier believed against the judge."""
    rows = [
        (
            item.arm,
            str(item.samples),
            share_text(item.believed.value),
            share_text(item.judged.value),
            str(item.accepted),
            of_text(item.false_accepts, item.accepted),
            str(item.refused),
            of_text(item.false_refusals, item.refused),
            NONE if item.correlation is None else f"{item.correlation:.2f}",
        )
        for item in found
    ]
    return Table(
        "beliefs",
        titled(
            comparison,
            f"what the loop believed against what {comparison.judge} "
            "says. A false accept ended as meeting everything, and the judge found a part that is "
            "not met; a false refusal is the other way round. Loop and judge may ask different "
            "questions.",
        ),
        (
            "strategy",
            "samples>",
            "believed>",
            "judged>",
            "accepted>",
            "false accepts>",
            "not accepted>",
            "false refusals>",
            "rank correlation>",
        ),
        tuple(rows),
    )


def metrics(comparison: Comparison, figures: Mapping[str, Sequence[Figure]]) -> Table:
    """Returns the benchmark's own figures over everything, one column for each arm."""
    names = [name for name in figures if figures[name]]
    every = list(
        dict.fromkeys(item.name for name in names for item in figures[name] if not item.group)
    )

    arms = {arm.name: arm for arm in comparison.arms}

    def cell(arm: str, metric: str) -> str:
        for item in figures[arm]:
            if item.name == metric and not item.group:
                return f"{item.value:.4g} {_around(arms[arm], item)}".strip()
        return NONE

    return Table(
        "metrics",
        titled(
            comparison,
            f"all figures of the benchmark, each in its own range, by "
            f"{comparison.judge}; with a 95 % interval where one is a mean over prompts.",
        ),
        ("figure", *(f"{name}>" for name in names)),
        tuple((metric, *(cell(name, metric) for name in names)) for metric in every),
    )


def official(comparison: Comparison) -> Table | None:
    """Returns what the benchmark's own scorer found; None where it has not been run."""
    found = {arm.name: arm.run.official for arm in comparison.arms if arm.run.official is not None}
    if not found:
        return None
    every = list(
        dict.fromkeys(
            (item.name, item.group, item.member)
            for scored in found.values()
            for item in scored.figures
        )
    )

    def cell(arm: str, which: tuple[str, str, str]) -> str:
        for item in found[arm].figures:
            if (item.name, item.group, item.member) == which:
                return f"{item.value:.4g}"
        return NONE

    return Table(
        "official",
        titled(
            comparison,
            "figures of the benchmark's own scorer, read from its result files "
            f"({', '.join(sorted({scored.path.name for scored in found.values()}))}); they hold no "
            "scores by prompt that could be resampled, so there are no intervals and no tests.",
        ),
        ("figure", "of", *(f"{name}>" for name in found)),
        tuple(
            (which[0], f"{which[1]} {which[2]}".strip(), *(cell(name, which) for name in found))
            for which in every
        ),
    )


def _around(arm: Arm, figure: Figure) -> str:
    """Returns the interval of a figure that is a mean over prompts; nothing for another kind."""
    found = [judgment for _, judgment in arm.judged]
    if not all(figure.name in judgment["metrics"] for judgment in found):
        return ""
    means = prompt_means(found, figure.name)
    interval = mean_interval([means[item] for item in sorted(means)])
    if interval.low is None or interval.high is None or interval.value is None:
        return ""
    same = abs(interval.value - figure.value) <= 1e-6 * max(1.0, abs(figure.value))
    return f"[{interval.low:.4g}, {interval.high:.4g}]" if same else ""


def beside_published(comparison: Comparison) -> Table | None:
    """Returns our figures and theirs in one table, each marked; None where nobody published."""
    theirs = published(comparison.task.name)
    if not theirs:
        return None
    best = comparison.task.best
    rows = [
        (
            "measured here",
            str(arm.run.manifest.get("generator") or NONE),
            arm.name,
            score_text(arm.score.value, best),
            interval_text(arm.score, best),
            "",
        )
        for arm in comparison.judged_arms
    ]
    rows += [
        (
            "measured here, official scorer",
            str(arm.run.manifest.get("generator") or NONE),
            arm.name,
            score_text(arm.run.official.figures[0].value, best),
            NONE,
            "",
        )
        for arm in comparison.arms
        if arm.run.official is not None and arm.run.official.figures
    ]
    rows += [
        (
            f"theirs: {item.source} ({item.reference})",
            item.generator,
            item.method,
            score_text(item.value * best / item.best, best),
            NONE,
            item.strategy,
        )
        for item in theirs
    ]
    notes = " ".join(dict.fromkeys(item.note for item in theirs))
    return Table(
        "published",
        f"{comparison.task.title} beside published figures. Theirs were not measured here: other "
        f"judges, generators or agent models make them not comparable with ours. {notes} "
        f"{caveat(comparison.task.name)}".strip(),
        ("whose", "generator", "method", "value>", "95 % interval>", "as our strategy"),
        tuple(rows),
    )


def settings(comparison: Comparison) -> Table | None:
    """Returns the settings of a run in which the arms differ; None where they don't."""
    contexts: dict[str, Mapping[str, Any]] = {
        arm.name: arm.run.manifest.get("context") or {} for arm in comparison.arms
    }
    names = sorted({name for found in contexts.values() for name in found} - {"user", "seed"})
    rows = [
        (name, *(str(found.get(name, NONE)) for found in contexts.values()))
        for name in names
        if len({repr(found.get(name)) for found in contexts.values()}) > 1
    ]
    if not rows:
        return None
    return Table(
        "settings",
        titled(comparison, "the settings in which the arms differ."),
        ("setting", *contexts),
        tuple(rows),
    )


def in_words(pair: Paired, best: float) -> str:
    """Returns what a comparison found as a sentence."""
    difference = pair.difference
    if difference.value is None or difference.low is None or difference.high is None:
        return f"{pair.first} and {pair.second} have too few prompts in common to compare."
    if not pair.better and not pair.worse:
        return (
            f"{pair.first} and {pair.second} have the same score on each of "
            f"{difference.count:,} prompts."
        )
    p = pair.corrected
    shown = "p<0.001" if p < 0.001 else f"p={p_text(p)}"
    end = f"{shown}, {difference.count:,} prompts"
    if not pair.different:
        # An interval without 0 is no finding where so many were looked at that one had to come up.
        alone = not difference.low <= 0 <= difference.high and pair.p < SIGNIFICANT
        why = f" once corrected for all comparisons (alone p={p_text(pair.p)})" if alone else ""
        return (
            f"{pair.first} and {pair.second} can't be told apart{why}: "
            f"{difference_text(difference.value, best)} {unit(best)} "
            f"{difference_interval(difference, best)}, {end}."
        )
    better, worse, sign = pair.first, pair.second, 1
    if difference.value < 0:
        better, worse, sign = pair.second, pair.first, -1
    ends = sorted((sign * difference.low, sign * difference.high))
    return (
        f"{better} is better than {worse} by {plain_points(abs(difference.value), best)} "
        f"{unit(best)} [{plain_points(ends[0], best)}, {plain_points(ends[1], best)}], {end}."
    )


def titled(comparison: Comparison, caption: str) -> str:
    """Returns a caption that names the benchmark, or says that it is a simulation."""
    if comparison.simulated:
        return f"SIMULATION, no real model: {caption}"
    return f"{comparison.task.title}: {caption}"


def markdown(table: Table) -> str:
    """Returns a table in Markdown, its caption above it; cells can't break out of it."""
    right = [column.endswith(">") for column in table.columns]
    lines = [
        f"*{markdown_text(table.caption)}*",
        "",
        _line(column.removesuffix(">") for column in table.columns),
        _line(("---:" if end else "---" for end in right), escape=False),
        *(_line(row) for row in table.rows),
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(markdown_text(cell) if escape else cell for cell in cells) + " |"


def markdown_text(text: str) -> str:
    """Returns text on one line that Markdown, and HTML in it, take as plain words.

    Only what would mean something is escaped: figures, intervals and names stay readable.
    """
    plain = " ".join(text.split())
    plain = re.sub(r"&(?=#?\w+;)", "&amp;", plain)
    plain = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", plain)
    plain = re.sub(r"([\\`*|]|(?<!\w)_|_(?!\w)|\[(?![-+0-9])|\](?=[(\[:]))", r"\\\1", plain)
    # What begins a heading, a bullet, a quotation or a rule.
    return re.sub(r"^([-+#~=]+(?=\s|$)|>)", r"\\\1", plain)


def unit(best: float) -> str:
    """Returns what differences are counted in: `points` of 100, else of the task's range."""
    return "points" if best in (1, 100) else f"of {best:g}"


def score_text(value: float | None, best: float) -> str:
    """Returns a score as its benchmark prints it: three digits of 1, one of 100, two of 30."""
    if value is None:
        return NONE
    return f"{value:.3f}" if best <= 1 else f"{value:.1f}" if best >= 100 else f"{value:.2f}"


def interval_text(interval: Interval, best: float) -> str:
    """Returns `0.61 to 0.68`; a dash where there is none."""
    if interval.low is None or interval.high is None:
        return NONE
    return f"{score_text(interval.low, best)} to {score_text(interval.high, best)}"


def bracket(interval: Interval, best: float) -> str:
    """Returns `[0.61, 0.68]`; nothing where there is none."""
    if interval.low is None or interval.high is None:
        return ""
    return f"[{score_text(interval.low, best)}, {score_text(interval.high, best)}]"


def plain_points(value: float, best: float) -> str:
    """Returns a difference without a sign for gains: of 1 and 100 in points, else as it is."""
    return f"{value * 100:.1f}" if best == 1 else f"{value:.1f}" if best == 100 else f"{value:.2f}"


def difference_text(value: float | None, best: float) -> str:
    """Returns a difference with its sign."""
    if value is None:
        return NONE
    text = plain_points(value, best)
    return text if text.startswith("-") else f"+{text}"


def difference_interval(interval: Interval, best: float) -> str:
    """Returns `[+2.1, +8.4]`; a dash where there is none."""
    if interval.low is None or interval.high is None:
        return NONE
    return f"[{difference_text(interval.low, best)}, {difference_text(interval.high, best)}]"


def p_text(value: float) -> str:
    """Returns a p-value with three digits, the smallest as `<0.001`."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def share_text(value: float | None) -> str:
    """Returns a share of 0..1 with three digits."""
    return NONE if value is None else f"{value:.3f}"


def of_text(count: int, total: int) -> str:
    """Returns `12 (8.0 %)`."""
    return f"{count} ({count / total:.1%})".replace("%", " %") if total else str(count)


def cost_text(name: str, value: float | None) -> str:
    """Returns a cost in its unit."""
    if value is None:
        return NONE
    if name == "image_bytes":
        return f"{value / 1e6:.2f} MB" if value >= 1e6 else f"{value / 1e3:.0f} kB"
    if name == "money":
        return f"{value:.4f}"
    if name == "tokens":
        return f"{value:,.0f}"
    return f"{value:.2f}" if name != "calls" else f"{value:.1f}"
