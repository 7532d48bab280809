"""A run on the page, from the prompt to the image, and everything that can come between."""

from __future__ import annotations

import re
from typing import Any

import pytest
from browser.gems_page import ACCEPTED, END, PROMPT, GemsPage, is_loaded
from browser.threads import runs_of, values_of
from browser.visit import Visits
from langgraph_sdk import get_client
from playwright.async_api import expect
from servers.langgraph_server import LangGraphServer
from servers.painter_server import PainterServer

pytestmark = pytest.mark.integration


async def test_from_the_prompt_to_the_accepted_image(
    server: LangGraphServer, painter: PainterServer, visits: Visits
) -> None:
    painter.allowed = 1
    gems = await GemsPage.open(visits, server.url)
    await expect(gems.button("Generate")).to_be_disabled()
    await gems.generate()

    # The first round is there while the second one is being made.
    await expect(gems.status).to_have_text(re.compile(r"Round 2 of 4"))
    first = gems.round(1)
    assert await is_loaded(first.get_by_role("img").first)
    requirements = first.get_by_label("Requirements")
    await expect(requirements.get_by_text("not met", exact=True)).to_have_count(1)
    await expect(requirements.get_by_text("met", exact=True)).to_have_count(5)
    await expect(gems.button("Stop")).to_be_visible()
    await expect(gems.rounds.filter(has_text="not met")).to_have_count(1)

    painter.allowed = None
    await gems.finish(ACCEPTED)
    await expect(gems.rounds).to_have_count(3)
    assert await is_loaded(gems.image)
    await expect(gems.image).to_have_attribute("alt", PROMPT)
    await expect(gems.round(3).get_by_text("not met", exact=True)).to_have_count(0)
    await expect(gems.round(3).get_by_text("met", exact=True)).to_have_count(6)
    # What the refiner changed, and why.
    await expect(gems.round(1).locator("ins, del")).to_have_count(0)
    await expect(gems.round(2).get_by_role("heading", name="Prompt changes")).to_be_visible()
    assert await gems.round(2).locator("ins").count() > 0
    values = await values_of(server.url, gems.thread)
    for experience in values["experiences"]:
        await expect(gems.round(experience["round"])).to_contain_text(experience["text"])
    # What it cost, role by role: three rounds of six questions.
    cost = gems.page.get_by_role("region", name="Cost")
    await expect(cost).to_contain_text(re.compile(r"verifier\D*18", re.IGNORECASE))
    await expect(cost).to_contain_text(re.compile(r"generator\D*3", re.IGNORECASE))


async def test_with_the_keyboard_alone(server: LangGraphServer, visits: Visits) -> None:
    gems = await GemsPage.open(visits, server.url)
    keyboard = gems.page.keyboard
    await keyboard.press("Tab")
    skip = gems.page.get_by_role("link", name="Skip to the image")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_visible()
    seen: list[str] = []
    for _ in range(40):
        await keyboard.press("Tab")
        here = await gems.page.evaluate(
            """() => {
              const element = document.activeElement, style = getComputedStyle(element);
              const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0
                || style.boxShadow !== "none";
              return [element.tagName + " " + (element.innerText || element.name || ""), shown];
            }"""
        )
        seen.append(here[0])
        assert here[1], f"the focus can't be seen on {here[0]}"
        if await gems.prompt.evaluate("element => element === document.activeElement"):
            break
    else:
        pytest.fail(f"Tab does not reach the prompt: {seen}")
    await keyboard.type("a red cube")
    for _ in range(10):
        await keyboard.press("Tab")
        if await gems.button("Generate").evaluate("e => e === document.activeElement"):
            break
    else:
        pytest.fail("Tab does not go from the prompt to Generate")
    await keyboard.press("Enter")
    await gems.finish(re.compile("^(Accepted|Best of)"))
    assert await is_loaded(gems.image)


async def test_reload_in_the_middle_of_a_run(
    server: LangGraphServer, painter: PainterServer, visits: Visits
) -> None:
    painter.allowed = 1
    gems = await GemsPage.open(visits, server.url)
    await gems.generate()
    await expect(gems.status).to_have_text(re.compile(r"Round 2 of 4"))
    thread = gems.thread
    assert thread

    await gems.page.reload()
    await expect(gems.round(1)).to_be_visible()
    await expect(gems.status).to_have_text(re.compile(r"Round 2 of 4"))
    await expect(gems.button("Stop")).to_be_visible()
    assert await is_loaded(gems.round(1).get_by_role("img").first)
    assert gems.thread == thread

    painter.allowed = None
    await gems.finish(ACCEPTED)
    await expect(gems.rounds).to_have_count(3)
    assert await runs_of(server.url, thread) == ["success"], "the reload started nothing of its own"


async def test_another_window_sees_the_same_run(
    server: LangGraphServer, painter: PainterServer, visits: Visits
) -> None:
    painter.allowed = 1
    first = await GemsPage.open(visits, server.url)
    await first.generate()
    await expect(first.status).to_have_text(re.compile(r"Round 2 of 4"))
    second = await GemsPage.open(visits, server.url, first.thread)
    await expect(second.round(1)).to_be_visible()
    painter.allowed = None
    for gems in (first, second):
        await gems.finish(ACCEPTED)
        await expect(gems.rounds).to_have_count(3)


async def test_stop(server: LangGraphServer, painter: PainterServer, visits: Visits) -> None:
    painter.allowed = 1
    gems = await GemsPage.open(visits, server.url)
    await gems.generate()
    await expect(gems.status).to_have_text(re.compile(r"Round 2 of 4"))
    await gems.button("Stop").click()
    await gems.finish(re.compile("^Stopped"))
    await expect(gems.button("Stop")).to_have_count(0)
    await expect(gems.round(1)).to_be_visible()
    assert await runs_of(server.url, gems.thread) == ["interrupted"]
    painter.allowed = None
    await gems.generate("a red cube", Rounds=1)
    await gems.finish(re.compile("^(Accepted|Best of)"))


