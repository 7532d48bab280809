"""Editing as refinement: which image may be edited, and when a new one is due."""

from __future__ import annotations

import asyncio

from ..graph.context import Context
from ..graph.state import State
from ..models.generators.registry import image_generator
from ..records import Attempt

EDITS_OF_ONE_IMAGE = 2
"""Rounds of edits, of each other or side by side, that start from one generated image. Edits
degrade: colour noise, zoom, and collapse after three are reported for Qwen-Image-Edit."""


async def editable(best: Attempt | None, state: State, context: Context) -> Attempt | None:
    """Returns the attempt whose image may be edited in the next round; None for a new image."""
    if best is None or context.refine_by == "prompt":
        return None
    if edits_behind(best, state["attempts"]) >= EDITS_OF_ONE_IMAGE:
        return None
    generator = await asyncio.to_thread(image_generator, context.image_generator())
    return best if generator.can_edit else None


def edits_behind(attempt: Attempt, attempts: list[Attempt]) -> int:
    """Returns in how many rounds the generated image behind an attempt has been edited."""
    by_id = {item["id"]: item for item in attempts}

    def origin(item: Attempt) -> str:
        while item["edited_from"] in by_id:
            item = by_id[item["edited_from"]]
        return item["id"]

    ours = origin(attempt)
    rounds = {
        (item["turn"], item["round"])
        for item in attempts
        if item["edited_from"] and origin(item) == ours
    }
    return len(rounds)


def whole_prompt(best: Attempt | None, state: State) -> str:
    """Returns the prompt to use again with another seed: the best one that describes an image."""
    if best is None or best["edited_from"]:
        return state["prompt"]
    return best["prompt"]
