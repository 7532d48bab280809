"""The report of a thread: everything of its trajectory, in one file that does nothing."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from typing import Any

import pytest
from conftest import World
from html_reading import Read, read_html

from gems.app.report.pictures import pictures
from gems.app.report.reading import subject_here
from gems.app.report.render import render
from gems.app.session import drive
from gems.errors import GemsError, InputError
from gems.graph.run import agenerate, run_input
from gems.memory.artifacts import artifact_store
from gems.settings import get_settings

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> \u202egnp.exe 👨‍👩‍👧 مرحبا \x1b[31m \"'&"
)


async def report(thread: str = "thread", **changes: Any) -> Read:
    """The report of a thread, which every test here also asks to be well-formed and inert."""
    subject = dataclasses.replace(await subject_here(thread), **changes)
    html = await render(subject)
    read = read_html(html)
    assert read.problems == []
    assert str(get_settings().data_dir) not in html  # where the images lie is nobody's business
    assert "file:" not in html
    return read


async def finished(world: World, prompt: str = "a black cat with a hat", **settings: Any) -> None:
    """A thread of three rounds; the hat comes in the third."""
    world.script.verdict = lambda question, round_: (
        "no" if "hat" in question and round_ < 3 else "yes"
    )
    world.script.plan = lambda number: ["a cat with a hat"]
    world.script.refine = lambda number: [f"a black cat with a hat, try {number}"]
    await agenerate(prompt, context=world.context(**settings), thread_id="thread")


async def test_it_tells_the_whole_trajectory(world: World) -> None:
    await finished(world)
    read = await report()
    assert read.one("h1").text == "a black cat with a hat"
    assert "Accepted in round 3: all 3 requirements met" in read.text
    assert [heading.text for heading in read.all("h2")] == [
        "Accepted in round 3: all 3 requirements met",
        "Verdicts",
        "Rounds",
        "Cost",
        "Make it again",
    ]
    assert len(read.all("article")) == 3
    assert read.text.count("Learned in round") == 2
    assert "The hat was missed; say it first." in read.text
    assert len(read.all("img")) == 4  # the best, and each attempt


async def test_the_grid_says_in_words_what_each_image_shows(world: World) -> None:
    await finished(world)
    read = await report()
    (grid,) = read.all("table", "grid")
    assert "Round 1 Round 2 Round 3 best" in " ".join(grid.text.split())
    assert re.search(r"Is there a hat\? object not met not met met", " ".join(grid.text.split()))
    assert "2 of 3 met 2 of 3 met 3 of 3 met" in " ".join(grid.text.split())
    assert {cell.attributes["scope"] for cell in read.all("th")} == {"row", "col"}
    why = [mark.attributes.get("title", "") for mark in read.all("span", "no")]
    assert all("that is what I see." in text and "sure)" in text for text in why)


async def test_a_curve_of_the_scores(world: World) -> None:
    await finished(world)
    said = (await report()).one("svg", "curve").attributes["aria-label"]
    assert re.findall(r"Round (\d): \d+ % (\d+ %)", said) == [
        ("1", "67 %"),
        ("2", "67 %"),
        ("3", "100 %"),
    ]


async def test_prompts_are_shown_as_what_changed(world: World) -> None:
    await finished(world)
    read = await report()
    assert [item.text for item in read.all("del")] == ["1"]
    assert [item.text for item in read.all("ins")] == ["black ", ", try 1", "2"]
    assert [item.text for item in read.all("p", "prompt")] == [
        "a cat with a hat",
        "a black cat with a hat, try 1",
        "a black cat with a hat, try 12",  # both wordings: the old word is struck out
    ]
    assert "Changes against t1r2c1." in read.text


async def test_cost_by_role_with_a_sum(world: World) -> None:
    await finished(world)
    (table,) = (await report()).all("table", "cost")
    rows = " ".join(table.text.split())
    assert re.search(r"verifier 9 90 18 ", rows)
    assert re.search(r"generator 3 0 0 ", rows)
    assert re.search(r"Sum 18 \d+ \d+ ", rows)


async def test_settings_and_versions(world: World) -> None:
    await finished(world, votes=1, max_rounds=4)
    read = await report()
    changed, every = read.all("table", "settings")
    assert re.search(r"max_rounds .* 4 5", " ".join(changed.text.split()))
    assert "votes" not in changed.text
    assert "votes" in every.text
    assert re.search(r"gems-graph \d+\.\d+", read.text)
    assert "langgraph 1." in read.text


async def test_hostile_text_is_text_wherever_it_stands(world: World) -> None:
    world.script.requirements = [{"question": HOSTILE, "kind": "object", "depends_on": []}]
    world.script.verdict = lambda question, round_: "no"
    world.script.plan = lambda number: [HOSTILE]
    world.script.refine = lambda number: [f"{HOSTILE} again"]
    world.script.summary = HOSTILE
    await agenerate(HOSTILE, context=world.context(max_rounds=2), thread_id="thread")
    read = await report()
    shown = HOSTILE.replace("\x1b", "␛")
    assert read.one("h1").text == shown
    assert read.one("h1").attributes["dir"] == "auto"
    assert read.all("bdi")[0].attributes == {}
    body = (await render(await subject_here("thread"))).partition("<body>")[2]
    # A direction mark's effect ends with the element that isolates it; tooltips stand alone.
    isolated = r'<bdi>[^<]*</bdi>|<(\w+)[^>]* dir="auto"[^>]*>.*?</\1>|<[^>]*>'
    assert "\u202e" not in re.sub(isolated, "", body, flags=re.DOTALL)
    assert body.count("\u202e") > 5


async def test_a_long_prompt_unfolds(world: World) -> None:
    prompt = f"a cat {'and a very long story ' * 450}"
    await agenerate(prompt, context=world.context(max_rounds=1), thread_id="thread")
    read = await report()
    assert len(read.one("h1").text) <= 601
    assert read.one("p", "whole").text == prompt.strip() or prompt in read.one("p", "whole").text
    assert len(read.one("title").text) < 120


async def test_an_image_that_was_collected_is_said_to_be_missing(world: World) -> None:
    await finished(world)
    first = (await subject_here("thread")).state.attempts[0]
    await artifact_store().delete(first["image"]["sha256"])
    read = await report()
    (missing,) = read.all("div", "missing")
    assert "No longer stored" in missing.text
    assert len(read.all("img")) == 3


async def test_images_of_others_are_not_shown(world: World) -> None:
    await finished(world)
    subject = await subject_here("thread")
    mine = subject.state.attempts[2]["image"]["sha256"]

    async def allowed(sha256: str) -> bool:
        return sha256 == mine

    read = read_html(await render(subject, allowed=allowed))
    assert len(read.all("img")) == 2  # the best at the top, and in its round
    assert [item.text.strip() for item in read.all("div", "missing")] == [
        "Not shown: this image is not yours, or no longer stored."
    ] * 2


async def test_a_run_that_waits_for_a_person(world: World) -> None:
    with pytest.raises(GemsError):
        await agenerate("a cat", context=world.context(review="requirements"), thread_id="thread")
    read = await report()
    assert "No image yet" in read.text
    assert "It waits for a person's answer." in read.text
    assert read.all("article") == []


async def test_a_run_that_failed_after_an_image_reports_what_there_is(world: World) -> None:
    world.script.verdict = lambda question, round_: "no"
    world.generator.fail = lambda number: RuntimeError("out of paint") if number > 1 else None
    await agenerate("a cat", context=world.context(max_rounds=3), thread_id="thread")
    read = await report()
    assert "Best of 1 round: 0 of 3 requirements met" in read.text
    assert "the image generator failed" in read.text
    assert len(read.all("article")) == 1


async def test_turns_edits_and_forks(world: World) -> None:
    world.script.revise = lambda message: {
        "related": True,
        "prompt": "a black cat with a green hat",
        "digest": "Hats come late.",
    }
    await finished(world, candidates=2)
    await agenerate("make the hat green", context=world.context(), thread_id="thread")
    read = await report(origin="other-thread t1r1c1")
    assert [heading.text for heading in read.all("h3")][:2] == [
        "Turn 1: Best of 3 rounds: all 3 requirements met",
        "Turn 2: Accepted in round 1: all 3 requirements met",
    ]
    assert read.one("blockquote").text == "make the hat green"
    assert "Round 3, candidate 2" in read.text
    assert "Hats come late." in read.text
    assert "other-thread, after t1r1c1" in read.text
    assert "the command makes the whole task anew" in read.text


async def test_one_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="no thread 'nothing'"):
        await subject_here("nothing")


async def test_headings_do_not_skip_a_level_and_ids_are_unique(world: World) -> None:
    await finished(world)
    read = await report()
    levels = [int(item.tag[1]) for item in read.elements if re.fullmatch(r"h[1-6]", item.tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [item.attributes["id"] for item in read.elements if "id" in item.attributes]
    assert len(ids) == len(set(ids))
    known = {f"#{name}" for name in ids}
    assert {item.attributes["href"] for item in read.all("a")} <= known


async def test_many_images_get_smaller_ones(world: World) -> None:
    await finished(world)
    (ref, *_) = [item["image"] for item in (await subject_here("thread")).state.attempts]
    many = [{**ref, "sha256": f"{number:064x}"} for number in range(500)]
    made = await pictures(many, None)  # type: ignore[arg-type]  # copies of a reference
    assert len(made) == 500
    assert "too many images" in made[f"{0:064x}"].missing
    assert "No longer stored" in made[f"{499:064x}"].missing


async def test_the_thread_of_the_command_line_is_the_same(world: World) -> None:
    class Silent:
        def feed(self, mode: str, event: Any) -> None:
            return

        def ask(self, question: Any) -> Any:
            raise AssertionError("nothing to ask")

    await drive(run_input("a cat"), world.context(max_rounds=1), "line", Silent())
    assert "max_rounds" in (await report("line")).all("table", "settings")[0].text
