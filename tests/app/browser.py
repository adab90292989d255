"""A real Chromium for the dashboard's tests: Debian's, by playwright; none is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VIEWS = {
    "overview": "/",
    "marketplace": "/marketplace",
    "routing": "/routing",
    "positions": "/positions",
    "sources": "/sources",
    "arena": "/arena",
}
WIDE, PHONE = (1360, 900), (390, 844)
# What a browser would otherwise ask of the internet by itself.
_SILENT = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """Return where the system's Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def running() -> Iterator[Browser]:
    """Run the browser for the length of a block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=chromium(), args=list(_SILENT))
        try:
            yield browser
        finally:
            browser.close()


def open_view(page: Page, url: str) -> None:
    """Go to a view, and wait until its data is there."""
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_selector("main h1")
    page.wait_for_selector(".loading", state="detached")
