"""What the bot writes: mailbox, queries, inbox, confirmations."""

from __future__ import annotations

import asyncio
import logging

import pytest

from core.domain.messages import AskSettings, AskStatus, AskWatchlist
from core.errors import Superseded
from core.state.ports import QUESTION_KEPT_SECONDS, Confirmation, Store
from tests.contract.places import Place
from tests.contract.samples import FUTURE, dry_run, page, refused, report


async def test_commands_wait_oldest_first_with_the_time_they_were_stored(store: Store, other: Store) -> None:
    assert await other.mailbox.post(dry_run("b"), now=4.0)
    assert await other.mailbox.post(dry_run("a", enabled=True), now=3.0)
    assert await store.mailbox.unhandled() == [(dry_run("b"), 4.0), (dry_run("a", enabled=True), 3.0)]


async def test_a_command_is_stored_once(store: Store, other: Store) -> None:
    assert await store.mailbox.post(dry_run("a"), now=4.0)
    assert not await store.mailbox.post(dry_run("a", enabled=True), now=5.0)
    assert await store.mailbox.unhandled() == [(dry_run("a"), 4.0)]
    await store.mailbox.refuse(refused("a"), "a", now=6.0)
    assert not await other.mailbox.post(dry_run("a"), now=7.0)
    assert await store.mailbox.unhandled() == []


async def test_of_two_posts_at_once_one_is_new(store: Store, other: Store) -> None:
    posts = [one.mailbox.post(dry_run("a"), now=4.0) for one in (store, other, store, other)]
    assert sorted(await asyncio.gather(*posts)) == [False, False, False, True]


async def test_a_refusal_marks_and_tells(store: Store, other: Store) -> None:
    await other.mailbox.post(dry_run("a"), now=4.0)
    await store.mailbox.refuse(refused("a"), "a", now=6.0)
    assert [event for _, event in await other.outbox.read(0)] == [refused("a")]
    assert await store.mailbox.unhandled() == []


async def test_a_refusal_of_a_command_that_does_not_wait_tells_nothing(store: Store) -> None:
    await store.mailbox.post(dry_run("a"), now=4.0)
    await store.mailbox.refuse(refused("a"), "a", now=6.0)
    for command_id in ("a", "never-stored"):
        with pytest.raises(Superseded, match=command_id):
            await store.mailbox.refuse(refused(command_id), command_id, now=7.0)
    assert len(await store.outbox.read(0)) == 1


