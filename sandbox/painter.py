"""The painter: draws a scene as a clean picture, the same bytes for the same scene and seed."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFilter

from ..errors import GenerationError
from .layout import arrange, check
from .lettering import ALPHABET, MAX_LETTERS, write
from .scene import COLORS
from .shapes import draw

if TYPE_CHECKING:
    from .scene import Scene

MIN_SIDE = 256
"""Pixels; below this small objects have too few pixels to be told apart."""

MAX_SIDE = 2048
"""Pixels; above this a picture costs time and memory and shows nothing more."""

BOARD = (22, 60, 72)
"""The sign board's colour: near none of `COLORS`, so that it can't be taken for an object."""

CHALK = (255, 246, 222)
"""The colour of the sign's letters and rim."""

_SHADOW = 0.075
"""How much a shadow darkens the background; little enough to stay the same colour by name."""

RGB = tuple[int, int, int]


def _mix(color: RGB, other: RGB, share: float) -> RGB:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


@lru_cache(maxsize=256)
def _shades(color: str, background: str) -> tuple[RGB, RGB]:
    """A lighter and a darker shade of a colour, neither of them close to the background."""
    base, ground = COLORS[color], COLORS[background]

    def visible(candidates: list[RGB]) -> RGB:
        def distance(shade: RGB) -> int:
            return sum((a - b) ** 2 for a, b in zip(shade, ground, strict=True))

        return next((shade for shade in candidates if distance(shade) > 80**2), base)

    white, black = (255, 255, 255), (0, 0, 0)
    if color == "black":  # Nothing is darker, so its shades are both lighter.
        return (
            visible([_mix(base, white, 0.32), _mix(base, white, 0.45)]),
            visible([_mix(base, white, 0.2), _mix(base, white, 0.1)]),
        )
    if color == "white":
        return (
            visible([_mix(base, black, 0.07), _mix(base, black, 0.14)]),
            visible([_mix(base, black, 0.2), _mix(base, black, 0.12)]),
        )
    return (
        visible([_mix(base, white, 0.32), _mix(base, white, 0.18), _mix(base, white, 0.45)]),
        visible([_mix(base, black, 0.26), _mix(base, black, 0.15), _mix(base, black, 0.4)]),
    )


def sign_text(scene: Scene) -> str:
    """The sign's text as it is written: capitals, single spaces.

    Raises:
        GenerationError: The text is too long or has letters that the painter can't write.
    """
    text = " ".join(scene.sign.upper().split())
    if len(text) > MAX_LETTERS:
        raise GenerationError(
            f"The sign's text has {len(text)} letters; the painter writes at most {MAX_LETTERS}.",
            hint="Shorten the text.",
        )
    strange = sorted(set(text) - set(ALPHABET) - {" "})
    if strange:
        raise GenerationError(
            f"The painter can't write {' '.join(strange)!r} on a sign.",
            hint="Use the letters A-Z, the digits 0-9 and spaces.",
        )
    return text


def _paint_sign(picture: Image.Image, text: str, unit: int) -> None:
    """Hang a board with the text from the picture's top edge."""
    size = round(0.105 * unit)
    room = 0.84 * min(picture.width, 2 * unit)
    line = write(text, size)
    if line.width > room:
        size = int(size * room / line.width)
        line = write(text, size)
    high = round(0.118 * unit)
    wide = max(line.width + round(0.09 * unit), round(0.3 * unit))
    left, top = (picture.width - wide) // 2, round(0.034 * unit)
    scale = 4
    board = Image.new("L", (wide * scale, high * scale), 0)
    rim = Image.new("L", board.size, 0)
    radius, edge = 0.018 * unit * scale, max(1, round(0.011 * unit * scale))
    corner = (board.width - 1, board.height - 1)
    ImageDraw.Draw(board).rounded_rectangle(((0, 0), corner), radius, fill=255)
    ImageDraw.Draw(rim).rounded_rectangle(
        ((edge, edge), (corner[0] - edge, corner[1] - edge)),
        radius - edge * 0.6,
        outline=255,
        width=max(scale, round(0.004 * unit * scale)),
    )
    pen = ImageDraw.Draw(picture)
    for share in (0.14, 0.86):
        rope = left + round(wide * share)
        pen.rectangle((rope - round(0.003 * unit), 0, rope + round(0.003 * unit), top + 1), BOARD)
    picture.paste(BOARD, (left, top), board.reduce(scale))
    picture.paste(CHALK, (left, top), rim.reduce(scale))
    middle = (left + (wide - line.width) // 2, top + (high - line.height) // 2)
    picture.paste(CHALK, middle, line)


def _backdrop(background: str, width: int, height: int) -> Image.Image:
    """The background, lit a little from the top."""
    base = COLORS[background]
    bottom = _mix(base, (0, 0, 0), 0.04)
    fade = Image.linear_gradient("L").resize((width, height))
    return Image.composite(
        Image.new("RGB", (width, height), bottom), Image.new("RGB", (width, height), base), fade
    )


def paint(scene: Scene, seed: int, width: int = 768, height: int = 768) -> Image.Image:
    """Draw a scene.

    Objects never overlap, and a group that is left of another one lies left of it with its
    whole extent (likewise right of, above and below). The same arguments give the same pixels.

    Args:
        scene: What to draw.
        seed: Varies places and, slightly, sizes.
        width: In pixels, `MIN_SIDE` to `MAX_SIDE`.
        height: In pixels, `MIN_SIDE` to `MAX_SIDE`.

    Returns:
        An RGB image without metadata.

    Raises:
        GenerationError: The scene can't be painted; the message says why and what to change.
    """
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise GenerationError(
            f"The painter can't paint {width}x{height} pixels.",
            hint=f"Use {MIN_SIDE} to {MAX_SIDE} pixels on each side.",
        )
    check(scene)
    text = sign_text(scene)
    unit = min(width, height)
    # A string seeds `random` the same way on every machine, and all its bits count.
    rng = random.Random(f"painter {seed}")  # noqa: S311 - places, not secrets
    places = arrange(scene, rng, width / unit, height / unit)
    picture = _backdrop(scene.background, width, height)

    drawn = []
    shadows = Image.new("L", (width, height), 0)
    for place in places:
        drawing = draw(scene.groups[place.group].kind, max(4, round(place.extent * unit)))
        left = round(place.x * unit - drawing.fill.width / 2)
        top = round(place.y * unit - drawing.fill.height / 2)
        drawn.append((place, drawing, left, top))
        drop = round(0.07 * place.extent * unit)
        soft = drawing.outline.point(lambda value: round(value * _SHADOW))
        shadows.paste(soft, (left + drop // 2, top + drop), drawing.outline)
    shadows = shadows.filter(ImageFilter.GaussianBlur(0.007 * unit))
    picture.paste((0, 0, 0), (0, 0), shadows)

    for place, drawing, left, top in drawn:
        group = scene.groups[place.group]
        light, dark = _shades(group.color, scene.background)
        picture.paste(dark, (left, top), drawing.outline)
        picture.paste(COLORS[group.color], (left, top), drawing.fill)
        picture.paste(dark, (left, top), drawing.dark)
        picture.paste(light, (left, top), drawing.light)
    if text:
        _paint_sign(picture, text, unit)
    return picture
