"""Plots of a report, as SVG and PNG: each with intervals, an alt text, and a note on a simulation.

Colours are Okabe and Ito's (2008), told apart by colour-blind readers; every strategy has a marker
and a line style of its own, too, so that a grey print can be read. Needs the extra `evals`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from .breakdowns import Breakdown, Rounds
from .comparison import Arm, Comparison
from .ledger import replace_file
from .published import published_rounds
from .report_tables import COST_NAMES, score_text
from .statistics import Interval, mean_interval
from .strategies import STRATEGIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .report import Chapter

COLORS = (
    "#000000",
    "#E69F00",
    "#009E73",
    "#56B4E9",
    "#CC79A7",
    "#0072B2",
    "#D55E00",
    "#8C8C00",
    "#7F7F7F",
    "#5D3A9B",
)
"""Okabe and Ito's eight, their yellow darkened to be seen on white, and two more."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
LINES = ("-", "--", "-.", ":")

MOST_GROUPS = 14
"""Values of a breakdown that can be told apart side by side; others are in the tables only."""

DOTS_PER_INCH = 160

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e2e2e2",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "gems",
    "text.parse_math": False,  # a dollar sign in a tag is no formula
}


@dataclass(frozen=True)
class Plot:
    """A plot that lies in the report's folder.

    Attributes:
        svg: Its drawing.
        png: The same as pixels.
        caption: What it shows.
        alt: What can be read from it, in words.
    """

    svg: Path
    png: Path
    caption: str
    alt: str


def draw_plots(chapter: Chapter, out: Path) -> list[Plot]:
    """Draws the plots of a task into a folder and returns them; none where there is nothing to see.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    plots = []
    with _matplotlib():
        for name, figure, caption, alt in _figures(chapter):
            if chapter.comparison.simulated:
                caption = f"SIMULATION, no real model. {caption}"
                figure.text(
                    0.01, 0.008, "Simulation: the sandbox, no real model.", color="#555", size=8
                )
            stem = f"{chapter.comparison.task.name}-{name}"
            plots.append(_save(figure, out, stem, caption, alt))
    return plots


@contextmanager
def _matplotlib() -> Iterator[None]:
    try:
        import matplotlib as mpl
    except ImportError:
        raise ConfigurationError(
            "Plots need matplotlib, which is not installed.",
            hint="pip install 'gems-graph[evals]', or give --no-plots.",
        ) from None
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A tag in a script that the font does not have is drawn as boxes; the tables have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _save(figure: Figure, out: Path, stem: str, caption: str, alt: str) -> Plot:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    found = {}
    for suffix, options in (
        ("svg", {"metadata": {"Title": caption, "Description": alt, "Date": None}}),
        ("png", {"dpi": DOTS_PER_INCH, "metadata": {"Title": caption, "Description": alt}}),
    ):
        drawn = io.BytesIO()
        figure.savefig(drawn, format=suffix, **options)
        found[suffix] = out / f"{stem}.{suffix}"
        data = drawn.getvalue()
        replace_file(found[suffix], lambda part, data=data: part.write_bytes(data))  # type: ignore[misc]  # the default binds the loop's value
    return Plot(found["svg"], found["png"], caption, alt)


def _figures(chapter: Chapter) -> Iterator[tuple[str, Figure, str, str]]:
    comparison = chapter.comparison
    if comparison.judged_arms:
        yield _scores(comparison)
        yield _score_by_cost(comparison)
    if chapter.rounds:
        yield _by_round(comparison, chapter.rounds)
    judged_parts = [found for found in chapter.breakdowns if found.share and not found.believed]
    for found in chapter.breakdowns:
        if found.believed and judged_parts:
            continue  # what a judge says is the better figure of the same
        if 1 < len(found.members) <= MOST_GROUPS:
            yield _by_member(comparison, found)


def _new(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Room for the legend is found by the layout; the note on a simulation stands below it.
    layout = ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97))
    figure = Figure(figsize=(width, height), layout=layout)
    axes = figure.subplots(1, columns, squeeze=False, sharey=True)
    return figure, list(axes[0])


def _look(arm: str) -> dict[str, Any]:
    """Returns colour, marker and line of an arm: the same in every plot and every report."""
    names = list(STRATEGIES)
    strategy = arm.partition(" ")[0]
    at = names.index(strategy) if strategy in names else len(names)
    # Several runs of one strategy: told apart by what follows in the palette.
    at += sum(map(ord, arm.removeprefix(strategy))) if arm != strategy else 0
    return {
        "color": COLORS[at % len(COLORS)],
        "marker": MARKERS[at % len(MARKERS)],
        "linestyle": LINES[at % len(LINES)],
    }


def _reach(interval: Interval) -> tuple[float, float]:
    """Returns how far an interval reaches below and above its value."""
    if interval.value is None or interval.low is None or interval.high is None:
        return 0.0, 0.0
    return interval.value - interval.low, interval.high - interval.value


def _dot(axes: Axes, x: float, interval: Interval, arm: str, **options: Any) -> None:
    low, high = _reach(interval)
    look = {**_look(arm), "linestyle": "none"}
    axes.errorbar(
        [x],
        [interval.value or 0.0],
        yerr=[[low], [high]],
        capsize=2.5,
        elinewidth=1.2,
        markersize=6.5,
        **{**look, **options},
    )


def _scores(comparison: Comparison) -> tuple[str, Figure, str, str]:
    arms = comparison.judged_arms
    best = comparison.task.best
    figure, (axes,) = _new(7.2, 1.3 + 0.36 * len(arms))
    for place, arm in enumerate(reversed(arms)):
        low, high = _reach(arm.score)
        look = {**_look(arm.name), "linestyle": "none"}
        axes.errorbar(
            [arm.score.value or 0.0],
            [place],
            xerr=[[low], [high]],
            capsize=3,
            elinewidth=1.6,
            markersize=7,
            **look,
        )
        text = f"{score_text(arm.score.value, best)}  "
        axes.annotate(
            text,
            ((arm.score.value or 0.0) - low, place),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            size=9,
        )
    axes.set_yticks(range(len(arms)), [arm.name for arm in reversed(arms)])
    axes.set_ylim(-0.6, len(arms) - 0.4)
    lowest = min((arm.score.low or arm.score.value or 0.0) for arm in arms)
    axes.set_xlim(left=min(0.0, lowest) - 0.08 * best, right=best * 1.01)
    axes.set_xlabel(_metric(comparison))
    axes.set_title(f"{comparison.task.title}: {comparison.task.metric}")
    axes.grid(visible=False, axis="y")
    caption = (
        f"{comparison.task.title}: {comparison.task.metric} of each strategy with its 95 % "
        "interval over prompts."
    )
    return "scores", figure, caption, _each(arms, best)


def _each(arms: Sequence[Arm], best: float) -> str:
    parts = [
        f"{arm.name} {score_text(arm.score.value, best)} "
        f"[{score_text(arm.score.low, best)} to {score_text(arm.score.high, best)}]"
        for arm in arms
    ]
    return f"{'; '.join(parts)}."


def _metric(comparison: Comparison) -> str:
    return f"{comparison.task.metric} by {comparison.judge} (0 to {comparison.task.best:g})"


def pareto(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Returns the names of the points that no other beats, by rising cost.

    Args:
        points: Name -> cost and score. One beats another that costs no less and scores no more,
            and is not its equal in both.
    """
    front = [
        name
        for name, here in points.items()
        if not any(
            there[0] <= here[0] and there[1] >= here[1] and there != here
            for there in points.values()
        )
    ]
    return sorted(front, key=lambda name: points[name])


