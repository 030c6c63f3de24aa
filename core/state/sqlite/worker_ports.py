"""What the worker writes: journal, outbox, controls and borrowers."""

from __future__ import annotations

from collections.abc import Sequence

import aiosqlite

from core.domain.controls import Controls
from core.domain.messages import Event, Unknown, encode
from core.domain.opportunity import OVER, Opportunity, State
from core.domain.units import Address
from core.errors import Superseded
from core.state.codec import pack_controls, pack_opportunity, unpack_controls, unpack_event, unpack_opportunity
from core.state.sqlite.database import Database

PIECE_BYTES = 256 * 1024
_APPEND = "INSERT INTO outbox (body, at) VALUES (?, ?)"


async def append_events(connection: aiosqlite.Connection, events: Sequence[Event], now: float) -> None:
    """Append events to the outbox inside the caller's transaction."""
    await connection.executemany(_APPEND, [(encode(event), now) for event in events])


async def mark_handled(connection: aiosqlite.Connection, command_id: str, now: float) -> None:
    """Mark a command inside the caller's transaction; raise Superseded when it does not wait any more."""
    cursor = await connection.execute(
        "UPDATE command SET handled_at = ? WHERE id = ? AND handled_at IS NULL", (now, command_id)
    )
    if not cursor.rowcount:
        raise Superseded(f"command {command_id} does not wait any more: it was handled already, or never stored")


class SqliteJournal:
    """Keep the journal in a table of the latest states; its history is the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_ids(self) -> tuple[int, int]:
        """Return the highest id and the highest episode number; see Journal."""
        (row,) = await self._database.rows(
            "SELECT (SELECT max(id) FROM opportunity), (SELECT max(episode) FROM opportunity)"
        )
        return row[0] or 0, row[1] or 0

    async def record(self, opportunities: Sequence[Opportunity], now: float) -> None:
        """Save and tell; see Journal."""
        if not opportunities:
            return
        bodies = [pack_opportunity(opportunity) for opportunity in opportunities]
        rows = [
            (one.id, one.user, one.episode, one.seen_at, one.state, one.state not in OVER, body)
            for one, body in zip(opportunities, bodies, strict=True)
        ]
        async with self._database.write() as connection:
            cursor = await connection.executemany(
                "INSERT INTO opportunity (id, user, episode, seen_at, state, open, body) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET state = excluded.state, open = excluded.open, body = excluded.body "
                "WHERE user = excluded.user AND episode = excluded.episode",
                rows,
            )
            if cursor.rowcount != len(rows):
                raise Superseded("another worker gave one of these opportunity ids to another account")
            await connection.executemany(_APPEND, [(body, now) for body in bodies])

    async def open_opportunities(self) -> list[Opportunity]:
        """Return those that are not over; see Journal."""
        rows = await self._database.rows("SELECT body FROM opportunity WHERE open ORDER BY id")
        return [unpack_opportunity(body) for (body,) in rows]

    async def opportunities(self, after_id: int = 0, limit: int = 1000) -> list[Opportunity]:
        """Return a page of them; see Journal."""
        rows = await self._database.rows(
            "SELECT body FROM opportunity WHERE id > ? ORDER BY id LIMIT ?", (after_id, limit)
        )
        return [unpack_opportunity(body) for (body,) in rows]

    async def counts(self, since: float) -> dict[State, int]:
        """Count by state; see Journal."""
        rows = await self._database.rows(
            "SELECT state, count(*) FROM opportunity WHERE seen_at >= ? GROUP BY state", (since,)
        )
        return {State(state): count for state, count in rows}


class SqliteOutbox:
    """Keep events in a table whose row numbers are never used twice."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, events: Sequence[Event], now: float) -> None:
        """Append events; see Outbox."""
        async with self._database.write() as connection:
            await append_events(connection, events, now)

    async def read(self, after: int, limit: int = 500) -> list[tuple[int, Event | Unknown]]:
        """Return events in order; see Outbox."""
        rows = await self._database.rows("SELECT n, body FROM outbox WHERE n > ? ORDER BY n LIMIT ?", (after, limit))
        return [(number, unpack_event(body)) for number, body in rows]


class SqliteControls:
    """Keep the controls in one row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Controls:
        """Return the current controls; see ControlStore."""
        row = await self._database.row("SELECT body FROM controls")
        return unpack_controls(row[0]) if row else Controls()

    async def save(self, controls: Controls, event: Event, handled: str, now: float) -> None:
        """Save controls with their event and mark the command; see ControlStore."""
        async with self._database.write() as connection:
            rows = list(await connection.execute_fetchall("SELECT version FROM controls"))
            stored = rows[0][0] if rows else Controls().version
            if controls.version != stored + 1:
                raise Superseded(f"controls version {controls.version} cannot follow version {stored}")
            await connection.execute(
                "INSERT INTO controls (one, version, body) VALUES (1, ?, ?) "
                "ON CONFLICT (one) DO UPDATE SET version = excluded.version, body = excluded.body",
                (controls.version, pack_controls(controls)),
            )
            if handled:
                await mark_handled(connection, handled, now)
            await append_events(connection, [event], now)


class SqliteBorrowers:
    """Keep borrowers in a table in the order of their discovery."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def discovered_to(self) -> int | None:
        """Return the mark; see Borrowers."""
        row = await self._database.row("SELECT to_block FROM discovery")
        return row[0] if row else None

    async def add(self, borrowers: Sequence[Address], to_block: int) -> None:
        """Add addresses and move the mark; see Borrowers."""
        async with self._database.write() as connection:
            await connection.executemany(
                "INSERT INTO borrower (user) VALUES (?) ON CONFLICT (user) DO NOTHING", [(user,) for user in borrowers]
            )
            await connection.execute(
                "INSERT INTO discovery (one, to_block) VALUES (1, ?) "
                "ON CONFLICT (one) DO UPDATE SET to_block = excluded.to_block",
                (to_block,),
            )

    async def all(self) -> list[Address]:
        """Return every borrower; see Borrowers."""
        return [Address(user) for (user,) in await self._database.rows("SELECT user FROM borrower ORDER BY n")]


class SqliteSnapshots:
    """Keep snapshots in pieces, each written in a transaction of its own; one row of meta names the complete one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, block: int, body: bytes) -> None:
        """Keep a snapshot; see Snapshots."""
        ((last,),) = await self._database.rows("SELECT coalesce(max(id), 0) FROM snapshot")
        for n, start in enumerate(range(0, len(body), PIECE_BYTES)):
            async with self._database.write() as connection:
                piece = (last + 1, n, body[start : start + PIECE_BYTES])
                await connection.execute("INSERT INTO snapshot (id, n, body) VALUES (?, ?, ?)", piece)
        async with self._database.write() as connection:
            await connection.execute("DELETE FROM snapshot WHERE id <= ?", (last,))
            name = f"{last + 1}:{block}"
            await connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('snapshot', ?)", (name,))

    async def latest(self) -> tuple[int, bytes] | None:
        """Return the last complete snapshot; see Snapshots."""
        row = await self._database.row("SELECT value FROM meta WHERE key = 'snapshot'")
        if row is None:
            return None
        number, block = map(int, row[0].split(":"))
        pieces = await self._database.rows("SELECT body FROM snapshot WHERE id = ? ORDER BY n", (number,))
        return block, b"".join(piece for (piece,) in pieces)
