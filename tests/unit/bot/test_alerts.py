"""One alert an episode, one board a storm; nothing that came is left out of what is shown."""

from __future__ import annotations

import time

import pytest
from prometheus_client import CollectorRegistry

from bot.alerts import MOST_SINGLES, WINDOW_SECONDS
from bot.auth import Chats
from bot.cards import decode_card, plain
from bot.outbox import Tail
from core.domain.messages import OpportunityUpdated, WorkerStarted, WorkerWarned
from core.domain.opportunity import Opportunity, State
from core.ops.metrics import BotMetrics
from core.state.memory import MemoryStore
from core.state.ports import Alert, Deliveries, Delivery, DeliveryState, Lane
from tests.unit.bot.kit import OPERATORS, opportunity

CHAT = 5


class Desk:
    """Feed a tail and look at what it staged."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.deliveries: Deliveries = self.store.deliveries
        chats = Chats((CHAT,), OPERATORS)
        self.tail = Tail(self.store, chats, 31337, BotMetrics(CollectorRegistry()))

    async def feed(self, *items: Opportunity) -> None:
        await self.store.outbox.append([OpportunityUpdated(item) for item in items], time.time())
        await self.drain()

    async def drain(self) -> None:
        while await self.tail.step():
            pass

    async def shown(self) -> dict[str, Delivery]:
        return {row.key: row for row in await self.deliveries.due(time.time() + 1e6, 10_000)}

    async def text(self, key: str) -> str:
        row = await self.deliveries.get(key, CHAT)
        assert row
        return plain(decode_card(row.content).html)

    async def send_all(self) -> None:
        for number, row in enumerate((await self.shown()).values(), 100):
            await self.deliveries.sending(row)
            await self.deliveries.settle(
                Delivery(
                    row.key, CHAT, row.lane, row.content, DeliveryState.SENT, row.message_id or number, row.revision
                )
            )

    async def age(self, seconds: float) -> None:
        """Make every alert so much older."""
        older = [
            Alert(alert.episode_key, alert.opened_at - seconds, alert.opportunity, alert.board)
            for alert in await self.deliveries.alerts()
        ]
        await self.deliveries.stage(0, older, [])


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_an_episode_is_one_message_through_all_its_states(desk: Desk) -> None:
    item = opportunity(1, State.DETECTED, quote=None)
    await desk.feed(item)
    await desk.send_all()
    for state in (State.CONFIRMED, State.QUOTED, State.REHEARSED, State.RECOVERED):
        item = item.to(state)
        await desk.feed(item)
    rows = await desk.shown()
    assert list(rows) == [f"alert:{item.episode_key}"]
    assert "recovered" in await desk.text(f"alert:{item.episode_key}")
    assert rows[f"alert:{item.episode_key}"].lane is Lane.EDIT


async def test_an_alert_overtaken_before_it_was_sent_stays_in_the_alert_lane(desk: Desk) -> None:
    item = opportunity(1)
    await desk.feed(item)
    await desk.feed(item.to(State.TAKEN, note="by 0x9f"))
    (row,) = (await desk.shown()).values()
    assert row.lane is Lane.ALERT
    assert "by 0x9f" in await desk.text(row.key)


async def test_a_later_spell_of_the_same_episode_edits_the_same_message(desk: Desk) -> None:
    first = opportunity(1)
    await desk.feed(first, opportunity(2, user=first.user, episode=first.episode))
    assert "#A2" in await desk.text(f"alert:{first.episode_key}")
    await desk.feed(first.to(State.RECOVERED))  # the earlier spell's end comes late and is no news
    assert "#A2" in await desk.text(f"alert:{first.episode_key}")
    assert "quoted" in await desk.text(f"alert:{first.episode_key}")


async def test_eight_are_singles_and_one_more_in_time_opens_a_board(desk: Desk) -> None:
    for number in range(1, MOST_SINGLES + 1):
        await desk.feed(opportunity(number))
    assert len(await desk.shown()) == MOST_SINGLES
    await desk.feed(opportunity(9))
    keys = [key for key in await desk.shown() if key.startswith("board:")]
    assert len(keys) == 1
    assert "1 account fell below 1" in await desk.text(keys[0])
    await desk.feed(opportunity(10))
    assert "2 accounts fell below 1" in await desk.text(keys[0])
    assert len(await desk.shown()) == MOST_SINGLES + 1


async def test_a_burst_is_one_board_and_nobody_is_missing(desk: Desk) -> None:
    await desk.feed(*(opportunity(number) for number in range(1, 701)))
    (key,) = await desk.shown()
    assert "accounts fell below 1" in await desk.text(key)
    assert len(await desk.deliveries.alerts(board=key)) == 700


async def test_later_changes_update_the_board(desk: Desk) -> None:
    items = [opportunity(number) for number in range(1, 21)]
    await desk.feed(*items)
    await desk.feed(*(item.to(State.REHEARSED) for item in items[:5]))
    (key,) = await desk.shown()
    text = await desk.text(key)
    assert "rehearsed 5" in text
    assert "quoted 15" in text


async def test_after_calm_singles_come_back_and_the_board_stays_live(desk: Desk) -> None:
    items = [opportunity(number) for number in range(1, 21)]
    await desk.feed(*items)
    await desk.age(WINDOW_SECONDS + 1)
    await desk.feed(opportunity(30), items[0].to(State.TAKEN))
    rows = await desk.shown()
    board = next(key for key in rows if key.startswith("board:"))
    assert f"alert:{opportunity(30).episode_key}" in rows
    assert "taken 1" in await desk.text(board)


async def test_a_storm_goes_on_while_alerts_keep_coming(desk: Desk) -> None:
    await desk.feed(*(opportunity(number) for number in range(1, 21)))
    await desk.age(WINDOW_SECONDS - 2)
    await desk.feed(opportunity(21))
    assert len(await desk.shown()) == 1


async def test_read_twice_it_is_told_once(desk: Desk) -> None:
    await desk.feed(opportunity(1))
    before = await desk.shown()
    again = Tail(desk.store, Chats((CHAT,), OPERATORS), 31337, BotMetrics(CollectorRegistry()))
    assert not await again.step()
    assert await desk.shown() == before


async def test_warnings_of_one_code_share_a_message_until_resolved(desk: Desk) -> None:
    for text, resolved in (("silent", False), ("silent", False), ("answers", True), ("silent again", False)):
        await desk.store.outbox.append([WorkerWarned("rpc", text, resolved)], time.time())
        await desk.drain()
    rows = await desk.shown()
    assert sorted(rows) == ["warn:rpc:1", "warn:rpc:2"]
    assert "Resolved: answers" in await desk.text("warn:rpc:1")
    assert "2 times" in await desk.text("warn:rpc:1")
    assert "silent again" in await desk.text("warn:rpc:2")


async def test_warnings_are_numbered_on_after_a_restart(desk: Desk) -> None:
    for number in range(1, 12):
        both = [WorkerWarned("rpc", f"silent {number}"), WorkerWarned("rpc", "answers", resolved=True)]
        await desk.store.outbox.append(both, time.time())
    await desk.drain()
    desk.tail = Tail(desk.store, Chats((CHAT,), OPERATORS), 31337, BotMetrics(CollectorRegistry()))
    await desk.store.outbox.append([WorkerWarned("rpc", "silent 12")], time.time())
    await desk.drain()
    assert "silent 12" in await desk.text("warn:rpc:12")


async def test_an_end_without_a_beginning_is_no_news(desk: Desk) -> None:
    await desk.store.outbox.append([WorkerWarned("rpc", "answers", resolved=True)], time.time())
    await desk.drain()
    assert not await desk.shown()
    assert await desk.deliveries.cursor() == 1


async def test_starts_are_told_each_time(desk: Desk) -> None:
    started = WorkerStarted("0.1.0", 31337, 10, 5, 7, dry_run=True)
    await desk.store.outbox.append([started, started], time.time())
    await desk.drain()
    assert sorted(await desk.shown()) == ["event:1", "event:2"]
