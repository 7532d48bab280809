"""How the page looks, at a phone's and a laptop's width, light and dark; and who can use it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from browser import screenshot
from browser.accessibility import violations
from browser.conftest import House
from browser.gems_page import ACCEPTED, GemsPage, address, is_loaded, overflow
from browser.test_logins import log_in
from browser.threads import Thread, make_thread
from browser.visit import DESKTOP, PHONE, Visits, settled
from playwright.async_api import Locator, Page, expect
from servers.langgraph_server import LangGraphServer
from servers.painter_server import PainterServer

pytestmark = pytest.mark.integration

WIDTHS = {"phone": PHONE, "desktop": DESKTOP}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


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


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_as_stored(
    width: str,
    scheme: Literal["light", "dark"],
    house: House,
    carols: Thread,
    visits: Visits,
    tmp_path: Path,
) -> None:
    page = await carols_page(house, visits, width=WIDTHS[width], scheme=scheme)
    await expect(GemsPage(page).prompt).to_be_visible()
    screenshot.compare(await look(page), f"empty-{width}-{scheme}", tmp_path)

    await page.goto(address(house.url, carols.id))
    await shown(page)
    screenshot.compare(await look(page, whole=True), f"finished-{width}-{scheme}", tmp_path)


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


@pytest.mark.parametrize("width", [360, PHONE, 768, DESKTOP])
async def test_nothing_is_scrolled_sideways(
    width: int, house: House, carols: Thread, visits: Visits
) -> None:
    page = await carols_page(house, visits, carols.id, width=width)
    gems = GemsPage(page)
    await gems.finish(ACCEPTED)
    assert await overflow(page) == 0
    await gems.open_settings()
    assert await overflow(page) == 0
    await gems.round(1).get_by_role("button", name="Compare").click()
    await expect(gems.dialog).to_be_visible()
    assert await overflow(page) == 0
    box = await gems.dialog.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


# --- accessibility --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_axe_finds_nothing_on_any_view(
    width: str,
    scheme: Literal["light", "dark"],
    house: House,
    carols: Thread,
    visits: Visits,
) -> None:
    page = await visits.new(address(house.url), width=WIDTHS[width], scheme=scheme)
    gems = GemsPage(page)
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await violations(page) == [], "the question for the key"
    await log_in(page, house.keys["carol"])
    await expect(gems.threads.get_by_text("five red cubes").first).to_be_attached()
    assert await violations(page) == [], "empty"
    await gems.open_settings(more=True)
    assert await violations(page) == [], "settings open"

    await page.goto(address(house.url, carols.id))
    await gems.finish(ACCEPTED)
    assert await violations(page) == [], "a finished run"
    await gems.round(1).get_by_role("button", name="Compare").click()
    await expect(gems.dialog).to_be_visible()
    assert await violations(page) == [], "the dialog"
    await page.keyboard.press("Escape")
    for tab in ("Skills", "Memory"):
        await gems.choose(tab)
        await expect(page.get_by_role("main")).to_be_visible()
        assert await violations(page) == [], tab


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_while_a_run_waits_works_or_failed(
    scheme: Literal["light", "dark"],
    server: LangGraphServer,
    painter: PainterServer,
    visits: Visits,
) -> None:
    painter.allowed = 1
    gems = await GemsPage.open(visits, server.url, scheme=scheme)
    await gems.generate(Review="requirements")
    await expect(gems.answer).to_be_visible()
    assert await violations(gems.page) == [], "a question"
    await gems.answer.get_by_role("button", name="Approve").click()
    await expect(gems.status).to_have_text(re.compile("Round 2 of 4"))
    assert await violations(gems.page) == [], "a run at work"
    await gems.button("Stop").click()
    await gems.finish()
    painter.allowed = None
    painter.fault = "page"
    await gems.generate(Review="none")
    await expect(gems.alert).to_be_visible()
    assert await violations(gems.page) == [], "an error"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_axe_finds_nothing_on_the_report(
    width: str,
    scheme: Literal["light", "dark"],
    server: LangGraphServer,
    finished: Thread,
    visits: Visits,
) -> None:
    address_of_report = f"{server.url}/threads/{finished.id}/report"
    page = await visits.new(address_of_report, width=WIDTHS[width], scheme=scheme)
    assert await violations(page) == []
    assert await overflow(page) == 0
