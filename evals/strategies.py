"""Strategies: presets of the same graph, so that methods are compared on the same code and budget.

Each is a set of `Context` settings; what it does not name has its default. The first seven rerun
rows of the paper (arXiv 2603.28088) and of its ablation, the last three are this project's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..graph.context import Context, check_context


@dataclass(frozen=True)
class Strategy:
    """A preset of the graph.

    Attributes:
        name: As on the command line.
        says: What it does, one line.
        settings: Fields of `Context` that differ from the default.
        paper: Which row of the paper it reruns; empty for our own.
    """

    name: str
    says: str
    settings: Mapping[str, Any]
    paper: str = ""


_ALONE: dict[str, Any] = {"memory": "off"}
"""Evaluations neither read nor write lessons of other runs: prompts would teach each other."""

_LOOP = {**_ALONE, "skills": "none"}

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            "single",
            "The prompt as written to the generator: one image, nothing checked.",
            {**_LOOP, "planning": "off", "verification": "none", "max_rounds": 1},
            "original",
        ),
        Strategy(
            "rewrite",
            "The planner rewrites the prompt, without skills: one image, nothing checked.",
            {**_LOOP, "verification": "none", "max_rounds": 1},
            "Rewrite",
        ),
        Strategy(
            "search",
            "Best of five seeds of the prompt as written, by the verifier.",
            {
                **_LOOP,
                "planning": "off",
                "candidates": 5,
                "variety": "seed",
                "max_rounds": 1,
            },
            "Search (best of 5)",
        ),
        Strategy(
            "loop",
            "Generate, verify, refine up to five rounds; the refiner sees only the last round.",
            {**_LOOP, "trajectory": "none"},
            "ablation: + loop",
        ),
        Strategy(
            "loop+memory:raw",
            "The loop with the raw thoughts of all earlier rounds.",
            {**_LOOP, "trajectory": "raw"},
            "ablation: + image + raw thought",
        ),
        Strategy(
            "loop+memory",
            "The loop with a compressed experience of each earlier round.",
            {**_LOOP, "trajectory": "experiences"},
            "ablation: + memory",
        ),
        Strategy(
            "gems",
            "All of the paper: the loop, its memory, and skills.",
            {**_ALONE},
            "GEMS",
        ),
        Strategy(
            "gems+recall",
            "gems, and it learns from prompt to prompt, in a memory of this run alone.",
            {"memory": "on"},
        ),
        Strategy(
            "economy",
            "gems at less cost: one call verifies all and the doubtful are asked again, small "
            "images, summarizer and refiner in one call.",
            {
                **_ALONE,
                "verification": "joint",
                "recheck": 0.75,
                "reflection": "fused",
                "vision_side": 512,
            },
        ),
        Strategy(
            "select",
            "gems with two differently composed images a round; ties are decided by pairs.",
            {**_ALONE, "candidates": 2, "variety": "structure", "selection": "pairwise"},
        ),
    )
}

OWN_SETTINGS = {
    "seed": "Give --seeds: each sample's seed follows from it.",
    "user": "An evaluation has a memory of its own.",
    "review": "Nobody sits at an evaluation.",
}
"""Settings that the runner decides, and why `--set` may not."""


def strategy(name: str) -> Strategy:
    """Returns a strategy.

    Raises:
        InputError: There is none of that name.
    """
    found = STRATEGIES.get(name)
    if found is None:
        raise InputError(
            f"There is no strategy {name!r}.", hint=f"Strategies: {', '.join(STRATEGIES)}."
        )
    return found


def settings_of(
    chosen: Strategy,
    *,
    size: tuple[int, int],
    user: str,
    overrides: Mapping[str, Any] | None = None,
) -> Context:
    """Returns the settings of every trajectory of a run.

    Args:
        chosen: The preset.
        size: Width and height in pixels that the benchmark asks for.
        user: Whose lessons, where the cross-run memory is on.
        overrides: What `--set` and the budget options change in the preset.

    Raises:
        ConfigurationError: A setting does not exist or is out of range.
        InputError: A setting is the runner's own business.
    """
    for name in overrides or ():
        if name in OWN_SETTINGS:
            raise InputError(f"--set can't change {name!r}.", hint=OWN_SETTINGS[name])
    width, height = size
    values = {"width": width, "height": height, "user": user, **chosen.settings}
    return check_context(values | dict(overrides or {}))


def changed(context: Context) -> dict[str, Any]:
    """Returns the settings that differ from the defaults."""
    default = asdict(Context())
    return {name: value for name, value in asdict(context).items() if value != default[name]}