def _score_by_cost(comparison: Comparison) -> tuple[str, Figure, str, str]:
    arms = comparison.judged_arms
    shown = ["calls", "images"]
    money = {arm.name: comparison.costs[arm.name]["money"] for arm in arms}
    if all(money.values()) and any(any(found.values()) for found in money.values()):
        shown[1] = "money"
    figure, panels = _new(9.6, 4.3, len(shown))
    told = []
    for axes, cost in zip(panels, shown, strict=True):
        spent = {
            arm.name: mean_interval([value for _, value in sorted(found.items())])
            for arm in arms
            if (found := comparison.costs[arm.name][cost])
        }
        points = {arm.name: (spent[arm.name].value or 0.0, arm.score.value or 0.0) for arm in arms}
        front = pareto(points)
        axes.step(
            [points[name][0] for name in front],
            [points[name][1] for name in front],
            where="post",
            color="#999999",
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            label="_front",
        )
        for arm in arms:
            low, high = _reach(spent[arm.name])
            name = arm.name
            label = name if axes is panels[0] else f"_{name}"
            _dot(
                axes,
                points[name][0],
                arm.score,
                name,
                xerr=[[low], [high]],
                label=label,
                markerfacecolor=_look(name)["color"] if name in front else "white",
            )
        axes.set_xlabel(f"{COST_NAMES[cost]} a sample")
        furthest = max(found.high or found.value or 0.0 for found in spent.values()) or 1.0
        axes.set_xlim(-0.03 * furthest, 1.05 * furthest)
        unit = COST_NAMES[cost]
        told.append(
            f"By {unit}, these are beaten by none: "
            + ", ".join(
                f"{name} ({score_text(points[name][1], comparison.task.best)} at "
                f"{points[name][0]:.3g})"
                for name in front
            )
            + "."
        )
    panels[0].set_ylabel(_metric(comparison))
    panels[0].set_title(f"{comparison.task.title}: score against cost")
    figure.legend(loc="outside right center")
    caption = (
        f"{comparison.task.title}: score against what a sample costs, with 95 % intervals. Filled: "
        "on the Pareto front (dashed), where no other strategy costs less and scores as much."
    )
    return "score-by-cost", figure, caption, " ".join(told)


