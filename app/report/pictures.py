"""A report's images: small copies inside the file, or why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from ...errors import ArtifactError
from ...memory.artifacts import artifact_store, sha256_of
from ...records import ImageRef
from ...show.page import data_url

SIDES = ((24, 384), (96, 256), (400, 160))
"""Up to how many images each has which longer side in pixels. Pure noise, which compresses worst,
was measured at 69 kB for 384 pixels, 26 kB for 256 and 7 kB for 160 as WebP, and a picture with
details of all sizes at 12, 7 and 4 kB: the file stays below 4 MB, whatever the images are."""

LARGE_SIDE = 768
"""Longer side of the best image, which stands at the top."""

_GONE = "No longer stored: this image was collected or deleted."
_FOREIGN = "Not shown: this image is not yours, or no longer stored."
_BEYOND = "Left out: the thread has too many images for one file."

Allowed = Callable[[str], Awaitable[bool]]
"""Says of a hash whether whoever gets the report may see that image."""


@dataclass(frozen=True)
class Picture:
    """An image as the report shows it.

    Attributes:
        src: A `data:` URL; empty when there is no image.
        width: Pixels of the original.
        height: Likewise.
        missing: Why there is no image; empty when there is one.
    """

    src: str
    width: int
    height: int
    missing: str = ""


async def pictures(images: Iterable[ImageRef], allowed: Allowed | None) -> dict[str, Picture]:
    """Returns small copies of images by their hash.

    Args:
        images: References, as a state has them; one that is malformed has no picture.
        allowed: Asked for each image; None allows all. A hash in a state is no permission: the
            state is a client's to write.
    """
    wanted = {image["sha256"]: image for image in images}
    side = next((side for number, side in SIDES if len(wanted) <= number), SIDES[-1][1])
    shown = list(wanted.values())[-SIDES[-1][0] :]  # the latest
    made = {
        sha256: Picture("", image["width"], image["height"], _BEYOND)
        for sha256, image in wanted.items()
    }
    # Decoding is work of the processor: a few at a time.
    limit = asyncio.Semaphore(4)

    async def make(image: ImageRef) -> None:
        async with limit:
            made[image["sha256"]] = await picture(image, side, allowed)

    await asyncio.gather(*map(make, shown))
    return made


async def picture(image: ImageRef, side: int, allowed: Allowed | None) -> Picture:
    """Returns a copy of one image whose longer side has at most `side` pixels."""
    try:
        if allowed is not None and not await allowed(sha256_of(image)):
            return Picture("", image["width"], image["height"], _FOREIGN)
        data = await artifact_store().thumbnail(image, max_side=side, format="WEBP")
    except ArtifactError:
        missing = _GONE if allowed is None else _FOREIGN
        return Picture("", image["width"], image["height"], missing)
    return Picture(data_url(data, "image/webp"), image["width"], image["height"])
