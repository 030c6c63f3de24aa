"""A person at the chat page: asks, turns pages, goes live and back, and watches a crash come in."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from cli.judging import recorded_opportunities
from cli.stage import Stage, staged
from devnet.build import Artifacts
from tests.browser import chromium
from tests.devnet_fixtures import live_chain
from tests.e2e.kit import alerts_told, settled, store_of, until
from tests.e2e.phone import opened, say

APPLIED = re.compile(r"applied by the worker at block [\d ]+, [\d.]+ s · v\d+ · by Ann")
PATIENCE = 10_000


def messages(page: Page, *words: str) -> Locator:
    """Return the bot's messages that contain all the words."""
    found = page.locator('[data-testid="message"][data-from="bot"]')
    for word in words:
        found = found.filter(has_text=word)
    return found


async def test_a_person_operates_it_from_the_chat(built: Artifacts, tmp_path: Path) -> None:
    async with (
        live_chain(400, seed=2) as chain,
        staged(chain, tmp_path) as stage,
        chromium() as browser,
        opened(browser, stage.api.page_url) as page,
    ):
        await asks_and_turns_pages(page)
        await goes_live_and_back(page, stage)
        await sees_one_fall(page, stage)
        await sees_a_storm(page, stage)


async def asks_and_turns_pages(page: Page) -> None:
    await say(page, "/status")
    status = messages(page, "DRY RUN: nothing is sent", "active · up", "Borrowers 400")
    await expect(status).to_be_visible(timeout=PATIENCE)
    await say(page, "/watchlist")
    first = messages(page, "Watch list", "page 1/")
    await expect(first).to_be_visible(timeout=PATIENCE)
    await first.get_by_role("button", name="▶").click()
    await expect(messages(page, "Watch list", "page 2/")).to_be_visible(timeout=PATIENCE)


async def goes_live_and_back(page: Page, stage: Stage) -> None:
    await say(page, "/dryrun off")
    asked = messages(page, "real transactions may be sent").last
    await expect(asked).to_be_visible(timeout=PATIENCE)
    code = re.search(r"/confirm (\d{4})", await asked.inner_text())
    assert code is not None
    await say(page, f"/confirm {code[1]}")
    live = messages(page, "dry run: on → off")
    await expect(live).to_contain_text(APPLIED, timeout=PATIENCE)
    async with store_of(stage) as store:
        assert (await store.controls.load()).dry_run is False
        await say(page, "/dryrun on")
        await expect(messages(page, "dry run: off → on")).to_contain_text(APPLIED, timeout=PATIENCE)
        controls = await store.controls.load()
    assert (controls.dry_run, controls.version) == (True, 2)


async def sees_one_fall(page: Page, stage: Stage) -> None:
    """Lower one price by small steps until somebody is below 1: each has a message of its own."""

    async def fallen() -> bool:
        await stage.chain.set_price("AAVE", factor="0.985")
        return bool(await recorded_opportunities(stage))

    await until(fallen, "somebody falls")
    alert = messages(page, "Liquidation opportunity", "Trigger: price", "rehearsed · dry run, nothing was sent").first
    await expect(alert).to_be_visible(timeout=PATIENCE)
    await expect(alert.get_by_role("button", name="Copy address")).to_be_visible()


async def sees_a_storm(page: Page, stage: Stage) -> None:
    """Let ether and bitcoin fall by a tenth at once: one board tells of all, and of everybody who comes after."""
    for feed in ("ETH", "BTC"):
        await stage.chain.set_price(feed, factor="0.9")
    board = messages(page, "Storm board", "Top 10 by profit")
    await expect(board).to_contain_text(re.compile(r"[1-9]\d accounts fell below 1"), timeout=PATIENCE)
    await settled(stage)
    told = await alerts_told(stage)
    assert told.boards == 1
    assert told.singles >= 1
    assert told.repeats == 0
    await expect(board).to_contain_text(f"{told.on_boards} accounts fell below 1")
