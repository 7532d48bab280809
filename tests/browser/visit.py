"""A visit to a page: where it is opened, and everything that happened in it beside what was asked.

A test that opens a page through `Visits` fails at its end when the page ran into an error of its
own, opened a dialog, broke its security policy or called another machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
)

PHONE, DESKTOP = 390, 1280
"""Widths in CSS pixels: a phone held upright, a laptop."""

HEIGHT = 900
WAIT_MS = 20_000
"""How long a test waits for something to appear; the machine may be busy with other tests."""

expect.set_options(timeout=WAIT_MS)

_WATCH = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP: ${event.violatedDirective} blocked ${event.blockedURI}`);
});
"""


@dataclass
class Happened:
    """What a page did.

    Attributes:
        errors: Uncaught errors and errors on the console, without answers of HTTP 4xx and 5xx.
        answers: Console errors about such answers: a refused key is one.
        dialogs: Messages of alert, confirm, prompt and beforeunload.
        elsewhere: Addresses on other machines that it asked for.
    """

    errors: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def check(self) -> None:
        assert not self.errors, self.errors
        assert not self.dialogs, self.dialogs
        assert not self.elsewhere, self.elsewhere


async def settled(page: Page) -> None:
    """Waits until what changes its colour or place has done so, and is painted."""
    await page.evaluate(
        """async () => {
          const ends = document.getAnimations()
            .filter((each) => each.effect.getComputedTiming().endTime !== Infinity)
            .map((each) => each.finished.catch(() => {}));
          await Promise.all(ends);
          for (let n = 0; n < 2; n++) await new Promise(requestAnimationFrame);
        }"""
    )


class Visits:
    """Opens pages; use through the fixture `visits`."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._open: list[tuple[BrowserContext, Happened]] = []

    async def new(
        self,
        url: str = "",
        *,
        width: int = DESKTOP,
        height: int = HEIGHT,
        scheme: Literal["light", "dark"] = "light",
        **options: Any,
    ) -> Page:
        """Opens a page in a profile of its own.

        Args:
            url: Where to go; empty stays on a blank page.
            width: Of the window, in CSS pixels.
            height: Likewise.
            scheme: What the system prefers.
            **options: Of Playwright's `Browser.new_context`.
        """
        context = await self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
            **options,
        )
        context.set_default_timeout(WAIT_MS)
        happened = Happened()
        self._open.append((context, happened))
        host = urlsplit(url).netloc
        await context.add_init_script(_WATCH)
        context.on("console", lambda message: _console(message, happened))
        context.on("weberror", lambda error: happened.errors.append(str(error.error)))
        context.on("request", lambda request: _request(request, host, happened))
        page = await context.new_page()
        page.on("dialog", lambda dialog: _dialog(dialog, happened))
        if url:
            await page.goto(url)
        return page

    def of(self, page: Page) -> Happened:
        """Returns what a page did so far."""
        return next(happened for context, happened in self._open if context == page.context)

    async def close(self) -> None:
        """Closes all, then checks what they did."""
        for context, _ in self._open:
            await context.close()
        for _, happened in self._open:
            happened.check()


def _console(message: ConsoleMessage, happened: Happened) -> None:
    if message.type != "error":
        return
    kind = happened.answers if "Failed to load resource" in message.text else happened.errors
    kind.append(f"{message.text} ({message.location.get('url', '')})")


def _request(request: Request, host: str, happened: Happened) -> None:
    parts = urlsplit(request.url)
    if host and parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != host:
        happened.elsewhere.append(request.url)


async def _dialog(dialog: Dialog, happened: Happened) -> None:
    happened.dialogs.append(f"{dialog.type}: {dialog.message}")
    await dialog.dismiss()
