"""What is known about OpenAI's image models by their names; other models are taken as they come."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_FIXED_SIZES = ((1024, 1024), (1536, 1024), (1024, 1536))
"""What gpt-image-1, -1-mini, -1.5 and chatgpt-image-latest draw (OpenAI's API reference)."""


@dataclass(frozen=True)
class ImageModel:
    """What is known about a model from its name.

    Attributes:
        hosted: One of OpenAI's own: no seed, steps, guidance or negative prompt.
        sizes: The only sizes it draws; empty for any.
        grid: Both sides must be multiples of this.
        ratio: The longest side over the shortest, at most; 0 for any.
        longest: Pixels of the longest side, at most; 0 for any.
        pixels: Pixels of the image, at most; 0 for any.
        asks_b64: Whether it takes `response_format`.
    """

    hosted: bool = False
    sizes: tuple[tuple[int, int], ...] = ()
    grid: int = 1
    ratio: int = 0
    longest: int = 0
    pixels: int = 0
    asks_b64: bool = True


def image_model(name: str) -> ImageModel:
    """Returns what is known about a model (OpenAI's API reference, images/generate, `size`)."""
    version = re.match(r"gpt-image-(\d+(?:\.\d+)?)", name)
    if version and float(version[1]) >= 2:
        return ImageModel(
            hosted=True, grid=16, ratio=3, longest=3840, pixels=3840 * 2160, asks_b64=False
        )
    if version or name.startswith("chatgpt-image"):
        return ImageModel(hosted=True, sizes=_FIXED_SIZES, asks_b64=False)
    return ImageModel()


def drawn_size(model: ImageModel, width: int, height: int) -> tuple[int, int]:
    """Returns the size nearest to the one wished that the model draws."""
    if model.sizes:
        # By aspect ratio: a wide picture must stay wide, whatever its pixel count.
        return min(model.sizes, key=lambda size: abs(size[0] * height - size[1] * width) / size[1])
    scale = 1.0
    if model.longest:
        scale = min(scale, model.longest / max(width, height))
    if model.pixels:
        scale = min(scale, math.sqrt(model.pixels / (width * height)))
    width, height = (
        max(model.grid, int(side * scale) // model.grid * model.grid) for side in (width, height)
    )
    if model.ratio:  # last: a multiple of the grid times a whole ratio is on the grid again
        width, height = min(width, height * model.ratio), min(height, width * model.ratio)
    return width, height
