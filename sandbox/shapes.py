"""What each kind of object looks like: one silhouette and a few details, as polygons.

The painter draws these shapes and the eyes compare what they see with the same silhouettes.
Coordinates: the unit square, x to the right, y down; a shape's longer side fills it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image, ImageChops, ImageDraw

Point = tuple[float, float]
Tone = Literal["fill", "cut", "light", "dark"]

STROKE = 0.028
"""Width of the outline as a fraction of the object's longer side."""

_SUPERSAMPLING = 4
"""Shapes are drawn this many times larger and averaged down, which smooths their edges."""


@dataclass(frozen=True)
class Layer:
    """One polygon of a shape.

    Attributes:
        tone: "fill" adds to the silhouette, "cut" takes away from it; "light" and "dark" are
            details inside it, in a lighter and a darker shade of the object's colour.
        points: The polygon's corners.
    """

    tone: Tone
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Drawing:
    """A rendered object: four masks of the same size ("L", 0..255), nothing coloured yet.

    Attributes:
        outline: The whole silhouette including its outline.
        fill: The silhouette without its outline.
        light: Lighter details.
        dark: Darker details.
    """

    outline: Image.Image
    fill: Image.Image
    light: Image.Image
    dark: Image.Image


def _ellipse(
    x: float, y: float, rx: float, ry: float, tilt: float = 0.0, corners: int = 72
) -> tuple[Point, ...]:
    cos, sin = math.cos(tilt), math.sin(tilt)
    points = []
    for index in range(corners):
        angle = 2 * math.pi * index / corners
        dx, dy = rx * math.cos(angle), ry * math.sin(angle)
        points.append((x + dx * cos - dy * sin, y + dx * sin + dy * cos))
    return tuple(points)


def _arc(x: float, y: float, radius: float, start: float, end: float) -> list[Point]:
    """Points on a circle from `start` to `end` degrees (0 is right, 90 is down)."""
    steps = max(2, int(abs(end - start) / 4))
    angles = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _box(left: float, top: float, right: float, bottom: float) -> tuple[Point, ...]:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def _rounded(
    left: float, top: float, right: float, bottom: float, radius: float
) -> tuple[Point, ...]:
    return tuple(
        _arc(right - radius, top + radius, radius, -90, 0)
        + _arc(right - radius, bottom - radius, radius, 0, 90)
        + _arc(left + radius, bottom - radius, radius, 90, 180)
        + _arc(left + radius, top + radius, radius, 180, 270)
    )


def _cube() -> tuple[Layer, ...]:
    deep = 0.25
    front = 1 - deep
    return (
        Layer("fill", ((0, deep), (deep, 0), (1, 0), (1, front), (front, 1), (0, 1))),
        Layer("light", ((0, deep), (deep, 0), (1, 0), (front, deep))),
        Layer("dark", ((front, deep), (1, 0), (1, front), (front, 1))),
    )


def _ball() -> tuple[Layer, ...]:
    shade = _arc(0.5, 0.5, 0.51, -43, 133) + _arc(0.43, 0.43, 0.51, 131, -41)
    return (
        Layer("fill", _ellipse(0.5, 0.5, 0.5, 0.5)),
        Layer("dark", tuple(shade)),
        Layer("light", _ellipse(0.32, 0.28, 0.13, 0.08, -0.7)),
    )


def _triangle() -> tuple[Layer, ...]:
    return (
        Layer("fill", ((0.5, 0), (1, 0.88), (0, 0.88))),
        Layer("light", ((0.5, 0.17), (0.33, 0.47), (0.41, 0.47), (0.54, 0.24))),
    )


def _star() -> tuple[Layer, ...]:
    def corner(index: int, radius: float) -> Point:
        angle = math.radians(-90 + 36 * index)
        return (0.5 + radius * math.cos(angle), 0.5 + radius * math.sin(angle))

    points = tuple(corner(index, 0.5 if index % 2 == 0 else 0.215) for index in range(10))
    shades = tuple(
        Layer("dark", (points[index], points[(index + 1) % 10], (0.5, 0.5)))
        for index in range(0, 10, 2)
    )
    return (Layer("fill", points), *shades)


def _heart() -> tuple[Layer, ...]:
    points = []
    for index in range(96):
        angle = 2 * math.pi * index / 96
        x = 16 * math.sin(angle) ** 3
        y = 13.5 * math.cos(angle) - 5 * math.cos(2 * angle) - 1.5 * math.cos(3 * angle)
        points.append((0.5 + x / 32, 0.42 - (y + 0.1 * math.cos(4 * angle)) / 32))
    return (Layer("fill", tuple(points)), Layer("light", _ellipse(0.25, 0.27, 0.11, 0.07, -0.8)))


