"""A finished thread on the page: comparing, forking, downloads; then skills, memory and themes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re

import pytest
from browser.gems_page import ACCEPTED, PROMPT, GemsPage, is_loaded
from browser.threads import Thread, make_thread, values_of
from browser.visit import Visits
from langgraph_sdk import get_client
from playwright.async_api import Locator, Page, expect
from servers.langgraph_server import LangGraphServer
from servers.painter_server import PainterServer

from gems.skills.loader import load_library

pytestmark = pytest.mark.integration


# --- attempts -------------------------------------------------------------------------------------


async def test_two_attempts_are_compared_by_keyboard(
    server: LangGraphServer, finished: Thread, visits: Visits
) -> None:
    gems = await GemsPage.open(visits, server.url, finished.id)
    opener = gems.round(1).get_by_role("button", name="Compare")
    await opener.focus()
    await gems.page.keyboard.press("Enter")
    await expect(gems.dialog).to_be_visible()
    await expect(gems.dialog.get_by_role("combobox", name="Left attempt")).to_be_visible()
    await fill_by_label(gems.dialog.get_by_role("combobox", name="Left attempt"), "Round 1")
    await fill_by_label(gems.dialog.get_by_role("combobox", name="Right attempt"), "Round 3")
    images = gems.dialog.get_by_role("img")
    assert await is_loaded(images.first)
    assert await is_loaded(images.last)
    # What round 3 has and round 1 has not.
    await expect(gems.dialog).to_contain_text("not met")

    divider = gems.dialog.get_by_role("slider", name="Divider")
    await divider.focus()
    seen = {await share(divider): await gems.dialog.screenshot()}
    for key in ("Home", "ArrowRight", "ArrowRight", "End", "ArrowLeft"):
        await gems.page.keyboard.press(key)
        seen[await share(divider)] = await gems.dialog.screenshot()
    assert min(seen) == 0
    assert max(seen) == 100
    assert seen[0] != seen[100], "the divider moves what is seen"
    await gems.page.keyboard.press("Escape")
    await expect(gems.dialog).to_be_hidden()
    await expect(opener).to_be_focused()


async def fill_by_label(chooser: Locator, start: str) -> None:
    """Chooses the option whose text begins so."""
    options = await chooser.get_by_role("option").all_inner_texts()
    text = next(option for option in options if option.startswith(start))
    await chooser.select_option(label=text)


async def share(slider: Locator) -> float:
    """Returns where a slider stands."""
    stands: float = await slider.evaluate(
        "element => Number(element.value ?? element.getAttribute('aria-valuenow'))"
    )
    return stands


async def test_a_fork_goes_on_from_an_attempt_and_leaves_the_thread_as_it_was(
    server: LangGraphServer, visits: Visits
) -> None:
    origin = make_thread(server.url)
    gems = await GemsPage.open(visits, server.url, origin.id)
    await expect(gems.rounds).to_have_count(3)
    await gems.round(2).get_by_role("button", name="Continue from here").click()
    ask = gems.page.get_by_role("dialog", name="Continue from round 2")
    await ask.get_by_role("button", name="Continue", exact=True).click()
    await gems.page.wait_for_url(lambda url: origin.id not in url)
    await gems.finish(re.compile("^(Accepted in|Best of)"))
    await expect(gems.round(1)).to_be_visible()
    await expect(gems.round(2)).to_be_visible()
    assert await gems.rounds.count() >= 3, "it went on after round 2"
    made = await values_of(server.url, gems.thread)
    first = [item["image"]["sha256"] for item in made["attempts"][:2]]
    assert first == [item["image"]["sha256"] for item in origin.values["attempts"][:2]]
    assert await values_of(server.url, origin.id) == origin.values

    again = await GemsPage.open(visits, server.url, origin.id)
    await again.finish(ACCEPTED)
    await expect(again.rounds).to_have_count(3)


async def test_an_attempts_prompt_is_used_as_input(
    server: LangGraphServer, finished: Thread, visits: Visits
) -> None:
    gems = await GemsPage.open(visits, server.url, finished.id)
    await gems.round(3).get_by_role("button", name="Use as input").click()
    await expect(gems.prompt).to_have_value(finished.values["attempts"][2]["prompt"])


async def test_the_threads_are_listed_and_opened(server: LangGraphServer, visits: Visits) -> None:
    prompt = "a green cube above a yellow ball"
    made = make_thread(server.url, prompt, max_rounds=1)
    other = make_thread(server.url, "a white cube", max_rounds=1)
    gems = await GemsPage.open(visits, server.url, other.id)
    entry = gems.threads.get_by_role("link", name=prompt).or_(
        gems.threads.get_by_role("button", name=prompt)
    )
    await entry.first.click()
    await expect(gems.image).to_have_attribute("alt", prompt)
    assert gems.thread == made.id
    await expect(gems.rounds).to_have_count(1)
    await gems.page.go_back()
    await expect(gems.image).to_have_attribute("alt", "a white cube")


async def test_a_thread_that_is_not_there_is_said(server: LangGraphServer, visits: Visits) -> None:
    gems = await GemsPage.open(visits, server.url, "00000000-0000-4000-8000-000000000000")
    await expect(gems.alert).to_be_visible()
    await expect(gems.alert).not_to_contain_text("{")
    await expect(gems.rounds).to_have_count(0)


# --- downloads ------------------------------------------------------------------------------------


async def test_image_and_json_are_downloaded(
    server: LangGraphServer, finished: Thread, visits: Visits
) -> None:
    gems = await GemsPage.open(visits, server.url, finished.id)
    await gems.finish(ACCEPTED)
    name, data = await downloaded(gems.page, "Download image")
    assert name.endswith(".png")
    assert hashlib.sha256(data).hexdigest() == finished.values["image"]["sha256"]
    name, data = await downloaded(gems.page, "Download JSON")
    assert name.endswith(".json")
    content = json.loads(data)
    assert isinstance(content, dict)
    text = json.dumps(content)
    assert all(f'"{item["id"]}"' in text for item in finished.values["attempts"])
    assert PROMPT in text


async def downloaded(page: Page, name: str) -> tuple[str, bytes]:
    """Clicks what has that name; returns the file's name and what is in it."""
    link = page.get_by_role("link", name=name, exact=True)
    async with page.expect_download() as waiting:
        await link.or_(page.get_by_role("button", name=name, exact=True)).first.click()
    download = await waiting.value
    path = await download.path()
    return download.suggested_filename, await asyncio.to_thread(path.read_bytes)


