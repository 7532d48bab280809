"""Provenance: the text chunks that let an image say how it was made."""

from __future__ import annotations

import json

from ..models.generators.base import GeneratedImage, GenerationRequest


def png_text(
    request: GenerationRequest, made: GeneratedImage, *, generator: str, thread: str, attempt: str
) -> dict[str, str]:
    """Returns PNG text chunks: `parameters` as image tools write it, and `gems` as JSON.

    `parameters` is the de-facto convention of Stable Diffusion tools: the prompt, a line
    `Negative prompt: …`, and a line of comma-separated settings.
    """
    width, height = made.image.size
    settings = {
        "Steps": made.parameters.get("steps", request.steps),
        "CFG scale": made.parameters.get("guidance", request.guidance),
        "Seed": made.seed,
        "Size": f"{width}x{height}",
        "Model": generator,
    }
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(
        ", ".join(f"{name}: {value}" for name, value in settings.items() if value is not None)
    )
    record = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": made.seed,
        "generator": generator,
        "parameters": made.parameters,
        "thread": thread,
        "attempt": attempt,
    }
    return {"parameters": "\n".join(lines), "gems": json.dumps(record, ensure_ascii=False)}
