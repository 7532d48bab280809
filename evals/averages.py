"""Means over prompts, for everything and for each value of each tag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import fsum

from .records import Item, Judgment
from .tasks.base import Figure


def prompt_means(judgments: Sequence[Judgment], metric: str = "") -> dict[str, float]:
    """Returns item id -> mean over its judged samples; prompts without a judgment are left out.

    Args:
        judgments: Of one attempt a sample; failed ones are left out.
        metric: Which of `metrics`; empty takes `score`.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for judgment in judgments:
        if judgment["status"] == "done":
            item = judgment["key"].rpartition("#")[0]
            values[item].append(judgment["metrics"][metric] if metric else judgment["score"])
    return {item: fsum(found) / len(found) for item, found in values.items()}


def mean_figures(
    name: str, items: Sequence[Item], judgments: Sequence[Judgment], metric: str = ""
) -> list[Figure]:
    """Returns the mean over prompts, then the mean for each value of each tag, sorted."""
    means = prompt_means(judgments, metric)
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for item in items:
        if item["id"] in means:
            groups["", ""].append(means[item["id"]])
            for tag, value in item["tags"].items():
                groups[tag, value].append(means[item["id"]])
    return [
        Figure(
            name=name, value=fsum(found) / len(found), count=len(found), group=group, member=member
        )
        for (group, member), found in sorted(groups.items(), key=lambda entry: _order(*entry[0]))
    ]


def _order(group: str, member: str) -> tuple[str, int, str]:
    return group, int(member) if member.isascii() and member.isdigit() else -1, member
