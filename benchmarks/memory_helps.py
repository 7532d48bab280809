"""Does memory across runs help? A stream of related prompts, memory off against on, in the sandbox.

Each stream is the real graph, run after run, with a store of its own that begins empty; prompts and
seeds are the same with memory and without. A third arm on demand, `misplaced`, recalls lessons for
another family's prompt: it tells what is gained by the right lessons and not by just any.

- *met*: every fact of the prompt is in the best image by the painter's truth, not by the run's own
  verdicts;
- *first*: the same for the image of the first round;
- *rounds*: until the run accepted an image; a run that never did counts as its five;
- *calls*: chat model calls;
- *lessons*: recalled for a run; *precision*: share of these that were learned from a prompt of the
  same family.

The sandbox is a simulation. Its generator has blind spots (`sandbox/quirks.py`) that were put there
so that there is something to learn, and its planner and refiner follow the lessons' texts by rules:
that memory can help is by construction. What is measured is whether distilling, storing, recalling
and crediting bring the right lesson to the right prompt, not what memory gains on real models.

Run: `python benchmarks/memory_helps.py [--prompts 200] [--seeds 1 2 3] [--arms off on misplaced]
[--plot docs/images/memory_helps.svg]`; three arms take half as long again as two.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROUNDS = 5
QUARTERS = 4
GROUNDS = ("white", "gray", "pink", "yellow")


def _aisle(chance: random.Random, color: Callable[[], str]) -> str:
    one, other = chance.sample(["cups", "balls", "rings", "cubes"], 2)
    few, many = chance.randint(2, 5), chance.randint(2, 5)
    words = ["zero", "one", "two", "three", "four", "five"]
    return f"product photo of {words[few]} {color()} {one} and {words[many]} {color()} {other}"


def _map(chance: random.Random, color: Callable[[], str]) -> str:
    one, other = chance.sample(["house", "tree", "star", "cross"], 2)
    side = chance.choice(["left", "right", "right"])
    return f"flat map illustration of a {color()} {one} to the {side} of a {color()} {other}"


def _sky(chance: random.Random, color: Callable[[], str]) -> str:
    one, other = chance.sample(["cloud", "crescent", "star", "heart"], 2)
    where = chance.choice(["above", "below", "below"])
    count = chance.choice(["two", "three"])
    return f"night scene with {count} {color()} {one}s {where} a {color()} {other}"


def _front(chance: random.Random, color: Callable[[], str]) -> str:
    word = chance.choice(["OPEN", "CAFE", "BAKERY", "SALE", "HOTEL", "BOOKS", "MUSEUM", "ZOO"])
    return f'shop front view with a {color()} house and a {color()} tree, a sign says "{word}"'


def _ticket(chance: random.Random, color: Callable[[], str]) -> str:
    word = f"{chance.choice(['ROW', 'SEAT', 'GATE', 'EXIT'])} {chance.randint(1, 9)}"
    place = chance.choice(["left", "right"])
    return (
        f'ticket design with a sign that reads "{word}", a {color()} arrow to the {place} of '
        f"a {color()} diamond"
    )


def _sizes(chance: random.Random, color: Callable[[], str]) -> str:
    one, other = chance.sample(["fish", "cup", "ball", "hexagon"], 2)
    return f"scale drawing of a small {color()} {one} and a large {color()} {other}"


def _cards(chance: random.Random, color: Callable[[], str]) -> str:
    words = ["two", "three", "four", "five"]
    one, other = chance.sample(["heart", "diamond", "star", "triangle"], 2)
    size = chance.choice(["small", "large"])
    return (
        f"playing card artwork with {chance.choice(words)} {size} {color()} {one}s and one {other}"
    )


def _puzzle(chance: random.Random, color: Callable[[], str]) -> str:
    one, other, third = chance.sample(["cube", "triangle", "ring", "hexagon"], 3)
    where = chance.choice(["to the right of", "below"])
    return (
        f"puzzle picture with a large {color()} {one} {where} two {color()} {other}s, "
        f"and a {color()} {third}"
    )


FAMILIES = (_aisle, _map, _sky, _front, _ticket, _sizes, _cards, _puzzle)
"""Kinds of tasks that one user might come back to, each in words of its own."""


def stream_of(count: int, seed: int) -> list[tuple[int, str]]:
    """Returns (family, prompt) of `count` different prompts, the families mixed."""
    from gems.sandbox.scene import COLORS

    chance = random.Random(f"stream {seed}")
    families = [number % len(FAMILIES) for number in range(count)]
    chance.shuffle(families)
    stream: list[tuple[int, str]] = []
    known: set[str] = set()
    for family in families:
        while True:
            ground = chance.choice(GROUNDS)
            colors = [name for name in COLORS if name not in {ground, "white"}]
            chance.shuffle(colors)
            prompt = f"{FAMILIES[family](chance, colors.pop)}, on a {ground} background"
            prompt = re.sub(r"\ba (?=[aeiou])", "an ", prompt)
            if prompt not in known:
                break
        known.add(prompt)
        stream.append((family, prompt))
    return stream


def run_stream(
    arm: str, seed: int, prompts: int, size: int, embeddings: str
) -> list[dict[str, Any]]:
    """Runs one stream in this process and returns one row for each run."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "GEMS_DATA_DIR": folder,
            "GEMS_MLLM": "sandbox",
            "GEMS_GENERATOR": "sandbox",
            "GEMS_EMBEDDINGS": embeddings,
            "GEMS_STORE": "memory:",
            "OMP_NUM_THREADS": "1",
        }
        return asyncio.run(_run_stream(arm, seed, stream_of(prompts, seed), size))


