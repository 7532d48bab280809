"""The strategies on the sandbox's own benchmark: `make bench`.

    python benchmarks/strategies.py [--prompts 120] [--strategies single,loop,gems] [--out FOLDER]

Every strategy is a `gems eval run sandbox` of its own, judged by the painter's truth after each
round; `gems eval report` prints the table and writes plots and a gallery. Offline, without a key.

The sandbox is a simulation: its generator errs by made-up rules, its chat model reads and writes by
rules, and the judge knows what was painted. What is measured is how the strategies work and what
they cost in calls and images, not how good any real model would be.

`--prompts N` takes N of the 400 prompts, the same number of each atomicity (120 by default). All
ten strategies take about 3.5 s of processor time a prompt: 4 minutes for 120 on two free cores.
Strategies run in processes of their own, as many at a time as there are cores. A folder can be gone
on with (`--resume`); otherwise it must be new, since figures of older code would be taken for new
ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from gems.evals.strategies import STRATEGIES
from gems.evals.tasks.sandbox import Sandbox

GEMS = [sys.executable, "-c", "from gems.app.cli import main; main()"]

LONGEST_FIRST = ("select", "gems+recall", "gems", "loop+memory", "loop+memory:raw", "loop")
"""Begun first, so that no core waits at the end for one of them."""


def stratified(lines: Sequence[str], count: int) -> list[str]:
    """Returns `count` lines, as many of each atomicity as the others up to one, in their order."""
    groups: dict[int, list[int]] = {}
    for number, line in enumerate(lines):
        groups.setdefault(json.loads(line)["atomicity"], []).append(number)
    chosen: list[int] = []
    for place in range(max(map(len, groups.values()))):
        chosen += [found[place] for _, found in sorted(groups.items()) if place < len(found)]
    return [lines[number] for number in sorted(chosen[:count])]


def own_environment(folder: Path) -> dict[str, str]:
    """Returns the environment of a run: nothing of this machine's settings, its own data folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GEMS_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_"))
    }
    # One thread for each process: there is one process for each core.
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return kept | threads | {
        "GEMS_DATA_DIR": str(folder),
        "GEMS_MLLM": "sandbox",
        "GEMS_GENERATOR": "sandbox",
        "GEMS_EMBEDDINGS": "lexical",
        # The same figures with and without the extra `ocr`: the sandbox's own eyes read its signs.
        "GEMS_EVIDENCE": "off",
    }  # fmt: skip


def run(strategy: str, out: Path, data: Path, options: argparse.Namespace) -> float:
    """Runs one strategy; returns its wall seconds.

    Raises:
        SystemExit: It failed; its log says why.
    """
    began = time.perf_counter()
    folder = out / folder_name(strategy)
    log = out / f"{folder_name(strategy)}.log"
    with log.open("a", encoding="utf-8") as file:
        done = subprocess.run(
            [
                *GEMS,
                *("eval", "run", "sandbox", "--data", data, "--out", folder),
                *("--strategy", strategy, "--seeds", options.seeds, "--judge-rounds"),
                *("--concurrency", str(options.concurrency)),
            ],
            env=own_environment(out / "data" / folder_name(strategy)),
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode not in (0, 3):
        raise SystemExit(f"{strategy} failed with exit code {done.returncode}; see {log}")
    seconds = time.perf_counter() - began
    print(f"{strategy}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return seconds


def folder_name(strategy: str) -> str:
    """Returns a strategy's name as a folder's on every system."""
    return strategy.replace(":", "-")


def main() -> None:
    """Runs the strategies and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prompts", type=int, default=120, help="of 400, by atomicity alike")
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="names with commas")
    parser.add_argument("--seeds", default="1", help="seeds with commas; a sample of each")
    parser.add_argument("--concurrency", type=int, default=8, help="prompts at a time, a process")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--baseline", default="", help="test against this one only")
    parser.add_argument("--out", type=Path, help="a new folder; default: below out/bench")
    parser.add_argument("--resume", action="store_true", help="go on with --out")
    options = parser.parse_args()

    names = [name.strip() for name in options.strategies.split(",")]
    unknown = sorted(set(names) - set(STRATEGIES))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; strategies: {', '.join(STRATEGIES)}")
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    out: Path = options.out or Path("out") / "bench" / stamp
    if out.exists() and any(out.iterdir()) and not options.resume:
        parser.error(f"{out} is not empty; name a new folder, or go on with it by --resume")
    out.mkdir(parents=True, exist_ok=True)

    shipped = Sandbox.default_data
    assert shipped is not None  # noqa: S101 - the sandbox ships its prompts
    data = shipped
    lines = shipped.read_text("utf-8").splitlines()
    if options.prompts < len(lines):
        data = out / "prompts.jsonl"
        data.write_text("\n".join(stratified(lines, options.prompts)) + "\n", "utf-8")

    count = min(options.prompts, len(lines))
    print(
        f"SIMULATION: {len(names)} strategies on {count} prompts of the sandbox, "
        f"{options.workers} processes, in {out}",
        file=sys.stderr,
        flush=True,
    )
    began = time.perf_counter()
    order = sorted(
        names, key=lambda name: LONGEST_FIRST.index(name) if name in LONGEST_FIRST else 99
    )
    with ThreadPoolExecutor(options.workers) as pool:
        list(pool.map(lambda name: run(name, out, data, options), order))
    print(
        f"All in {time.perf_counter() - began:.0f} s: Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, {platform.platform()}",
        file=sys.stderr,
        flush=True,
    )
    report = [*GEMS, "eval", "report", *(str(out / folder_name(name)) for name in names)]
    report += ["--out", str(out / "report")]
    report += ["--baseline", options.baseline] if options.baseline else []
    if find_spec("matplotlib") is None:
        print("No plots: pip install 'gems-graph[evals]' brings matplotlib.", file=sys.stderr)
        report.append("--no-plots")
    raise SystemExit(
        subprocess.run(report, env=own_environment(out / "data"), check=False).returncode
    )


if __name__ == "__main__":
    main()
