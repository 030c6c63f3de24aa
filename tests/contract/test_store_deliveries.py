"""What the bot remembers of the chats."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.domain.opportunity import State
from core.errors import StoreError
from core.state.ports import Alert, Delivery, DeliveryState, Lane, Store
from tests.contract.samples import opportunity

CHAT = -1_001_234_567_890


def delivery(key: str, content: str = "hello", lane: Lane = Lane.ALERT, chat_id: int = CHAT) -> Delivery:
    return Delivery(key, chat_id, lane, content)


async def staged(store: Store, *deliveries: Delivery) -> None:
    await store.deliveries.stage(0, [], deliveries)


async def brought_to(store: Store, state: DeliveryState, message_id: int | None = 7) -> Delivery:
    await staged(store, delivery("k"))
    if state is DeliveryState.SENDING:
        await store.deliveries.sending(delivery("k"))
    elif state is not DeliveryState.QUEUED:
        await store.deliveries.settle(replace(delivery("k"), state=state, message_id=message_id))
    found = await store.deliveries.get("k", CHAT)
    assert found is not None
    assert found.state is state
    return found


async def test_a_fresh_store_has_read_nothing_of_the_outbox(store: Store) -> None:
    assert await store.deliveries.cursor() == 0


async def test_staging_saves_everything_at_once(store: Store, other: Store) -> None:
    alert = Alert("u:1", 5.0, opportunity(1), "board-1")
    await store.deliveries.stage(12, [alert], [delivery("k")])
    assert await other.deliveries.cursor() == 12
    assert await other.deliveries.alert("u:1") == alert
    assert await other.deliveries.get("k", CHAT) == delivery("k")


async def test_a_lower_cursor_is_kept(store: Store) -> None:
    await store.deliveries.stage(12, [], [])
    await store.deliveries.stage(11, [], [delivery("k")])
    assert await store.deliveries.cursor() == 12
    assert await store.deliveries.get("k", CHAT) == delivery("k")


async def test_a_delivery_is_named_by_key_and_chat(store: Store) -> None:
    await staged(store, delivery("k", "one", chat_id=1), delivery("k", "two", chat_id=2))
    assert await store.deliveries.get("k", 1) == delivery("k", "one", chat_id=1)
    assert await store.deliveries.get("k", 2) == delivery("k", "two", chat_id=2)
    assert await store.deliveries.get("k", 3) is None
    assert await store.deliveries.get("j", 1) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DeliveryState.QUEUED, DeliveryState.QUEUED),
        (DeliveryState.SENT, DeliveryState.QUEUED),
        (DeliveryState.SENDING, DeliveryState.SENDING),
        (DeliveryState.UNKNOWN, DeliveryState.UNKNOWN),
        (DeliveryState.DEAD, DeliveryState.DEAD),
    ],
)
async def test_new_content_in_each_state(store: Store, before: DeliveryState, after: DeliveryState) -> None:
    old = await brought_to(store, before)
    await staged(store, delivery("k", "new", Lane.EDIT))
    expected = replace(old, content="new", lane=Lane.EDIT, revision=2, state=after)
    assert await store.deliveries.get("k", CHAT) == expected


async def test_one_key_twice_in_one_call_is_put_and_changed(store: Store) -> None:
    await staged(store, delivery("k", "one"), delivery("k", "two"))
    assert await store.deliveries.get("k", CHAT) == replace(delivery("k", "two"), revision=2)


async def test_due_goes_by_lane_and_then_by_the_longest_wait(store: Store) -> None:
    order = [("e", Lane.EDIT), ("l1", Lane.ALERT), ("o", Lane.OUTCOME), ("l2", Lane.ALERT), ("a", Lane.ANSWER)]
    for key, lane in order:
        await staged(store, delivery(key, lane=lane))
    assert [one.key for one in await store.deliveries.due(now=1.0)] == ["a", "o", "l1", "l2", "e"]
    assert [one.key for one in await store.deliveries.due(now=1.0, limit=2)] == ["a", "o"]


async def test_what_waits_again_waits_behind_the_others_and_what_still_waits_keeps_its_place(store: Store) -> None:
    await staged(store, delivery("a"), delivery("b"), delivery("c"))
    await store.deliveries.settle(replace(delivery("a"), state=DeliveryState.SENT, message_id=1))
    await staged(store, delivery("a", "new"), delivery("b", "new"))
    assert [one.key for one in await store.deliveries.due(now=1.0)] == ["b", "c", "a"]


async def test_only_what_is_queued_or_in_doubt_is_due(store: Store) -> None:
    for number, state in enumerate(DeliveryState):
        await staged(store, delivery(state))
        if state is DeliveryState.SENDING:
            await store.deliveries.sending(delivery(state))
        elif state is not DeliveryState.QUEUED:
            await store.deliveries.settle(replace(delivery(state), state=state, message_id=number))
    assert [one.key for one in await store.deliveries.due(now=1.0)] == ["queued", "unknown"]


async def test_a_delivery_is_held_back_until_its_time(store: Store) -> None:
    await staged(store, delivery("k"))
    await store.deliveries.settle(replace(delivery("k"), not_before=30.0, note="flood control"))
    assert await store.deliveries.due(now=29.5) == []
    (due,) = await store.deliveries.due(now=30.0)
    assert (due.not_before, due.note, due.state) == (30.0, "flood control", DeliveryState.QUEUED)
    await staged(store, delivery("k", "new"))
    assert await store.deliveries.due(now=29.5) == []


async def test_sending_counts_attempts(store: Store, other: Store) -> None:
    await staged(store, delivery("k"))
    await store.deliveries.sending(delivery("k"))
    await store.deliveries.settle(replace(delivery("k"), not_before=5.0))
    await store.deliveries.sending(delivery("k"))
    found = await other.deliveries.get("k", CHAT)
    assert found is not None
    assert (found.attempts, found.state) == (2, DeliveryState.SENDING)
    assert await other.deliveries.due(now=99.0) == []


async def test_a_settled_delivery_is_saved_exactly(store: Store) -> None:
    await staged(store, delivery("k"))
    await store.deliveries.sending(delivery("k"))
    sent = replace(delivery("k"), state=DeliveryState.SENT, message_id=2**40, not_before=3.5, note="n", attempts=1)
    await store.deliveries.settle(sent)
    assert await store.deliveries.get("k", CHAT) == sent


async def test_a_change_that_came_while_sending_is_not_lost(store: Store) -> None:
    await staged(store, delivery("k", "old"), delivery("j"))
    (sending, _) = await store.deliveries.due(now=1.0)
    await store.deliveries.sending(sending)
    await staged(store, delivery("k", "new"))
    await store.deliveries.settle(replace(sending, state=DeliveryState.SENT, message_id=7))
    due = await store.deliveries.due(now=1.0)
    assert [one.key for one in due] == ["j", "k"]
    again = due[1]
    assert (again.content, again.message_id, again.revision, again.state) == ("new", 7, 2, DeliveryState.QUEUED)
    await store.deliveries.sending(again)
    await store.deliveries.settle(replace(again, state=DeliveryState.SENT))
    assert [one.key for one in await store.deliveries.due(now=1.0)] == ["j"]


@pytest.mark.parametrize("outcome", [DeliveryState.DEAD, DeliveryState.UNKNOWN])
async def test_a_newer_revision_queues_only_what_was_sent(store: Store, outcome: DeliveryState) -> None:
    await staged(store, delivery("k"), delivery("k", "new"))
    await store.deliveries.settle(replace(delivery("k"), state=outcome))
    found = await store.deliveries.get("k", CHAT)
    assert found is not None
    assert found.state is outcome


async def test_a_crash_while_sending_leaves_doubt_even_when_the_content_changed(store: Store, other: Store) -> None:
    await staged(store, delivery("k"), delivery("quiet"))
    await store.deliveries.sending(delivery("k"))
    await staged(store, delivery("k", "new"))
    assert await other.deliveries.recover() == 1
    assert await other.deliveries.recover() == 0
    found = await other.deliveries.get("k", CHAT)
    assert found == replace(delivery("k", "new"), state=DeliveryState.UNKNOWN, attempts=1, revision=2)
    assert await other.deliveries.get("quiet", CHAT) == delivery("quiet")


async def test_what_was_never_staged_is_neither_sent_nor_settled(store: Store) -> None:
    with pytest.raises(StoreError, match="never staged"):
        await store.deliveries.sending(delivery("k"))
    with pytest.raises(StoreError, match="never staged"):
        await store.deliveries.settle(delivery("k"))
    assert await store.deliveries.get("k", CHAT) is None


async def test_alerts_are_replaced_and_found_by_board_and_time(store: Store) -> None:
    assert await store.deliveries.alert("u:1") is None
    one, two = Alert("u:1", 5.0, opportunity(1)), Alert("u:2", 4.0, opportunity(2), "b")
    three = Alert("u:3", 4.0, opportunity(3), "b")
    await store.deliveries.stage(1, [one, two, three], [])
    moved = Alert("u:1", 5.0, opportunity(1, state=State.RECOVERED), "b")
    await store.deliveries.stage(2, [moved], [])
    assert await store.deliveries.alert("u:1") == moved
    assert await store.deliveries.alerts() == [two, three, moved]
    assert await store.deliveries.alerts(board="b") == [two, three, moved]
    assert await store.deliveries.alerts(board="") == []
    assert await store.deliveries.alerts(since=5.0) == [moved]
    assert await store.deliveries.alerts(board="b", since=4.5) == [moved]