def _ring() -> tuple[Layer, ...]:
    gloss = _arc(0.5, 0.5, 0.44, 195, 255) + _arc(0.5, 0.5, 0.38, 255, 195)
    return (
        Layer("fill", _ellipse(0.5, 0.5, 0.5, 0.5)),
        Layer("cut", _ellipse(0.5, 0.5, 0.27, 0.27)),
        Layer("light", tuple(gloss)),
    )


def _cross() -> tuple[Layer, ...]:
    a, b = 0.33, 0.67
    points = (
        *((a, 0), (b, 0), (b, a), (1, a), (1, b), (b, b)),
        *((b, 1), (a, 1), (a, b), (0, b), (0, a), (a, a)),
    )
    return (
        Layer("fill", points),
        Layer("light", _box(a + 0.07, 0.07, a + 0.13, a - 0.02)),
        Layer("light", _box(0.07, a + 0.07, a - 0.02, a + 0.13)),
    )


def _arrow() -> tuple[Layer, ...]:
    points = (
        *((0.0, 0.27), (0.5, 0.27), (0.5, 0.0), (1.0, 0.41)),
        *((0.5, 0.82), (0.5, 0.55), (0.0, 0.55)),
    )
    return (Layer("fill", points), Layer("light", _box(0.05, 0.32, 0.46, 0.37)))


def _crescent() -> tuple[Layer, ...]:
    # Where two circles cross: the outer one at the origin, the bite shifted by `shift`.
    radius, bite, shift = 0.5, 0.42, 0.24
    x = (radius**2 - bite**2 + shift**2) / (2 * shift)
    y = math.sqrt(radius**2 - x**2)
    outer, inner = math.degrees(math.atan2(y, x)), math.degrees(math.atan2(y, x - shift))
    points = _arc(0.5, 0.5, radius, outer, 360 - outer)
    points += _arc(0.5 + shift, 0.5, bite, 360 - inner, inner)
    gloss = _arc(0.5, 0.5, 0.44, 160, 215) + _arc(0.5, 0.5, 0.38, 215, 160)
    return (Layer("fill", tuple(points)), Layer("light", tuple(gloss)))


def _diamond() -> tuple[Layer, ...]:
    top, right, bottom, left = (0.39, 0.0), (0.78, 0.5), (0.39, 1.0), (0.0, 0.5)
    middle = (0.39, 0.5)
    return (
        Layer("fill", (top, right, bottom, left)),
        Layer("light", (top, left, middle)),
        Layer("dark", (right, bottom, middle)),
    )


def _hexagon() -> tuple[Layer, ...]:
    points = tuple(
        (0.5 + 0.5 * math.cos(math.radians(60 * i)), 0.5 + 0.5 * math.sin(math.radians(60 * i)))
        for i in range(6)
    )
    inner = tuple((0.5 + (x - 0.5) * 0.72, 0.5 + (y - 0.5) * 0.72) for x, y in points)
    rim = (points[0], points[1], points[2], inner[2], inner[1], inner[0])
    gloss = (points[3], points[4], inner[4], inner[3])
    return (Layer("fill", points), Layer("dark", rim), Layer("light", gloss))


def _cloud() -> tuple[Layer, ...]:
    return (
        Layer("fill", _rounded(0.04, 0.34, 0.96, 0.62, 0.13)),
        Layer("fill", _ellipse(0.19, 0.43, 0.19, 0.19)),
        Layer("fill", _ellipse(0.43, 0.27, 0.26, 0.27)),
        Layer("fill", _ellipse(0.70, 0.34, 0.20, 0.21)),
        Layer("fill", _ellipse(0.83, 0.45, 0.17, 0.17)),
        Layer("light", _ellipse(0.35, 0.16, 0.10, 0.06, -0.5)),
    )


def _house() -> tuple[Layer, ...]:
    return (
        Layer("fill", _box(0.12, 0.44, 0.88, 0.96)),
        Layer("fill", ((0.5, 0.0), (1.0, 0.48), (0.0, 0.48))),
        Layer("dark", ((0.5, 0.0), (1.0, 0.48), (0.0, 0.48))),
        Layer("dark", _box(0.55, 0.62, 0.73, 0.96)),
        Layer("light", _box(0.24, 0.60, 0.44, 0.78)),
    )


def _tree() -> tuple[Layer, ...]:
    return (
        Layer("fill", _box(0.31, 0.80, 0.45, 1.0)),
        Layer("fill", ((0.38, 0.36), (0.76, 0.84), (0.0, 0.84))),
        Layer("fill", ((0.38, 0.18), (0.70, 0.58), (0.06, 0.58))),
        Layer("fill", ((0.38, 0.0), (0.62, 0.32), (0.14, 0.32))),
        Layer("dark", _box(0.31, 0.85, 0.45, 1.0)),
        Layer("dark", ((0.38, 0.32), (0.62, 0.32), (0.50, 0.39), (0.26, 0.36))),
        Layer("dark", ((0.38, 0.58), (0.70, 0.58), (0.52, 0.65), (0.22, 0.62))),
    )


