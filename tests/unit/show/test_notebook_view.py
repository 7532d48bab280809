"""`show=True` without a notebook, and a person's answers; tests/integration has a real kernel."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any

import pytest
from conftest import World

from gems.errors import ConfigurationError, InputError
from gems.graph.run import agenerate, generate
from gems.memory.artifacts import artifact_store


def answering(*answers: str) -> Callable[[str], str]:
    left = list(answers)
    return lambda prompt: left.pop(0)


async def test_elsewhere_it_prints_a_line_for_each_step(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    result = await agenerate("a cat", context=world.context(), show=True)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert result.met
    assert out == ""
    assert lines[0] == "Starting (a cat)"
    assert lines[-1] == "Accepted in round 1: all 3 requirements met (a cat)"
    assert len(lines) == len(set(lines))


def test_the_other_function_shows_it_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    shown = generate("a cat", context=world.context(), show=True)
    silent = generate("a cat", context=world.context())
    assert "Accepted in round 1" in capsys.readouterr().err
    assert (shown.score, shown.seed) == (silent.score, silent.seed)


async def test_a_person_answers_in_the_notebook(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.script.verdict = lambda question, round_: "no"
    given = answering("Is it a cat?; Is it black?", "perhaps", "continue", "bigger", "accept")
    monkeypatch.setattr(builtins, "input", given)
    result = await agenerate("a cat", context=world.context(review="all"), show=True)
    assert [item["question"] for item in result.requirements] == ["Is it a cat?", "Is it black?"]
    assert (len(result.attempts), result.stopped_because) == (2, "accepted_by_reviewer")
    assert any("bigger" in text for role, text in world.script.heard if role == "refiner")
    assert "Is there a cat?" in capsys.readouterr().out  # what there is to approve


async def test_where_nobody_answers_the_run_waits(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(builtins, "input", nobody)
    with pytest.raises(InputError, match="gems threads resume a-thread"):
        await agenerate(
            "a cat", context=world.context(review="rounds"), thread_id="a-thread", show=True
        )
    assert "It waits for a person's answer" in capsys.readouterr().err


async def test_without_ipython_it_says_what_to_install(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(ConfigurationError, match="pip install ipython"):
        await agenerate("a cat", context=world.context(), show=True)
    assert world.script.calls == {}


async def test_a_failed_run_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.generator.fail = lambda number: ValueError("no paint")
    with pytest.raises(Exception, match=r".+"):
        await agenerate("a cat", context=world.context(), show=True)
    assert "Failed: " in capsys.readouterr().err.splitlines()[-1]


async def test_a_result_whose_image_is_gone_shows_the_rest(world: World) -> None:
    result = await agenerate("a <b> cat", context=world.context())
    assert "<img" in result._repr_html_()
    await artifact_store().delete(result.image["sha256"])
    html = result._repr_html_()
    assert "<img" not in html
    assert "no longer stored" in html
    assert "a &lt;b&gt; cat" in html


async def test_the_plain_form_is_one_short_line(world: World) -> None:
    result: Any = await agenerate("a cat " * 500, context=world.context(), thread_id="t")
    assert repr(result) == (
        "Result(3 of 3 requirements met, attempts=1, 'accepted', seed=7, thread_id='t')"
    )
