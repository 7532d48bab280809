"""What the eyes promise: they see what was painted, from pixels alone, and never crash."""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gems.errors import ArtifactError
from gems.sandbox import vision
from gems.sandbox.painter import paint
from gems.sandbox.scene import (
    COLORS,
    OBJECT_KINDS,
    SIZES,
    Direction,
    Group,
    Relation,
    Scene,
    random_scene,
)
from gems.sandbox.vision import Percept, Thing, look, look_bytes, stands


def chance(seed: int) -> random.Random:
    return random.Random(seed)


CAFE = Scene(
    (Group("cube", "red", "medium", 3), Group("ball", "blue", "large"), Group("cup", "white")),
    (Relation(0, "left of", 1), Relation(2, "below", 0)),
    background="yellow",
    sign="OPEN",
)


def encode(image: Image.Image, fmt: str, quality: int = 80) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, quality=quality)
    return buffer.getvalue()


def counted(percept: Percept) -> Counter[tuple[str, str, str]]:
    return Counter((thing.kind, thing.color, thing.size) for thing in percept.things)


def truth(scene: Scene) -> Counter[tuple[str, str, str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for group in scene.groups:
        counts[group.kind, group.color, group.size] += group.count
    return counts


def assert_seen(scene: Scene, percept: Percept) -> None:
    assert counted(percept) == truth(scene)
    assert (percept.background, percept.sign) == (scene.background, scene.sign)
    for relation in scene.relations:
        one, two = (
            [thing for thing in percept.things if (thing.kind, thing.color) == (g.kind, g.color)]
            for g in (scene.groups[relation.subject], scene.groups[relation.object])
        )
        assert stands(one, relation.direction, two)
        assert not stands(two, relation.direction, one)


@pytest.mark.parametrize("seed", range(12))
def test_the_eyes_see_what_was_painted(seed: int) -> None:
    rng = chance(seed)
    scene = random_scene(rng, 1 + seed % 4, background=0.7, sign=0.7)
    assert_seen(scene, look(paint(scene, seed)))


@pytest.mark.parametrize("fmt", ["JPEG", "WEBP"])
def test_the_eyes_stand_lossy_encoding_and_downscaling(fmt: str) -> None:
    small = paint(CAFE, 5).resize((512, 512), Image.Resampling.LANCZOS)
    assert_seen(CAFE, look_bytes(encode(small, fmt)))


@pytest.mark.parametrize("size", [(512, 512), (1024, 640), (500, 1500), (2048, 2048)])
def test_the_eyes_work_at_any_picture_size(size: tuple[int, int]) -> None:
    percept = look(paint(CAFE, 2, *size))
    assert_seen(CAFE, percept)
    for thing in percept.things:
        left, top, right, bottom = thing.box
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]


def test_every_kind_and_colour_and_size_is_recognised() -> None:
    colors = list(COLORS)
    for index, kind in enumerate(OBJECT_KINDS):
        ground = colors[(index * 3 + 1) % len(colors)]
        groups = tuple(
            Group(kind, color, size)
            for size, color in zip(SIZES, (colors[index % 11], *colors[index % 5 : 11 : 5]),
                                   strict=False)
            if color != ground
        )  # fmt: skip
        scene = Scene(groups, background=ground)
        assert counted(look(paint(scene, index))) == truth(scene), scene


@pytest.mark.parametrize("background", list(COLORS))
def test_every_colour_is_told_from_every_background(background: str) -> None:
    others = [color for color in COLORS if color != background]
    for start in range(0, len(others), 4):
        groups = tuple(Group("crescent", color, "small", 2) for color in others[start : start + 4])
        scene = Scene(groups, background=background)
        assert_seen(scene, look_bytes(encode(paint(scene, start), "JPEG")))


@pytest.mark.parametrize("text", ["ABCDEFGHIJKL", "MNOPQRSTUVWX", "YZ 012345", "6789", "I", "A B"])
def test_signs_are_read(text: str) -> None:
    for background in ("white", "black"):
        image = paint(Scene((), background=background, sign=text), 0).resize((512, 512))
        assert look_bytes(encode(image, "JPEG")).sign == text


def test_a_wrong_picture_is_seen_as_what_it_shows() -> None:
    wrong = Scene((Group("cube", "green", "medium", 2),), sign="OPEM")
    percept = look(paint(wrong, 0))
    assert counted(percept) == {("cube", "green", "medium"): 2}
    assert percept.sign == "OPEM"
    assert percept.background == "white"


def test_metadata_is_not_looked_at() -> None:
    plain, told = io.BytesIO(), io.BytesIO()
    image = paint(CAFE, 3)
    info = PngInfo()
    info.add_text("parameters", "nine green dragons on a black background, sign LIES")
    image.save(plain, "PNG")
    image.save(told, "PNG", pnginfo=info)
    assert plain.getvalue() != told.getvalue()
    assert look_bytes(told.getvalue()) == look_bytes(plain.getvalue())


def test_an_object_of_no_known_shape_is_unknown() -> None:
    image = Image.new("RGB", (512, 512), "white")
    for x in range(200):  # a sine wave drawn with a thick pen
        y = 256 + int(60 * np.sin(x / 15))
        image.paste((214, 40, 40), (150 + x, y, 160 + x, y + 10))
    (thing,) = look(image).things
    assert (thing.kind, thing.color) == ("unknown", "red")


def test_relations_compare_whole_extents() -> None:
    def thing(left: int, top: int) -> Thing:
        return Thing("cube", "red", "small", (left, top, left + 10, top + 10), 1.0)

    cases: list[tuple[Direction, bool]] = [
        ("left of", True),
        ("right of", False),
        ("above", False),
        ("below", False),
    ]
    for direction, expected in cases:
        assert stands([thing(0, 0), thing(10, 5)], direction, [thing(20, 0)]) is expected
    assert not stands([thing(0, 0), thing(30, 0)], "left of", [thing(20, 0)])
    assert not stands([], "left of", [thing(20, 0)])


@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"]),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    seed=st.integers(0, 2**16),
    cell=st.sampled_from([1, 7, 30]),
)
@settings(max_examples=60, deadline=None)
def test_no_image_makes_the_eyes_fail(
    mode: str, width: int, height: int, seed: int, cell: int
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((width * cell, height * cell), Image.Resampling.NEAREST)
    if mode in ("I", "F", "LA", "PA"):
        image = image.convert("L")
    percept = look(image.crop((0, 0, min(600, image.width), min(600, image.height))).convert(mode))
    assert percept.background in COLORS
    assert all(thing.size in SIZES and thing.color in COLORS for thing in percept.things)
    assert all(0 <= thing.confidence <= 1 for thing in percept.things)


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "I;16"])
def test_other_modes_show_the_same_shapes(mode: str) -> None:
    scene = Scene((Group("star", "black", "large", 2),), background="white")
    image = paint(scene, 1)
    if mode == "I;16":
        deep = np.asarray(image.convert("L"), dtype=np.uint16) * 257
        image = Image.fromarray(deep)
    else:
        image = image.convert(mode)
    assert image.mode == mode
    assert counted(look(image)) == truth(scene)


