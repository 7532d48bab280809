"""Evidence on the image as a whole: size, aspect, sharpness, brightness, whether it is blank."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .base import Finding, Picture
from .regions import as_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_SIDE = 512
"""Pixels an image is scaled down to before sharpness is measured, so that one threshold serves
all sizes: what is sharp at this size looks sharp when the whole image is looked at."""

BLANK = 0.985
"""Share of pixels of one colour from which an image counts as blank. A logo that fills a tenth of
each side leaves 0.99; a failed generation is one flat colour or nearly so."""

ASPECT_TOLERANCE = 0.02
"""Relative. Generators round sides to multiples of 8 to 64 pixels: 1.6 % at 1024 by 64."""


class PropertiesParameters(BaseModel):
    """What the image must have; all that are given must hold.

    Attributes:
        min_width: Pixels.
        min_height: Pixels.
        aspect: Width by height, as "16:9" or "1.5".
        min_sharpness: Of the sharpest ninth; see `Properties`.
        min_brightness: Mean luma, 0 (black) to 1 (white).
        max_brightness: Likewise.
        not_blank: Whether the image must show anything at all.
    """

    model_config = ConfigDict(extra="forbid", str_max_length=40)

    min_width: int | None = Field(None, ge=1, le=100_000)
    min_height: int | None = Field(None, ge=1, le=100_000)
    aspect: str | None = None
    min_sharpness: float | None = Field(None, gt=0, le=100_000)
    min_brightness: float | None = Field(None, ge=0, le=1)
    max_brightness: float | None = Field(None, ge=0, le=1)
    not_blank: bool = False

    @field_validator("aspect", mode="after")
    @classmethod
    def _readable_aspect(cls, value: str | None) -> str | None:
        if value is not None:
            aspect_ratio(value)
        return value

    @model_validator(mode="after")
    def _something(self) -> PropertiesParameters:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("at least one property must be asked for")
        return self


def aspect_ratio(given: str) -> float:
    """Returns width by height of "16:9", "16/9", "16x9" or "1.78".

    Raises:
        ValueError: It is none of these, or not between 0.05 and 20.
    """
    number = r"\s*(\d{1,5}(?:\.\d{1,6})?)\s*"
    match = re.fullmatch(f"{number}(?:[:/x]{number})?", given, re.ASCII)
    height = float(match[2] or 1) if match else 0.0
    ratio = float(match[1]) / height if match and height else 0.0
    if not 0.05 <= ratio <= 20:
        raise ValueError(f'an aspect is written "16:9" or "1.5", not {given[:40]!r}')
    return ratio


@dataclass(frozen=True)
class Properties:
    """What was measured.

    Attributes:
        width: Pixels.
        height: Pixels.
        sharpness: Variance of the Laplacian of the luma (0..255), at most 512 pixels a side
            (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000).
        sharpest: The same for the sharpest of the nine cells of its thirds: a picture with a
            blurred background is still sharp somewhere.
        brightness: Mean luma, 0..1.
        blank: Share of pixels of the commonest colour, near ones included.
    """

    width: int
    height: int
    sharpness: float
    sharpest: float
    brightness: float
    blank: float


def image_properties(picture: Picture) -> Properties:
    """Returns the properties of a picture."""
    import numpy as np

    image = as_array(picture.rgb, LONGEST_SIDE)
    luma = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    edges = _laplacian(luma)
    cells = [
        cell
        for rows in np.array_split(edges, 3, axis=0)
        for cell in np.array_split(rows, 3, axis=1)
        if cell.size
    ]
    width, height = picture.rgb.size
    return Properties(
        width=width,
        height=height,
        sharpness=float(edges.var()) if edges.size else 0.0,
        sharpest=max((float(cell.var()) for cell in cells), default=0.0),
        brightness=float(luma.mean()) / 255,
        blank=_blank_share(image),
    )


def _laplacian(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Laplacian of four neighbours, without the outermost pixels."""
    result: NDArray[np.float64] = (
        luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    )
    return result


def _blank_share(image: NDArray[np.uint8]) -> float:
    """Share of pixels whose channels are all within 8 of the commonest colour's mean."""
    import numpy as np

    pixels = image.reshape(-1, 3).astype(np.int32)
    coarse = pixels // 16
    keys = coarse[:, 0] * 256 + coarse[:, 1] * 16 + coarse[:, 2]
    commonest = np.bincount(keys).argmax()
    color = pixels[keys == commonest].mean(0)
    return float((np.abs(pixels - color).max(1) <= 8).mean())


class PropertiesTool:
    """Measures size, aspect, sharpness, brightness and blankness."""

    name = "properties"
    measures = "size, aspect, sharpness, brightness, and whether the image is blank"
    parameters = PropertiesParameters

    def missing(self) -> str:
        """Returns an empty string: NumPy and Pillow are always there."""
        return ""

    def measure(self, picture: Picture, parameters: PropertiesParameters) -> Finding:
        """Returns yes when all that is asked for holds, else no; the fact says what was seen."""
        seen = image_properties(picture)
        held: list[tuple[bool, str]] = []
        size = f"the image has {seen.width} x {seen.height} pixels"
        if parameters.min_width is not None:
            held.append((seen.width >= parameters.min_width, size))
        if parameters.min_height is not None:
            held.append((seen.height >= parameters.min_height, size))
        if parameters.aspect is not None:
            ratio, wanted = seen.width / seen.height, aspect_ratio(parameters.aspect)
            near = abs(ratio / wanted - 1) <= ASPECT_TOLERANCE
            held.append((near, f"its aspect is {ratio:.2f}, asked for is {wanted:.2f}"))
        if parameters.min_sharpness is not None:
            fact = f"its sharpest part has a sharpness of {seen.sharpest:.0f}"
            held.append((seen.sharpest >= parameters.min_sharpness, fact))
        bright = f"its mean brightness is {seen.brightness:.2f}"
        if parameters.min_brightness is not None:
            held.append((seen.brightness >= parameters.min_brightness, bright))
        if parameters.max_brightness is not None:
            held.append((seen.brightness <= parameters.max_brightness, bright))
        if parameters.not_blank:
            held.append((seen.blank < BLANK, f"{seen.blank:.0%} of it is one flat colour"))
        broken = [fact for good, fact in held if not good]
        told = "; ".join(dict.fromkeys(broken or [fact for _, fact in held]))
        return Finding("no" if broken else "yes", f"{told[:1].upper()}{told[1:]}.")
