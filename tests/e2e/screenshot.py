"""Take the README's picture: `python -m tests.e2e.screenshot` writes docs/images/chat.png."""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, ViewportSize, expect

from cli.judging import recorded_opportunities
from cli.stage import Stage, staged
from tests.browser import chromium
from tests.devnet_fixtures import live_chain
from tests.e2e.kit import settled, until
from tests.e2e.phone import opened, say

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "chat.png"
EMOJI = ROOT / "devnet" / "node_modules" / "twemoji-colr-font" / "twemoji.woff2"
LETTERS = Path(tempfile.gettempdir()) / "fonts" / "fonts" / "Open_Sans"
BORROWERS = 2000
SEED = 6
SHARPNESS = 2
COUNTED_SECONDS = 3.0
"""The worker counts its bands of health factors every two seconds."""
TALL_PHONE = ViewportSize(width=430, height=960)
EMOJI_RANGE = "U+231A-23FF, U+25B6, U+26A0-26FF, U+2699, U+2700-27BF, U+1F000-1FAFF"


async def main() -> int:
    """Let one account fall, ask for the status, and photograph the end of the chat."""
    with tempfile.TemporaryDirectory(prefix="liquidbot-picture-") as folder:
        async with (
            live_chain(BORROWERS, SEED) as chain,
            staged(chain, Path(folder)) as stage,
            chromium() as browser,
            opened(browser, stage.api.page_url, TALL_PHONE, device_scale_factor=SHARPNESS, bypass_csp=True) as page,
        ):
            await _dress(page)
            await _happen(stage, page)
            PICTURE.parent.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=PICTURE)
    return 0


async def _dress(page: Page) -> None:
    """Give the page a phone's letters and coloured emoji; a development machine often has neither.

    The letters are those that the packaged Chromium unpacked beside itself; where another one runs, the system's.
    """
    faces = [_face("Emoji", EMOJI, f"unicode-range: {EMOJI_RANGE};")]
    for weight, name in ((400, "Regular"), (700, "Bold")):
        file = LETTERS / f"OpenSans-{name}.ttf"
        faces += [_face("Letters", file, f"font-weight: {weight};")] if file.exists() else []
    await page.add_style_tag(content="".join(faces) + "body { font-family: Emoji, Letters, system-ui, sans-serif; }")
    await page.evaluate("document.fonts.load('16px Emoji', '🧪')")


def _face(family: str, file: Path, details: str) -> str:
    font = base64.b64encode(file.read_bytes()).decode()
    return f"@font-face {{ font-family: {family}; src: url(data:font/{file.suffix[1:]};base64,{font}); {details} }}\n"


async def _happen(stage: Stage, page: Page) -> None:
    async def fallen() -> bool:
        await stage.chain.set_price("ETH", factor="0.9995")
        await asyncio.sleep(1.0)
        return bool(await recorded_opportunities(stage))

    await until(fallen, "somebody falls")
    await settled(stage)
    await asyncio.sleep(COUNTED_SECONDS)
    await say(page, "/status")
    await expect(page.get_by_test_id("message").last).to_contain_text("DRY RUN")
    await page.get_by_test_id("composer").blur()
    await asyncio.sleep(0.5)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
