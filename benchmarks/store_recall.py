"""Latency of the experience store: one put and one search, embedded and over a Chroma server.

    python benchmarks/store_recall.py [--items 100 10000] [--embeddings lexical]

Prints medians and 95th percentiles in milliseconds. The lessons are spread over ten users; a
search asks for one user's, as `recall` does. "filter" adds a condition that Chroma can't check.
"""

from __future__ import annotations

import argparse
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from langgraph.store.base import PutOp

from gems.memory.experiences import EMBEDDED_FIELDS, namespace
from gems.memory.store import ChromaStore
from gems.models.embeddings import load_embeddings

COLORS = ["red", "green", "blue", "yellow", "purple", "orange", "white", "black", "brown", "pink"]
THINGS = [
    "cube",
    "ball",
    "cone",
    "cat",
    "dog",
    "apple",
    "lamp",
    "boat",
    "tower",
    "bicycle",
    "chair",
    "bottle",
]
PLACES = ["table", "sofa", "beach", "street", "garden", "shelf", "roof", "field", "bridge", "floor"]


def lesson(number: int, rng: random.Random) -> dict[str, object]:
    first, second = rng.sample(THINGS, 2)
    return {
        "id": str(number),
        "task": f"{rng.randint(2, 9)} {rng.choice(COLORS)} {first}s and a {rng.choice(COLORS)} "
        f"{second} on a {rng.choice(PLACES)}",
        "kinds": ["count"],
        "failed": "One object too few was drawn, and two of them were fused into one shape.",
        "remedy": "Write the number as a digit and give every object its own short sentence.",
        "skill": "",
        "gain": rng.random(),
        "count": 1,
        "uses": 0,
        "wins": 0,
    }


@contextmanager
def server(folder: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chroma = Path(sys.executable).with_name("chroma")
    process = subprocess.Popen(
        [chroma, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=1)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def measure(call: Callable[[int], object], times: int) -> str:
    call(0)
    taken = []
    for i in range(1, times + 1):
        begun = time.perf_counter()
        call(i)
        taken.append((time.perf_counter() - begun) * 1000)
    return f"{statistics.median(taken):7.1f} {statistics.quantiles(taken, n=20)[-1]:7.1f}"


def run(mode: str, location: str, items: int, embeddings: str) -> None:
    rng = random.Random(0)
    index = {"embed": load_embeddings(embeddings), "fields": list(EMBEDDED_FIELDS)}
    home = [namespace(f"user{i}", "sandbox") for i in range(10)]
    lessons = [lesson(i, rng) for i in range(items + 100)]
    # Vectors are made beforehand: this measures the store, not the model.
    index["embed"].embed_documents([str(one["task"]) for one in lessons[-100:]])
    with ChromaStore(location, index=index) as store:
        begun = time.perf_counter()
        for start in range(0, items, 500):
            page = lessons[start : min(start + 500, items)]
            store.batch(PutOp(home[i % 10], str(one["id"]), one) for i, one in enumerate(page))
        filled = time.perf_counter() - begun
        fresh = lessons[-60:]
        results = {
            "put": measure(lambda i: store.put(home[i % 10], f"n{i}", fresh[i]), 50),
            "get": measure(lambda i: store.get(home[i % 10], f"n{i % 50}"), 50),
            "search": measure(
                lambda i: store.search(home[i % 10], query=str(fresh[i]["task"]), limit=12), 50
            ),
            "search all": measure(lambda i: store.search((), query=str(fresh[i]["task"])), 50),
            "filter": measure(
                lambda i: store.search(
                    home[i % 10], query=str(fresh[i]["task"]), filter={"kinds": ["count"]}
                ),
                50,
            ),
            "list": measure(lambda i: store.search(home[i % 10], limit=20, offset=i % 10), 50),
            "namespaces": measure(lambda _: store.list_namespaces(), 5),
        }
    print(f"{mode:9} {items:6} filled in {filled:.1f} s")
    for name, figures in results.items():
        print(f"    {name:11} {figures}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--embeddings", default="minilm")
    arguments = parser.parse_args()
    print("milliseconds:   median     p95")
    for items in arguments.items:
        with tempfile.TemporaryDirectory() as folder:
            run("embedded", folder, items, arguments.embeddings)
        with tempfile.TemporaryDirectory() as folder, server(folder) as address:
            run("server", address, items, arguments.embeddings)


if __name__ == "__main__":
    main()
