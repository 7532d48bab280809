"""Images per second against batch size, for a diffusers pipeline on the device at hand.

    python benchmarks/diffusers_batching.py                       # a tiny random-weight pipeline
    python benchmarks/diffusers_batching.py --model Tongyi-MAI/Z-Image-Turbo --size 1024

For each batch size, as many concurrent one-image requests as the largest batch size go through the
generator, as the trajectories of the graph send them. With the tiny pipeline the batch sizes take
turns within each round, so that a busy moment of the machine hits all of them; of a large model one
copy is loaded at a time. Printed: the median of the rounds, its spread, the ratio to batch size 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from gems.models.generators.base import GenerationRequest
from gems.models.generators.diffusers_local import DiffusersGenerator, create
from gems.settings import Settings

SIZES = (1, 2, 4, 8)
TINY = ("z_image", "stable_diffusion", "qwen_image", "flux2_klein")


async def measure(
    generators: dict[int, DiffusersGenerator], side: int, steps: int | None, rounds: int
) -> dict[int, list[float]]:
    """Returns images per second of each round, by batch size."""
    images = max(SIZES)
    rates: dict[int, list[float]] = {size: [] for size in generators}
    for number in range(-1, rounds):  # the first round loads and warms up
        for size, generator in generators.items():
            requests = [
                GenerationRequest(
                    prompt=f"picture {i} of a red cube left of a blue ball",
                    seed=i,
                    width=side,
                    height=side,
                    steps=steps,
                )
                for i in range(images)
            ]
            before = generator.stats
            start = time.perf_counter()
            made = await asyncio.gather(*(generator.generate(r) for r in requests))
            seconds = time.perf_counter() - start
            calls = generator.stats.batches - before.batches
            if number < 0:
                continue
            if calls != images // size:
                raise SystemExit(f"batch size {size}: {calls} calls for {len(made)} images")
            rates[size].append(len(made) / seconds)
    return rates


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="folder or repo id; default: a tiny pipeline")
    parser.add_argument("--tiny", choices=TINY, default="z_image")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None, help="CPU threads for torch")
    arguments = parser.parse_args()

    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        model = arguments.model
        if model is None:
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
            sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
            import tiny_pipelines

            model = str(getattr(tiny_pipelines, arguments.tiny)(Path(temporary) / "tiny"))

        def generator(size: int) -> DiffusersGenerator:
            return create(model, Settings(diffusers_batch_size=size, diffusers_batch_wait_ms=20))

        # Tiny pipelines fit side by side; of a large model one copy at a time.
        groups = [SIZES] if arguments.model is None else [(size,) for size in SIZES]
        rates: dict[int, list[float]] = {}
        for group in groups:
            generators = {size: generator(size) for size in group}
            rates |= await measure(generators, arguments.size, arguments.steps, arguments.rounds)
            for made in generators.values():
                await made.aclose()
    base = statistics.median(rates[1])
    kind = f"tiny random-weight {arguments.tiny}" if arguments.model is None else arguments.model
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"{kind}, {arguments.size}x{arguments.size}, {device}, {torch.get_num_threads()} threads")
    print(f"{'batch':>5} {'images/s':>9} {'lowest':>8} {'highest':>8} {'ratio':>6}")
    for size, values in rates.items():
        middle = statistics.median(values)
        print(
            f"{size:>5} {middle:>9.2f} {min(values):>8.2f} {max(values):>8.2f} "
            f"{middle / base:>6.2f}"
        )


if __name__ == "__main__":
    asyncio.run(main())
