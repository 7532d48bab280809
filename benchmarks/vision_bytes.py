"""Bytes of images that one run sends to its chat models: the stored PNG each time, and ours.

A run as the paper has it: five rounds, ten requirements, one candidate. Each round the verifier
asks ten questions about the image and the refiner sees the latest one. Counted on the wire, by a
real HTTP server on loopback that takes the requests.

Run with `PYTHONPATH=tests python benchmarks/vision_bytes.py`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import time

import numpy as np
from langchain_core.messages import BaseMessage, HumanMessage
from PIL import Image
from servers.openai_server import OpenAIServer

from gems.models import chat
from gems.models.vision import image_block
from gems.records import ImageRef
from gems.settings import get_settings

ROUNDS, REQUIREMENTS = 5, 10


def noisy_gradient(seed: int, side: int = 1024) -> bytes:
    """A picture that compresses about as a generated photo does: smooth light, fine grain."""
    random = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    waves = np.sin(across * (4 + seed) + down * 3) * 50
    light = np.stack([across * 200 + waves, down * 180 + 30, (across + down) * 90 + waves], axis=-1)
    grain = random.normal(0, 4, (side, side, 1)) + random.normal(0, 1.5, (side, side, 3))
    out = io.BytesIO()
    Image.fromarray(np.clip(light + grain, 0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


async def one_run(stored: list[bytes]) -> tuple[float, int]:
    """Makes the calls of a run; returns the seconds and how often a stored image was read."""
    refs = [
        ImageRef(
            uri="memory://",
            sha256=hashlib.sha256(data).hexdigest(),
            mime="image/png",
            width=1024,
            height=1024,
            size=len(data),
        )
        for data in stored
    ]
    by_hash = dict(zip((ref["sha256"] for ref in refs), stored, strict=True))
    reads = 0

    async def load(ref: ImageRef) -> bytes:
        nonlocal reads
        reads += 1
        return by_hash[ref["sha256"]]

    async def ask(ref: ImageRef, text: str) -> None:
        messages: list[BaseMessage] = [
            HumanMessage([image_block(ref, "the image"), {"type": "text", "text": text}])
        ]
        await chat.complete("openai:counted", messages, {}, load)

    began = time.perf_counter()
    for ref in refs:
        await asyncio.gather(*(ask(ref, f"Is requirement {n} met?") for n in range(REQUIREMENTS)))
        await ask(ref, "Write a better prompt.")
    return time.perf_counter() - began, reads


def main() -> None:
    """Prints one JSON object with the figures."""
    stored = [noisy_gradient(seed) for seed in range(ROUNDS)]
    figures: dict[str, object] = {
        "image uploads": ROUNDS * (REQUIREMENTS + 1),
        "PNG each time, bytes": sum(
            (REQUIREMENTS + 1) * len(base64.b64encode(data)) for data in stored
        ),
        "one PNG, bytes": round(sum(map(len, stored)) / ROUNDS),
    }
    for kind, side in (("jpeg", 1024), ("webp", 1024), ("jpeg", 768)):
        with OpenAIServer() as server:
            os.environ["GEMS_MLLM_BASE_URL"] = server.url
            os.environ["GEMS_VISION_FORMAT"] = kind
            os.environ["GEMS_VISION_MAX_SIDE"] = str(side)
            get_settings.cache_clear()
            chat.forget_chat_models()
            seconds, reads = asyncio.run(one_run(stored))
            sent = sum(len(request.images) for request in server.requests)
            images = sum(
                len(base64.b64encode(image))
                for request in server.requests
                for image in request.images
            )
            figures[f"ours, {kind} {side}"] = {
                "image bytes": images,
                "request bytes": sum(request.size for request in server.requests),
                "uploads": sent,
                "reads of the store": reads,
                "seconds": round(seconds, 2),
            }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
