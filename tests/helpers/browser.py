"""A headless Chromium that opens reports; the fixture `opened` of conftest.py hands one out."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
NO_BACKGROUND_TRAFFIC = [
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""options of a browser that requests nothing on its own"""

PATIENCE_MS = 300_000
"""a page that is not there by then never will be"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own browser; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=[*sandbox, *NO_BACKGROUND_TRAFFIC], timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


class Open:
    """Opens reports, each in a context of its own."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.said: list[str] = []
        """what pages asked for, and what they complained of"""

    def __call__(self, report: Path, **options: Any) -> Page:
        """The page of the report in a directory; `options` are a Playwright context's."""
        context = self._browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda asked: self.said.append(asked.url) if not asked.url.startswith("data:") else None)
        page.goto((report / "index.html").as_uri())
        return page

    def close(self) -> None:
        """Close every page."""
        for context in self._contexts:
            context.close()


def drawn(page: Page, chart: str) -> None:
    """Scroll to a chart and wait until it is there."""
    page.locator(f"#{chart}").scroll_into_view_if_needed()
    page.locator(f"#{chart}.drawn .main-svg").first.wait_for()
