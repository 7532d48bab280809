"""A report on runs: what is computed once, and the files that are written from it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from . import report_tables
from .breakdowns import (
    Belief,
    Breakdown,
    Rounds,
    beliefs,
    by_own_requirement,
    by_part,
    by_round,
    by_tag,
)
from .cautions import budgets, cautions
from .comparison import COSTS, Comparison
from .ledger import replace_file
from .published import published, published_rounds
from .report_tables import Table, in_words, markdown, markdown_text
from .statistics import Interval, mean_interval
from .tasks.base import Figure

Format = Literal["md", "csv", "json", "html", "all"]

SPOKEN = 12
"""Findings printed as sentences; with more comparisons the table is easier to read."""


@dataclass(frozen=True)
class Chapter:
    """Everything that a report says about one task.

    Attributes:
        comparison: What it is about.
        cautions: What to know first.
        budget: Whether the arms had the same budget, and what they spent.
        findings: Each comparison as a sentence, the significant ones first.
        breakdowns: By tag, by judged part, by the runs' own requirements.
        rounds: Curves by round.
        beliefs: What the loops believed against the judge.
        figures: The benchmark's own figures of each arm.
        tables: For people, in order.
    """

    comparison: Comparison
    cautions: tuple[str, ...]
    budget: str
    findings: tuple[str, ...]
    breakdowns: tuple[Breakdown, ...]
    rounds: tuple[Rounds, ...]
    beliefs: tuple[Belief, ...]
    figures: Mapping[str, Sequence[Figure]]
    tables: tuple[Table, ...]

    def first_tables(self) -> list[Table]:
        """Returns the tables that are printed: scores, the official scorer's, costs."""
        return [table for table in self.tables if table.name in ("strategies", "official", "costs")]


def chapter(comparison: Comparison) -> Chapter:
    """Returns everything that a report says about one task; takes seconds for large runs."""
    by_own = by_own_requirement(comparison)
    breakdowns = (
        *by_tag(comparison),
        *by_part(comparison),
        *([by_own] if by_own else []),
    )
    curves = by_round(comparison)
    found_beliefs = beliefs(comparison)
    figures = {arm.name: arm.figures(comparison.task) for arm in comparison.arms}
    several = len({f.name for found in figures.values() for f in found if not f.group}) > 1
    beside = report_tables.beside_published(comparison)
    settings = report_tables.settings(comparison)
    scored = report_tables.official(comparison)
    pairs = sorted(comparison.pairs, key=lambda pair: (not pair.different, pair.corrected))
    tables = [
        report_tables.strategies(comparison),
        *([scored] if scored else []),
        report_tables.costs(comparison),
        *([report_tables.pairs(comparison)] if comparison.pairs else []),
        *([report_tables.metrics(comparison, figures)] if several else []),
        *([report_tables.beliefs(comparison, found_beliefs)] if found_beliefs else []),
        *([report_tables.rounds(comparison, curves)] if curves else []),
        *(report_tables.breakdown(comparison, found) for found in breakdowns),
        *([beside] if beside else []),
        *([settings] if settings else []),
    ]
    return Chapter(
        comparison=comparison,
        cautions=tuple(cautions(comparison)),
        budget=budgets(comparison),
        findings=tuple(in_words(pair, comparison.task.best) for pair in pairs),
        breakdowns=breakdowns,
        rounds=tuple(curves),
        beliefs=tuple(found_beliefs),
        figures=figures,
        tables=tuple(tables),
    )


