"""Colour of a region, and properties of the whole image."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw, ImageFilter
from unit.evidence.drawn import lettered, picture

from gems.evidence.color import ColorParameters, ColorTool, color_shares
from gems.evidence.properties import PropertiesParameters, PropertiesTool, image_properties
from gems.sandbox.scene import COLORS


def color(image, **parameters):
    return ColorTool().measure(picture(image), ColorParameters(**parameters))


def properties(image, **parameters):
    return PropertiesTool().measure(picture(image), PropertiesParameters(**parameters))


def framed(inner="red", outer="white", size=(300, 240)):
    image = Image.new("RGB", size, outer)
    ImageDraw.Draw(image).rectangle((60, 50, size[0] - 60, size[1] - 50), fill=inner)
    return image


def quartered():
    image = Image.new("RGB", (300, 300), "blue")
    ImageDraw.Draw(image).rectangle((0, 0, 99, 99), fill="yellow")
    return image


@pytest.mark.parametrize("name", COLORS)
def test_each_colour_of_the_sandbox_has_its_name_also_a_little_lighter_and_darker(name):
    for factor in (0.93, 1.0, 1.06):
        shade = tuple(min(255, round(value * factor)) for value in COLORS[name])
        assert color_shares(picture(Image.new("RGB", (9, 9), shade)), "whole") == {name: 1.0}


def test_what_has_no_hue_goes_from_black_over_gray_to_white():
    names = [
        next(iter(color_shares(picture(Image.new("RGB", (3, 3), (value,) * 3)), "whole")))
        for value in range(0, 256, 5)
    ]
    assert list(dict.fromkeys(names)) == ["black", "gray", "white"]


@pytest.mark.parametrize(
    ("shade", "name"),
    [
        ("navy", "blue"),
        ("skyblue", "blue"),
        ("maroon", "red"),
        ("darkgreen", "green"),
        ("saddlebrown", "brown"),
        ("gold", "yellow"),
        ("hotpink", "pink"),
        ("#0a0a12", "black"),
        ("#f7f7f5", "white"),
    ],
)
def test_shades_go_under_the_name_that_people_give_them(shade, name):
    assert color(Image.new("RGB", (20, 20), shade), color=name).answer == "yes"


def test_the_background_is_the_border_and_not_the_subject():
    assert color(framed(), color="white", region="background", min_share=0.9).answer == "yes"
    assert color(framed(), color="red", region="background").answer == "no"
    assert color(framed(), color="red", region="center").answer == "yes"


@pytest.mark.parametrize(
    ("region", "answer"),
    [
        ("top left", "yes"),
        ("Left-Top", "yes"),
        ("upper left", "yes"),
        ("top", "unknown"),
        ("middle", "no"),
        ("right", "no"),
        ("whole", "no"),
    ],
)
def test_regions_are_thirds(region, answer):
    found = color(quartered(), color="yellow", region=region)
    assert found.answer == answer


def test_the_fact_says_how_much_and_what_else():
    found = color(framed("red", "green"), color="white", region="background")
    assert found.fact == "0% of the background is white, 100% is green."


@pytest.mark.parametrize(
    "parameters",
    [
        {"color": "sunny"},
        {"color": "red", "region": "somewhere"},
        {"color": "red", "min_share": 0},
        {"color": "red", "extra": 1},
        {},
    ],
)
def test_wrong_parameters_of_color_are_refused(parameters):
    with pytest.raises(ValueError, match="validation error"):
        ColorParameters(**parameters)


def test_transparency_counts_as_white():
    clear = Image.new("RGBA", (60, 60), (255, 0, 0, 0))
    assert color_shares(picture(clear), "whole") == {"white": 1.0}


def test_size_and_aspect():
    image = framed(size=(320, 180))
    assert properties(image, aspect="16:9", min_width=320).answer == "yes"
    found = properties(image, aspect="1:1", min_width=320)
    assert (found.answer, found.fact) == ("no", "Its aspect is 1.78, asked for is 1.00.")
    assert properties(image, min_height=200).fact == "The image has 320 x 180 pixels."


@pytest.mark.parametrize("aspect", ["", "16:0", "a:b", "0", "1:99", "1e9", "16:9:1"])
def test_an_aspect_that_is_none_is_refused(aspect):
    with pytest.raises(ValueError, match="validation error"):
        PropertiesParameters(aspect=aspect)


def test_asking_for_no_property_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        PropertiesParameters()


def test_sharpness_falls_with_blur_whatever_the_size():
    sharp = lettered(("sharp", (320, 192)), size=120)
    for image in (sharp, sharp.resize((1920, 1152), Image.Resampling.LANCZOS)):
        blurred = image.filter(ImageFilter.GaussianBlur(image.width / 100))
        assert image_properties(picture(image)).sharpest > 100
        assert image_properties(picture(blurred)).sharpest < 15
        assert properties(image, min_sharpness=15).answer == "yes"
        assert properties(blurred, min_sharpness=15).answer == "no"


def test_brightness_and_blankness():
    assert properties(Image.new("RGB", (50, 50), "black"), min_brightness=0.1).answer == "no"
    assert properties(Image.new("RGB", (50, 50), "#eee"), not_blank=True).answer == "no"
    assert properties(framed(), not_blank=True, max_brightness=0.9).answer == "yes"


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2, 3)])
def test_tiny_images_are_measured_all_the_same(size):
    image = Image.new("RGB", size, "red")
    assert color(image, color="red", region="background").answer == "yes"
    assert properties(image, min_width=1, min_sharpness=1).answer == "no"
