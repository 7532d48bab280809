"""What the loop gains in the sandbox: one shot, best of five, and five rounds, through the graph.

Random prompts of 3 to 10 facts. Every run is the real graph with the sandbox's models; what counts
is the painter's truth, that is, what the generator was told to paint, and not the run's own
verdicts. "As it is": the user's prompt without the planner; "one shot": the loop's first round;
"five seeds": the planner's prompt with five seeds, the best by the painter's truth; "best of 5":
one round of five candidates, each in another wording, of which the run's own verdicts choose.

The sandbox is a simulation: how much the loop gains in it is decided by how its generator was
built, and says nothing about a real image model.

Run: `python benchmarks/loop_gain.py [--prompts 100] [--seed 1] [--size 512]`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def prompts_of(count: int, seed: int) -> list[str]:
    """Returns `count` prompts of 3, 4 … 10, 3 … facts."""
    from gems.sandbox.wording import random_prompt

    chance = random.Random(seed)
    return [random_prompt(chance, 3 + number % 8).prompt for number in range(count)]


def share_met(prompt: str, attempt: Any) -> float:
    """Returns the share of a prompt's facts that an image shows, by the painter's truth."""
    from gems.sandbox.generator import painted
    from gems.sandbox.grammar import read
    from gems.sandbox.questions import claims_of, true_of

    image = attempt["image"]
    _, scene = painted(attempt["prompt"], attempt["seed"], image["width"], image["height"])
    reading = read(prompt)
    found = [true_of(claim, reading, scene) is not False for claim in claims_of(reading)]
    return sum(found) / len(found)


def truly_met(prompt: str, attempt: Any) -> bool:
    """Returns whether all that a prompt states is in an attempt's image, by the painter's truth."""
    return share_met(prompt, attempt) == 1


async def measure(prompt: str, seed: int, size: int) -> dict[str, Any]:
    """Returns what came of one prompt: each way's truth, the loop's rounds and model calls."""
    from gems.graph.build import build_graph
    from gems.graph.context import Context

    graph = build_graph()
    settings: dict[str, Any] = {
        "seed": seed,
        "width": size,
        "height": size,
        "memory": "off",
        "verification": "joint",
    }
    loop = await graph.ainvoke({"prompt": prompt}, context=Context(**settings, max_rounds=5))
    first = loop["attempts"][0]
    best = next(item for item in loop["attempts"] if item["id"] == loop["best"])
    several = await graph.ainvoke(
        {"prompt": prompt}, context=Context(**settings, max_rounds=1, candidates=5, skills="none")
    )
    chosen = next(item for item in several["attempts"] if item["id"] == several["best"])
    again = [{**first, "seed": first["seed"] + offset} for offset in range(5)]
    return {
        "as it is": truly_met(prompt, {**first, "prompt": prompt}),
        "five seeds": any(truly_met(prompt, item) for item in again),
        "one shot": truly_met(prompt, first),
        "best of 5": truly_met(prompt, chosen),
        "loop, 5 rounds": truly_met(prompt, best),
        "rounds": loop["attempts"][-1]["round"],
        "calls": sum(u["calls"] for role, u in loop["usage"].items() if role != "generator"),
        "accepted wrongly": loop["score"] == 1 and not truly_met(prompt, best),
    }


def part(prompts: list[str], seed: int, size: int) -> list[dict[str, Any]]:
    """Measures some prompts in a process of its own, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "GEMS_DATA_DIR": folder,
            "GEMS_MLLM": "sandbox",
            "GEMS_GENERATOR": "sandbox",
            "GEMS_EMBEDDINGS": "lexical",
        }

        async def all_of_them() -> list[dict[str, Any]]:
            return [await measure(prompt, seed, size) for prompt in prompts]

        return asyncio.run(all_of_them())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    began = time.perf_counter()
    prompts = prompts_of(options.prompts, options.seed)
    parts = [prompts[at :: options.processes] for at in range(options.processes)]
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(part, some, options.seed, options.size) for some in parts]
        rows = [row for job in jobs for row in job.result()]
    total = len(rows)
    print(f"Offline sandbox (a simulation), {total} prompts of 3 to 10 facts, seed {options.seed}")
    for way in ("as it is", "one shot", "five seeds", "best of 5", "loop, 5 rounds"):
        met = sum(row[way] for row in rows)
        print(f"{way:<16}fully met: {met:>4} of {total} = {met / total:.0%}")
    print(f"rounds of the loop, mean: {sum(row['rounds'] for row in rows) / total:.2f}")
    print(f"model calls of the loop, mean: {sum(row['calls'] for row in rows) / total:.1f}")
    print(f"accepted by the run but wrong: {sum(row['accepted wrongly'] for row in rows)}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