def write(
    chapters: Sequence[Chapter],
    out: Path,
    form: Format = "all",
    *,
    plots: bool = True,
) -> list[Path]:
    """Writes a report and returns its files.

    Args:
        chapters: One for each task.
        out: Folder, made where it is missing; files of an earlier report in it are replaced.
        form: Which files: `report.md` with the plots, `figures.csv`, `report.json`, `gallery.html`.
        plots: Draw plots (for `md`, `html` and `all`).

    Raises:
        ConfigurationError: Plots are wanted and matplotlib is not installed.
    """
    files: list[Path] = []
    drawn: dict[str, list[Any]] = {}
    if plots and form in ("md", "html", "all"):
        from .plots import draw_plots

        for item in chapters:
            drawn[item.comparison.task.name] = found = draw_plots(item, out)
            files += [path for plot in found for path in (plot.svg, plot.png)]
    if form in ("md", "all"):
        files.append(_put(out / "report.md", as_markdown(chapters, drawn)))
    if form in ("csv", "all"):
        files.append(_put(out / "figures.csv", as_csv(chapters)))
    if form in ("json", "all"):
        text = json.dumps(as_json(chapters), ensure_ascii=False, indent=1, allow_nan=False)
        files.append(_put(out / "report.json", text + "\n"))
    if form in ("html", "all"):
        from .gallery import gallery

        files.append(_put(out / "gallery.html", gallery(chapters, drawn)))
    return files


def _put(path: Path, text: str) -> Path:
    replace_file(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))
    return path


def as_markdown(
    chapters: Sequence[Chapter],
    drawn: Mapping[str, Sequence[Any]] | None = None,
    *,
    brief: bool = False,
) -> str:
    """Returns the report in Markdown.

    Args:
        chapters: One for each task.
        drawn: Task -> plots (`gems.evals.plots.Plot`) that lie in the folder of the report.
        brief: Only what is printed: scores, costs and findings.
    """
    lines = [] if brief else ["# Evaluation report", ""]
    for item in chapters:
        lines += [f"## {markdown_text(item.comparison.task.title)}", ""]
        lines += [f"> **Note.** {markdown_text(text)}\n>" for text in item.cautions[:-1]]
        lines += [f"> **Note.** {markdown_text(text)}" for text in item.cautions[-1:]]
        lines += ["", markdown_text(item.budget), ""]
        lines += [line for table in item.first_tables() for line in (markdown(table),)]
        if item.findings:
            lines += [f"- {markdown_text(text)}" for text in item.findings[:SPOKEN]]
            if len(item.findings) > SPOKEN:
                lines.append(f"- {len(item.findings) - SPOKEN} more in the table of differences.")
            lines.append("")
        for plot in (drawn or {}).get(item.comparison.task.name, ()):
            alt = markdown_text(plot.alt)
            lines += [f"![{alt}]({plot.svg.name})", "", f"*{markdown_text(plot.caption)}*", ""]
        if brief:
            continue
        first = {table.name for table in item.first_tables()}
        lines += [markdown(table) for table in item.tables if table.name not in first]
    return "\n".join(lines).rstrip() + "\n"


CSV_COLUMNS = (
    "task",
    "simulation",
    "whose",
    "strategy",
    "figure",
    "group",
    "member",
    "value",
    "low",
    "high",
    "prompts",
    "scored_by",
)


def as_csv(chapters: Sequence[Chapter]) -> str:
    """Returns every figure as one line: value, interval, prompts, whose it is, who scored it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for item in chapters:
        for line in _csv_lines(item):
            line |= {
                "task": item.comparison.task.name,
                "simulation": "yes" if item.comparison.simulated else "no",
            }
            writer.writerow({name: _csv_cell(value) for name, value in line.items()})
    return text.getvalue()


def _csv_cell(value: object) -> object:
    """Returns a cell that a spreadsheet does not take for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


