"""What operators type and press is answered, by the real client against the local Bot API over a real store."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from devnet.botapi import BotApi, BotApiOptions, Chat
from tests.unit.bot.kit import ANN, TOKEN, House, running_bot


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi.running(BotApiOptions(token=TOKEN, limits=False)) as running:
        yield running


@pytest_asyncio.fixture
async def house(api: BotApi, tmp_path: Path) -> AsyncIterator[House]:
    api.private_chat(ANN, "Ann")
    async with running_bot(tmp_path / "state.db", api) as running:
        yield running


@pytest_asyncio.fixture
async def ann(house: House) -> Chat:
    return house.api.private_chat(ANN, "Ann")


async def test_status_is_answered(ann: Chat) -> None:
    await ann.say("/status")
    card = await ann.wait_for(lambda m: "DRY RUN" in m.text)
    assert "38\u202f120\u202f441" in card.text
    assert "watched 1\u202f204" in card.text


async def test_going_live_takes_a_code_and_the_worker_acknowledges(house: House, ann: Chat) -> None:
    await ann.say("/dryrun off")
    asked = await ann.wait_for(lambda m: "/confirm" in m.text)
    code = re.search(r"/confirm (\d{4})", asked.text)
    assert code
    await ann.say(f"/confirm {code[1]}")
    done = await ann.wait_for(lambda m: "applied by the worker at block" in m.text)
    assert "undo: /dryrun on" in done.text
    assert (await house.store.controls.load()).dry_run is False
