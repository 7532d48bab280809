"""How much the checkpointer holds after so many rounds and turns, and what pruning leaves.

Run: ``python benchmarks/checkpoint_growth.py [--rounds 1 5 20] [--turns 30]``. Everything is the
real graph on the sandbox; the prompt asks for something that the sandbox can't draw, so every run
uses all its rounds. Sizes are bytes of serialized checkpoints and pending writes in SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPT = "three red balls to the left of a blue cube on a table"


async def measure(folder: Path, name: str, turns: int, rounds: int) -> None:
    from gems.graph.build import build_graph
    from gems.graph.context import Context
    from gems.memory.artifacts import artifact_store
    from gems.memory.checkpoints import open_checkpointer
    from gems.memory.retention import artifacts_of, get_thread, prune

    context = Context(max_rounds=rounds, width=256, height=256, seed=7)
    config = {"configurable": {"thread_id": name}, "recursion_limit": 20 + rounds * 30}
    path = folder / f"{name}.sqlite"
    async with open_checkpointer(f"sqlite:///{path}") as saver:
        graph = build_graph(checkpointer=saver)
        started = time.perf_counter()
        for turn in range(turns):
            prompt = PROMPT if turn == 0 else f"make the balls {'green' if turn % 2 else 'red'}"
            await graph.ainvoke({"prompt": prompt}, config, context=context)
        seconds = time.perf_counter() - started
        before = await get_thread(saver, name)
        images = await artifacts_of(saver, name)
        writes = await asyncio.to_thread(total, path, "writes", "value")
        state = await asyncio.to_thread(channels, path, saver)
        await prune(saver)
        after = await get_thread(saver, name)
    stored = {info.sha256: info.size for info in await artifact_store().list()}
    pictures = sum(stored.get(sha256, 0) for sha256 in images)
    print(
        f"{name:>9}  {before.checkpoints:>11}  {before.size:>9,}  {writes:>9,}  {after.size:>8,}"
        f"  {len(images):>6}  {pictures:>9,}  {seconds:>7.1f}"
    )
    largest = sorted(state.items(), key=lambda item: -item[1])[:4]
    print("           largest channels of the latest checkpoint:", end=" ")
    print(", ".join(f"{channel} {size:,}" for channel, size in largest))


def total(path: Path, table: str, column: str) -> int:
    with sqlite3.connect(path) as connection:
        row = connection.execute(f"SELECT sum(length({column})) FROM {table}").fetchone()  # noqa: S608 - constants
    connection.close()
    return int(row[0] or 0)


def channels(path: Path, saver: Any) -> dict[str, int]:
    with sqlite3.connect(path) as connection:
        row = connection.execute(
            "SELECT type, checkpoint FROM checkpoints WHERE checkpoint_ns = '' "
            "ORDER BY checkpoint_id DESC LIMIT 1"
        ).fetchone()
    connection.close()
    values = saver.serde.loads_typed(row)["channel_values"]
    return {name: len(saver.serde.dumps_typed(value)[1]) for name, value in values.items()}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, nargs="*", default=[1, 5, 20])
    parser.add_argument("--turns", type=int, nargs="*", default=[30])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"GEMS_DATA_DIR": name, "GEMS_MLLM": "sandbox", "GEMS_GENERATOR": "sandbox"}
        print(
            "   thread  checkpoints       bytes     writes    pruned  images       bytes  seconds"
        )
        for rounds in options.rounds:
            await measure(Path(name), f"rounds-{rounds}", 1, rounds)
        for turns in options.turns:
            await measure(Path(name), f"turns-{turns}", turns, 1)


if __name__ == "__main__":
    asyncio.run(main())
