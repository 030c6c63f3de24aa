"""What both processes write: signs of life and leases; and the bell that one rings for the other."""

from __future__ import annotations

import asyncio

from core.state.memory.disk import Held, Session
from core.state.ports import Presence


class MemoryPresences:
    """Keep the latest sign of life of each process."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def beat(self, presence: Presence) -> None:
        """Save a sign of life; see Presences."""
        self._session.disk.presences[presence.process] = presence
        self._session.changed()

    async def presence(self, process: str) -> Presence | None:
        """Return the latest sign of life; see Presences."""
        return self._session.disk.presences.get(process)


class MemoryLease:
    """Keep each lease with a token that only grows."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def acquire(self, name: str, holder: str, ttl: float, now: float) -> int | None:
        """Take or renew a lease; see Lease."""
        leases = self._session.disk.leases
        held = leases.get(name, Held("", 0, 0.0))
        token = held.token
        if held.holder != holder:
            if held.holder and now < held.expires_at:
                return None
            token += 1
        leases[name] = Held(holder, token, now + ttl)
        self._session.changed()
        return token

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back; see Lease."""
        held = self._session.disk.leases.get(name)
        if held and held.holder == holder:
            held.holder = ""
            self._session.changed()


class MemoryBell:
    """Wake one task when another store over the same disk wrote."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rung = asyncio.Event()
        session.bells.add(self._rung)

    async def wait(self, seconds: float) -> bool:
        """Wait for a write by others; see Bell."""
        self._session.require_open()
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True