def _by_round(comparison: Comparison, curves: Sequence[Rounds]) -> tuple[str, Figure, str, str]:
    believed = any(curve.believed for curve in curves)
    scale = 1.0 if not believed else 100.0 / comparison.task.best
    figure, (axes,) = _new(7.6, 4.4)
    told = []
    for place, curve in enumerate(curves):
        factor = 100.0 if curve.believed else scale
        offset = 0.03 * (place - (len(curves) - 1) / 2)
        look = _look(curve.arm)
        label = f"{curve.arm} (its own belief)" if curve.believed else curve.arm
        values = [(point.score.value or 0.0) * factor for point in curve.points]
        reaches = [_reach(point.score) for point in curve.points]
        axes.errorbar(
            [point.round + offset for point in curve.points],
            values,
            yerr=[[low * factor for low, _ in reaches], [high * factor for _, high in reaches]],
            capsize=2.5,
            elinewidth=1.1,
            markersize=6,
            linewidth=1.6,
            label=label,
            **look,
        )
        told.append(f"{label}: {', '.join(f'{value:.3g}' for value in values)}")
    last = max(len(curve.points) for curve in curves)
    for theirs in published_rounds(comparison.task.name):
        values = [value * comparison.task.best / 100 * scale for value in theirs.values]
        axes.plot(
            range(1, len(values) + 1),
            values,
            color="#888888",
            linestyle=":",
            marker=".",
            label=f"theirs: {theirs.method} ({theirs.source})",
        )
        last = max(last, len(values))
    axes.set_xticks(range(1, last + 1))
    axes.set_xlabel("rounds made at most")
    who = "the runs' own belief" if believed else comparison.judge
    axes.set_ylabel(
        f"score in % by {who}" if believed else _metric(comparison),
    )
    axes.set_title(f"{comparison.task.title}: score by round")
    figure.legend(loc="outside right center")
    caption = (
        f"{comparison.task.title}: score of what would have been handed over after each round, "
        "runs that ended included, with 95 % intervals."
    )
    if believed:
        caption += " Marked curves are what the loop believed, since their rounds are not judged."
    if published_rounds(comparison.task.name):
        caption += " Dotted: theirs, with another judge and another count of what passes."
    return "by-round", figure, caption, f"{'; '.join(told)}."


def _by_member(comparison: Comparison, found: Breakdown) -> tuple[str, Figure, str, str]:
    arms = [arm.name for arm in comparison.arms if arm.name in found.values]
    groups = len(found.members)
    width = max(7.2, 2.6 + groups * max(0.7, 0.13 * len(arms)))
    figure, (axes,) = _new(min(width, 14), 4.4)
    step = 0.76 / max(1, len(arms))
    ordered = all(member.replace(".", "", 1).isdigit() for member in found.members)
    factor = 100.0 if found.share else 1.0
    told = []
    for place, arm in enumerate(arms):
        at, values, lows, highs = [], [], [], []
        for number, member in enumerate(found.members):
            interval = found.values[arm].get(member)
            if interval is None or interval.value is None:
                continue
            low, high = _reach(interval)
            at.append(number + (place - (len(arms) - 1) / 2) * step)
            values.append(interval.value * factor)
            lows.append(low * factor)
            highs.append(high * factor)
        look = _look(arm)
        if not ordered:
            look["linestyle"] = "none"
        axes.errorbar(
            at,
            values,
            yerr=[lows, highs],
            capsize=2,
            elinewidth=1.0,
            markersize=5,
            linewidth=0.9,
            label=arm,
            **look,
        )
        told.append(f"{arm}: {', '.join(f'{value:.3g}' for value in values)}")
    axes.set_xticks(range(groups), [_short(member) for member in found.members])
    if not ordered and sum(map(len, found.members)) > 60:
        axes.tick_params(axis="x", rotation=30)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
    for edge in range(groups - 1):
        axes.axvline(edge + 0.5, color="#d0d0d0", linewidth=0.8)
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.5, groups - 0.5)
    axes.set_xlabel(found.name)
    if found.believed:
        axes.set_ylabel("requirements met in %, as the runs believe")
    elif found.share:
        axes.set_ylabel(f"judged parts met in %, by {comparison.judge}")
    else:
        axes.set_ylabel(_metric(comparison))
    axes.set_title(f"{comparison.task.title}: by {found.name}")
    figure.legend(loc="outside right center")
    whose = (
        "share of the runs' own requirements that they believe met"
        if found.believed
        else f"share of judged parts that are met, by {comparison.judge}"
        if found.share
        else f"{comparison.task.metric} by {comparison.judge}"
    )
    caption = (
        f"{comparison.task.title}, by {found.name}: {whose}; mean over prompts with 95 % intervals."
    )
    kind = "own-" if found.believed else "part-" if found.share else ""
    alt = f"In the order {', '.join(found.members)}. {'; '.join(told)}."
    return f"by-{kind}{_file_name(found.name)}", figure, caption, alt


def _short(text: str) -> str:
    return text if len(text) <= 18 else f"{text[:17]}…"


def _file_name(text: str) -> str:
    """Returns a tag's name as a part of a file name: a data file may call it anything."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)
    return kept.strip("-")[:40] or "tag"
