"""Where things stand: turns a scene into places that keep every relation and never overlap.

Each group is a block of cells. Two groups are always separated along one axis: by the relation
that the scene demands, or else by one drawn at random. With that, the blocks' places follow
from longest paths in two small graphs, one for each axis (the constraint-graph form of
rectangle packing, as in floor planning for circuits).

All lengths are in units of the picture's shorter side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import GenerationError
from .scene import COLORS, MAX_COUNT, MAX_GROUPS, OBJECT_KINDS, SIZES

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from .scene import Scene

EXTENTS: dict[str, float] = {"small": 0.0975, "medium": 0.156, "large": 0.25}
"""The longer side of an object of each size in an uncrowded picture."""

CROWDING = (1.0, 0.87, 0.75)
"""Factors on `EXTENTS`, tried in this order. The last is well above 1/1.6, the step between two
sizes, so that the largest "small" stays smaller than the smallest "medium"."""

WOBBLE = 0.02
"""Objects of one group differ by up to this fraction in size."""

SIGN_BAND = 0.175
"""Height kept free at the top for the sign."""

_MARGIN = 0.03
_GAP = 0.02
"""Least distance between two objects; 10 pixels once a picture is scaled down to 512."""
_GROUP_GAP = 0.03
"""Least distance between two groups."""
_DRAWS = 120
"""Layouts tried for each crowding factor. A layout costs about 20 microseconds."""

Edges = set[tuple[int, int]]
"""(a, b): block a ends before block b begins."""


@dataclass(frozen=True)
class Place:
    """One object's place: the centre and the longer side, in units of the shorter picture side."""

    group: int
    x: float
    y: float
    extent: float


@dataclass(frozen=True)
class _Block:
    """A group as `rows` x `columns` cells, `cell` wide and high."""

    count: int
    columns: int
    rows: int
    cell: float

    @property
    def width(self) -> float:
        return self.columns * self.cell

    @property
    def height(self) -> float:
        return self.rows * self.cell


def check(scene: Scene) -> tuple[Edges, Edges]:
    """Check a scene and return the orders its relations demand.

    Args:
        scene: Any scene.

    Returns:
        Edges along x and along y.

    Raises:
        GenerationError: The scene is malformed or its relations contradict each other.
    """
    if len(scene.groups) > MAX_GROUPS:
        raise GenerationError(
            f"The scene has {len(scene.groups)} groups; the painter draws at most {MAX_GROUPS}.",
            hint="Ask for fewer different things.",
        )
    known = {"kind": OBJECT_KINDS, "color": tuple(COLORS), "size": SIZES}
    for group in scene.groups:
        for field, names in known.items():
            if getattr(group, field) not in names:
                raise GenerationError(
                    f"The painter knows no {field} {getattr(group, field)!r}.",
                    hint=f"Use one of: {', '.join(names)}.",
                )
        if not 1 <= group.count <= MAX_COUNT:
            raise GenerationError(
                f"A group has {group.count} {group.kind}s; the painter draws 1 to {MAX_COUNT}.",
                hint=f"Ask for 1 to {MAX_COUNT} of a kind.",
            )
        if group.color == scene.background:
            raise GenerationError(
                f"A {group.color} {group.kind} can't be seen on a {group.color} background.",
                hint="Choose another background or another colour.",
            )
    if scene.background not in COLORS:
        raise GenerationError(
            f"The painter knows no background {scene.background!r}.",
            hint=f"Use one of: {', '.join(COLORS)}.",
        )
    across: Edges = set()
    down: Edges = set()
    for relation in scene.relations:
        pair = (relation.subject, relation.object)
        if not all(0 <= index < len(scene.groups) for index in pair):
            raise GenerationError(
                f"A relation names group {max(pair)}, but there are {len(scene.groups)}.",
                hint="Number the groups from 0.",
            )
        edges = across if relation.direction in ("left of", "right of") else down
        edges.add(pair if relation.direction in ("left of", "above") else pair[::-1])
    for edges, words in ((across, "left and right of"), (down, "above and below")):
        if _has_circle(edges, len(scene.groups)):
            raise GenerationError(
                f"The relations contradict each other: something would be {words} itself.",
                hint="Take back one of the relations.",
            )
    return across, down


def _has_circle(edges: Edges, nodes: int) -> bool:
    left = set(range(nodes))
    while left:
        free = {node for node in left if not any(b == node and a in left for a, b in edges)}
        if not free:
            return True
        left -= free
    return False


def _closure(edges: Edges) -> Edges:
    """The edges and what follows from them: a before b before c means a before c."""
    closed = set(edges)
    while True:
        more = {(a, d) for a, b in closed for c, d in closed if b == c} - closed
        if not more:
            return closed
        closed |= more


def _span(
    lengths: Sequence[float], edges: Edges, total: float, fixed: dict[int, float] | None = None
) -> tuple[list[float], list[float]] | None:
    """Earliest and latest start of every block along one axis; None when they don't fit."""
    count = len(lengths)
    early = [0.0] * count
    late = [total - length for length in lengths]
    for node, start in (fixed or {}).items():
        early[node] = late[node] = start
    for _ in range(count):  # Paths have at most `count` nodes, so this many passes settle all.
        for a, b in edges:
            early[b] = max(early[b], early[a] + lengths[a] + _GROUP_GAP)
            late[a] = min(late[a], late[b] - lengths[a] - _GROUP_GAP)
    if any(first > last + 1e-9 for first, last in zip(early, late, strict=True)):
        return None
    return early, late


def _need(lengths: Sequence[float], edges: Edges) -> float:
    """How long the axis must be; infinite when the edges go round in a circle."""
    if _has_circle(edges, len(lengths)):
        return math.inf
    span = _span(lengths, edges, 1e6)
    if span is None:  # pragma: no cover - without a circle a million units are enough
        return math.inf
    return max(early + length for early, length in zip(span[0], lengths, strict=True))


