"""The page of a server with logins."""

from __future__ import annotations

import re

import pytest
from browser.conftest import House
from browser.gems_page import ACCEPTED, GemsPage, address, is_loaded
from browser.threads import make_thread
from browser.visit import Visits
from playwright.async_api import Page, expect

pytestmark = pytest.mark.integration
ALICES = "a purple cube above a green ball"


async def log_in(page: Page, key: str) -> None:
    """Gives the key that the page asks for."""
    await page.get_by_label("API key").fill(key)
    await page.keyboard.press("Enter")


async def test_a_wrong_key_is_refused_and_the_right_one_works(house: House, visits: Visits) -> None:
    gems = await GemsPage.open(visits, house.url)
    field = gems.page.get_by_label("API key")
    await expect(field).to_have_attribute("type", "password")
    wrong = house.keys["alice"][:-4] + "XXXX"
    await log_in(gems.page, wrong)
    refused = gems.page.get_by_role("dialog", name="Log in").get_by_role("alert")
    await expect(refused).to_contain_text("The API key is not valid")
    assert wrong not in await gems.page.content()
    await log_in(gems.page, house.keys["alice"])
    await expect(gems.alert).to_have_count(0)

    await gems.generate()
    await gems.finish(ACCEPTED)
    assert await is_loaded(gems.image), "images are fetched with the key"
    # The key is kept for this tab, and nowhere else.
    elsewhere = await gems.page.evaluate(
        "() => JSON.stringify([Object.entries(localStorage), document.cookie, location.href])"
    )
    assert house.keys["alice"] not in elsewhere
    assert house.keys["alice"] not in await gems.page.content()
    await gems.page.reload()
    await gems.finish(ACCEPTED)
    assert await is_loaded(gems.image)


async def test_somebody_elses_thread_is_not_reachable(house: House, visits: Visits) -> None:
    hers = make_thread(house.url, ALICES, key=house.keys["alice"], max_rounds=1)
    page = await visits.new(address(house.url, hers.id))
    bob = GemsPage(page)
    await log_in(page, house.keys["bob"])
    await expect(bob.alert).to_be_visible()
    await expect(bob.rounds).to_have_count(0)
    await expect(bob.threads.get_by_text(ALICES)).to_have_count(0)
    assert ALICES not in await page.content()

    page = await visits.new(address(house.url, hers.id))
    alice = GemsPage(page)
    await log_in(page, house.keys["alice"])
    await expect(alice.rounds).to_have_count(1)
    await expect(alice.threads.get_by_text(ALICES).first).to_be_visible()


async def test_a_key_that_ends_while_the_page_is_open_is_asked_for_again(
    house: House, visits: Visits
) -> None:
    gems = await GemsPage.open(visits, house.url)
    await log_in(gems.page, house.keys["alice"])
    await expect(gems.page.get_by_label("API key")).to_have_count(0)
    await gems.set(Rounds=1, Width=256, Height=256)
    await gems.prompt.fill("a red cube")
    async with house.without("alice"):
        await gems.button("Generate").click()
        await expect(gems.page.get_by_label("API key")).to_be_visible()
    await log_in(gems.page, house.keys["alice"])
    await expect(gems.prompt).to_have_value("a red cube")
    await gems.button("Generate").click()
    await gems.finish(re.compile("^(Accepted|Best of)"))
