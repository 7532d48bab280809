"""What each cost lever saves and what it costs in quality, in the sandbox, side by side.

Every arm runs the real graph on the same prompts of 3 to 10 facts with the same seeds. The base is
the defaults, which are the paper's loop: planner, every requirement asked by itself, a summarizer's
and a refiner's call a round, images shown at 1024 pixels, at most five rounds. "Truly right": all
that the prompt states is in the image, by the painter's truth, not by the run's own verdicts.

A simulation in three ways. The generator errs by made-up rules. The sandbox's eyes answer many
questions in one call as well as one by one; so that asking again has something to find, the arms
with "slips" take a chat model that gets a made-up share of joint answers wrong (`joint_slips` of
`SandboxChatModel`). And tokens are estimates: four characters, or 32 by 32 pixels, each. Calls,
bytes and rounds are counted, not estimated; wall time has no model's latency in it.

Run: `python benchmarks/cost_levers.py [--prompts 60] [--seed 1] [--slips 0.1] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from loop_gain import prompts_of, truly_met

SLIPPING = "sandbox-with-slips"
ROLES = ("planner", "decomposer", "verifier", "summarizer", "refiner")

_SMALL: dict[str, Any] = {"vision_side": 512}
_JOINT: dict[str, Any] = {"verification": "joint"}
_AGAIN: dict[str, Any] = {**_JOINT, "recheck": 0.8}
_FUSED: dict[str, Any] = {"reflection": "fused"}
_SLIPS: dict[str, Any] = {"mllm": SLIPPING}
_TWO: dict[str, Any] = {"candidates": 2, "max_rounds": 3}

TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "Cost levers": {
        "base": {},
        "staged verification": {"verification": "staged"},
        "small images (512)": _SMALL,
        "fused reflection": _FUSED,
        "joint verification": _JOINT,
        "all of these": {**_JOINT, **_SMALL, **_FUSED},
        "joint, with slips": {**_JOINT, **_SLIPS},
        "joint, slips, recheck 0.8": {**_AGAIN, **_SLIPS},
        "all, slips, recheck 0.8": {**_AGAIN, **_SMALL, **_FUSED, **_SLIPS},
    },
    "Two candidates a round, three rounds, joint verification": {
        "wordings": {**_TWO, **_JOINT},
        "seeds": {**_TWO, **_JOINT, "variety": "seed"},
        "structures": {**_TWO, **_JOINT, "variety": "structure"},
        "wordings, slips": {**_TWO, **_JOINT, **_SLIPS},
        "wordings, slips, pairwise": {**_TWO, **_JOINT, **_SLIPS, "selection": "pairwise"},
        "structures, slips, pairwise": {
            **_TWO,
            **_JOINT,
            **_SLIPS,
            "variety": "structure",
            "selection": "pairwise",
        },
    },
}
"""Arms by table; the first arm of each is what the others are compared with."""


async def measure(prompt: str, seed: int, size: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Returns what one run gave and what it used."""
    from gems.graph.build import build_graph
    from gems.graph.context import Context
    from gems.models.vision import forget_images
    from gems.sandbox import vision

    # Arms see the same images: none may profit from what another has encoded or looked at.
    forget_images()
    vision._percepts.clear()  # a benchmark may look behind the door
    fixed = {"seed": seed, "width": size, "height": size, "memory": "off"}
    context = Context(**{**fixed, **settings})
    began = time.perf_counter()
    result = await build_graph().ainvoke({"prompt": prompt}, context=context)
    wall = time.perf_counter() - began
    best = next(item for item in result["attempts"] if item["id"] == result["best"])
    right = truly_met(prompt, best)
    used = {role: spent for role, spent in result["usage"].items() if role != "generator"}
    return {
        "right": right,
        "accepted wrongly": result["score"] == 1 and not right,
        "rounds": result["attempts"][-1]["round"],
        "images": len(result["attempts"]),
        "calls": sum(spent["calls"] for spent in used.values()),
        **{role: used.get(role, {}).get("calls", 0) for role in ROLES},
        "input": sum(spent["input_tokens"] for spent in used.values()),
        "output": sum(spent["output_tokens"] for spent in used.values()),
        "bytes": sum(spent["image_bytes"] for spent in used.values()),
        "wall": wall,
    }


