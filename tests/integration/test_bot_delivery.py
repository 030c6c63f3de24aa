"""Trouble with Telegram and with the store: nothing is lost, repeats are marked, and the bot goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from bot.auth import Chats
from bot.cards import Card
from bot.courier import Courier, Place
from bot.telegram import Telegram
from core.ops.metrics import BotMetrics
from core.state.memory import MemoryStore
from core.state.ports import Deliveries, Delivery, DeliveryState, Lane
from devnet.botapi import BotApi, BotApiOptions, Chat
from tests.unit.bot.kit import ANN, BEN, OPERATORS, TOKEN, opportunity, running_bot, settled, until


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi.running(BotApiOptions(token=TOKEN, limits=False)) as running:
        yield running


@pytest_asyncio.fixture
async def ann(api: BotApi) -> Chat:
    return api.private_chat(ANN, "Ann")


class Post:
    """Stage messages for a running courier and wait for what becomes of them."""

    def __init__(self, api: BotApi, deliveries: Deliveries) -> None:
        self.deliveries = deliveries
        self.metrics = BotMetrics(CollectorRegistry())
        self.telegram = Telegram(TOKEN, api.url, self.metrics.telegram, timeout=0.5)
        place = Place(deliveries, Chats((ANN,), OPERATORS))
        self.courier = Courier(place, self.telegram, self.metrics, lambda: True)

    async def put(self, key: str, html: str, chat: int = ANN) -> None:
        await self.deliveries.stage(0, [], [Delivery(key, chat, Lane.ALERT, Card(html).encode())])
        self.courier.ring()

    async def row(self, key: str, chat: int = ANN) -> Delivery:
        found = await self.deliveries.get(key, chat)
        assert found
        return found

    async def ends(self, key: str, state: DeliveryState = DeliveryState.SENT, chat: int = ANN) -> Delivery:
        async def ended() -> bool:
            return (await self.row(key, chat)).state is state

        await until(ended, 15)
        return await self.row(key, chat)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Post]:
        task = asyncio.create_task(self.courier.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait({task})
            await self.telegram.close()
            assert task.cancelled()


@pytest_asyncio.fixture
async def post(api: BotApi, ann: Chat) -> AsyncIterator[Post]:
    async with Post(api, MemoryStore().deliveries).running() as running:
        yield running


def said(chat: Chat) -> list[str]:
    return [m.text for m in chat.messages if m.from_bot]


@pytest.mark.parametrize("fault", ["drop", "hang"])
async def test_a_message_whose_answer_was_lost_is_found_and_adopted(
    api: BotApi, post: Post, ann: Chat, fault: str
) -> None:
    await post.put("a", "first")
    await post.ends("a")
    api.faults.add(fault, ["sendMessage"], count=1)
    await post.put("b", "second")
    row = await post.ends("b")
    assert said(ann) == ["first", "second"]
    assert row.message_id == ann.messages[-1].message_id
    await post.put("b", "second, changed")
    await ann.wait_for(lambda m: m.text == "second, changed")
    assert said(ann) == ["first", "second, changed"]


async def test_people_who_wrote_meanwhile_are_stepped_over(api: BotApi, post: Post, ann: Chat) -> None:
    await post.put("a", "first")
    await post.ends("a")
    await ann.say("one")
    await ann.say("two")
    api.faults.add("drop", ["sendMessage"], count=1)
    await post.put("b", "second")
    await post.ends("b")
    assert said(ann) == ["first", "second"]


async def test_a_change_during_the_loss_is_shown_in_the_found_message(api: BotApi, post: Post, ann: Chat) -> None:
    await post.put("a", "first")
    await post.ends("a")
    api.faults.add("hang", ["sendMessage"], count=1)
    await post.put("b", "second")
    await ann.wait_for(lambda m: m.text == "second")
    await post.put("b", "second, changed")
    await post.ends("b")
    assert said(ann) == ["first", "second, changed"]


@pytest.mark.parametrize("fault", ["server_error", "garbage"])
async def test_a_message_that_was_not_there_is_sent_again_and_marked(
    api: BotApi, post: Post, ann: Chat, fault: str
) -> None:
    await post.put("a", "first")
    await post.ends("a")
    api.faults.add(fault, ["sendMessage"], count=1)
    await post.put("b", "second")
    await post.ends("b")
    assert said(ann) in (["first", "↻ possible repeat\nsecond"], ["first", "second"])
    assert ann.messages[-1].silent is ("repeat" in ann.messages[-1].text)


async def test_with_nothing_known_of_the_chat_a_repeat_is_marked(api: BotApi, post: Post, ann: Chat) -> None:
    api.faults.add("drop", ["sendMessage"], count=1)
    await post.put("a", "first")
    await post.ends("a")
    assert said(ann) == ["first", "↻ possible repeat\nfirst"]
    await post.put("a", "first, changed")
    await ann.wait_for(lambda m: m.text == "↻ possible repeat\nfirst, changed")


async def test_the_mark_of_a_row_left_behind_by_a_crash(api: BotApi, ann: Chat) -> None:
    post = Post(api, MemoryStore().deliveries)
    await post.put("a", "first")
    await post.deliveries.sending(await post.row("a"))
    async with post.running():
        await post.ends("a")
    assert said(ann) == ["↻ possible repeat\nfirst"]


async def test_what_was_being_sent_when_the_process_died_is_found_by_the_next_one(api: BotApi, ann: Chat) -> None:
    deliveries = MemoryStore().deliveries
    first = Post(api, deliveries)
    async with first.running():
        await first.put("a", "first")
        await first.ends("a")
        api.faults.add("hang", ["sendMessage"], count=1)
        await first.put("b", "second")
        await ann.wait_for(lambda m: m.text == "second")
    assert (await first.row("b")).state is DeliveryState.SENDING
    async with Post(api, deliveries).running() as second:
        await second.ends("b")
    assert said(ann) == ["first", "second"]


async def test_unreachable_means_not_sent_and_is_not_marked(api: BotApi, post: Post, ann: Chat) -> None:
    async with api.outage():
        await post.put("a", "first")
        await asyncio.sleep(1)
        assert (await post.row("a")).state is DeliveryState.QUEUED
    await post.ends("a")
    assert said(ann) == ["first"]


async def test_patience_is_kept_and_stored(api: BotApi, post: Post, ann: Chat) -> None:
    api.faults.add("flood", ["sendMessage"], count=1, retry_after=2)
    await post.put("a", "first")
    began = time.monotonic()
    await until(lambda: api.transcript.calls("sendMessage") and api.transcript.calls("sendMessage")[0].done_at)
    await asyncio.sleep(0.2)
    assert (await post.row("a")).not_before > time.time() + 1
    await post.put("b", "second")
    await post.ends("b")
    await post.ends("a")
    assert time.monotonic() - began > 1.9
    assert sorted(said(ann)) == ["first", "second"]
    assert post.metrics.registry.get_sample_value("liquidbot_telegram_retry_after_seconds_total") == 2.0


async def test_html_that_telegram_refuses_arrives_as_plain_text(post: Post, ann: Chat) -> None:
    await post.put("a", "<b>1 &lt; 2")
    await post.ends("a")
    assert said(ann) == ["1 < 2"]


async def test_a_blocked_chat_does_not_hold_up_the_others(api: BotApi, post: Post, ann: Chat) -> None:
    ben = api.private_chat(BEN, "Ben")
    await ben.block()
    await post.put("a", "hello", BEN)
    await post.put("a", "hello", ANN)
    await post.put("a", "hello", 424242)
    await post.ends("a")
    assert "blocked" in (await post.ends("a", DeliveryState.DEAD, BEN)).note
    assert "chat not found" in (await post.ends("a", DeliveryState.DEAD, 424242)).note.lower()


async def test_admins_hear_once_of_an_alert_chat_that_cannot_be_reached(api: BotApi, ann: Chat, tmp_path: Path) -> None:
    ben = api.private_chat(BEN, "Ben")
    await ben.block()
    async with running_bot(tmp_path / "state.db", api, chat_ids=(ben.id,)) as house:
        await house.store.journal.record([opportunity(1), opportunity(2)], time.time())
        await ann.wait_for(lambda m: f"Alerts do not reach chat {BEN}" in m.text)
        await settled(house)
    assert len(said(ann)) == 1


async def test_a_flood_of_answers_holds_no_alert_back(api: BotApi, ann: Chat) -> None:
    post = Post(api, MemoryStore().deliveries)
    answers = [Delivery(f"reply:{n}", ANN, Lane.ANSWER, Card(f"answer {n}").encode()) for n in range(50)]
    await post.deliveries.stage(0, [], answers)
    await post.put("a", "alert")
    await post.put("b", "another alert")
    async with post.running():
        await ann.wait_for(lambda m: m.text == "another alert", timeout=15)
    first, second = ([f"answer {n}" for n in numbers] for numbers in (range(3), range(3, 6)))
    assert said(ann)[:8] == [*first, "alert", *second, "another alert"]


async def test_a_message_that_somebody_deleted_is_let_go(api: BotApi, post: Post, ann: Chat) -> None:
    await post.put("a", "first")
    row = await post.ends("a")
    assert row.message_id
    del ann.state.messages[row.message_id]
    await post.put("a", "changed")
    await post.ends("a", DeliveryState.DEAD)
    await post.put("b", "second")
    await post.ends("b")
    assert said(ann) == ["second"]


async def test_nothing_is_lost_and_every_repeat_is_marked_in_bad_weather(api: BotApi, ann: Chat) -> None:
    for fault in ("drop", "server_error"):
        api.faults.add(fault, ["sendMessage", "editMessageText"], probability=0.15)
    post = Post(api, MemoryStore().deliveries)
    async with post.running():
        for number in range(8):
            await post.put(f"m{number}", f"message {number}")
        for number in range(8):
            await post.ends(f"m{number}")
    texts = said(ann)
    for number in range(8):
        same = [text for text in texts if text.endswith(f"message {number}")]
        assert same
        assert sum("possible repeat" not in text for text in same) <= 1


async def test_telegram_away_at_the_start_and_in_the_middle(api: BotApi, ann: Chat, tmp_path: Path) -> None:
    await api.go_down()
    async with running_bot(tmp_path / "state.db", api) as house:
        await house.store.journal.record([opportunity(1)], time.time())
        await asyncio.sleep(0.5)
        await api.come_up()
        await ann.wait_for(lambda m: "#A1" in m.text, timeout=15)
        async with api.outage():
            await asyncio.sleep(0.5)
        await ann.say("/help")
        await ann.wait_for(lambda m: "You may" in m.text, timeout=15)


async def test_a_wrong_token_is_said_and_not_shown(
    api: BotApi, ann: Chat, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "700000009:AAwrongTokenThatTelegramDoesNotKnow_000"
    async with running_bot(tmp_path / "state.db", api, telegram_bot_token=wrong) as house:
        await until(lambda: "Telegram refuses TELEGRAM_BOT_TOKEN" in caplog.text)
        tries = ("liquidbot_telegram_requests_total", {"method": "getMe", "code": "Unauthorised"})
        await until(lambda: (house.bot._metrics.registry.get_sample_value(*tries) or 0) >= 3)
    assert caplog.text.count("Telegram refuses") == 1
    assert "AAwrong" not in caplog.text


async def test_another_poller_is_said_and_counted(
    api: BotApi, ann: Chat, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_bot(tmp_path / "state.db", api) as house:
        await until(lambda: api.transcript.calls("getUpdates"))
        rival = Telegram(TOKEN, api.url, lambda *_: None)
        await rival.poll(0, 2)
        await until(lambda: "another program polls with this token" in caplog.text)
        await rival.close()
        await ann.say("/help")
        await ann.wait_for(lambda m: "You may" in m.text, timeout=15)
        registry = house.bot._metrics.registry
        assert (registry.get_sample_value("liquidbot_telegram_conflicts_total") or 0) >= 1


async def test_the_store_away_is_said_and_waited_out(
    api: BotApi, ann: Chat, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.db"
    async with running_bot(path, api, worker=False) as house:
        await ann.say("/help")
        await ann.wait_for(lambda m: "You may" in m.text)
        path.rename(tmp_path / "elsewhere.db")
        await ann.say("/id")
        await until(lambda: "store: STATE_DB=" in caplog.text)
        (tmp_path / "elsewhere.db").rename(path)
        await ann.wait_for(lambda m: "TELEGRAM_CHAT_IDS" in m.text, timeout=15)
        await until(lambda: not api.world.updates.pending)
        assert await house.store.inbox.pending() == []
