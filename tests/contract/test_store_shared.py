"""What both processes write, the bell between them, and the store as a whole."""

from __future__ import annotations

import asyncio
import time

import pytest

from core.errors import StoreError, StoreMismatch
from core.state.ports import Presence, Store
from tests.contract.places import Place
from tests.contract.samples import dry_run, warned


async def test_presences_keep_the_latest_sign_of_life(store: Store, other: Store) -> None:
    assert await store.presences.presence("worker") is None
    await store.presences.beat(Presence("worker", "i1", "0.1.0", 5.0, '{"role":"active"}'))
    await store.presences.beat(Presence("bot", "i2", "0.1.0", 6.0))
    await store.presences.beat(Presence("worker", "i3", "0.2.0", 7.5, "{}"))
    assert await other.presences.presence("worker") == Presence("worker", "i3", "0.2.0", 7.5, "{}")
    assert await other.presences.presence("bot") == Presence("bot", "i2", "0.1.0", 6.0)


async def test_a_lease_has_one_holder_until_it_runs_out(store: Store, other: Store) -> None:
    assert await store.lease.acquire("worker", "a", ttl=10.0, now=100.0) == 1
    assert await other.lease.acquire("worker", "b", ttl=10.0, now=109.5) is None
    assert await store.lease.acquire("worker", "a", ttl=10.0, now=105.0) == 1
    assert await other.lease.acquire("worker", "b", ttl=10.0, now=114.5) is None
    assert await other.lease.acquire("worker", "b", ttl=10.0, now=115.0) == 2
    assert await store.lease.acquire("worker", "a", ttl=10.0, now=116.0) is None


async def test_a_late_holder_keeps_its_token_if_nobody_came_between(store: Store) -> None:
    assert await store.lease.acquire("worker", "a", ttl=10.0, now=100.0) == 1
    assert await store.lease.acquire("worker", "a", ttl=10.0, now=500.0) == 1


async def test_a_released_lease_is_free_and_its_token_grows_on(store: Store, other: Store) -> None:
    assert await store.lease.acquire("worker", "a", ttl=10.0, now=100.0) == 1
    await other.lease.release("worker", "b")
    assert await other.lease.acquire("worker", "b", ttl=10.0, now=101.0) is None
    await store.lease.release("worker", "a")
    assert await other.lease.acquire("worker", "b", ttl=10.0, now=101.0) == 2
    await other.lease.release("worker", "b")
    assert await other.lease.acquire("worker", "b", ttl=10.0, now=102.0) == 3
    await store.lease.release("nobody-ever-took-it", "a")


async def test_leases_are_apart_by_name(store: Store, other: Store) -> None:
    assert await store.lease.acquire("worker", "a", ttl=10.0, now=100.0) == 1
    assert await other.lease.acquire("poller", "b", ttl=10.0, now=100.0) == 1


async def test_of_many_who_want_a_lease_one_gets_it(store: Store, other: Store) -> None:
    wanted = [one.lease.acquire("worker", f"h{i}", 10.0, 100.0) for i, one in enumerate((store, other) * 5)]
    tokens = await asyncio.gather(*wanted)
    assert sorted(token for token in tokens if token is not None) == [1]


async def test_a_bell_rings_at_once_when_another_writes(store: Store, other: Store) -> None:
    bell = store.bell()
    assert not await bell.wait(0)
    waiting = asyncio.create_task(bell.wait(10))
    await asyncio.sleep(0.05)
    began = time.perf_counter()
    await other.mailbox.post(dry_run("a"), now=1.0)
    assert await waiting
    assert time.perf_counter() - began < 1.0


async def test_a_bell_remembers_what_was_written_between_two_waits(store: Store, other: Store) -> None:
    bell = store.bell()
    await other.outbox.append([warned("a")], now=1.0)
    await other.outbox.append([warned("b")], now=1.0)
    assert await bell.wait(0)
    assert not await bell.wait(0.05)


async def test_every_bell_of_a_store_rings(store: Store, other: Store) -> None:
    bells = [store.bell() for _ in range(3)]
    waiting = [asyncio.create_task(bell.wait(10)) for bell in bells]
    await asyncio.sleep(0.05)
    await other.outbox.append([warned("a")], now=1.0)
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_ones_own_writes_do_not_ring(store: Store, other: Store) -> None:
    mine, theirs = store.bell(), other.bell()
    await store.outbox.append([warned("a")], now=1.0)
    assert not await mine.wait(0.05)
    assert await theirs.wait(0)


async def test_a_wait_ends_after_its_time(store: Store) -> None:
    began = time.perf_counter()
    assert not await store.bell().wait(0.2)
    assert 0.15 < time.perf_counter() - began < 2.0


async def test_the_epoch_belongs_to_the_place(place: Place, store: Store, other: Store) -> None:
    assert store.epoch == other.epoch
    assert len(store.epoch) == 32
    await store.close()
    again = await place.open()
    assert again.epoch == other.epoch
    await again.close()


async def test_a_store_is_tied_to_one_market(store: Store, other: Store) -> None:
    await store.bind("8453:0xe20f")
    await store.bind("8453:0xe20f")
    await other.bind("8453:0xe20f")
    with pytest.raises(StoreMismatch, match=r"8453:0xe20f.*31337:0xe20f"):
        await other.bind("31337:0xe20f")


async def test_what_was_written_outlives_the_stores(place: Place, store: Store) -> None:
    await store.outbox.append([warned("a")], now=1.0)
    await store.close()
    again = await place.open()
    assert [event for _, event in await again.outbox.read(0)] == [warned("a")]
    await again.close()


async def test_a_closed_store_says_so_and_closes_twice(store: Store) -> None:
    bell = store.bell()
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.outbox.append([warned("a")], now=1.0)
    with pytest.raises(StoreError, match="closed"):
        await store.outbox.read(0)
    with pytest.raises(StoreError, match="closed"):
        await bell.wait(0)


async def test_closing_lets_writes_finish(place: Place, store: Store) -> None:
    writes = [asyncio.create_task(store.outbox.append([warned(str(number))], now=1.0)) for number in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    again = await place.open()
    assert len(await again.outbox.read(0)) == 20
    await again.close()


async def test_a_cancelled_write_is_whole_or_not_there(store: Store, other: Store) -> None:
    for number in range(20):
        write = asyncio.create_task(store.outbox.append([warned(f"{number}a"), warned(f"{number}b")], now=1.0))
        for _ in range(number):
            await asyncio.sleep(0.0002)
        write.cancel()
        await asyncio.wait([write])
    await store.outbox.append([warned("last a"), warned("last b")], now=1.0)
    codes = [event.code for _, event in await other.outbox.read(0)]
    assert [code[:-1] for code in codes[::2]] == [code[:-1] for code in codes[1::2]]
    assert codes[-2:] == ["last a", "last b"]