# --- a person is asked ----------------------------------------------------------------------------


async def test_requirements_are_edited_and_approved(
    server: LangGraphServer, visits: Visits
) -> None:
    gems = await GemsPage.open(visits, server.url)
    await gems.generate(Review="requirements", Rounds=1)
    await expect(gems.answer).to_be_visible()
    questions = gems.answer.get_by_role("textbox")
    await expect(questions.first).to_have_value(re.compile(r"\?$"))
    before = await questions.evaluate_all("all => all.map(each => each.value)")
    await questions.first.fill("Are there five green cubes?")
    await gems.page.reload()  # the question waits on the server; what was typed need not
    await expect(gems.answer).to_be_visible()
    await gems.answer.get_by_role("textbox").first.fill("Are there five green cubes?")
    await gems.answer.get_by_role("button", name="Approve").click()
    await gems.finish(re.compile("^Best of"))
    await expect(gems.answer).to_have_count(0)
    shown = gems.round(1).get_by_label("Requirements")
    await expect(shown.get_by_text("Are there five green cubes?")).to_be_visible()
    values = await values_of(server.url, gems.thread)
    questions_now = [item["question"] for item in values["requirements"]]
    assert questions_now[0] == "Are there five green cubes?"
    assert set(before[1:6]) <= {*questions_now, *values["prompts"]}


async def test_a_round_is_reviewed_with_feedback_and_the_next_one_accepted(
    server: LangGraphServer, visits: Visits
) -> None:
    gems = await GemsPage.open(visits, server.url)
    await gems.generate(Review="rounds")
    await expect(gems.answer).to_be_visible()
    await expect(gems.answer.get_by_role("button", name="Stop here")).to_be_visible()
    await gems.answer.get_by_role("textbox", name="Feedback").fill("make the ball bigger")
    await gems.answer.get_by_role("button", name="Go on").click()
    await expect(gems.round(2)).to_be_visible()
    await expect(gems.answer).to_be_visible()
    await expect(gems.answer.get_by_role("textbox", name="Feedback")).to_have_value("")
    await gems.answer.get_by_role("button", name="Accept", exact=True).click()
    await gems.finish(re.compile("^Accepted in round 2"))
    values = await values_of(server.url, gems.thread)
    assert values["stopped_because"] == "accepted_by_reviewer"
    async with get_client(url=server.url) as api:
        history: list[Any] = await api.threads.get_history(gems.thread, limit=50)
    assert any(state["values"].get("feedback") == "make the ball bigger" for state in history)


# --- when something fails -------------------------------------------------------------------------


async def test_a_failing_generator_is_said_and_tried_again(
    server: LangGraphServer, painter: PainterServer, visits: Visits
) -> None:
    painter.fault = "page"  # a web page where an image was due
    gems = await GemsPage.open(visits, server.url)
    await gems.generate()
    await expect(gems.alert).to_contain_text("where an image was due")
    await expect(gems.alert).to_contain_text("Check that the address serves POST /generate.")
    said = await gems.alert.inner_text()
    for noise in ("Traceback", "GenerationError(", "undefined", "[object", "{'"):
        assert noise not in said
    await gems.page.reload()
    await expect(gems.alert).to_contain_text("Check that the address serves POST /generate.")

    painter.fault = ""
    await gems.button("Try again").click()
    await gems.finish(ACCEPTED)
    await expect(gems.alert).to_have_count(0)


async def test_a_generator_that_fails_later_leaves_the_best_image(
    server: LangGraphServer, painter: PainterServer, visits: Visits
) -> None:
    painter.allowed = 1
    gems = await GemsPage.open(visits, server.url)
    await gems.generate()
    await expect(gems.status).to_have_text(re.compile(r"Round 2 of 4: generating"))
    painter.fault = "page"
    painter.allowed = None
    await gems.finish(re.compile("^Best of 1 round: 5 of 6 requirements met"))
    await expect(gems.alert).to_contain_text("where an image was due")
    assert await is_loaded(gems.image)
    painter.fault = ""
    await gems.button("Try again").click()
    # The round that failed is spent; the others are made.
    await gems.finish(re.compile("^(Accepted in round|Best of 3 rounds)"))
    await expect(gems.alert).to_have_count(0)
    assert await gems.rounds.count() > 1


async def test_a_setting_that_is_wrong_is_said(server: LangGraphServer, visits: Visits) -> None:
    gems = await GemsPage.open(visits, server.url)
    await gems.generate(Generator="nonsense")
    await expect(gems.alert).to_contain_text("There is no image generator 'nonsense'")
    await gems.set(Generator="")
    await gems.prompt.fill("a red cube")
    await gems.button("Generate").click()
    await gems.finish(re.compile("^(Accepted|Best of)"))


async def test_a_server_that_is_gone_is_said(server: LangGraphServer, visits: Visits) -> None:
    gems = await GemsPage.open(visits, server.url)
    await gems.set(Rounds=1, Width=256, Height=256, Memory="off")
    await gems.prompt.fill("a red cube")
    await gems.page.context.set_offline(True)
    await gems.button("Generate").click()
    await expect(gems.alert).to_be_visible()
    await expect(gems.alert).to_contain_text(re.compile("server", re.IGNORECASE))
    await gems.page.context.set_offline(False)
    await gems.button("Try again").click()
    await gems.finish(END)
    assert await is_loaded(gems.image)
