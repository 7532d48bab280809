"""The tools of the browser tests, tried on small pages: what they must let pass and what not."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import pytest
from browser import screenshot
from browser.accessibility import violations
from browser.conftest import cannot_run
from browser.visit import Visits
from PIL import Image
from playwright.async_api import Browser, Page
from servers import chromium

pytestmark = pytest.mark.integration

STRICT = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self'"

PAGE = """<!doctype html><html lang="en"><title>A page</title>
<style>
  body {{ margin: 0; font: 16px/1.5 "DejaVu Sans", sans-serif; background: #fff; color: #222 }}
  main {{ padding: 24px; max-width: 700px }}
  button {{ background: #14532d; color: #fff; border: 0; padding: 10px 24px; font: inherit }}
  {style}
</style>
<main><h1>A page</h1><p id="text">{text}</p><button>Generate</button>{more}</main></html>"""

TEXT = "Some words that fill a few lines of this page. " * 8


def html(style: str = "", text: str = TEXT, more: str = "") -> bytes:
    return PAGE.format(style=style, text=text, more=more).encode()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A site with a strict policy: `/` is a page, `/bad` breaks in every way that is watched."""
    bad = html(
        more='<script>alert("inline")</script><script src="/bad.js"></script>'
        '<img src="http://127.0.0.1:9/far.png"><input>'
    )
    files = {
        "/": ("text/html; charset=utf-8", html()),
        "/bad": ("text/html; charset=utf-8", bad),
        "/bad.js": ("text/javascript", b'setTimeout(() => alert("boo")); throw new Error("lost")'),
    }

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            kind, body = files.get(self.path, ("text/plain", b""))
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", STRICT)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


# --- the browser ----------------------------------------------------------------------------------


def test_a_missing_browser_is_a_skip_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("GEMS_TEST_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(chromium.NoChromiumError) as caught:
        chromium.ensure()
    assert "apt-get install" in str(caught.value)
    assert "GEMS_TEST_CHROMIUM" in str(caught.value)
    with pytest.raises(pytest.skip.Exception, match="apt-get install"):
        cannot_run(str(caught.value))


def test_a_missing_browser_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("GEMS_TEST_CHROMIUM", "/nowhere/chrome")
    with pytest.raises(chromium.NoChromiumError, match="/nowhere/chrome") as caught:
        chromium.ensure()
    with pytest.raises(pytest.fail.Exception, match="CI must run"):
        cannot_run(str(caught.value))


async def test_what_happens_beside_a_visit_is_seen(browser: Browser, site: str) -> None:
    visits = Visits(browser)
    page = await visits.new(f"{site}/bad")
    await page.wait_for_function("document.readyState === 'complete'")
    happened = visits.of(page)
    assert happened.dialogs == ["alert: boo"]
    assert any("lost" in each for each in happened.errors)
    assert any("CSP: script-src-elem" in each for each in happened.errors)
    assert happened.elsewhere == ["http://127.0.0.1:9/far.png"]
    with pytest.raises(AssertionError):
        await visits.close()


# --- accessibility --------------------------------------------------------------------------------


async def test_axe_runs_under_a_strict_policy_and_names_the_element(
    browser: Browser, site: str, visits: Visits
) -> None:
    assert await violations(await visits.new(site)) == []
    bad = await (await browser.new_context()).new_page()
    await bad.goto(f"{site}/bad")
    (missing_alt, missing_label) = await violations(bad)
    assert missing_alt.startswith("image-alt (critical) at img")
    assert missing_label.startswith("label (critical) at input")
    await bad.context.close()


# --- screenshots ----------------------------------------------------------------------------------


async def shot(page: Page, content: bytes) -> Image.Image:
    await page.set_content(content.decode())
    return Image.open(BytesIO(await page.screenshot()))


async def test_a_slightly_different_font_is_the_same_and_a_broken_layout_is_not(
    visits: Visits,
) -> None:
    page = await visits.new(width=800, height=500)
    stored = await shot(page, html())
    for style in (
        "",
        "body { text-rendering: geometricPrecision; -webkit-text-stroke: 0.3px }",
        "h1, p { position: relative; left: 0.4px; top: 0.4px }",
        "body { letter-spacing: 0.02px }",
        "body { color: #333 }",
    ):
        found = screenshot.difference(await shot(page, html(style)), stored)
        assert found.tolerable, (style, found.said)
    for style in (
        "button { visibility: hidden }",
        "button { position: relative; left: 40px }",
        "main { padding-left: 48px }",
        "#text { display: none }",
        "h1 { visibility: hidden }",
        "body { background: #111; color: #eee }",
        "body { font-family: serif }",
        "main { max-width: none }",
    ):
        found = screenshot.difference(await shot(page, html(style)), stored)
        assert not found.tolerable, (style, found.said)


def test_a_mismatch_names_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshot, "STORED", tmp_path / "stored")
    pictures = {}
    for color in ("white", "black"):
        buffer = BytesIO()
        Image.new("RGB", (80, 80), color).save(buffer, "PNG")
        pictures[color] = buffer.getvalue()
    monkeypatch.setattr(screenshot, "RECORD", False)
    with pytest.raises(AssertionError, match="is stored"):
        screenshot.compare(pictures["white"], "page", tmp_path)
    monkeypatch.setattr(screenshot, "RECORD", True)
    screenshot.compare(pictures["white"], "page", tmp_path)
    monkeypatch.setattr(screenshot, "RECORD", False)
    screenshot.compare(pictures["white"], "page", tmp_path)
    with pytest.raises(AssertionError, match="looks different") as caught:
        screenshot.compare(pictures["black"], "page", tmp_path)
    for name in ("page.png", "stored/page.webp", "page.difference.png"):
        assert str(tmp_path / name) in str(caught.value)
        assert (tmp_path / name).exists()
