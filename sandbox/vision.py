"""The eyes: says what a picture shows, from its pixels alone.

Background by the border's most frequent colour, objects as connected regions that differ from
it, kinds by comparing each region with every shape's silhouette, colours by the nearest name,
sizes by extent, and the sign by reading its letters. Works on any image; what it doesn't know
is called "unknown". Metadata is never looked at.
"""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image

from ..errors import ArtifactError
from .layout import CROWDING, EXTENTS
from .lettering import read
from .painter import BOARD, CHALK
from .scene import COLORS, OBJECT_KINDS, SIZES
from .shapes import draw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .scene import Direction

    Pixels = NDArray[np.int16]
    Mask = NDArray[np.bool_]
    Floats = NDArray[np.float32]

UNKNOWN = "unknown"
"""The kind of a region that resembles no shape."""

Box = tuple[int, int, int, int]

_LONGEST_SIDE = 2048
_WORKING_SIDE = 512
"""The shorter side that pictures are scaled to; enough for the smallest objects."""
_MOST_ENLARGED = 2.0
"""Small pictures are enlarged by no more than this: it smooths edges, but adds nothing else."""
_CONTRAST = 45
"""RGB distance from the background that makes a pixel part of an object. Above a shadow's,
below half of the least distance between two named colours."""
_EDGE = 0.42
"""Part of a region's own contrast that its pixels must have. The painter's outlines and details
have more."""
_CERTAIN_COLOR = 42
"""RGB distance within which a pixel votes for a colour; shades of one colour may be nearer to
the name of another one, but not this near."""
_LIKENESS = 0.75
"""Least likeness (soft intersection over union) with a silhouette that counts as that shape."""
_SMALLEST = 0.03
"""Regions shorter than this part of the picture's shorter side, or thinner than a third of it,
are specks."""
_MOST_REGIONS = 128
"""Largest regions that are looked at; a painted picture has at most 32."""
_TEMPLATE = 32


@dataclass(frozen=True)
class Thing:
    """One object seen.

    Attributes:
        kind: One of `scene.OBJECT_KINDS`, or "unknown".
        color: One of `scene.COLORS`.
        size: One of `scene.SIZES`.
        box: Left, top, right, bottom in pixels of the image looked at; right and bottom are
            exclusive.
        confidence: Likeness with the kind's silhouette, 0..1.
    """

    kind: str
    color: str
    size: str
    box: Box
    confidence: float


@dataclass(frozen=True)
class Percept:
    """What a picture shows.

    Attributes:
        background: One of `scene.COLORS`.
        sign: The sign's text in capitals, "?" for unreadable letters; "" without a sign.
        things: The objects from top to bottom, then left to right.
    """

    background: str
    sign: str
    things: tuple[Thing, ...]


def stands(subject: Sequence[Thing], direction: Direction, other: Sequence[Thing]) -> bool:
    """Say whether some things stand in a direction from others, by their whole extents.

    Args:
        subject: The things that a relation is about.
        direction: "left of", "right of", "above" or "below".
        other: The things that they are compared with.

    Returns:
        True when every subject lies beyond every other thing in that direction; False when
        it doesn't or when either side is empty.
    """
    if not subject or not other:
        return False
    if direction in ("right of", "below"):
        subject, other = other, subject
    axis = 0 if direction in ("left of", "right of") else 1
    return max(thing.box[axis + 2] for thing in subject) <= min(thing.box[axis] for thing in other)


@lru_cache(maxsize=1)
def _color_table() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """For every colour of 5 bits a channel: the nearest name, and whether it is near."""
    import numpy as np

    steps = np.arange(32, dtype=np.int32) * 8 + 4
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)[..., None, :]
    named = np.array(list(COLORS.values()), dtype=np.int32)
    distance = ((grid - named) ** 2).sum(-1)
    near = distance.min(-1) <= _CERTAIN_COLOR**2
    return distance.argmin(-1).astype(np.uint8).ravel(), near.ravel()


@lru_cache(maxsize=1)
def _templates() -> Floats:
    """Every kind's silhouette, normalised, shape (kinds, pixels)."""
    import numpy as np

    masks = [np.asarray(draw(kind, 96).outline, dtype=np.float32) / 255 for kind in OBJECT_KINDS]
    return np.stack([_normalise(mask) for mask in masks])


