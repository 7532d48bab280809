"""Named regions of an image: the nine cells of its thirds, whole rows and columns, its border."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS = {"top": 0, "center": 1, "bottom": 2}
_COLUMNS = {"left": 0, "center": 1, "right": 2}

BACKGROUND = 0.06
"""Width of the border that stands for the background, as a fraction of the shorter side: thin
enough that a centred subject rarely reaches it."""

REGIONS: tuple[str, ...] = (
    "whole",
    "background",
    "top",
    "bottom",
    "left",
    "right",
    "center",
    *(f"{row} {column}" for row in ("top", "bottom") for column in _COLUMNS),
    "center left",
    "center right",
)
"""What a region may be called. "top" is the whole upper third, "top center" its middle cell."""

_SAME = {"centre": "center", "middle": "center", "upper": "top", "lower": "bottom"}
_WHOLE = {"image": "whole", "whole image": "whole", "everywhere": "whole", "border": "background"}


def region_name(given: str) -> str:
    """Returns the region's name as in `REGIONS`.

    Raises:
        ValueError: There is no such region.
    """
    words = given.casefold().replace("-", " ").replace("_", " ").split()
    name = " ".join(_SAME.get(word, word) for word in words if word != "the")
    name = _WHOLE.get(name, name)
    first, _, second = name.partition(" ")
    if second in _ROWS and first in ("left", "right"):  # "left top", "left center"
        name = f"{second} {first}"
    if name in ("center center", ""):
        name = "center" if name else given
    if name not in REGIONS:
        raise ValueError(f"there is no region {given[:40]!r}; there are {', '.join(REGIONS)}")
    return name


def pixels_in(region: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the pixels of a region, shape (n, 3).

    Args:
        region: A name of `REGIONS`.
        image: Shape (height, width, 3), at least 3 by 3 pixels.
    """
    height, width = image.shape[:2]
    if region == "whole":
        return image.reshape(-1, 3)
    if region == "background":
        import numpy as np

        band = max(1, round(BACKGROUND * min(height, width)))
        mask = np.ones((height, width), dtype=bool)
        mask[band : height - band, band : width - band] = False
        framed: NDArray[np.uint8] = image[mask]
        return framed
    words = region.split()
    rows, columns = slice(None), slice(None)
    if region == "center":
        rows, columns = _third(1, height), _third(1, width)
    elif len(words) == 2:
        rows, columns = _third(_ROWS[words[0]], height), _third(_COLUMNS[words[1]], width)
    elif region in ("left", "right"):
        columns = _third(_COLUMNS[region], width)
    else:
        rows = _third(_ROWS[region], height)
    return image[rows, columns].reshape(-1, 3)


def _third(index: int, length: int) -> slice:
    return slice(length * index // 3, max(length * (index + 1) // 3, length * index // 3 + 1))


def as_array(image: Any, longest: int) -> NDArray[np.uint8]:
    """Returns the picture's pixels, scaled down so that no side is longer than `longest`.

    Args:
        image: A PIL image in mode RGB.
        longest: Pixels.
    """
    import numpy as np

    if max(image.size) > longest:
        factor = longest / max(image.size)
        size = tuple(max(3, round(side * factor)) for side in image.size)
        image = image.resize(size, 4)  # 4: Image.Resampling.BOX, the mean of what falls together
    return np.asarray(image, dtype=np.uint8)
