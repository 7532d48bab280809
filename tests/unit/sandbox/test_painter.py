"""What the painter promises: the same bytes again, nothing overlaps, relations hold."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from gems.errors import GenerationError
from gems.sandbox.layout import EXTENTS, arrange
from gems.sandbox.painter import paint
from gems.sandbox.scene import COLORS, OBJECT_KINDS, Group, Relation, Scene, random_scene


def chance(seed: int) -> random.Random:
    return random.Random(seed)


CAFE = Scene(
    (Group("cube", "red", "medium", 3), Group("ball", "blue")),
    (Relation(0, "left of", 1),),
    sign="OPEN",
)


def test_same_scene_and_seed_give_the_same_bytes() -> None:
    first, again, other = paint(CAFE, 7), paint(CAFE, 7), paint(CAFE, 8)

    assert first.mode == "RGB"
    assert first.size == (768, 768)
    assert first.info == {}
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_painting_leaves_the_global_random_state_alone() -> None:
    state = random.getstate()
    paint(CAFE, 1, 256, 256)
    assert random.getstate() == state


@pytest.mark.parametrize("seed", range(40))
def test_nothing_overlaps_and_every_relation_holds(seed: int) -> None:
    rng = chance(seed)
    scene = random_scene(rng, rng.randint(1, 4), relations=1.0)
    width, height = rng.choice([(1.0, 1.0), (1.5, 1.0), (1.0, 2.0), (8.0, 1.0)])

    places = arrange(scene, rng, width, height)

    assert len(places) == sum(group.count for group in scene.groups)
    for place in places:
        half = place.extent / 2
        assert half < place.x < width - half
        assert half < place.y < height - half
    for one, two in combinations(places, 2):
        apart = max(abs(one.x - two.x), abs(one.y - two.y))
        assert apart > (one.extent + two.extent) / 2 + 0.01, (scene, one, two)
    for relation in scene.relations:
        subject = [place for place in places if place.group == relation.subject]
        other = [place for place in places if place.group == relation.object]
        if relation.direction in ("right of", "below"):
            subject, other = other, subject
        axis = "x" if relation.direction in ("left of", "right of") else "y"
        end = max(getattr(place, axis) + place.extent / 2 for place in subject)
        start = min(getattr(place, axis) - place.extent / 2 for place in other)
        assert end < start, (scene, relation)


def test_random_scenes_can_all_be_painted() -> None:
    rng = chance(11)
    for seed in range(150):
        scene = random_scene(rng, 1 + seed % 4, relations=1.0, sign=0.5)
        assert len({(group.kind, group.color) for group in scene.groups}) == len(scene.groups)
        arrange(scene, chance(seed), 1.0, 1.0)


def test_random_scene_refuses_sizes_out_of_range() -> None:
    with pytest.raises(ValueError, match="groups"):
        random_scene(chance(0), 5)


def test_sizes_stay_apart_however_crowded_the_picture_is() -> None:
    """The eyes tell a size from the extent alone, so crowding must not shift one into another."""
    extents: dict[str, list[float]] = {size: [] for size in EXTENTS}
    rng = chance(3)
    for _ in range(60):
        scene = random_scene(rng, 4, relations=1.0)
        for place in arrange(scene, rng, 1.0, 1.0):
            extents[scene.groups[place.group].size].append(place.extent)
    assert max(extents["small"]) * 1.1 < min(extents["medium"])
    assert max(extents["medium"]) * 1.1 < min(extents["large"])


@pytest.mark.parametrize("size", [(256, 256), (300, 2048), (2048, 256), (1031, 517)])
def test_any_picture_size_is_painted(size: tuple[int, int]) -> None:
    assert paint(CAFE, 1, *size).size == size


def test_every_kind_in_every_colour_can_be_painted() -> None:
    for index, kind in enumerate(OBJECT_KINDS):
        colors = list(COLORS)
        color = colors[index % len(colors)]
        ground = colors[(index + 1) % len(colors)]
        image = paint(Scene((Group(kind, color),), background=ground), 1, 256, 256)
        assert COLORS[color] in {pixel for _, pixel in image.getcolors(1 << 16) or []}


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (Scene((Group("dragon", "red"),)), "kind 'dragon'"),
        (Scene((Group("cube", "teal"),)), "color 'teal'"),
        (Scene((Group("cube", "red", "huge"),)), "size 'huge'"),
        (Scene((Group("cube", "red", count=9),)), "1 to 8"),
        (Scene((Group("cube", "red", count=0),)), "1 to 8"),
        (Scene((Group("cube", "red"),) * 5), "at most 4"),
        (Scene((Group("cube", "white"),)), "can't be seen"),
        (Scene((), background="plaid"), "background 'plaid'"),
        (Scene((Group("cube", "red"),), (Relation(0, "above", 1),)), "group 1"),
        (Scene((Group("cube", "red"),), (Relation(0, "above", 0),)), "contradict"),
        (
            Scene(
                (Group("cube", "red"), Group("ball", "red"), Group("star", "red")),
                (Relation(0, "left of", 1), Relation(1, "left of", 2), Relation(0, "right of", 2)),
            ),
            "contradict",
        ),
        (Scene((Group("cube", "red", "large", 8),) * 4), "no room"),
        (Scene((), sign="A VERY LONG SIGN"), "at most 12"),
        (Scene((), sign="CAFÉ"), "É"),
    ],
)
def test_a_scene_that_cannot_be_painted_says_what_to_change(scene: Scene, message: str) -> None:
    with pytest.raises(GenerationError, match=message) as caught:
        paint(scene, 1)
    assert caught.value.hint


@pytest.mark.parametrize("size", [(255, 768), (768, 2049), (0, 0), (-5, 300)])
def test_a_picture_size_out_of_range_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(GenerationError, match="pixels"):
        paint(CAFE, 1, *size)
