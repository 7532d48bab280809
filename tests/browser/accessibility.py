"""axe-core's findings on a page, against WCAG 2.2 AA.

The script comes with the package axe-playwright-python. It is run through the driver, as Playwright
runs all scripts of a test, so the page's own security policy stays on.
"""

from __future__ import annotations

from typing import Any

from axe_playwright_python.async_playwright import Axe
from browser.visit import settled
from playwright.async_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice")
"""Success criteria of all levels up to AA, and what axe-core calls good practice beside them."""

_axe = Axe()


async def violations(page: Page, **options: Any) -> list[str]:
    """Returns what is wrong, one line for each element: the rule, its selector, what to do.

    Args:
        page: As it stands now.
        **options: Of `axe.run`, beside the tags.
    """
    await settled(page)
    await page.evaluate(_axe.axe_script)
    found = await page.evaluate(
        "options => axe.run(options)",
        {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"], **options},
    )
    return [
        f"{rule['id']} ({rule['impact']}) at {' '.join(map(str, node['target']))}: "
        f"{' '.join(node['failureSummary'].split())}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
