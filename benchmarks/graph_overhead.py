"""What the graph itself costs: CPU time of a 5-round run with instant models.

    PYTHONPATH=tests python benchmarks/graph_overhead.py [--runs 20]

Ten requirements, one candidate, nothing accepted: 5 generations and 60 model calls a run. The
models answer at once, so what is measured is LangGraph, our nodes, the PNG encoding of a 64-pixel
image, and the checkpointer. The rows are interleaved in one process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

RUNS = 20


async def main(runs: int, folder: Path) -> None:
    from scripted import Script, ScriptedChat, TinyGenerator

    from gems.graph.build import build_graph
    from gems.graph.context import Context
    from gems.memory.checkpoints import open_checkpointer
    from gems.models.chat import register_chat_model
    from gems.models.generators.registry import register_generator

    context = Context(mllm="scripted", generator="tiny", max_rounds=5, seed=1)
    requirements = [f"Is there a thing number {number}?" for number in range(10)]
    register_generator("tiny", TinyGenerator())

    async def one(saver: object, number: int) -> tuple[float, float]:
        script = Script(verdict=lambda question, round_: "no")
        register_chat_model("scripted", ScriptedChat(script=script))
        graph = build_graph(checkpointer=saver)  # type: ignore[arg-type]  # None or a saver
        cpu, wall = time.process_time(), time.perf_counter()
        result = await graph.ainvoke(
            {"prompt": "ten things", "requirements": requirements},
            {"configurable": {"thread_id": f"run-{number}"}},
            context=context,
        )
        spent = time.process_time() - cpu, time.perf_counter() - wall
        if len(result["attempts"]) != 5 or sum(script.calls.values()) != 59:
            raise SystemExit(f"not the run that was meant: {script.calls}")
        return spent

    rows: dict[str, list[tuple[float, float]]] = {"none": [], "memory:": [], "sqlite": []}
    async with (
        open_checkpointer("memory:") as memory,
        open_checkpointer(f"sqlite:///{folder}/checkpoints.sqlite") as sqlite,
    ):
        savers = {"none": None, "memory:": memory, "sqlite": sqlite}
        for number in range(runs + 1):
            for name, saver in savers.items():
                spent = await one(saver, number)
                if number:  # the first run of each imports and compiles
                    rows[name].append(spent)
    base = statistics.median(cpu for cpu, _ in rows["none"])
    print(f"{'checkpointer':<14}{'CPU ms':>8}{'ratio':>8}{'wall ms':>9}   (median of {runs})")
    for name, spent in rows.items():
        cpu = statistics.median(item[0] for item in spent)
        wall = statistics.median(item[1] for item in spent)
        print(f"{name:<14}{cpu * 1e3:>8.0f}{cpu / base:>8.2f}{wall * 1e3:>9.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["GEMS_DATA_DIR"] = name
        asyncio.run(main(arguments.runs, Path(name)))