def _grids(count: int) -> list[tuple[int, int]]:
    """(columns, rows) without an empty row or column."""
    grids = []
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        if math.ceil(count / rows) == columns:
            grids.append((columns, rows))
    return grids


def arrange(scene: Scene, rng: random.Random, width: float, height: float) -> list[Place]:
    """Find a place for every object.

    Args:
        scene: What to place.
        rng: Decides between the layouts that fit.
        width: The picture's width in units of its shorter side.
        height: The picture's height in the same units.

    Returns:
        A place for each object, in the order of the groups.

    Raises:
        GenerationError: The scene is malformed, contradicts itself, or doesn't fit.
    """
    across, down = check(scene)
    if not scene.groups:
        return []
    top = SIGN_BAND if scene.sign else _MARGIN
    room = (width - 2 * _MARGIN, height - top - _MARGIN)
    for crowding in CROWDING:
        found = _search(scene, rng, room, across, down, crowding)
        if found is not None:
            blocks, across_all, down_all = found
            xs = _settle([b.width for b in blocks], across_all, room[0], rng)
            ys = _settle([b.height for b in blocks], down_all, room[1], rng)
            return list(_fill(scene, blocks, xs, ys, top, crowding, rng))
    total = sum(group.count for group in scene.groups)
    raise GenerationError(
        f"There is no room for {total} objects of these sizes in this order.",
        hint="Ask for fewer or smaller objects, drop a relation, or make the picture larger.",
    )


def _search(
    scene: Scene,
    rng: random.Random,
    room: tuple[float, float],
    across: Edges,
    down: Edges,
    crowding: float,
) -> tuple[list[_Block], Edges, Edges] | None:
    """The roomiest of some random layouts, or None when none fits."""
    cells = [EXTENTS[group.size] * crowding * (1 + WOBBLE) + _GAP for group in scene.groups]
    area = sum(group.count * cell**2 for group, cell in zip(scene.groups, cells, strict=True))
    if area > room[0] * room[1]:
        return None
    ordered = _closure(across) | _closure(down)
    free = [
        (a, b)
        for a in range(len(cells))
        for b in range(a)
        if (a, b) not in ordered and (b, a) not in ordered
    ]
    best: tuple[float, list[_Block], Edges, Edges] | None = None
    # Few layouts fit a crowded picture: look longer before giving up on the last factor.
    draws = _DRAWS * (8 if crowding == CROWDING[-1] else 1)
    for draw in range(draws):
        blocks = []
        for group, cell in zip(scene.groups, cells, strict=True):
            columns, rows = rng.choice(_grids(group.count))
            blocks.append(_Block(group.count, columns, rows, cell))
        across_all, down_all = set(across), set(down)
        for a, b in free:
            edges = across_all if rng.random() < 0.5 else down_all
            edges.add((a, b) if rng.random() < 0.5 else (b, a))
        need_x = _need([block.width for block in blocks], across_all)
        need_y = _need([block.height for block in blocks], down_all)
        ease = min(room[0] / need_x, room[1] / need_y)
        if ease < 1:
            continue
        long_rows = sum(
            abs(math.log(block.columns / block.rows)) for block in blocks if block.count > 3
        )
        score = min(ease, 1.8) - 0.15 * long_rows + rng.uniform(0, 0.5)
        if best is None or score > best[0]:
            best = (score, blocks, across_all, down_all)
        if best is not None and draw >= _DRAWS:
            break
    if best is None:
        return None
    _, blocks, across_all, down_all = best
    ease = min(
        room[0] / _need([block.width for block in blocks], across_all),
        room[1] / _need([block.height for block in blocks], down_all),
    )
    # Spare room makes the cells wider, but a group must still look like one.
    airy = min(1.3, 1 + (ease - 1) * 0.5)
    return (
        [_Block(b.count, b.columns, b.rows, b.cell * airy) for b in blocks],
        across_all,
        down_all,
    )


def _settle(
    lengths: Sequence[float], edges: Edges, total: float, rng: random.Random
) -> list[float]:
    """Choose a start for every block, one after another, each within what the others leave."""
    fixed: dict[int, float] = {}
    for node in rng.sample(range(len(lengths)), len(lengths)):
        span = _span(lengths, edges, total, fixed)
        if span is None:  # pragma: no cover - every choice so far was within its span
            raise GenerationError("The layout came apart.", hint="Report this with the seed.")
        low, high = span[0][node], span[1][node]
        fixed[node] = low + max(0.0, high - low) * (rng.random() + rng.random()) / 2
    return [fixed[node] for node in range(len(lengths))]


def _fill(
    scene: Scene,
    blocks: Sequence[_Block],
    xs: Sequence[float],
    ys: Sequence[float],
    top: float,
    crowding: float,
    rng: random.Random,
) -> Iterable[Place]:
    """Put each group's objects into its block's cells, the last row centred."""
    for index, (group, block) in enumerate(zip(scene.groups, blocks, strict=True)):
        for item in range(group.count):
            row, column = divmod(item, block.columns)
            in_row = min(block.columns, group.count - row * block.columns)
            indent = (block.columns - in_row) / 2
            extent = EXTENTS[group.size] * crowding * (1 + rng.uniform(-WOBBLE, WOBBLE))
            slack = max(0.0, block.cell - _GAP - extent) / 2
            yield Place(
                index,
                _MARGIN
                + xs[index]
                + (column + indent + 0.5) * block.cell
                + rng.uniform(-slack, slack),
                top + ys[index] + (row + 0.5) * block.cell + rng.uniform(-slack, slack),
                extent,
            )
