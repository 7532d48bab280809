"""The paper's ablation in the sandbox: what the refiner remembers of earlier rounds.

`none`: only the last round; `raw`: every attempt with the thought behind it, as it was;
`experiences`: every attempt with the summarizer's compressed experiences (the paper's memory). For
each, the tokens of text that the refiner is sent in each round (the sandbox's estimate, four
characters each; no images are shown), and what came out by the painter's truth.

The sandbox is a simulation. Its refiner works from the attempts' facts and does not read thoughts
or experiences, so `raw` and `experiences` cannot differ in score here; and its thoughts are two
sentences, where a reasoning model's run to thousands of tokens, so what compression saves is not to
be seen here either. What is measured: what the trajectory is worth against the last round alone,
and how the context grows.

Run: `python benchmarks/trajectory_ablation.py [--prompts 60] [--rounds 8] [--seed 1]`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from loop_gain import prompts_of, share_met

ARMS = ("none", "raw", "experiences")


async def measure(prompt: str, arm: str, options: argparse.Namespace) -> dict[str, Any]:
    """Returns one run: tokens to the refiner by round, calls, and the painter's truth."""
    from gems.graph.build import build_graph
    from gems.graph.context import Context

    context = Context(
        seed=options.seed,
        width=options.size,
        height=options.size,
        max_rounds=options.rounds,
        memory="off",
        verification="joint",
        history_images="none",
        trajectory=arm,  # type: ignore[arg-type]  # one of ARMS
    )
    tokens: list[float] = []
    result: dict[str, Any] = {}
    async for mode, event in build_graph().astream(
        {"prompt": prompt}, context=context, stream_mode=["updates", "values"]
    ):
        if mode == "values":
            result = event
        elif "refiner" in event:
            spent = event["refiner"]["usage"]["refiner"]
            tokens.append(spent["input_tokens"] / spent["calls"])
    best = next(item for item in result["attempts"] if item["id"] == result["best"])
    return {
        "arm": arm,
        "tokens": tokens,
        "score": share_met(prompt, best),
        "rounds": result["attempts"][-1]["round"],
        "calls": sum(u["calls"] for role, u in result["usage"].items() if role != "generator"),
        "spent": sum(
            u["input_tokens"] for role, u in result["usage"].items() if role != "generator"
        ),
    }


def part(prompts: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures some prompts in a process of its own, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "GEMS_DATA_DIR": folder,
            "GEMS_MLLM": "sandbox",
            "GEMS_GENERATOR": "sandbox",
            "GEMS_EMBEDDINGS": "lexical",
        }

        async def all_of_them() -> list[dict[str, Any]]:
            return [await measure(prompt, arm, options) for prompt in prompts for arm in ARMS]

        return asyncio.run(all_of_them())


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    began = time.perf_counter()
    prompts = prompts_of(options.prompts, options.seed)
    parts = [prompts[at :: options.processes] for at in range(options.processes)]
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(part, some, options) for some in parts]
        rows = [row for job in jobs for row in job.result()]
    print(
        f"Offline sandbox (a simulation): {options.prompts} prompts of 3 to 10 facts, at most "
        f"{options.rounds} rounds, seed {options.seed}"
    )
    head = "".join(f"{'round ' + str(n):>9}" for n in range(2, options.rounds + 1))
    print(f"{'tokens to the refiner':<22}{head}")
    for arm in ARMS:
        runs = [row for row in rows if row["arm"] == arm]
        cells = []
        for at in range(options.rounds - 1):
            sent = [run["tokens"][at] for run in runs if len(run["tokens"]) > at]
            cells.append(f"{statistics.fmean(sent):>9.0f}" if sent else f"{'-':>9}")
        print(f"{arm:<22}{''.join(cells)}")
    print(
        f"{'':<14}{'score':>8}{'fully met':>11}{'rounds':>8}{'calls':>7}{'tokens to all roles':>20}"
    )
    for arm in ARMS:
        runs = [row for row in rows if row["arm"] == arm]
        met = sum(run["score"] == 1 for run in runs)
        print(
            f"{arm:<14}{statistics.fmean(run['score'] for run in runs):>8.3f}"
            f"{f'{met} of {len(runs)}':>11}"
            f"{statistics.fmean(run['rounds'] for run in runs):>8.2f}"
            f"{statistics.fmean(run['calls'] for run in runs):>7.1f}"
            f"{statistics.fmean(run['spent'] for run in runs):>20.0f}"
        )
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
