"""The chat page as a phone shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, ViewportSize, expect

PHONE = ViewportSize(width=390, height=844)


@asynccontextmanager
async def opened(browser: Browser, url: str, viewport: ViewportSize = PHONE, **options: Any) -> AsyncIterator[Page]:
    """Open the page in a phone's window, in light colours; `options` go to the browser's context."""
    context = await browser.new_context(viewport=viewport, color_scheme="light", **options)
    try:
        page = await context.new_page()
        await page.goto(url)
        await expect(page.get_by_test_id("phone")).to_have_attribute("data-connection", "online")
        yield page
    finally:
        await context.close()


async def say(page: Page, text: str) -> None:
    """Type a message and send it."""
    await page.get_by_test_id("composer").fill(text)
    await page.get_by_test_id("composer").press("Enter")
