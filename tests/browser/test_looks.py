"""How the page looks, at a phone's and a laptop's width, light and dark; and who can use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from browser import screenshot
from browser.accessibility import violations
from browser.conftest import House
from browser.gems_page import ACCEPTED, GemsPage, address, is_loaded, overflow
from browser.test_logins import log_in
from browser.threads import Thread, make_thread
from browser.visit import DESKTOP, HEIGHT, PHONE, Visits, settled
from playwright.async_api import Locator, Page, expect
from servers.langgraph_server import LangGraphServer
from servers.painter_server import PainterServer

pytestmark = pytest.mark.integration

WIDTHS = {"phone": PHONE, "desktop": DESKTOP}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def looks(page: Page) -> AsyncIterator[str]:
    """Shows a page as `phone-light`, `phone-dark`, `desktop-light` and `desktop-dark`."""
    for width, pixels in WIDTHS.items():
        await page.set_viewport_size({"width": pixels, "height": HEIGHT})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await settled(page)
            yield f"{width}-{scheme}"


@pytest.fixture(scope="session")
def carols(house: House) -> Thread:
    """The only thread of a user: what is on her page is the same in every run of the tests."""
    return make_thread(house.url, key=house.keys["carol"], generator="sandbox")


async def carols_page(house: House, visits: Visits, thread: str = "", **options: object) -> Page:
    """Opens her page, logged in."""
    page = await visits.new(address(house.url, thread), **options)  # type: ignore[arg-type]  # of `new`
    await log_in(page, house.keys["carol"])
    await expect(GemsPage(page).threads.get_by_text("five red cubes").first).to_be_attached()
    return page


def changing(page: Page) -> list[Locator]:
    """Returns what is another in each run: times, seconds, ids."""
    return [
        page.get_by_text(re.compile(r"\d (s|min)\b")),
        page.get_by_text(re.compile(r"\d\d:\d\d")),
        page.get_by_role("region", name="Cost").locator("td:last-child"),
    ]


async def look(page: Page, *, whole: bool = False) -> bytes:
    await settled(page)
    return await page.screenshot(
        mask=changing(page), mask_color="#808080", animations="disabled", full_page=whole
    )


async def shown(page: Page) -> None:
    """Waits for a finished thread, with all of its images."""
    await GemsPage(page).finish(ACCEPTED)
    for image in await page.get_by_role("main").get_by_role("img").all():
        await image.scroll_into_view_if_needed()
        assert await is_loaded(image)
    await page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0) }")


async def test_as_stored(house: House, carols: Thread, visits: Visits, tmp_path: Path) -> None:
    page = await carols_page(house, visits)
    await expect(GemsPage(page).prompt).to_be_visible()
    async for name in looks(page):
        screenshot.compare(await look(page), f"empty-{name}", tmp_path)
    await page.goto(address(house.url, carols.id))
    await shown(page)
    async for name in looks(page):
        screenshot.compare(await look(page, whole=True), f"finished-{name}", tmp_path)


async def test_a_broken_layout_would_be_noticed(
    house: House, carols: Thread, visits: Visits, tmp_path: Path
) -> None:
    """The stored screenshots catch what may happen to a layout."""
    page = await carols_page(house, visits, carols.id)
    gems = GemsPage(page)
    await shown(page)
    for locator, style in (
        (gems.button("Generate"), "visibility: hidden"),
        (gems.image, "visibility: hidden"),
        (gems.round(2), "margin-left: 12px"),
        (gems.threads, "display: none"),
        (page.get_by_role("heading", level=1), "font-size: 60px"),
    ):
        element = await locator.element_handle()  # a hidden one can't be found by its role
        assert element is not None
        kept = await element.get_attribute("style") or ""
        await element.evaluate("(element, style) => { element.style.cssText = style }", style)
        with pytest.raises(AssertionError, match="looks different"):
            screenshot.compare(await look(page, whole=True), "finished-desktop-light", tmp_path)
        await element.evaluate("(element, style) => { element.style.cssText = style }", kept)
    screenshot.compare(await look(page, whole=True), "finished-desktop-light", tmp_path)


async def test_nothing_is_scrolled_sideways(house: House, carols: Thread, visits: Visits) -> None:
    page = await carols_page(house, visits, carols.id)
    gems = GemsPage(page)
    await gems.finish(ACCEPTED)
    await gems.open_settings(more=True)
    for width in (320, 360, PHONE, 768, DESKTOP):
        await page.set_viewport_size({"width": width, "height": HEIGHT})
        assert await overflow(page) == 0, width
        await gems.round(1).get_by_role("button", name="Compare").click()
        await expect(gems.dialog).to_be_visible()
        assert await overflow(page) == 0, width
        box = await gems.dialog.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        await page.keyboard.press("Escape")


# --- accessibility --------------------------------------------------------------------------------


async def accessible(page: Page, view: str) -> None:
    """Fails with all that axe-core finds: on a phone when it is light, on a laptop when dark.

    The colours do not depend on the width, and a pass over a long page takes a second.
    """
    found = {
        name: await violations(page)
        async for name in looks(page)
        if name in ("phone-light", "desktop-dark")
    }
    assert not any(found.values()), (view, found)


async def test_axe_finds_nothing_on_any_view(house: House, carols: Thread, visits: Visits) -> None:
    page = await visits.new(address(house.url))
    gems = GemsPage(page)
    await expect(page.get_by_label("API key")).to_be_visible()
    await accessible(page, "the question for the key")
    await log_in(page, house.keys["carol"])
    await expect(gems.threads.get_by_text("five red cubes").first).to_be_attached()
    await gems.open_settings(more=True)
    await accessible(page, "empty, with the settings open")
    await page.goto(address(house.url, carols.id))
    await shown(page)
    await accessible(page, "a finished run")
    await gems.round(1).get_by_role("button", name="Compare").click()
    await expect(gems.dialog).to_be_visible()
    await accessible(page, "the comparison")
    await page.keyboard.press("Escape")
    await gems.round(1).get_by_role("button", name="Continue from here").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await accessible(page, "the question before a fork")
    await page.keyboard.press("Escape")
    await gems.choose("Skills")
    await page.get_by_role("main").get_by_text("text-rendering", exact=True).first.click()
    await accessible(page, "the skills")
    await gems.choose("Memory")
    await expect(page.get_by_role("heading", name="Memory")).to_be_visible()
    await accessible(page, "the memory")


async def test_axe_finds_nothing_while_a_run_waits_works_or_failed(
    server: LangGraphServer, painter: PainterServer, visits: Visits
) -> None:
    painter.allowed = 1
    gems = await GemsPage.open(visits, server.url)
    await gems.generate(Review="all")
    await expect(gems.answer).to_be_visible()
    await accessible(gems.page, "the requirements to approve")
    await gems.answer.get_by_role("button", name="Approve").click()
    await expect(gems.answer.get_by_role("textbox", name="Feedback")).to_be_visible()
    await accessible(gems.page, "a round to review")
    await gems.answer.get_by_role("button", name="Go on").click()
    await expect(gems.status).to_have_text(re.compile("Round 2 of 4: generating"))
    await accessible(gems.page, "a run at work")
    await gems.button("Stop").click()
    await gems.finish()
    painter.allowed = None
    painter.fault = "page"
    await gems.generate(Review="none")
    await expect(gems.alert).to_be_visible()
    await accessible(gems.page, "an error")


async def test_axe_finds_nothing_on_the_report(
    server: LangGraphServer, finished: Thread, visits: Visits
) -> None:
    page = await visits.new(f"{server.url}/threads/{finished.id}/report")
    await accessible(page, "the report")
    await page.set_viewport_size({"width": PHONE, "height": HEIGHT})
    assert await overflow(page) == 0
