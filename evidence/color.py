"""Evidence on colour: which share of a region has a named colour."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from .base import Finding, Picture, cannot_tell
from .regions import REGIONS, as_array, pixels_in, region_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLES: dict[str, str] = {
    "red": "ff0000 dc143c b22222 8b0000 cd5c5c a52a2a d62828 e63946",
    "orange": "ffa500 ff8c00 ff7f50 ff6347 f58220 e8751a",
    "yellow": "ffff00 ffd700 fad428 fffacd f0e68c ffef99 e6c229",
    "green": "008000 00ff00 228b22 32cd32 006400 2ca040 90ee90 3cb371 556b2f 9acd32 adff2f 98fb98",
    "cyan": "00ffff 40e0d0 00ced1 20b2aa 008080 afeeee",
    "blue": "0000ff 000080 1e90ff 4169e1 2654c8 87ceeb add8e6 191970 4682b4 6495ed b0d0f0",
    "purple": "800080 8a2be2 9370db 4b0082 8038a8 9932cc ff00ff ba55d3",
    "pink": "ffc0cb ff69b4 ff1493 f482b4 ffb6c1 db7093 ffe4e9",
    "brown": "8b4513 a0522d 7e4c28 5c4033 654321 d2691e 3d2314 b8860b c19a6b",
    "beige": "f5f5dc f5deb3 d2b48c faebd7 ffe4c4 eedcb3",
    "black": "000000 181818 262626 0d0d14 1a120e",
    "white": "ffffff fcfcfc f5f5f5 ebebeb fffff0 f8f8ff f0f8ff",
    "gray": "404040 4d4d4d 5a5a5a 696969 808080 868686 949494 a9a9a9 b4b4b4 c0c0c0 d3d3d3 "
    "dcdcdc 708090",
}
"""Examples of each colour name as sRGB: the basic colour terms of English (Berlin and Kay, 1969)
with cyan and beige, each with the CSS colours (CSS Color 4, section 6.1) that people file there."""

_SAME = {
    "grey": "gray",
    "silver": "gray",
    "violet": "purple",
    "magenta": "purple",
    "turquoise": "cyan",
    "teal": "cyan",
    "navy": "blue",
    "gold": "yellow",
    "golden": "yellow",
    "crimson": "red",
    "cream": "beige",
    "tan": "beige",
}

LONGEST_SIDE = 256
"""Pixels an image is scaled down to: shares of a region change by less than a percent, and noise
between neighbouring pixels is averaged as the eye does."""


class ColorParameters(BaseModel):
    """What the tool is asked.

    Attributes:
        color: A basic colour name.
        region: Where: the thirds of the image ("top left", "center", "right"), "background" (its
            border) or "whole".
        min_share: Share of the region's pixels, 0..1, from which the answer is yes.
        no_below: Share below which it is no; in between the tool can't tell. Half of `min_share`
            unless given.
    """

    model_config = ConfigDict(extra="forbid", str_max_length=60)

    color: str
    region: str = "whole"
    min_share: float = Field(0.5, gt=0, le=1)
    no_below: float | None = Field(None, ge=0, le=1)

    @field_validator("color")
    @classmethod
    def _known_color(cls, value: str) -> str:
        return color_name(value)

    @field_validator("region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        return region_name(value)


def color_name(given: str) -> str:
    """Returns the basic colour name for a name.

    Raises:
        ValueError: There is no such colour.
    """
    name = given.strip().casefold()
    name = _SAME.get(name, name)
    if name not in SAMPLES:
        raise ValueError(f"there is no colour {given[:40]!r}; there are {', '.join(SAMPLES)}")
    return name


class ColorTool:
    """Names each pixel of a region by the nearest sample in OKLab, and counts."""

    name = "color"
    measures = "the share of a named region that has a named colour"
    parameters = ColorParameters

    def missing(self) -> str:
        """Returns an empty string: NumPy and Pillow are always there."""
        return ""

    def measure(self, picture: Picture, parameters: ColorParameters) -> Finding:
        """Returns yes from `min_share` on, no below `no_below`, and the shares it saw."""
        shares = color_shares(picture, parameters.region)
        share = shares.get(parameters.color, 0.0)
        most = max(shares, key=lambda name: shares[name])
        where = "the image" if parameters.region == "whole" else f"the {parameters.region}"
        fact = f"{share:.0%} of {where} is {parameters.color}"
        if most != parameters.color:
            fact += f", {shares[most]:.0%} is {most}"
        low = parameters.min_share / 2 if parameters.no_below is None else parameters.no_below
        if share >= parameters.min_share:
            return Finding("yes", f"{fact}.", 1.0)
        if share < min(low, parameters.min_share):
            return Finding("no", f"{fact}.", 1.0)
        return cannot_tell(f"{fact}: between yes and no.")


def color_shares(picture: Picture, region: str) -> dict[str, float]:
    """Returns the share of each colour in a region; names with none are left out.

    Args:
        picture: The image.
        region: A name of `regions.REGIONS`.

    Returns:
        Shares 0..1 that add up to 1, by basic colour name.
    """
    import numpy as np

    pixels = pixels_in(region, as_array(picture.rgb, LONGEST_SIDE))
    samples, owners, names = _samples()
    seen, counts = np.unique(pixels, axis=0, return_counts=True)
    lab = oklab(seen)
    distance = ((lab[:, None, :] - samples[None, :, :]) ** 2).sum(2)
    owner = owners[distance.argmin(1)]
    totals = np.bincount(owner, weights=counts, minlength=len(names)) / counts.sum()
    return {name: float(total) for name, total in zip(names, totals, strict=True) if total}


def oklab(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns sRGB pixels, shape (n, 3), in OKLab, where distances are about as they are seen.

    Source: B. Ottosson, "A perceptual color space for image processing", 2020.
    """
    import numpy as np

    value = pixels.astype(np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    lab: NDArray[np.float64] = np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )
    return lab


@lru_cache(maxsize=1)
def _samples() -> tuple[NDArray[np.float64], NDArray[np.intp], tuple[str, ...]]:
    """All samples in OKLab, the index of the name each belongs to, and the names."""
    import numpy as np

    names = tuple(SAMPLES)
    rows = [
        (bytes.fromhex(code), index)
        for index, codes in enumerate(SAMPLES.values())
        for code in codes.split()
    ]
    values = np.array([list(row) for row, _ in rows], dtype=np.uint8)
    return oklab(values), np.array([index for _, index in rows], dtype=np.intp), names


__all__ = [
    "REGIONS",
    "SAMPLES",
    "ColorParameters",
    "ColorTool",
    "color_name",
    "color_shares",
    "oklab",
]
