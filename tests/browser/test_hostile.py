"""Prompts that attack the page and the report: they are shown as what they are, text."""

from __future__ import annotations

import re

import pytest
from browser.gems_page import GemsPage, is_loaded, overflow
from browser.threads import make_thread
from browser.visit import PHONE, Visits
from langgraph_sdk import get_sync_client
from playwright.async_api import Browser, Page, expect
from servers.langgraph_server import LangGraphServer

pytestmark = pytest.mark.integration

RLO, ZERO_WIDTH = "\u202e", "\u200b\u200d\ufeff"
MARKUP = (
    '<script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">'
    '<svg onload="window.pwned = 1"></svg><a href="javascript:window.pwned=1">here</a>'
    "</textarea></title></style><!-- \" ' ` ${1} {{ 7*7 }} {% raw %} &lt;b&gt; a red cube"
)
HOSTILE = {
    "markup": MARKUP,
    "10,000 characters": "a red cube " + "Ω" * 9_989,
    "right to left": f"a red cube {RLO}gnp.evil{RLO} مكعب أحمر קובייה אדומה",
    "emoji": "a red cube 👩‍👩‍👧‍👦🏳️‍🌈🇺🇳" + "💎" * 300,
    "zero width": f"a{ZERO_WIDTH} red{ZERO_WIDTH} cube{ZERO_WIDTH * 500}.",
    "combining": "a red cube Z" + "\u0351\u0300" * 200,
}


async def is_harmless(page: Page) -> None:
    """Nothing of the prompt was run, and nothing hangs out of the window.

    Dialogs, errors and calls of other machines are checked by `visits`.
    """
    await page.wait_for_timeout(100)  # an onerror would come after the image failed
    assert await page.evaluate("() => typeof window.pwned") == "undefined"
    assert await page.locator("main script, main svg[onload], [onerror]").count() == 0
    assert await page.locator('a[href^="javascript:" i]').count() == 0
    assert await overflow(page) == 0


@pytest.mark.parametrize("name", HOSTILE)
async def test_from_typing_to_the_history_and_the_report(
    name: str, server: LangGraphServer, visits: Visits
) -> None:
    prompt = HOSTILE[name]
    gems = await GemsPage.open(visits, server.url, width=PHONE)
    await gems.generate(prompt, Rounds=2, Generator="sandbox")
    await gems.finish(re.compile("^(Accepted|Best of)"))
    await is_harmless(gems.page)
    await expect(gems.image).to_have_attribute("alt", prompt)
    await gems.page.reload()
    await gems.finish(re.compile("^(Accepted|Best of)"))
    await is_harmless(gems.page)
    shown = await gems.page.get_by_role("main").inner_text()
    assert prompt[:30] in shown
    if await gems.rounds.count() > 1:  # else there is nothing to compare
        await gems.round(1).get_by_role("button", name="Compare").click()
        await expect(gems.dialog).to_be_visible()
        await is_harmless(gems.page)
    report = await visits.new(f"{server.url}/threads/{gems.thread}/report", width=PHONE)
    await is_harmless(report)
    assert prompt[:30] in await report.locator("body").inner_text()
    assert await report.locator("script").count() == 0
    for image in await report.locator("img").all():
        assert await is_loaded(image)


async def test_everything_that_a_state_can_hold(server: LangGraphServer, visits: Visits) -> None:
    """The state is a client's to write: each text in it may be hostile."""
    made = make_thread(server.url, "a red cube beside a blue ball", max_rounds=2, seed=7)
    values = poisoned(dict(made.values))
    with get_sync_client(url=server.url, api_key=None) as api:
        api.threads.update_state(made.id, values, as_node="finalizer")
    gems = await GemsPage.open(visits, server.url, made.id, width=PHONE)
    await expect(gems.round(1)).to_be_visible()
    await is_harmless(gems.page)
    page = await visits.new(f"{server.url}/threads/{made.id}/report", width=PHONE)
    await is_harmless(page)


async def test_an_injection_would_be_noticed(server: LangGraphServer, browser: Browser) -> None:
    visits = Visits(browser)
    gems = await GemsPage.open(visits, server.url, width=PHONE)
    await is_harmless(gems.page)
    main = gems.page.get_by_role("main")
    await main.evaluate("(element, markup) => { element.innerHTML = markup }", MARKUP)
    with pytest.raises(AssertionError):
        await is_harmless(gems.page)
    with pytest.raises(AssertionError, match="CSP: script-src"):
        await visits.close()


def poisoned(values: dict[str, object]) -> dict[str, object]:
    """Returns a state whose free texts all attack."""
    texts = ("question", "rationale", "prompt", "text", "generator", "evidence")

    def through(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {name: through(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [through(item, key) for item in value]
        return f"{MARKUP} {value}" if isinstance(value, str) and key in texts else value

    kept = ("prompt", "requirements", "attempts", "experiences")
    made = {name: through(values[name], name) for name in kept if name in values}
    return {**made, "notices": [MARKUP], "skills": [MARKUP]}


@pytest.mark.parametrize(
    "where",
    [
        "#/threads/<img src=x onerror=window.pwned=1>",
        "#/threads/..%2f..%2fassistants",
        "#/javascript:window.pwned=1",
        "?x=<script>window.pwned=1</script>",
    ],
)
async def test_hostile_addresses(where: str, server: LangGraphServer, visits: Visits) -> None:
    page = await visits.new(f"{server.url}/ui/{where}", width=PHONE)
    await expect(page.get_by_role("heading", level=1, name="GEMS")).to_be_visible()
    await is_harmless(page)
    response = await page.request.get(f"{server.url}/ui/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
