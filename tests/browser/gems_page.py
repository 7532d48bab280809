"""The page as people find their way on it: by the roles and names of what is on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from browser.visit import Visits
from playwright.async_api import Locator, Page, expect

END = re.compile(r"^(Accepted|Best of|Stopped|The run failed)")
"""How the status begins when nothing more will happen."""

SMALL = {"Width": 256, "Height": 256, "Seed": 1, "Rounds": 4, "Memory": "off"}
"""Settings of most runs: with `PROMPT` three rounds, the third one accepted."""

PROMPT = "five red cubes to the left of a blue ball"
ACCEPTED = "Accepted in round 3: all 6 requirements met"


@dataclass(frozen=True)
class GemsPage:
    """A page that is open."""

    page: Page

    @classmethod
    async def open(cls, visits: Visits, url: str, thread: str = "", **options: Any) -> GemsPage:
        """Opens the page of a server, or one thread on it; `options` are those of `Visits.new`."""
        opened = cls(await visits.new(address(url, thread), **options))
        await expect(opened.page.get_by_role("heading", level=1, name="GEMS")).to_be_visible()
        return opened

    # --- what is on it ------------------------------------------------------------------------

    @property
    def prompt(self) -> Locator:
        return self.page.get_by_role("textbox", name="Prompt", exact=True)

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("region", name="Result").get_by_role("status")

    @property
    def image(self) -> Locator:
        return self.page.get_by_role("region", name="Result").get_by_role("img")

    @property
    def alert(self) -> Locator:
        return self.page.get_by_role("alert")

    @property
    def answer(self) -> Locator:
        return self.page.get_by_role("region", name="Your answer")

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog", name="Compare attempts")

    @property
    def threads(self) -> Locator:
        return self.page.get_by_role("navigation", name="Threads")

    @property
    def rounds(self) -> Locator:
        return self.page.get_by_role("region", name="Rounds").get_by_role("article")

    def round(self, number: int) -> Locator:
        """Returns the article of a round with one candidate."""
        region = self.page.get_by_role("region", name="Rounds")
        return region.get_by_role("article", name=f"Round {number}", exact=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def thread(self) -> str:
        """The thread's id in the address; empty when there is none."""
        found = re.search(r"#/threads/([0-9a-f-]{36})", self.page.url)
        return found[1] if found else ""

    # --- what people do -----------------------------------------------------------------------

    async def set(self, **settings: Any) -> None:
        """Fills in settings by their labels (`_` stands for a space)."""
        await self.open_settings()
        for name, value in settings.items():
            await fill(self.setting(name.replace("_", " ")), value)

    def setting(self, label: str) -> Locator:
        return self.page.locator("form details").first.get_by_label(label, exact=True)

    async def open_settings(self, *, more: bool = False) -> None:
        """Opens the disclosure, if it is closed; with `more`, also the one in it."""
        if not await self.setting("Rounds").is_visible():
            await self.page.locator("summary").filter(has_text=re.compile("^Settings")).click()
        await expect(self.setting("Rounds")).to_be_visible()
        if more:
            await self.page.locator("summary").filter(has_text="More settings").click()

    async def generate(self, prompt: str = PROMPT, **settings: Any) -> None:
        """Starts a run."""
        await self.set(**{**SMALL, **settings})
        await self.prompt.fill(prompt)
        await self.button("Generate").click()

    async def finish(self, status: str | re.Pattern[str] = END) -> None:
        """Waits for the end of the run."""
        await expect(self.status).to_have_text(status)

    async def choose(self, tab: str) -> None:
        """Goes to Create, Skills or Memory."""
        of_tabs = self.page.get_by_role("tab", name=tab, exact=True)
        await of_tabs.or_(self.page.get_by_role("link", name=tab, exact=True)).first.click()


def address(url: str, thread: str = "") -> str:
    """Returns the address of the page, or of one thread on it."""
    return f"{url}/ui/#/threads/{thread}" if thread else f"{url}/ui/"


async def fill(field: Locator, value: Any) -> None:
    """Fills in a text or number, or chooses from a list."""
    if await field.evaluate("element => element.tagName") == "SELECT":
        await field.select_option(str(value))
    else:
        await field.fill(str(value))


async def is_loaded(image: Locator) -> bool:
    """Waits for an image to be there: decoded, with pixels. Returns whether it came."""
    await expect(image).to_be_visible()
    loaded: bool = await image.evaluate(
        """async (element) => {
          const end = Date.now() + 15000;
          while (!element.complete || element.naturalWidth === 0) {
            if (Date.now() > end) return false;
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
          await element.decode();
          return true;
        }"""
    )
    return loaded


async def overflow(page: Page) -> int:
    """Returns by how many pixels the page can be scrolled sideways; 0 is right."""
    wide: int = await page.evaluate(
        "() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
        " - document.documentElement.clientWidth"
    )
    return wide
