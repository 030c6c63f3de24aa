"""Find a Chromium and open it for a test: an installed one, else the one that ships inside an npm package."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

_INSTALLED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_NODE_FOLDER = Path(__file__).parent.parent / "devnet"
_PRINT_PATH = """
import("@sparticuz/chromium").then(async ({ default: chromium }) => console.log(await chromium.executablePath()));
"""
# Without these a headless Chromium looks up its maker's hosts at every start.
_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--no-pings",
    "--disable-domain-reliability",
)
_CONTAINED = ("--no-sandbox", "--headless", "--disable-gpu", "--hide-scrollbars", "--font-render-hinting=none")


class NoBrowserError(RuntimeError):
    """Say that no Chromium was found and how to get one."""


@cache
def executable() -> str:
    """Return the path of a Chromium; raise `NoBrowserError` with the remedy when there is none."""
    for name in _INSTALLED:
        found = shutil.which(name)
        if found:
            return found
    command = ["node", "-e", _PRINT_PATH]  # unpacks the browser into the temporary folder on its first call
    result = subprocess.run(command, cwd=_NODE_FOLDER, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no output"])[0]
        raise NoBrowserError(f"no Chromium on PATH, and none in {_NODE_FOLDER} (npm ci there installs one): {reason}")
    return result.stdout.strip()


@contextlib.asynccontextmanager
async def chromium(**options: Any) -> AsyncIterator[Browser]:
    """Run a headless browser for the block; `options` go to Playwright's launch."""
    async with async_playwright() as playwright:
        args = [*_CONTAINED, *_QUIET]
        browser = await playwright.chromium.launch(executable_path=executable(), args=args, **options)
        try:
            yield browser
        finally:
            await browser.close()