def part(prompts: list[str], options: argparse.Namespace) -> list[dict[str, dict[str, Any]]]:
    """Measures all arms of some prompts in a process of its own, one run after another."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "GEMS_DATA_DIR": folder,
            "GEMS_MLLM": "sandbox",
            "GEMS_GENERATOR": "sandbox",
            "GEMS_EMBEDDINGS": "lexical",
            # OCR would answer what is asked about signs, in seconds, where its extra is installed.
            "GEMS_EVIDENCE": "off",
        }
        from gems.models.chat import register_chat_model
        from gems.sandbox.chat import SandboxChatModel

        register_chat_model(SLIPPING, SandboxChatModel(joint_slips=options.slips))
        arms = {f"{t}/{arm}": s for t, table in TABLES.items() for arm, s in table.items()}

        async def of_prompt(prompt: str, number: int) -> dict[str, dict[str, Any]]:
            names = list(arms)
            names = names[number % len(names) :] + names[: number % len(names)]
            return {
                name: await measure(prompt, options.seed, options.size, arms[name])
                for name in names
            }

        async def all_of_them() -> list[dict[str, dict[str, Any]]]:
            await measure(prompts[0], 0, options.size, {"max_rounds": 1})  # imports, templates
            return [await of_prompt(prompt, number) for number, prompt in enumerate(prompts)]

        return asyncio.run(all_of_them())


def interval(values: list[float], seed: int = 0, resamples: int = 4000) -> tuple[float, float]:
    """Returns the 95 % percentile bootstrap interval of a mean over prompts."""
    chance = random.Random(seed)
    means = sorted(
        sum(chance.choices(values, k=len(values))) / len(values) for _ in range(resamples)
    )
    return means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1]


def table_of(title: str, rows: dict[str, list[dict[str, Any]]]) -> str:
    """Returns one table in Markdown."""
    base = next(iter(rows.values()))
    lines = [
        f"### {title}",
        "",
        f"| arm | truly right | difference | wrongly accepted | rounds | calls "
        f"({', '.join(ROLES)}) | tokens in | out | image kB | wall |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]

    def mean(runs: list[dict[str, Any]], key: str) -> float:
        return sum(run[key] for run in runs) / len(runs)

    for name, runs in rows.items():
        right = [float(run["right"]) for run in runs]
        low, high = interval(right)
        paired = [one - other["right"] for one, other in zip(right, base, strict=True)]
        less, more = interval(paired)
        difference = (
            ""
            if runs is base
            else f"{100 * sum(paired) / len(paired):+.0f} ({100 * less:+.0f}…{100 * more:+.0f})"
        )
        by_role = ", ".join(f"{mean(runs, role):.1f}" for role in ROLES)
        lines.append(
            f"| {name} | {100 * mean(runs, 'right'):.0f} % ({100 * low:.0f}…{100 * high:.0f}) "
            f"| {difference} | {sum(run['accepted wrongly'] for run in runs)} "
            f"| {mean(runs, 'rounds'):.2f} | {mean(runs, 'calls'):.1f} ({by_role}) "
            f"| {mean(runs, 'input'):,.0f} | {mean(runs, 'output'):,.0f} "
            f"| {mean(runs, 'bytes') / 1e3:,.0f} | {mean(runs, 'wall') / mean(base, 'wall'):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--slips", type=float, default=0.1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="Also write every run's figures here.")
    options = parser.parse_args()
    began = time.perf_counter()
    prompts = prompts_of(options.prompts, options.seed)
    # Small parts: prompts of many facts take longest.
    number = max(options.processes, len(prompts) // 5)
    parts = [prompts[at::number] for at in range(number)]
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(part, some, options) for some in parts if some]
        runs: list[dict[str, dict[str, Any]]] = []
        for job in jobs:
            runs += job.result()
            print(f"{len(runs)} of {len(prompts)} prompts", file=sys.stderr, flush=True)
    print(
        f"Offline sandbox (a simulation): {len(runs)} prompts of 3 to 10 facts, seed "
        f"{options.seed}, images of {options.size} pixels, slips {options.slips:g} where said; "
        "means a prompt; 95 % bootstrap intervals over prompts; differences in percentage points, "
        "paired."
    )
    for title, arms in TABLES.items():
        print()
        print(table_of(title, {arm: [run[f"{title}/{arm}"] for run in runs] for arm in arms}))
    print(f"\n{time.perf_counter() - began:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps(runs))


if __name__ == "__main__":
    main()
