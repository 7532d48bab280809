"""Writing and reading the sign: one font, capitals and digits, letters set apart.

Letters are drawn one by one with space between them, so that each is one connected region;
reading compares each region with every letter of the same font.
"""

from __future__ import annotations

import string
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatMap = NDArray[np.float32]

ALPHABET = string.ascii_uppercase + string.digits
"""What a sign can say, beside spaces."""

MAX_LETTERS = 12
"""A longer text would be too small to read once the picture is scaled down to 512 pixels."""

_TRACKING = 0.10
"""Space between letters, as a fraction of the font size (em)."""
_WORD_SPACE = 0.42
"""Width of a space, in em; well above any gap between two letters of a word."""
_BOLD = 0.028
"""Stroke added around the (regular) font's outlines, in em."""

_SUPERSAMPLING = 4

_TEMPLATE_HEIGHT = 24
_TEMPLATE_WIDTH = 40
_TEMPLATE_SIZES = (16, 24, 36, 64)
"""Font sizes in pixels of the letters that are compared with."""
_SURE_LETTER = 0.8
"""Least likeness with a letter; a region that has less is no letter."""


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ConfigurationError(
            "This Pillow was built without FreeType, so the sandbox can't write signs.",
            hint="Install Pillow from its wheel: pip install --force-reinstall pillow.",
        )
    return font


@lru_cache(maxsize=512)
def _glyph(letter: str, size: int) -> tuple[Image.Image, int]:
    """A letter as a mask cropped to its ink, and its ink's top on the line's canvas."""
    # Drawn larger and averaged down, so that the stroke has the same weight at every size.
    large = size * _SUPERSAMPLING
    canvas = Image.new("L", (large * 2, large * 2), 0)
    ImageDraw.Draw(canvas).text(
        (large // 2, large + large // 2),
        letter,
        font=_font(large),
        fill=255,
        anchor="ls",
        stroke_width=max(1, round(large * _BOLD)),
    )
    canvas = canvas.reduce(_SUPERSAMPLING)
    box = canvas.getbbox()
    if box is None:  # pragma: no cover - the bundled font has ink for the whole alphabet
        raise ConfigurationError(f"The bundled font has no glyph for {letter!r}.")
    return canvas.crop(box), box[1]


def write(text: str, size: int) -> Image.Image:
    """Draw a line of text.

    Args:
        text: Letters of `ALPHABET` and spaces.
        size: The font size (em) in pixels.

    Returns:
        A mask ("L", 0..255) cropped to the ink; 1x1 and empty for an empty text.
    """
    x, placed = 0.0, []
    for letter in text:
        if letter == " ":
            x += _WORD_SPACE * size
            continue
        glyph, top = _glyph(letter, size)
        placed.append((round(x), top, glyph))
        x += glyph.width + _TRACKING * size
    if not placed:
        return Image.new("L", (1, 1), 0)
    line = Image.new("L", (round(x) + size, size * 2), 0)
    for left, top, glyph in placed:
        line.paste(glyph, (left, top), glyph)
    return line.crop(line.getbbox())


def _normalise(ink: NDArray[np.floating]) -> FloatMap:
    """Scale a letter to the templates' height, keeping its proportions, centred; softened.

    Softening makes a stroke that is a pixel off count for little and a missing one for much.
    """
    import numpy as np
    from scipy import ndimage

    high, wide = ink.shape
    width = max(1, min(_TEMPLATE_WIDTH, round(wide * _TEMPLATE_HEIGHT / high)))
    scaled = Image.fromarray((ink * 255).astype(np.uint8)).resize(
        (width, _TEMPLATE_HEIGHT), Image.Resampling.BOX if high > 24 else Image.Resampling.BILINEAR
    )
    canvas = np.zeros((_TEMPLATE_HEIGHT, _TEMPLATE_WIDTH), dtype=np.float32)
    left = (_TEMPLATE_WIDTH - width) // 2
    canvas[:, left : left + width] = np.asarray(scaled, dtype=np.float32) / 255
    soft: FloatMap = ndimage.gaussian_filter(canvas, 1.0)
    return soft


@lru_cache(maxsize=1)
def _templates() -> FloatMap:
    """Every letter as it looks when written at every size of `_TEMPLATE_SIZES`, flat.

    Small letters lose details (the tail of a Q), so large ones alone would be misleading.
    """
    import numpy as np

    glyphs = []
    for size in _TEMPLATE_SIZES:
        for letter in ALPHABET:
            glyph = ImageOps.expand(_glyph(letter, size)[0], 2)
            scale = max(_TEMPLATE_SIZES) / size
            larger = glyph.resize(
                (round(glyph.width * scale), round(glyph.height * scale)), Image.Resampling.BICUBIC
            )
            box = larger.point(lambda value: 255 * (value > 127)).getbbox()
            glyphs.append(_normalise(np.asarray(larger.crop(box), dtype=np.float32) / 255))
    return np.stack(glyphs).reshape(len(glyphs), -1)


def read(ink: FloatMap) -> str:
    """Read a line of text.

    Args:
        ink: How much ink each pixel holds, 0..1, shape (height, width).

    Returns:
        The text; "?" for a region that looks like no letter; "" when there is no ink.
    """
    import numpy as np
    from scipy import ndimage

    labels, found = ndimage.label(ink > 0.5)
    if not found:
        return ""
    boxes = [
        (index, box)
        for index, box in enumerate(ndimage.find_objects(labels), start=1)
        if box is not None
    ]
    tallest = max(box[0].stop - box[0].start for _, box in boxes)
    # Specks from lossy compression are far lower than a letter.
    boxes = [item for item in boxes if item[1][0].stop - item[1][0].start >= 0.6 * tallest]
    if tallest < 5 or len(boxes) > 4 * MAX_LETTERS:
        return ""
    boxes.sort(key=lambda item: item[1][1].start)
    templates = _templates()
    text, last_right = "", None
    for index, box in boxes:
        grown = ndimage.binary_dilation(labels[box] == index)
        letter = _normalise(np.where(grown, ink[box], 0).astype(np.float32)).ravel()
        # 1 for equal, 0 for disjoint letters.
        likeness = 2 * (templates @ letter) / ((templates**2).sum(1) + letter @ letter)
        best = int(likeness.argmax())
        if last_right is not None and box[1].start - last_right > 0.42 * tallest:
            text += " "
        text += ALPHABET[best % len(ALPHABET)] if likeness[best] >= _SURE_LETTER else "?"
        last_right = box[1].stop
    return text