async def _run_stream(
    arm: str, seed: int, stream: list[tuple[int, str]], size: int
) -> list[dict[str, Any]]:
    from gems.graph.build import build_graph
    from gems.graph.context import Context
    from gems.memory import experiences
    from gems.memory.store_factory import open_store

    family_of = {prompt: family for family, prompt in stream}
    if arm == "misplaced":
        experiences.recall = _misplaced(experiences.recall, stream, seed)  # type: ignore[assignment]  # the control arm
    rows = []
    async with open_store() as store:
        graph = build_graph(store=store)
        for number, (family, prompt) in enumerate(stream):
            context = Context(
                seed=1000 * seed + number,
                width=size,
                height=size,
                max_rounds=ROUNDS,
                verification="joint",
                memory="off" if arm == "off" else "on",
            )
            lessons: list[dict[str, Any]] = []
            result: dict[str, Any] = {}
            async for mode, event in graph.astream(
                {"prompt": prompt}, context=context, stream_mode=["updates", "values"]
            ):
                if mode == "values":
                    result = event
                elif "recall" in event:
                    lessons = (event["recall"] or {}).get("lessons", [])
            rows.append(_row(prompt, family, result, lessons, family_of))
    return rows


def _misplaced(recall: Any, stream: list[tuple[int, str]], seed: int) -> Any:
    """Returns a `recall` that looks for lessons that fit a prompt of another family."""
    family_of = {prompt: family for family, prompt in stream}
    chance = random.Random(f"misplaced {seed}")

    async def recall_for_another(store: Any, *, prompt: str, **options: Any) -> Any:
        others = [other for family, other in stream if family != family_of[prompt]]
        return await recall(store, prompt=chance.choice(others), **options)

    return recall_for_another


def _row(
    prompt: str,
    family: int,
    result: dict[str, Any],
    lessons: list[dict[str, Any]],
    family_of: dict[str, int],
) -> dict[str, Any]:
    from loop_gain import truly_met

    best = next(item for item in result["attempts"] if item["id"] == result["best"])
    return {
        "met": truly_met(prompt, best),
        "first": truly_met(prompt, result["attempts"][0]),
        "accepted": result["stopped_because"] == "accepted",
        "rounds": result["attempts"][-1]["round"],
        "calls": sum(u["calls"] for role, u in result["usage"].items() if role != "generator"),
        "lessons": len(lessons),
        "fitting": sum(family_of[lesson["task"]] == family for lesson in lessons),
        "family": FAMILIES[family].__name__.strip("_"),
    }


# Report