def test_transparency_is_seen_as_white() -> None:
    assert look(Image.new("RGBA", (64, 64), (0, 0, 0, 0))).background == "white"


def test_extreme_shapes_of_images() -> None:
    for size in [(1, 1), (1, 4000), (5000, 2), (4000, 3000), (1, 300)]:
        assert look(Image.new("RGB", size, COLORS["purple"])) == Percept("purple", "", ())


def test_a_rounds_questions_that_come_together_look_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    everybody = threading.Barrier(8)

    def slow_look(image: Image.Image) -> Percept:
        looks.append(image)
        time.sleep(0.05)
        return look(image)

    def ask(data: bytes) -> Percept:
        everybody.wait()
        return look_bytes(data)

    monkeypatch.setattr(vision, "look", slow_look)
    data = encode(paint(CAFE, 77), "PNG")
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(ask, [data] * 8))
    assert look_bytes(data) == seen[0]
    assert len(looks) == 1
    assert all(percept == seen[0] for percept in seen)


@given(data=st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_bytes_that_are_no_image_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        look_bytes(data)


def test_damaged_and_oversized_images_are_refused() -> None:
    whole = encode(paint(CAFE, 1, 256, 256), "PNG")
    with pytest.raises(ArtifactError, match="not a readable image"):
        look_bytes(whole[: len(whole) // 2])
    bomb = encode(Image.new("1", (9000, 9000)), "PNG")
    with pytest.raises(ArtifactError, match="too many"):
        look_bytes(bomb)
