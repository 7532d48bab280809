"""The sandbox's world: what a picture can show, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import random

OBJECT_KINDS = (
    "cube",
    "ball",
    "triangle",
    "star",
    "heart",
    "ring",
    "cross",
    "arrow",
    "crescent",
    "diamond",
    "hexagon",
    "cloud",
    "house",
    "tree",
    "fish",
    "cup",
)
"""What the painter can draw (singular)."""

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "orange": (245, 130, 32),
    "yellow": (250, 212, 40),
    "green": (44, 160, 64),
    "blue": (38, 84, 200),
    "purple": (128, 56, 168),
    "pink": (244, 130, 180),
    "brown": (126, 76, 40),
    "black": (24, 24, 24),
    "white": (252, 252, 252),
    "gray": (134, 134, 134),
}
"""Colours of things and backgrounds, sRGB."""

SIZES = ("small", "medium", "large")

MAX_GROUPS = 4
"""Groups in one picture."""

MAX_COUNT = 8
"""Objects in one group."""

Direction = Literal["left of", "right of", "above", "below"]


@dataclass(frozen=True)
class Group:
    """Some alike objects that stand together: "three small red cubes"."""

    kind: str
    color: str
    size: str = "medium"
    count: int = 1


@dataclass(frozen=True)
class Relation:
    """Where group `subject` stands relative to group `object` (indices into `Scene.groups`)."""

    subject: int
    direction: Direction
    object: int


@dataclass(frozen=True)
class Scene:
    """A picture before it is painted.

    Attributes:
        groups: At most 4 groups of 1 to 8 objects.
        relations: Between groups; a scene whose relations can't all hold can't be painted.
        background: A colour name; no group has the same colour.
        sign: Text on a sign board at the top of the picture (A-Z, 0-9, space; up to 12), or "".
    """

    groups: tuple[Group, ...]
    relations: tuple[Relation, ...] = ()
    background: str = "white"
    sign: str = ""


_ROW: dict[str, tuple[int, float]] = {"small": (8, 0.095), "medium": (5, 0.14), "large": (3, 0.212)}
"""How many objects of a size fit side by side whatever the picture's direction, and how wide
such a row is, in units of the picture's shorter side."""
_ROWS = 0.70
"""The total width of rows that fits beside or above one another, with a sign and gaps. A scene
within this fits into a square picture whatever its relations."""


def random_scene(
    rng: random.Random,
    groups: int,
    *,
    max_count: int = MAX_COUNT,
    relations: float = 0.8,
    background: float = 0.4,
    sign: float = 0.3,
    signs: tuple[str, ...] = ("OPEN", "CAFE 24", "ZOO", "HELLO", "EXIT 7", "BAKERY", "JAZZ CLUB"),
) -> Scene:
    """Draw a scene that can be painted.

    Args:
        rng: The source of chance; the same state gives the same scene.
        groups: How many groups, 1 to `MAX_GROUPS`.
        max_count: The most objects in a group, 1 to `MAX_COUNT`.
        relations: Chance that a group is placed relative to the one before it.
        background: Chance that the background is not white.
        sign: Chance that there is a sign.
        signs: Texts to choose from.

    Returns:
        A scene whose groups differ in kind and colour taken together and whose relations can
        all hold.

    Raises:
        ValueError: `groups` or `max_count` is out of range.
    """
    if not 1 <= groups <= MAX_GROUPS or not 1 <= max_count <= MAX_COUNT:
        raise ValueError(f"groups must be 1..{MAX_GROUPS} and max_count 1..{MAX_COUNT}")
    ground = rng.choice([name for name in COLORS if name != "white"])
    if rng.random() >= background:
        ground = "white"
    colors = [name for name in COLORS if name != ground]
    pairs: list[tuple[str, str]] = []
    while len(pairs) < groups:
        pair = (rng.choice(OBJECT_KINDS), rng.choice(colors))
        if pair not in pairs:
            pairs.append(pair)
    chosen: list[Group] = []
    room = _ROWS
    for index, (kind, color) in enumerate(pairs):
        # Every group still to come needs at least one row of small objects.
        mine = room - _ROW["small"][1] * (groups - index - 1)
        size = rng.choice([name for name in SIZES if _ROW[name][1] <= mine])
        in_row, width = _ROW[size]
        count = rng.randint(1, min(max_count, in_row * int(mine / width)))
        room -= width * -(-count // in_row)
        chosen.append(Group(kind, color, size, count))
    rng.shuffle(chosen)  # The first ones had more room: don't let the order tell.
    directions: tuple[Direction, ...] = ("left of", "right of", "above", "below")
    placed = tuple(
        Relation(index, rng.choice(directions), index - 1)
        for index in range(1, groups)
        if rng.random() < relations
    )
    return Scene(tuple(chosen), placed, ground, rng.choice(signs) if rng.random() < sign else "")
