"""Screenshots compared with stored ones, within a tolerance.

Another version of Chromium or of a font draws the edges of letters a little differently; a broken
layout moves whole blocks. So the images are compared coarsely: shrunk by `GRAIN`, where a letter's
edge is averaged away, and only strong differences count.

`GEMS_RECORD_SCREENSHOTS=1` stores what is seen in place of comparing.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

RECORD = bool(os.environ.get("GEMS_RECORD_SCREENSHOTS"))
"""Read when the tests are collected: each test runs without the environment's GEMS_ variables."""

STORED = Path(__file__).with_name("screenshots")

GRAIN = 4
"""Pixels of a side that become one."""

STRONG = 32
"""Difference of a shrunk pixel, 0..255 in its strongest channel, from which on it counts."""

SHARE = 0.02
"""Share of differing pixels, over the whole, up to which two screenshots are the same: a page full
of text that is drawn a pixel lower stays below it, text that is set six pixels further does not."""

TILE, TILE_SHARE = 8, 0.4
"""Side of a tile in shrunk pixels, and the share of it that may differ: a button that is gone is
little of a long page, but all of its own place."""

TALLER = 0.02
"""Relative difference of height up to which a page is still the same page."""


@dataclass(frozen=True)
class Difference:
    """How two screenshots differ.

    Attributes:
        share: Share of shrunk pixels that differ strongly, 0..1; 1 when the sizes differ.
        worst: The same of the tile that differs most.
        said: In words, with the sizes.
        picture: White where they differ; None when the sizes do.
    """

    share: float
    worst: float
    said: str
    picture: Image.Image | None = None

    @property
    def tolerable(self) -> bool:
        """Whether both may be called the same."""
        return self.share <= SHARE and self.worst <= TILE_SHARE


def difference(seen: Image.Image, stored: Image.Image) -> Difference:
    """Returns how two screenshots differ; a small difference of height is cut off."""
    if seen.width != stored.width or abs(seen.height - stored.height) > TALLER * stored.height:
        return Difference(1.0, 1.0, f"it is {seen.size} pixels, the stored one {stored.size}")
    size = (seen.width, min(seen.height, stored.height))
    small = (max(1, size[0] // GRAIN), max(1, size[1] // GRAIN))
    first, second = (
        image.convert("RGB").crop((0, 0, *size)).resize(small, Image.Resampling.BOX)
        for image in (seen, stored)
    )
    bands = ImageChops.difference(first, second).split()
    strongest = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    marked = strongest.point(lambda value: 255 if value >= STRONG else 0)
    share = marked.histogram()[255] / (small[0] * small[1])
    tiles = (max(1, small[0] // TILE), max(1, small[1] // TILE))
    worst = np.asarray(marked.resize(tiles, Image.Resampling.BOX)).max() / 255
    said = (
        f"{share:.2%} of it differs (allowed {SHARE:.2%}), "
        f"{worst:.0%} of the worst place (allowed {TILE_SHARE:.0%})"
    )
    return Difference(share, worst, said, marked)


def compare(png: bytes, name: str, scratch: Path) -> None:
    """Compares a screenshot with the stored one of that name, or stores it.

    Args:
        png: The screenshot.
        name: Of the file in `screenshots/`, without its ending.
        scratch: Where the screenshot and the difference go when they differ.

    Raises:
        AssertionError: They differ, or none is stored; it names the files.
    """
    kept = STORED / f"{name}.webp"
    seen = Image.open(io.BytesIO(png))
    if RECORD:
        STORED.mkdir(exist_ok=True)
        seen.convert("RGB").save(kept, lossless=True, method=4)
        return
    actual = scratch / f"{name}.png"
    actual.write_bytes(png)
    again = "GEMS_RECORD_SCREENSHOTS=1 stores what is seen"
    if not kept.exists():
        raise AssertionError(f"no screenshot {kept} is stored ({again}); seen: {actual}")
    with Image.open(kept) as stored:
        found = difference(seen, stored)
    if found.tolerable:
        return
    where = f"seen: {actual}, stored: {kept}"
    if found.picture is not None:
        marked = scratch / f"{name}.difference.png"
        found.picture.save(marked)
        where += f", difference: {marked}"
    raise AssertionError(f"{name} looks different: {found.said}; {where} ({again})")