async def test_a_command_of_a_newer_version_waits_for_it_and_is_said_aloud(
    place: Place, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    place.plant("command", FUTURE)
    await store.mailbox.post(dry_run("a"), now=4.0)
    with caplog.at_level(logging.WARNING):
        assert [command.id for command, _ in await store.mailbox.unhandled()] == ["a"]
    assert "SetEverything" in caplog.text
    assert not await store.mailbox.post(dry_run("planted"), now=5.0)


async def test_a_question_is_asked_and_answered(store: Store, other: Store) -> None:
    first = await other.queries.ask(AskStatus(), deadline=20.0, now=10.0)
    second = await other.queries.ask(AskWatchlist(2, 10), deadline=20.0, now=10.0)
    third = await other.queries.ask(AskSettings(), deadline=20.0, now=10.0)
    assert first < second < third
    assert await store.queries.open(now=11.0) == [
        (first, AskStatus()),
        (second, AskWatchlist(2, 10)),
        (third, AskSettings()),
    ]
    assert await other.queries.answer_to(first) is None
    await store.queries.answer(first, report(), now=12.0)
    assert await other.queries.answer_to(first) == report()
    assert [number for number, _ in await store.queries.open(now=12.0)] == [second, third]


async def test_a_question_is_void_after_its_deadline(store: Store) -> None:
    number = await store.queries.ask(AskStatus(), deadline=20.0, now=10.0)
    assert len(await store.queries.open(now=20.0)) == 1
    assert await store.queries.open(now=20.5) == []
    await store.queries.answer(number, report(), now=21.0)
    assert await store.queries.answer_to(number) is None


async def test_the_first_answer_stays(store: Store, other: Store) -> None:
    number = await store.queries.ask(AskWatchlist(1), deadline=20.0, now=10.0)
    await store.queries.answer(number, page(1), now=11.0)
    await other.queries.answer(number, page(2), now=12.0)
    assert await store.queries.answer_to(number) == page(1)


async def test_a_question_that_was_never_asked_has_no_answer(store: Store) -> None:
    await store.queries.answer(17, report(), now=11.0)
    assert await store.queries.answer_to(17) is None


async def test_old_questions_are_forgotten_and_their_numbers_not_used_again(store: Store) -> None:
    old = await store.queries.ask(AskStatus(), deadline=20.0, now=10.0)
    await store.queries.answer(old, report(), now=11.0)
    kept = await store.queries.ask(AskStatus(), deadline=20.0 + QUESTION_KEPT_SECONDS, now=20.0 + QUESTION_KEPT_SECONDS)
    assert await store.queries.answer_to(old) == report()
    last = await store.queries.ask(AskStatus(), deadline=1e9, now=20.5 + QUESTION_KEPT_SECONDS)
    assert await store.queries.answer_to(old) is None
    assert old < kept < last


async def test_a_question_of_a_newer_version_is_left_out_and_said_aloud(
    place: Place, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    place.plant("question", FUTURE)
    number = await store.queries.ask(AskStatus(), deadline=20.0, now=10.0)
    with caplog.at_level(logging.WARNING):
        assert await store.queries.open(now=11.0) == [(number, AskStatus())]
    assert "SetEverything" in caplog.text


async def test_updates_wait_in_the_order_of_their_arrival_until_they_are_done(store: Store, other: Store) -> None:
    await store.inbox.store([(8, '{"a":1}'), (9, '{"b":"ü"}')], now=4.0)
    await store.inbox.store([(9, "ignored"), (7, "{}"), (10, "{}")], now=5.0)
    assert await other.inbox.pending() == [(8, '{"a":1}'), (9, '{"b":"ü"}'), (7, "{}"), (10, "{}")]
    assert await other.inbox.pending(limit=1) == [(8, '{"a":1}')]
    await other.inbox.done(9, now=6.0)
    await other.inbox.done(9, now=7.0)
    assert [number for number, _ in await store.inbox.pending()] == [8, 7, 10]
    await store.inbox.store([(9, "again")], now=8.0)
    assert [number for number, _ in await store.inbox.pending()] == [8, 7, 10]


async def test_marking_an_update_that_is_not_there_changes_nothing(store: Store) -> None:
    await store.inbox.done(1, now=4.0)
    await store.inbox.store([(1, "{}")], now=5.0)
    assert await store.inbox.pending() == [(1, "{}")]


def _confirmation(code: str, user_id: int = 1001, chat_id: int = -55, expires_at: float = 60.0) -> Confirmation:
    return Confirmation(code, user_id, chat_id, dry_run(f"for-{code}"), expires_at)


async def test_a_confirmation_is_taken_once(store: Store, other: Store) -> None:
    await store.confirmations.put(_confirmation("1234"))
    assert await other.confirmations.take(1001, -55, now=60.0) == _confirmation("1234")
    assert await store.confirmations.take(1001, -55, now=60.0) is None


async def test_a_confirmation_is_bound_to_person_and_chat(store: Store) -> None:
    await store.confirmations.put(_confirmation("1"))
    await store.confirmations.put(_confirmation("2", user_id=1002))
    await store.confirmations.put(_confirmation("3", chat_id=-56))
    assert await store.confirmations.take(1003, -55, now=1.0) is None
    assert await store.confirmations.take(1002, -56, now=1.0) is None
    assert await store.confirmations.take(1001, -55, now=1.0) == _confirmation("1")
    assert await store.confirmations.take(1002, -55, now=1.0) == _confirmation("2", user_id=1002)


async def test_a_new_confirmation_replaces_the_earlier_one(store: Store) -> None:
    await store.confirmations.put(_confirmation("1"))
    await store.confirmations.put(_confirmation("2"))
    assert await store.confirmations.take(1001, -55, now=1.0) == _confirmation("2")
    assert await store.confirmations.take(1001, -55, now=1.0) is None


async def test_a_void_confirmation_is_removed(store: Store) -> None:
    await store.confirmations.put(_confirmation("1"))
    assert await store.confirmations.take(1001, -55, now=60.5) is None
    assert await store.confirmations.take(1001, -55, now=1.0) is None


async def test_of_two_takers_one_gets_it(store: Store, other: Store) -> None:
    await store.confirmations.put(_confirmation("1"))
    taken = await asyncio.gather(*(one.confirmations.take(1001, -55, now=1.0) for one in (store, other, store)))
    assert [one for one in taken if one] == [_confirmation("1")]