def _fish() -> tuple[Layer, ...]:
    upper = _arc(0.36, 0.60, 0.465, -140, -40)
    lower = _arc(0.36, 0.00, 0.465, 40, 140)
    gill = _arc(0.06, 0.30, 0.20, -52, 52) + _arc(0.03, 0.30, 0.20, 50, -50)
    return (
        Layer("fill", ((0.60, 0.30), (1.0, 0.03), (0.92, 0.30), (1.0, 0.57))),
        Layer("fill", ((0.26, 0.20), (0.40, 0.02), (0.58, 0.06), (0.52, 0.24))),
        Layer("fill", tuple(upper + lower)),
        Layer("dark", tuple(gill)),
        Layer("dark", _ellipse(0.145, 0.255, 0.035, 0.035)),
        Layer("light", _ellipse(0.43, 0.23, 0.12, 0.04, 0.08)),
    )


def _cup() -> tuple[Layer, ...]:
    return (
        Layer("fill", _ellipse(0.74, 0.42, 0.26, 0.27)),
        Layer("cut", _ellipse(0.74, 0.42, 0.135, 0.145)),
        Layer("fill", ((0.0, 0.0), (0.76, 0.0), (0.70, 0.86), (0.64, 0.92), (0.12, 0.92),
                       (0.06, 0.86))),
        Layer("dark", ((0.0, 0.0), (0.76, 0.0), (0.753, 0.1), (0.007, 0.1))),
        Layer("light", ((0.11, 0.2), (0.2, 0.2), (0.22, 0.74), (0.16, 0.74))),
    )  # fmt: skip


SHAPES: dict[str, tuple[Layer, ...]] = {
    "cube": _cube(),
    "ball": _ball(),
    "triangle": _triangle(),
    "star": _star(),
    "heart": _heart(),
    "ring": _ring(),
    "cross": _cross(),
    "arrow": _arrow(),
    "crescent": _crescent(),
    "diamond": _diamond(),
    "hexagon": _hexagon(),
    "cloud": _cloud(),
    "house": _house(),
    "tree": _tree(),
    "fish": _fish(),
    "cup": _cup(),
}
"""The layers of every kind, drawn in this order."""


def _extent(kind: str) -> tuple[float, float, float, float]:
    """The silhouette's (left, top, width, height) in shape coordinates."""
    corners = [point for layer in SHAPES[kind] if layer.tone == "fill" for point in layer.points]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    return left, top, max(x for x, _ in corners) - left, max(y for _, y in corners) - top


@lru_cache(maxsize=256)
def draw(kind: str, extent: int) -> Drawing:
    """Render a shape.

    Args:
        kind: One of `SHAPES`.
        extent: The longer side in pixels, outline included; at least 4.

    Returns:
        Masks no larger than `extent` x `extent`, cropped to the silhouette. They are cached:
        don't change them.
    """
    scale = _SUPERSAMPLING
    left, top, wide, high = _extent(kind)
    stroke = STROKE * extent * scale
    factor = (extent * scale - 2 * stroke) / max(wide, high)
    # Masks a multiple of the supersampling factor, so that `reduce` loses no row.
    size = (
        math.ceil((wide * factor + 2 * stroke) / scale) * scale,
        math.ceil((high * factor + 2 * stroke) / scale) * scale,
    )
    masks = {name: Image.new("L", size, 0) for name in ("outline", "fill", "light", "dark")}
    pens = {name: ImageDraw.Draw(mask) for name, mask in masks.items()}
    for layer in SHAPES[kind]:
        points = [(stroke + (x - left) * factor, stroke + (y - top) * factor)
                  for x, y in layer.points]  # fmt: skip
        if layer.tone in ("light", "dark"):
            pens[layer.tone].polygon(points, fill=255)
            # A later detail lies on top of an earlier one.
            pens["dark" if layer.tone == "light" else "light"].polygon(points, fill=0)
            continue
        inside = 255 if layer.tone == "fill" else 0
        pens["fill"].polygon(points, fill=inside)
        pens["outline"].polygon(points, fill=inside)
        closed = [*points, points[0], points[1]]
        pens["outline"].line(closed, fill=255, width=max(1, round(2 * stroke)), joint="curve")
    for tone in ("light", "dark"):
        masks[tone] = ImageChops.multiply(masks[tone], masks["fill"])
    return Drawing(**{name: mask.reduce(scale) for name, mask in masks.items()})
