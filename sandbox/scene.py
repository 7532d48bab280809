"""The sandbox's world: what a picture can show, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