def _csv_lines(item: Chapter) -> Iterator[dict[str, Any]]:
    comparison = item.comparison
    judge = comparison.judge

    def line(interval: Interval, **rest: Any) -> dict[str, Any]:
        return {
            "whose": "measured here",
            "value": interval.value,
            "low": interval.low,
            "high": interval.high,
            "prompts": interval.count,
            **rest,
        }

    for arm in comparison.arms:
        yield line(
            arm.score, strategy=arm.name, figure=comparison.task.metric, scored_by=judge or "nobody"
        )
        believed = mean_interval([arm.beliefs[key] for key in sorted(arm.beliefs)])
        yield line(believed, strategy=arm.name, figure="believed", scored_by="its own verifier")
        for cost in COSTS:
            yield line(_cost(comparison, arm.name, cost), strategy=arm.name, figure=cost)
        for name, value in asdict(arm.coverage).items():
            yield {
                "whose": "measured here",
                "strategy": arm.name,
                "figure": f"samples_{name}",
                "value": value,
            }
        for scored in arm.run.official.figures if arm.run.official else ():
            yield {
                "whose": "measured here",
                "strategy": arm.name,
                "figure": scored.name,
                "group": scored.group,
                "member": scored.member,
                "value": scored.value,
                "prompts": scored.count,
                "scored_by": "official scorer",
            }
    for pair in comparison.pairs:
        name = f"{pair.first} - {pair.second}"
        yield line(pair.difference, strategy=name, figure="difference", scored_by=judge)
        for figure, value in (("p", pair.p), ("p_holm", pair.corrected)):
            yield {
                "whose": "measured here",
                "strategy": name,
                "figure": figure,
                "value": value,
                "prompts": pair.difference.count,
                "scored_by": judge,
            }
    for found in item.breakdowns:
        figure = (
            "believed_met"
            if found.believed
            else "parts_met"
            if found.share
            else comparison.task.metric
        )
        for name, members in found.values.items():
            for member in found.members:
                if member in members:
                    yield line(
                        members[member],
                        strategy=name,
                        figure=figure,
                        group=found.name,
                        member=member,
                        scored_by="its own verifier" if found.believed else judge,
                    )
    for curve in item.rounds:
        for point in curve.points:
            yield line(
                point.score,
                strategy=curve.arm,
                figure="so_far",
                group="round",
                member=str(point.round),
                scored_by="its own verifier" if curve.believed else judge,
            )
    for theirs in published(comparison.task.name):
        yield {
            "whose": f"{theirs.source} ({theirs.reference}), {theirs.generator}",
            "strategy": theirs.method,
            "figure": "published",
            "value": theirs.value,
            "scored_by": "theirs",
        }


def as_json(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Returns the report as plain JSON values."""
    return {"format": 1, "tasks": [_chapter_json(item) for item in chapters]}


def _chapter_json(item: Chapter) -> dict[str, Any]:
    comparison = item.comparison
    return {
        "task": comparison.task.name,
        "title": comparison.task.title,
        "simulation": comparison.simulated,
        "metric": comparison.task.metric,
        "best": comparison.task.best,
        "judge": comparison.judge,
        "cautions": list(item.cautions),
        "budget": item.budget,
        "common_prompts": len(comparison.common),
        "changed_prompts": list(comparison.changed),
        "strategies": [
            {
                "name": arm.name,
                "strategy": arm.run.manifest["strategy"],
                "folder": str(arm.run.folder),
                "score": asdict(arm.score),
                "believed": asdict(
                    mean_interval([arm.beliefs[key] for key in sorted(arm.beliefs)])
                ),
                "coverage": asdict(arm.coverage),
                "costs": {
                    cost: asdict(_cost(comparison, arm.name, cost))
                    for cost in COSTS
                    if comparison.costs[arm.name][cost]
                },
                "figures": [asdict(found) for found in item.figures[arm.name]],
                "official": [
                    asdict(found)
                    for found in (arm.run.official.figures if arm.run.official else ())
                ],
            }
            for arm in comparison.arms
        ],
        "pairs": [
            {**asdict(pair), "different": pair.different, "words": words}
            for pair, words in (
                (pair, in_words(pair, comparison.task.best)) for pair in comparison.pairs
            )
        ],
        "breakdowns": [asdict(found) for found in item.breakdowns],
        "rounds": [asdict(found) for found in item.rounds],
        "beliefs": [asdict(found) for found in item.beliefs],
        "published": [asdict(found) for found in published(comparison.task.name)],
        "published_rounds": [asdict(found) for found in published_rounds(comparison.task.name)],
    }


def _cost(comparison: Comparison, arm: str, cost: str) -> Interval:
    found = comparison.costs[arm][cost]
    return mean_interval([found[item] for item in sorted(found)])