def _normalise(mask: NDArray[np.floating]) -> Floats:
    """Scale a cropped silhouette so that its longer side fills the template, centred; flat."""
    import numpy as np

    high, wide = mask.shape
    scale = _TEMPLATE / max(high, wide)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    scaled = Image.fromarray((mask * 255).astype(np.uint8)).resize(size, method)
    canvas = np.zeros((_TEMPLATE, _TEMPLATE), dtype=np.float32)
    left, top = (_TEMPLATE - size[0]) // 2, (_TEMPLATE - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = np.asarray(scaled, dtype=np.float32) / 255
    return canvas.ravel()


def _flatten(image: Image.Image) -> Image.Image:
    """An RGB copy without metadata, transparency over white, of a sane size."""
    if image.width > _LONGEST_SIDE or image.height > _LONGEST_SIDE:
        scale = _LONGEST_SIDE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    else:
        size = image.size
    if image.mode == "RGB":
        plain = image.copy()
    elif image.mode in ("I", "F") or image.mode.startswith("I;"):
        # These hold numbers of any range: stretch what is there to 0..255.
        import numpy as np

        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
        low, spread = float(values.min()), float(values.max() - values.min())
        scaled = (values - low) * (255 / spread) if spread else np.clip(values, 0, 255)
        plain = Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    else:
        layered = image.convert("RGBA")
        plain = Image.new("RGB", layered.size, (255, 255, 255))
        plain.paste(layered, (0, 0), layered.getchannel("A"))
    plain.info = {}
    return plain if plain.size == size else plain.resize(size, Image.Resampling.BOX)


def _background(pixels: Pixels) -> NDArray[np.int16]:
    """The most frequent colour along the border."""
    import numpy as np

    high, wide, _ = pixels.shape
    edge = max(1, min(high, wide) // 50)
    border = np.concatenate(
        [
            strip.reshape(-1, 3)
            for strip in (pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:])
        ]
    )
    coarse = border >> 4
    codes = (coarse[:, 0] << 8) | (coarse[:, 1] << 4) | coarse[:, 2]
    mode = int(np.bincount(codes, minlength=4096).argmax())
    seed = border[codes == mode].mean(0)
    # A flat colour may lie on the border of two coarse cells: average over its neighbourhood.
    near = np.abs(border - seed).max(1) <= 20
    color: NDArray[np.int16] = border[near].mean(0).round().astype(np.int16)
    return color


def _distance(pixels: Pixels, color: Sequence[int] | NDArray[np.int16]) -> NDArray[np.int32]:
    """Squared RGB distance of every pixel from a colour."""
    import numpy as np

    delta = (pixels - np.asarray(color, dtype=np.int16)).astype(np.int32)
    squares: NDArray[np.int32] = np.einsum("...i,...i->...", delta, delta)
    return squares


