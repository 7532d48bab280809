"""The protocol that every image generator speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from PIL import Image

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all) from the event loop's thread while an image is made."""


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """What one call asks a generator for.

    Attributes:
        prompt: The positive prompt.
        seed: Seed of the first image; image `i` of a call uses `seed + i`.
        n: How many images, at least 1.
        negative_prompt: What to keep out; generators that have no such input ignore it.
        width: Pixels.
        height: Pixels.
        steps: Denoising steps; None takes the generator's own default.
        guidance: Guidance scale; None takes the generator's own default.
        references: Images to edit, best first; empty for text to image.
        progress: Told about steps where the generator can tell.
    """

    prompt: str
    seed: int
    n: int = 1
    negative_prompt: str = ""
    width: int = 1024
    height: int = 1024
    steps: int | None = None
    guidance: float | None = None
    references: tuple[Image.Image, ...] = ()
    progress: Progress | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class GeneratedImage:
    """One image with what was really used to make it.

    Attributes:
        image: The picture, RGB.
        seed: The seed that was used.
        parameters: Settings as used (steps, guidance, size, model …), plain JSON values.
        notices: Sentences for the user about what was not done as asked (a size rounded to the
            model's grid, a negative prompt that this model can't take, a thing it can't draw).
    """

    image: Image.Image
    seed: int
    parameters: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


@runtime_checkable
class ImageGenerator(Protocol):
    """Turns prompts into images; made once per process and shared by all runs.

    Attributes:
        name: The setting that selected it, without secrets, e.g. `openai:gpt-image-1`.
        can_edit: Whether `references` are honoured.
    """

    name: str
    can_edit: bool

    async def generate(self, request: GenerationRequest) -> list[GeneratedImage]:
        """Makes `request.n` images without blocking the event loop.

        Raises:
            GeneratorBusyError: Overloaded, rate limited or disconnected; may be tried again.
            GenerationRefusedError: Moderation refused the prompt.
            GenerationError: Any other failure, with what to do next in its hint.
        """
        ...

    async def aclose(self) -> None:
        """Frees connections and memory; the generator is not used afterwards."""
        ...
