"""The lease: taken when it is free, kept while it is renewed, and its loss is noticed."""

from __future__ import annotations

import asyncio
import time

import pytest

from core.errors import StoreUnavailable
from core.state.leasing import RENEW_SECONDS, TTL_SECONDS, LeaseLost, hold, take
from core.state.memory import MemoryDisk, MemoryStore
from core.state.ports import Lease


class Flaky:
    """Stand before a real lease, away while `away` is set."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self.away = False
        self.asked = 0

    async def acquire(self, name: str, holder: str, ttl: float, now: float) -> int | None:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("STATE_DB is locked")
        return await self._lease.acquire(name, holder, ttl, now)

    async def release(self, name: str, holder: str) -> None:
        await self._lease.release(name, holder)


@pytest.fixture
def lease() -> Flaky:
    return Flaky(MemoryStore(MemoryDisk()).lease)


async def test_a_free_lease_is_taken_at_once(lease: Flaky) -> None:
    said: list[str] = []
    assert await take(lease, "worker", "a", lambda: said.append("waiting")) == 1
    assert said == []


async def test_waiting_is_said_once_and_ends_when_the_other_lets_go(lease: Flaky) -> None:
    await lease.acquire("worker", "other", 60, time.time())
    said: list[str] = []
    waiting = asyncio.create_task(take(lease, "worker", "a", lambda: said.append("waiting")))
    await asyncio.sleep(RENEW_SECONDS / 3 + 0.1)
    assert (said, waiting.done()) == (["waiting"], False)
    await lease.release("worker", "other")
    assert await asyncio.wait_for(waiting, RENEW_SECONDS) == 2


async def test_a_store_that_is_away_is_waited_for_and_said_so(lease: Flaky, caplog: pytest.LogCaptureFixture) -> None:
    lease.away = True
    said: list[str] = []
    waiting = asyncio.create_task(take(lease, "worker", "a", lambda: said.append("waiting")))
    await asyncio.sleep(0.1)
    assert said == []  # nobody else has it, as far as we know
    assert "STATE_DB is locked" in caplog.text
    lease.away = False
    assert await asyncio.wait_for(waiting, RENEW_SECONDS) == 1


async def test_a_lease_that_another_took_is_lost_and_one_that_is_renewed_is_not(lease: Flaky) -> None:
    """One wait for both: each renewal takes three seconds."""
    await lease.acquire("bot", "a", TTL_SECONDS, time.time())
    await lease.acquire("worker", "a", TTL_SECONDS, time.time() - TTL_SECONDS - 1)
    assert await lease.acquire("worker", "other", 60, time.time()) == 2
    keeping = asyncio.create_task(hold(lease, "bot", "a"))
    with pytest.raises(LeaseLost, match="worker"):
        await asyncio.wait_for(hold(lease, "worker", "a"), RENEW_SECONDS + 1)
    assert not keeping.done()
    keeping.cancel()
    assert await lease.acquire("bot", "other", 10, time.time() + TTL_SECONDS - 1) is None