def _find_board(pixels: Pixels) -> tuple[slice, slice] | None:
    """The sign board's rows and columns, or None when there is none."""
    import numpy as np
    from scipy import ndimage

    high, wide, _ = pixels.shape
    unit = min(high, wide)
    band = pixels[: max(1, round(0.25 * unit))]
    wooden = _distance(band, BOARD) <= 34**2
    # The chalk line parts the board into a frame and a field: grow both until they meet.
    labels, found = ndimage.label(ndimage.binary_dilation(wooden, iterations=max(1, unit // 120)))
    if not found:
        return None
    labels[~wooden] = 0
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    rows, columns = np.nonzero(labels == int(sizes.argmax()))
    # The ropes are part of the region: the board is where rows are wide.
    row_widths = np.bincount(rows, minlength=band.shape[0])
    full = np.nonzero(row_widths > 0.3 * row_widths.max())[0]
    top, bottom = int(full[0]), int(full[-1]) + 1
    inside = (rows >= top) & (rows < bottom)
    left, right = int(columns[inside].min()), int(columns[inside].max()) + 1
    covered = inside.sum() / ((bottom - top) * (right - left))
    if not 0.07 * unit < bottom - top < 0.17 * unit or right - left < 0.2 * unit or covered < 0.35:
        return None
    return slice(top, bottom), slice(left, right)


def _read_board(image: Image.Image, board: tuple[slice, slice], scale: float) -> str:
    """Read the text within the board's rim, from the image in full size."""
    import numpy as np

    rows, columns = board
    side, rim = 0.2 * (rows.stop - rows.start), 0.135 * (rows.stop - rows.start)
    crop = image.crop(
        (
            int((columns.start + side) / scale),
            int((rows.start + rim) / scale),
            int((columns.stop - side) / scale),
            int((rows.stop - rim) / scale),
        )
    )
    if min(crop.size) < 2:
        return ""
    factor = max(1.0, 56 / crop.height)
    if factor > 1:
        crop = crop.resize(
            (round(crop.width * factor), round(crop.height * factor)), Image.Resampling.BICUBIC
        )
    # Brightness only: lossy formats keep it at full resolution and colour at half.
    palette = Image.new("RGB", (2, 1), BOARD)
    palette.putpixel((1, 0), CHALK)
    wood, chalk = np.asarray(palette.convert("L"), dtype=np.float32)[0]
    ink = (np.asarray(crop.convert("L"), dtype=np.float32) - wood) / (chalk - wood)
    return read(np.clip(ink, 0, 1))


def _size_of(extent: float) -> str:
    """Name an extent (in units of the shorter side) by the middle between the painter's sizes."""
    for smaller, larger in (("small", "medium"), ("medium", "large")):
        if extent < (EXTENTS[smaller] * EXTENTS[larger] * min(CROWDING)) ** 0.5:
            return smaller
    return SIZES[-1]


def _sharpen(
    box: tuple[slice, slice], labels: NDArray[np.integer], label: int, distance: NDArray[np.int32]
) -> tuple[slice, slice, Mask]:
    """A region without the blurred seam around it: its rows, columns and mask.

    An edge lies where the difference from the background has risen to about half of what it is
    inside, not where it first shows.
    """
    import numpy as np

    rows, columns = box
    mask = labels[rows, columns] == label
    inside = distance[rows, columns]
    mask &= inside > _EDGE**2 * float(np.median(inside[mask]))
    down, across = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    top, left = int(down[0]), int(across[0])
    mask = mask[top : int(down[-1]) + 1, left : int(across[-1]) + 1]
    return (
        slice(rows.start + top, rows.start + top + mask.shape[0]),
        slice(columns.start + left, columns.start + left + mask.shape[1]),
        mask,
    )


def _things(
    pixels: Pixels, background: NDArray[np.int16], board: tuple[slice, slice] | None
) -> Iterator[Thing]:
    """The objects, boxes in pixels of the working image."""
    import numpy as np
    from scipy import ndimage

    unit = min(pixels.shape[:2])
    distance = _distance(pixels, background)
    differs = distance > _CONTRAST**2
    if board is not None:
        rows, columns = board
        pad = round(0.025 * unit)
        differs[: rows.stop + pad, max(0, columns.start - pad) : columns.stop + pad] = False
    labels, found = ndimage.label(differs)
    if not found:
        return
    areas = np.bincount(labels.ravel(), minlength=found + 1)
    areas[0] = 0
    boxes = ndimage.find_objects(labels)
    largest = np.argsort(areas)[::-1][:_MOST_REGIONS]
    names = list(COLORS)
    table, near = _color_table()
    for label in largest.tolist():
        if label == 0 or areas[label] < 9 or boxes[label - 1] is None:
            continue
        rows, columns, mask = _sharpen(boxes[label - 1], labels, label, distance)
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        extent = max(high, wide) / unit
        if extent < _SMALLEST or min(high, wide) < 0.3 * _SMALLEST * unit:
            continue
        shape = _normalise(mask.astype(np.float32))
        templates = _templates()
        likeness = np.minimum(shape, templates).sum(1) / np.maximum(shape, templates).sum(1)
        best = int(likeness.argmax())
        inside = pixels[rows, columns][mask].astype(np.int32) >> 3
        codes = (inside[:, 0] << 10) | (inside[:, 1] << 5) | inside[:, 2]
        voters = codes[near[codes]]
        votes = np.bincount(table[voters if len(voters) else codes], minlength=len(names))
        yield Thing(
            OBJECT_KINDS[best] if likeness[best] >= _LIKENESS else UNKNOWN,
            names[int(votes.argmax())],
            _size_of(extent),
            (columns.start, rows.start, columns.stop, rows.stop),
            round(float(likeness[best]), 4),
        )


def look(image: Image.Image) -> Percept:
    """Look at a picture.

    Args:
        image: Any image, of any mode and size (above 2048 pixels it is scaled down first).

    Returns:
        What it shows. Every image gets an answer; one without a flat background and known
        shapes gets "unknown" things or none.
    """
    import numpy as np

    plain = _flatten(image)
    if 0 in plain.size:
        return Percept("white", "", ())
    scale = min(_MOST_ENLARGED, _WORKING_SIDE / min(plain.size))
    working = plain.resize(
        (max(1, round(plain.width * scale)), max(1, round(plain.height * scale))),
        Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC,
    )
    pixels = np.asarray(working).astype(np.int16)
    background = _background(pixels)
    table, _ = _color_table()
    red, green, blue = (int(value) >> 3 for value in background)
    name = list(COLORS)[int(table[(red << 10) | (green << 5) | blue])]
    if min(plain.size) < 16:
        return Percept(name, "", ())
    board = _find_board(pixels)
    sign = _read_board(plain, board, scale) if board is not None else ""
    # An image that had to be flattened to 2048 pixels still gets boxes in its own pixels.
    across, down = image.width / working.width, image.height / working.height
    things = []
    for thing in _things(pixels, background, board if sign else None):
        left, top, right, bottom = thing.box
        box = (round(left * across), round(top * down), round(right * across), round(bottom * down))
        things.append(Thing(thing.kind, thing.color, thing.size, box, thing.confidence))
    things.sort(key=lambda thing: (thing.box[1], thing.box[0]))
    return Percept(name, sign, tuple(things))


_MAX_PIXELS = 64_000_000
"""Larger images are refused before they are decoded."""

_REMEMBERED = 128
"""Percepts kept by `look_bytes`; each is a few kilobytes."""

_percepts: OrderedDict[str, Future[Percept]] = OrderedDict()
_percepts_lock = threading.Lock()


def look_bytes(data: bytes) -> Percept:
    """Look at an encoded picture; the same bytes are decoded and looked at only once.

    Safe to call from several threads: a round's questions come all at once, and all but the first
    wait for what it sees. Keeps the SHA-256 of the bytes, not the bytes.

    Args:
        data: PNG, JPEG, WebP or any other format that Pillow reads.

    Returns:
        What it shows, as `look` does.

    Raises:
        ArtifactError: The bytes are no readable image, or it has more than 64 million pixels.
    """
    key = hashlib.sha256(data).hexdigest()
    with _percepts_lock:
        percept = _percepts.get(key)
        first = percept is None
        if percept is None:
            percept = _percepts[key] = Future()
        _percepts.move_to_end(key)
        while len(_percepts) > _REMEMBERED:
            _percepts.popitem(last=False)
    if first:
        try:
            percept.set_result(look(_decode(data)))
        except BaseException as error:
            percept.set_exception(error)
            with _percepts_lock:
                _percepts.pop(key, None)
            raise
    return percept.result()


def _decode(data: bytes) -> Image.Image:
    hint = "Give the bytes of a PNG, JPEG or WebP image."
    try:
        with warnings.catch_warnings():
            # Pillow warns of decompression bombs; the limit below refuses them.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
            if image.width * image.height > _MAX_PIXELS:
                raise ArtifactError(
                    f"The image has {image.width}x{image.height} pixels, too many to look at.",
                    hint="Scale it down below 64 million pixels.",
                )
            image.load()
    except ArtifactError:
        raise
    except Image.DecompressionBombError as error:
        raise ArtifactError("The image has too many pixels to look at.", hint=hint) from error
    # Pillow's decoders raise many kinds of errors on damaged files, SyntaxError among them.
    except Exception as error:
        raise ArtifactError("The bytes are not a readable image.", hint=hint) from error
    return image
