"""Published figures: the averages that the paper prints recompute, and none of them is ours."""

from __future__ import annotations

import json
from statistics import fmean

import pytest

from gems.evals.published import FILE, caveat, published, published_rounds
from gems.evals.tasks.registry import MODULES

MAINSTREAM = (("geneval",), ("geneval2",), ("dpg",), ("oneig-en", "oneig-zh"), ("wise",))
DOWNSTREAM = (("longtext-en", "longtext-zh"), ("spatialgeneval",), ("crea",), ("artimuse",))


def percent(task: str, generator: str, method: str) -> float:
    (found,) = [
        item
        for item in published(task)
        if (item.generator, item.method, item.source) == (generator, method, "GEMS paper")
    ]
    return 100 * found.value / found.best


@pytest.mark.parametrize(
    ("generator", "method", "mainstream", "downstream"),
    [
        ("Z-Image-Turbo", "original", 60.29, 58.41),
        ("Z-Image-Turbo", "Rewrite", 66.93, 56.65),
        ("Z-Image-Turbo", "Promptist", 52.20, None),
        ("Z-Image-Turbo", "Search (best of 5)", 64.55, 59.88),
        ("Z-Image-Turbo", "Maestro (3 rounds)", 70.05, 63.52),
        ("Z-Image-Turbo", "CRAFT (5 rounds)", 72.38, 61.63),
        ("Z-Image-Turbo", "GEMS", 74.51, 72.44),
        ("Qwen-Image-2512", "original", 57.50, 66.35),
        ("Qwen-Image-2512", "Search (best of 5)", 63.84, None),
        ("Qwen-Image-2512", "CRAFT (5 rounds)", 72.54, None),
        ("Qwen-Image-2512", "GEMS", 73.74, 74.31),
    ],
)
def test_the_printed_averages_recompute(generator, method, mainstream, downstream):
    for tasks, printed in ((MAINSTREAM, mainstream), (DOWNSTREAM, downstream)):
        if printed is not None:
            means = [fmean(percent(name, generator, method) for name in pair) for pair in tasks]
            assert fmean(means) == pytest.approx(printed, abs=0.011)


def test_each_is_of_a_task_of_ours_within_its_range_and_says_whose_it_is():
    content = json.loads(FILE.read_text())
    tasks = {name for table in content["tables"] for name in table["tasks"]}
    assert tasks <= set(MODULES)
    for name in tasks:
        for item in published(name):
            assert 0 <= item.value <= item.best
            assert item.source
            assert item.reference


def test_ablations_and_rounds_stand_with_the_benchmark_they_are_of():
    by_method = {item.method: item for item in published("geneval2")}
    assert by_method["+ loop"].value == 52.4
    assert by_method["+ loop, memory"].strategy == "loop+memory"
    gems, loop = published_rounds("geneval2")
    assert (gems.method, gems.values) == ("GEMS", (62.2, 67.1, 67.8, 67.9, 71.4))
    assert len(loop.values) == 5


def test_the_sandbox_and_other_protocols_have_none():
    for name in ("sandbox", "custom", "wise-verified"):
        assert published(name) == []
        assert published_rounds(name) == []
    assert "rubric" in caveat("crea")