def mean(rows: Iterable[dict[str, Any]], name: str) -> float:
    """Returns the mean of one number over all rows."""
    return statistics.fmean(float(row[name]) for row in rows)


def quarter(rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Returns one quarter of a stream, counted from 0."""
    return rows[len(rows) * number // QUARTERS : len(rows) * (number + 1) // QUARTERS]


def table(results: dict[tuple[str, int], list[dict[str, Any]]], arms: list[str]) -> str:
    """Returns the figures by quarter of the stream and arm, means over the seeds."""
    lines = [
        f"{'quarter':<8}{'memory':<11}{'met':>6}{'first':>7}{'rounds':>8}{'calls':>7}"
        f"{'lessons':>9}{'precision':>11}"
    ]
    for number in [*range(QUARTERS), None]:
        for arm in arms:
            rows = [
                row
                for (own, _), stream in results.items()
                if own == arm
                for row in (stream if number is None else quarter(stream, number))
            ]
            lines.append(_line("all" if number is None else str(number + 1), arm, rows))
    lines.append("")
    for arm in arms:
        for (own, seed), stream in sorted(results.items()):
            if own == arm:
                lines.append(_line(f"seed {seed}", arm, stream))
    lines.append("")
    families = sorted({row["family"] for stream in results.values() for row in stream})
    for family in families:
        for arm in arms:
            rows = [
                row
                for (own, _), stream in results.items()
                if own == arm
                for row in stream
                if row["family"] == family
            ]
            lines.append(_line(family, arm, rows))
    return "\n".join(lines)


def _line(name: str, arm: str, rows: list[dict[str, Any]]) -> str:
    recalled = sum(row["lessons"] for row in rows)
    precision = f"{sum(row['fitting'] for row in rows) / recalled:.0%}" if recalled else "-"
    return (
        f"{name:<8}{arm:<11}{mean(rows, 'met'):>6.0%}{mean(rows, 'first'):>7.0%}"
        f"{mean(rows, 'rounds'):>8.2f}{mean(rows, 'calls'):>7.1f}"
        f"{mean(rows, 'lessons'):>9.1f}{precision:>11}"
    )


def drawing(
    results: dict[tuple[str, int], list[dict[str, Any]]], arms: list[str], prompts: int
) -> str:
    """Returns the learning curves as SVG."""
    from memory_helps_plot import svg

    def curves(name: str) -> dict[str, list[list[float]]]:
        return {
            arm: [
                [mean(quarter(rows, number), name) for number in range(QUARTERS)]
                for (own, _), rows in results.items()
                if own == arm
            ]
            for arm in arms
        }

    seeds = len({seed for _, seed in results})
    return svg(
        [
            ("Rounds to acceptance", curves("rounds"), 1, ROUNDS, ".0f"),
            ("All facts right in the first image", curves("first"), 0, 0.8, ".0%"),
            ("All facts right in the best image", curves("met"), 0.2, 1, ".0%"),
        ],
        f"{prompts} related prompts in the offline sandbox, a simulation whose blind spots were "
        f"put there to be learned. Thin lines: {seeds} seeds; thick: their mean.",
    )


def main() -> None:
    """Prints the table and writes the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="*", default=["off", "on"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--embeddings", default="auto", help="as GEMS_EMBEDDINGS")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--plot", type=Path, default=None, help="write the learning curve as SVG")
    options = parser.parse_args()
    began = time.perf_counter()
    with ProcessPoolExecutor(options.processes, max_tasks_per_child=1) as pool:
        jobs = {
            (arm, seed): pool.submit(
                run_stream, arm, seed, options.prompts, options.size, options.embeddings
            )
            for seed in options.seeds
            for arm in options.arms
        }
        results = {key: job.result() for key, job in jobs.items()}
    print(
        f"Offline sandbox (a simulation; gains are by construction): {options.prompts} prompts of "
        f"{len(FAMILIES)} families, seeds {options.seeds}, embeddings {options.embeddings}"
    )
    print(table(results, options.arms))
    print(f"{time.perf_counter() - began:.0f} s")
    if options.plot is not None:
        options.plot.write_text(drawing(results, options.arms, options.prompts), encoding="utf-8")


if __name__ == "__main__":
    main()
