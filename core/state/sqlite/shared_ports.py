"""What both processes write: signs of life and leases; and the bell that one rings for the other."""

from __future__ import annotations

import asyncio

from core.state.ports import Presence
from core.state.sqlite.database import Database

POLL_SECONDS = 0.02


class SqlitePresences:
    """Keep the latest sign of life of each process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, presence: Presence) -> None:
        """Save a sign of life; see Presences."""
        async with self._database.write() as connection:
            await connection.execute(
                "INSERT OR REPLACE INTO presence (process, instance, version, at, body) VALUES (?, ?, ?, ?, ?)",
                (presence.process, presence.instance, presence.version, presence.at, presence.body),
            )

    async def presence(self, process: str) -> Presence | None:
        """Return the latest sign of life; see Presences."""
        row = await self._database.row(
            "SELECT process, instance, version, at, body FROM presence WHERE process = ?", (process,)
        )
        return Presence(*row) if row else None


class SqliteLease:
    """Keep each lease in a row that outlives its holders, so that its token only grows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, holder: str, ttl: float, now: float) -> int | None:
        """Take or renew a lease; see Lease."""
        async with self._database.write() as connection:
            rows = list(
                await connection.execute_fetchall("SELECT holder, token, expires_at FROM lease WHERE name = ?", (name,))
            )
            last_holder, token, expires_at = rows[0] if rows else ("", 0, 0.0)
            if last_holder != holder:
                if last_holder and now < expires_at:
                    return None
                token += 1
            await connection.execute(
                "INSERT OR REPLACE INTO lease (name, holder, token, expires_at) VALUES (?, ?, ?, ?)",
                (name, holder, token, now + ttl),
            )
            return int(token)

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back; see Lease."""
        async with self._database.write() as connection:
            await connection.execute("UPDATE lease SET holder = '' WHERE name = ? AND holder = ?", (name, holder))


class Watch:
    """Notice commits by others: a cheap look at the file's change counter, and a second one that excludes our own."""

    def __init__(self, database: Database, version: int) -> None:
        self._database = database
        self._peeked: int | None = None
        self._version = version
        self.rung = 0

    async def look(self) -> None:
        """Count a ring if anybody else committed since the last look."""
        peeked = self._database.peek()
        if peeked == self._peeked:
            return
        version = await self._database.foreign_version()
        self._peeked = peeked
        if version != self._version:
            self._version = version
            self.rung += 1


class SqliteBell:
    """Wake one task when another process committed, within POLL_SECONDS."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._heard = watch.rung

    async def wait(self, seconds: float) -> bool:
        """Wait for a commit by others; see Bell."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            await self._watch.look()
            if self._watch.rung != self._heard:
                self._heard = self._watch.rung
                return True
            left = deadline - loop.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(POLL_SECONDS, left))
