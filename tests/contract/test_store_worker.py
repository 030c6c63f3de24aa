"""What the worker writes: journal, outbox, controls, borrowers, snapshots."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from core.domain.controls import Controls, cold_start
from core.domain.messages import OpportunityUpdated, Unknown
from core.domain.opportunity import OVER, State
from core.errors import Superseded
from core.state.ports import Store
from tests.contract.places import Place
from tests.contract.samples import ADA, FUTURE, address, changed, dry_run, opportunity, warned


async def test_an_empty_journal_has_no_ids(store: Store) -> None:
    assert await store.journal.last_ids() == (0, 0)
    assert await store.journal.open_opportunities() == []
    assert await store.journal.opportunities() == []


async def test_recording_saves_exactly_and_tells_the_bot_in_order(store: Store, other: Store) -> None:
    first, second = opportunity(1), opportunity(2)
    await store.journal.record([first, second], now=5.0)
    assert await other.journal.opportunities() == [first, second]
    assert [event for _, event in await other.outbox.read(0)] == [OpportunityUpdated(first), OpportunityUpdated(second)]


async def test_the_next_state_replaces_the_row_and_adds_an_event(store: Store) -> None:
    seen = opportunity(1)
    confirmed = seen.to(State.CONFIRMED, note="asked at 99")
    await store.journal.record([seen], now=5.0)
    await store.journal.record([confirmed], now=6.0)
    assert await store.journal.opportunities() == [confirmed]
    assert [event for _, event in await store.outbox.read(0)] == [
        OpportunityUpdated(seen),
        OpportunityUpdated(confirmed),
    ]


async def test_two_states_of_one_opportunity_in_one_call(store: Store) -> None:
    seen = opportunity(1)
    await store.journal.record([seen, seen.to(State.RECOVERED)], now=5.0)
    assert await store.journal.opportunities() == [seen.to(State.RECOVERED)]
    assert len(await store.outbox.read(0)) == 2


async def test_last_ids_are_the_highest_of_each(store: Store) -> None:
    await store.journal.record([opportunity(3, episode=9), opportunity(7, episode=4)], now=5.0)
    assert await store.journal.last_ids() == (7, 9)


async def test_recording_nothing_changes_nothing(store: Store) -> None:
    await store.journal.record([], now=5.0)
    assert await store.outbox.read(0) == []


@pytest.mark.parametrize("state", list(State))
async def test_open_means_not_over(store: Store, state: State) -> None:
    await store.journal.record([opportunity(2), opportunity(1, state=state)], now=5.0)
    expected = [2] if state in OVER else [1, 2]
    assert [one.id for one in await store.journal.open_opportunities()] == expected


async def test_opportunities_come_in_pages(store: Store) -> None:
    await store.journal.record([opportunity(number) for number in (5, 1, 4, 2, 3)], now=5.0)
    assert [one.id for one in await store.journal.opportunities(after_id=2, limit=2)] == [3, 4]
    assert [one.id for one in await store.journal.opportunities(after_id=5)] == []


async def test_opportunities_are_counted_by_state_since_a_time(store: Store) -> None:
    early, late = opportunity(1), replace(opportunity(2), seen_at=2_000_000_000.0)
    later = replace(opportunity(3), seen_at=2_000_000_001.0)
    await store.journal.record([early, late, later], now=5.0)
    await store.journal.record([later.to(State.RECOVERED)], now=6.0)
    assert await store.journal.counts(0.0) == {State.DETECTED: 2, State.RECOVERED: 1}
    assert await store.journal.counts(2_000_000_000.0) == {State.DETECTED: 1, State.RECOVERED: 1}
    assert await store.journal.counts(3_000_000_000.0) == {}


async def test_an_id_of_another_account_is_superseded_and_nothing_is_saved(store: Store, other: Store) -> None:
    mine, theirs = opportunity(1, user=1), opportunity(1, user=2)
    await store.journal.record([mine], now=5.0)
    with pytest.raises(Superseded, match="another worker"):
        await other.journal.record([opportunity(2), theirs], now=6.0)
    with pytest.raises(Superseded, match="another worker"):
        await other.journal.record([opportunity(1, user=1, episode=8)], now=6.0)
    assert await store.journal.opportunities() == [mine]
    assert len(await store.outbox.read(0)) == 1


async def test_events_are_numbered_upwards_and_read_after_a_number(store: Store, other: Store) -> None:
    await store.outbox.append([warned("a"), warned("b")], now=5.0)
    await store.outbox.append([warned("c")], now=6.0)
    read = await other.outbox.read(0)
    numbers = [number for number, _ in read]
    assert [event for _, event in read] == [warned("a"), warned("b"), warned("c")]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 0
    assert await other.outbox.read(numbers[0], limit=1) == [read[1]]
    assert await other.outbox.read(numbers[2]) == []


async def test_an_event_of_a_newer_version_is_read_as_it_came(place: Place, store: Store) -> None:
    await store.outbox.append([warned("a")], now=5.0)
    place.plant("outbox", FUTURE)
    assert [event for _, event in await store.outbox.read(0)] == [warned("a"), Unknown("SetEverything", FUTURE)]


async def test_two_writers_lose_no_event(store: Store, other: Store) -> None:
    async def write(one: Store, name: str) -> None:
        for number in range(25):
            await one.outbox.append([warned(f"{name}{number}")], now=5.0)

    await asyncio.gather(write(store, "a"), write(other, "b"))
    events = [event for _, event in await store.outbox.read(0)]
    for name in "ab":
        assert [event for event in events if event.code.startswith(name)] == [warned(f"{name}{n}") for n in range(25)]
    assert len(events) == 50


async def test_a_fresh_store_answers_the_controls_of_a_cold_start(store: Store) -> None:
    assert await store.controls.load() == Controls()
    assert (await store.controls.load()).dry_run


async def test_controls_are_saved_with_event_and_mark(store: Store, other: Store) -> None:
    await other.mailbox.post(dry_run("c1"), now=4.0)
    live = Controls(1, dry_run=False, changed_by=ADA, changed_at=5.0)
    await store.controls.save(live, changed(1, "c1"), "c1", now=5.0)
    assert await other.controls.load() == live
    assert [event for _, event in await other.outbox.read(0)] == [changed(1, "c1")]
    assert await store.mailbox.unhandled() == []


async def test_the_workers_own_change_marks_nothing(store: Store) -> None:
    await store.mailbox.post(dry_run("c1"), now=4.0)
    await store.controls.save(Controls(1, dry_run=False), changed(1), "", now=5.0)
    cold = cold_start(await store.controls.load(), now=6.0)
    await store.controls.save(cold, changed(2), "", now=6.0)
    assert await store.controls.load() == cold
    assert [command.id for command, _ in await store.mailbox.unhandled()] == ["c1"]


@pytest.mark.parametrize("version", [0, 1, 3])
async def test_a_version_that_does_not_follow_is_superseded(store: Store, other: Store, version: int) -> None:
    first = Controls(1, dry_run=False)
    await store.controls.save(first, changed(1), "", now=5.0)
    with pytest.raises(Superseded, match="cannot follow version 1"):
        await other.controls.save(Controls(version), changed(version), "", now=6.0)
    assert await store.controls.load() == first
    assert len(await store.outbox.read(0)) == 1


@pytest.mark.parametrize("command_id", ["handled", "never-stored"])
async def test_a_command_that_does_not_wait_changes_no_controls(store: Store, command_id: str) -> None:
    await store.mailbox.post(dry_run("handled"), now=4.0)
    await store.controls.save(Controls(1), changed(1, "handled"), "handled", now=5.0)
    with pytest.raises(Superseded, match=command_id):
        await store.controls.save(Controls(2, dry_run=False), changed(2, command_id), command_id, now=6.0)
    assert await store.controls.load() == Controls(1)
    assert len(await store.outbox.read(0)) == 1


async def test_of_two_workers_one_saves(store: Store, other: Store) -> None:
    results = await asyncio.gather(
        store.controls.save(Controls(1, changed_at=1.0), changed(1), "", now=5.0),
        other.controls.save(Controls(1, changed_at=2.0), changed(1), "", now=5.0),
        return_exceptions=True,
    )
    assert sorted(type(result) for result in results if result) == [Superseded]
    assert len(await store.outbox.read(0)) == 1


async def test_borrowers_keep_the_order_of_their_discovery(store: Store, other: Store) -> None:
    assert await store.borrowers.discovered_to() is None
    assert await store.borrowers.all() == []
    await store.borrowers.add([address(3), address(1)], to_block=100)
    await store.borrowers.add([address(1), address(2), address(2)], to_block=200)
    assert await other.borrowers.all() == [address(3), address(1), address(2)]
    assert await other.borrowers.discovered_to() == 200


async def test_an_empty_chunk_moves_the_mark(store: Store) -> None:
    await store.borrowers.add([], to_block=0)
    assert await store.borrowers.discovered_to() == 0
    await store.borrowers.add([], to_block=2_000)
    assert await store.borrowers.discovered_to() == 2_000


async def test_the_last_snapshot_is_kept_whole_and_alone(store: Store, other: Store) -> None:
    assert await store.snapshots.latest() is None
    for block, body in ((7, b"a" * 700_000), (9, b"short"), (9, b"b" * 300_000)):
        await store.snapshots.save(block, body)
        assert await other.snapshots.latest() == (block, body)
