"""OCR on drawn pictures, with the real model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from unit.evidence.drawn import lettered, picture

from gems.evidence import ocr
from gems.evidence.ocr import Line, OcrParameters, OcrTool, by_column
from gems.evidence.registry import measure, missing_for, settle_evidence

TOOL = OcrTool()
MIDDLE = (320, 192)
CHINESE = Path(__file__).with_name("chinese.png")
"""欢迎光临 over 春眠不觉晓, drawn with Pillow in Noto Sans CJK (SIL OFL)."""


def finding(image, text, **options):
    return TOOL.measure(picture(image), OcrParameters(text=text, **options))


def test_a_text_that_stands_there_is_yes():
    found = finding(lettered(("OPEN 24 h", MIDDLE)), "OPEN 24 h")
    assert (found.answer, found.fact) == ("yes", 'It reads "OPEN 24 h".')
    assert found.confidence > 0.8


def test_a_misspelt_text_is_no_and_the_fact_says_what_was_read():
    found = finding(lettered(("WELCOEM", MIDDLE)), "WELCOME")
    assert (found.answer, found.fact) == ("no", 'It reads "WELCOEM", 1 character off "WELCOME".')


def test_a_misspelt_text_within_the_allowed_errors_is_yes():
    found = finding(lettered(("WELCOEM", MIDDLE)), "WELCOME", max_errors=1)
    assert found.answer == "yes"
    assert "WELCOEM" in found.fact


def test_allowed_errors_never_make_another_text_of_it():
    assert finding(lettered(("OVAL", MIDDLE)), "OPEN", max_errors=20).answer != "yes"


@pytest.mark.parametrize(
    ("shown", "options", "answer"),
    [("Open", {}, "unknown"), ("Open", {"ignore_case": True}, "yes"), ("CLOSED", {}, "unknown")],
)
def test_capitals_and_other_texts_are_left_to_the_model(shown, options, answer):
    assert finding(lettered((shown, MIDDLE)), "OPEN", **options).answer == answer


def test_a_picture_without_text_tells_nothing():
    found = finding(lettered(), "OPEN")
    assert (found.answer, found.confidence) == ("unknown", 0.0)


def test_two_signs_side_by_side_are_read_one_after_the_other():
    image = lettered(
        ("Fresh", (150, 130)), ("bread", (150, 200)), ("Hot", (490, 130)), ("soup", (490, 200))
    )
    assert finding(image, "Fresh bread").answer == "yes"
    assert finding(image, "Hot soup").answer == "yes"


def test_columns_are_put_in_order():
    lines = [
        Line("a", 1, (0, 0, 40, 10)),
        Line("c", 1, (60, 1, 99, 11)),
        Line("b", 1, (2, 20, 41, 30)),
        Line("d", 1, (61, 21, 98, 31)),
    ]
    assert [line.text for line in by_column(lines)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("text", "answer"), [("欢迎光临", "yes"), ("春眠不觉晓", "yes"), ("欢迎光监", "no")]
)
def test_chinese_is_read(text, answer):
    from gems.evidence.base import Picture

    found = TOOL.measure(Picture("chinese", CHINESE.read_bytes()), OcrParameters(text=text))
    assert found.answer == answer


async def test_ten_questions_about_one_picture_read_it_once(monkeypatch):
    passes = []
    reader = ocr._Reader()
    engine = ocr._load_engine()
    monkeypatch.setattr(ocr, "_READER", reader)
    monkeypatch.setattr(
        ocr, "_load_engine", lambda: lambda pixels: passes.append(1) or engine(pixels)
    )
    image = picture(lettered(("ALPHA BETA", MIDDLE)))
    checks = [
        settle_evidence({"tool": "ocr", "parameters": {"text": text}})
        for text in ("ALPHA", "BETA", "ALPHA BETA", "GAMMA", "BETE") * 2
    ]
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with blockbuster_ctx("gems.evidence"):  # raises on any blocking call within the event loop
        findings = await asyncio.gather(*(measure(check, image) for check in checks))
    ticking.cancel()
    assert [one.answer for one in findings[:5]] == ["yes", "yes", "yes", "unknown", "no"]
    assert len(passes) == 1
    assert ticks > 3  # the event loop went on meanwhile


async def test_without_the_extra_it_says_what_to_install_and_can_tell_nothing(monkeypatch):
    monkeypatch.setattr(ocr.importlib.util, "find_spec", lambda name: None)
    check = settle_evidence({"tool": "ocr", "parameters": {"text": "OPEN"}})
    assert missing_for(check) == "pip install 'gems-graph[ocr]'"
    found = await measure(check, picture(lettered(("OPEN", MIDDLE))))
    assert found.answer == "unknown"
    assert "gems-graph[ocr]" in found.fact
