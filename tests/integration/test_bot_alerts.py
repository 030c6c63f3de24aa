"""What the worker records reaches every alert chat: once, edited in place, within Telegram's limits."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from core.domain.messages import WorkerStarted, WorkerWarned
from core.domain.opportunity import Opportunity, SkipReason, State
from devnet.botapi import BotApi, BotApiOptions, Chat
from tests.unit.bot.kit import ANN, BEN, TOKEN, House, opportunity, running_bot, settled


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi.running(BotApiOptions(token=TOKEN)) as running:
        yield running


@pytest_asyncio.fixture
async def group(api: BotApi) -> Chat:
    return api.group_chat("Ops", {ANN: "Ann", BEN: "Ben"})


@pytest_asyncio.fixture
async def ann(api: BotApi) -> Chat:
    return api.private_chat(ANN, "Ann")


@pytest_asyncio.fixture
async def house(api: BotApi, ann: Chat, group: Chat, tmp_path: Path) -> AsyncIterator[House]:
    async with running_bot(tmp_path / "state.db", api, chat_ids=(ann.id, group.id)) as running:
        yield running


async def record(house: House, *items: Opportunity) -> None:
    await house.store.journal.record(items, time.time())


def refused(api: BotApi) -> list[str]:
    calls = api.transcript.calls("sendMessage", "editMessageText")
    return [entry.description for entry in calls if entry.status not in (200, None)]


async def test_an_alert_is_edited_in_place_to_its_end(house: House, ann: Chat, group: Chat) -> None:
    item = opportunity(1, State.DETECTED, quote=None)
    await record(house, item)
    alert = await ann.wait_for(lambda m: "Liquidation opportunity (Real-time) · #A1" in m.text)
    confirmed = item.to(State.CONFIRMED)
    await record(house, confirmed)
    rehearsed = opportunity(1, State.QUOTED).to(State.REHEARSED)
    await record(house, opportunity(1, State.QUOTED), rehearsed)
    await ann.wait_for(lambda m: "Profit estimate: ~48.89 USD" in m.text and "rehearsed" in m.text)
    await record(house, rehearsed.to(State.TAKEN, note="by 0x9f"))
    for chat in (ann, group):
        await chat.wait_for(lambda m: "liquidated by somebody else · by 0x9f" in m.text)
        assert len([m for m in chat.messages if m.from_bot]) == 1
    assert alert.message_id == ann.messages[-1].message_id
    assert refused(house.api) == []


async def test_a_storm_is_one_board_within_the_limits(house: House, ann: Chat, group: Chat) -> None:
    items = [opportunity(number) for number in range(1, 301)]
    began = time.monotonic()
    for start in range(0, 300, 50):
        await record(house, *items[start : start + 50])
    for chat in (ann, group):
        await chat.wait_for(lambda m: "300 accounts fell below 1" in m.text, timeout=15)
    assert time.monotonic() - began < 12
    ended = [item.to(State.SKIPPED, reason=SkipReason.NO_EXECUTOR) for item in items]
    await record(house, *ended)
    for chat in (ann, group):
        await chat.wait_for(lambda m: "skipped 300" in m.text, timeout=15)
        assert len([m for m in chat.messages if m.from_bot]) <= 2
    assert refused(house.api) == []


async def test_edits_of_one_message_are_coalesced(house: House, ann: Chat) -> None:
    item = opportunity(1, State.DETECTED, quote=None)
    await record(house, item)
    await ann.wait_for(lambda m: "#A1" in m.text)
    for number in range(60):
        await record(house, opportunity(1, State.DETECTED, quote=None, block=1_000 + number))
    await ann.wait_for(lambda m: "Block: 1\u202f059" in m.text)
    await settled(house)
    edits = [entry for entry in house.api.transcript.applied("editMessageText") if entry.chat_id == ann.id]
    assert len(edits) <= 3
    assert all(later.at - earlier.at > 2.9 for earlier, later in itertools.pairwise(edits))


async def test_the_workers_life_is_told(house: House, group: Chat) -> None:
    started = WorkerStarted("0.1.0", 31337, 10, 5, 1_204, dry_run=True)
    silent = WorkerWarned("rpc", "endpoint 127.0.0.1 is silent")
    await house.store.outbox.append([started, silent], time.time())
    await group.wait_for(lambda m: "Worker started" in m.text and "dry run" in m.text)
    warning = await group.wait_for(lambda m: "endpoint 127.0.0.1 is silent" in m.text)
    await house.store.outbox.append([WorkerWarned("rpc", "endpoint 127.0.0.1 answers", resolved=True)], time.time())
    await group.wait_for(lambda m: m.message_id == warning.message_id and "Resolved" in m.text)


async def test_answers_go_before_alerts(house: House, ann: Chat) -> None:
    await record(house, *(opportunity(number) for number in range(1, 8)))
    await ann.say("/help")
    await ann.wait_for(lambda m: "You may" in m.text)
    said = [m.text for m in ann.messages if m.from_bot]
    place = next(number for number, text in enumerate(said) if "You may" in text)
    assert place <= 4  # three may have left at once before it was asked


async def test_a_group_that_became_a_supergroup_keeps_its_alerts(house: House, ann: Chat, group: Chat) -> None:
    await record(house, opportunity(1))
    await group.wait_for(lambda m: "#A1" in m.text)
    there = await group.migrate()
    await record(house, opportunity(2))
    await there.wait_for(lambda m: "#A2" in m.text)
    await there.say("/help", user=ANN)
    await there.wait_for(lambda m: "You may" in m.text)


async def test_a_move_is_remembered_after_a_restart(api: BotApi, group: Chat, tmp_path: Path) -> None:
    async with running_bot(tmp_path / "state.db", api, chat_ids=(group.id,)) as first:
        there = await group.migrate()
        await record(first, opportunity(1))
        await there.wait_for(lambda m: "#A1" in m.text)
    async with running_bot(tmp_path / "state.db", api, chat_ids=(group.id,)) as second:
        await record(second, opportunity(1).to(State.TAKEN, note="by 0x9f"))
        await there.wait_for(lambda m: "by 0x9f" in m.text)
    assert len([m for m in there.messages if m.from_bot]) == 1
