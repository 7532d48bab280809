"""Declared checks, and tools that fail."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from unit.evidence.drawn import lettered, picture

from gems.errors import InputError
from gems.evidence import registry
from gems.evidence.base import Finding, Picture
from gems.evidence.registry import (
    evidence_tools,
    measure,
    missing_for,
    register_evidence_tool,
    settle_evidence,
)


def test_a_declared_check_gets_its_types_and_drops_its_defaults():
    settled = settle_evidence(
        {"tool": "ocr", "parameters": {"text": " Hi ", "ignore_case": "true", "max_errors": "0"}}
    )
    assert settled == {
        "tool": "ocr",
        "parameters": {"text": "Hi", "ignore_case": True},
        "decides": "both",
    }
    assert settle_evidence(settled) == settled


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ocr", "a mapping"),
        ({"tool": "telepathy"}, "no evidence tool 'telepathy'"),
        ({"tool": "ocr"}, "ocr, text: Field required"),
        ({"tool": "ocr", "parameters": {"text": "x" * 401}}, "at most 400"),
        ({"tool": "ocr", "parameters": ["text"]}, "a mapping"),
        ({"tool": "ocr", "text": "Hi"}, "no key 'text'"),
        ({"tool": "color", "parameters": {"color": "sunny"}}, "no colour 'sunny'"),
        ({"tool": "properties", "parameters": {"min_width": "wide"}}, "min_width"),
        ({"tool": "ocr", "parameters": {"text": "Hi"}, "decides": "maybe"}, "decides is one of"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(given, message):
    with pytest.raises(InputError, match=message):
        settle_evidence(given)


async def test_an_answer_that_a_check_may_not_give_is_left_open():
    image = picture(lettered())
    for decides, answer in (("both", "yes"), ("yes", "yes"), ("no", "unknown")):
        check = settle_evidence(
            {"tool": "properties", "parameters": {"min_width": 10}, "decides": decides}
        )
        assert (await measure(check, image)).answer == answer


async def test_a_registered_tool_is_used_and_its_failure_is_no_verdict(monkeypatch):
    monkeypatch.setattr(registry, "_TOOLS", dict(registry._TOOLS))

    class Nothing(BaseModel):
        pass

    class Broken:
        name, measures, parameters = "broken", "nothing", Nothing

        def missing(self) -> str:
            return ""

        def measure(self, picture: Picture, parameters: Nothing) -> Finding:
            raise RuntimeError("secret path /home/x")

    register_evidence_tool(Broken())
    assert "broken" in [tool.name for tool in evidence_tools()]
    found = await measure(settle_evidence({"tool": "broken"}), picture(lettered()))
    assert (found.answer, found.fact) == ("unknown", "broken failed on this image (RuntimeError).")


async def test_bytes_that_are_no_image_are_no_verdict():
    check = settle_evidence({"tool": "color", "parameters": {"color": "red"}})
    assert (await measure(check, Picture("0" * 64, b"not an image"))).answer == "unknown"


def test_a_check_whose_tool_this_process_does_not_know_is_missing():
    assert missing_for({"tool": "gone", "parameters": {}, "decides": "both"})