# --- skills and memory ----------------------------------------------------------------------------


async def test_skills_are_browsed(server: LangGraphServer, visits: Visits) -> None:
    gems = await GemsPage.open(visits, server.url)
    await gems.choose("Skills")
    library = load_library()
    main = gems.page.get_by_role("main")
    for name, skill in library.skills.items():
        await expect(main.get_by_text(name, exact=True).first).to_be_visible()
        await expect(main).to_contain_text(skill.description[:60])
    await main.get_by_text("text-rendering", exact=True).first.click()
    body = library.skills["text-rendering"].instructions
    heading = re.search(r"^#+ (.+)$", body, re.MULTILINE)
    assert heading is not None
    await expect(main.get_by_text(heading[1]).first).to_be_visible()


async def test_lessons_are_shown_and_deleted(
    server: LangGraphServer, painter: PainterServer, visits: Visits
) -> None:
    task = "four green cubes to the left of a red ball"
    make_thread(server.url, task, memory="on", max_rounds=3)
    gems = await GemsPage.open(visits, server.url)
    await gems.choose("Memory")
    main = gems.page.get_by_role("main")
    lesson = main.get_by_role("article").or_(main.get_by_role("listitem")).filter(has_text=task)
    await expect(lesson).to_have_count(1)
    await lesson.get_by_role("button", name="Delete", exact=True).click()
    await lesson.get_by_role("button", name="Keep").click()
    await lesson.get_by_role("button", name="Delete", exact=True).click()
    await gems.page.keyboard.press("Enter")  # "Delete for good" has the focus now
    await expect(lesson).to_have_count(0)
    await gems.page.reload()
    await gems.choose("Memory")
    await expect(lesson).to_have_count(0)
    async with get_client(url=server.url) as api:
        found = await api.store.search_items(("experiences",), limit=100)
    assert task not in [item["value"].get("task") for item in found["items"]]


# --- the look -------------------------------------------------------------------------------------


async def test_the_theme_is_switched_and_kept(server: LangGraphServer, visits: Visits) -> None:
    gems = await GemsPage.open(visits, server.url, scheme="dark")
    dark = await background(gems.page)
    seen = {dark}
    for _ in range(3):  # system, light, dark
        await gems.page.get_by_role("button", name=re.compile("^Theme")).click()
        seen.add(await background(gems.page))
    assert len(seen) == 2
    light = (seen - {dark}).pop()
    while await background(gems.page) == dark:
        await gems.page.get_by_role("button", name=re.compile("^Theme")).click()
    await gems.page.reload()
    await expect(gems.page.locator("html")).to_have_css("background-color", light)


async def background(page: Page) -> str:
    color: str = await page.evaluate(
        "() => getComputedStyle(document.documentElement).backgroundColor"
    )
    return color


async def test_the_settings_are_the_servers(server: LangGraphServer, visits: Visits) -> None:
    async with get_client(url=server.url) as api:
        (assistant,) = await api.assistants.search(graph_id="gems")
        schemas = await api.assistants.get_schemas(assistant["assistant_id"])
    known = schemas["context_schema"]["properties"]  # type: ignore[index]  # it has one
    gems = await GemsPage.open(visits, server.url)
    await gems.open_settings(more=True)
    fields = gems.page.locator("details :is(input, select, textarea)")
    assert await fields.count() >= len(known) - 1, "all but the user, who logs in"
    rounds = gems.setting("Rounds")
    assert await rounds.get_attribute("min") == str(known["max_rounds"]["minimum"])
    assert await rounds.get_attribute("max") == str(known["max_rounds"]["maximum"])
    options = await gems.setting("Verification").get_by_role("option").all_inner_texts()
    assert len(options) >= len(known["verification"]["enum"])
