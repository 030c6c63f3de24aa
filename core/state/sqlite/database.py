"""The one connection that a process has to the store's file, and its transactions."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from core.errors import StoreError, StoreUnavailable
from core.state.sqlite.migrations import BUSY_SECONDS, migrate
from core.state.sqlite.trouble import explained


class Database:
    """Run one transaction at a time; what a cancelled task began is rolled back or committed, never left open."""

    def __init__(self, path: Path, connection: aiosqlite.Connection, peephole: sqlite3.Connection) -> None:
        self.path = path.absolute()  # a later chdir must not change what it means
        self._connection = connection
        self._peephole = peephole
        self._lock = asyncio.Lock()
        self._closed = False
        self._file = _identity(path)

    @classmethod
    async def open(cls, path: Path, busy_seconds: float = BUSY_SECONDS) -> Database:
        """Open the file at its newest schema, creating or migrating it first."""
        await asyncio.to_thread(migrate, path, busy_seconds)
        with explained(path):
            peephole = sqlite3.connect(path, timeout=0, isolation_level=None)
            try:
                connecting = aiosqlite.connect(path, timeout=busy_seconds, isolation_level=None)
                # aiosqlite has no public name for it: a store left open must not keep a failed process from ending.
                connecting._thread.daemon = True
                connection = await connecting
            except BaseException:
                peephole.close()
                raise
            database = cls(path, connection, peephole)
            try:
                await connection.execute("PRAGMA synchronous = FULL")
                await connection.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                await database.close()
                raise
        return database

    @asynccontextmanager
    async def write(self) -> AsyncIterator[aiosqlite.Connection]:
        """Open a transaction that holds the file's write lock; leaving by an exception takes everything back.

        The connection's thread runs statements in the order in which they were asked for, so that the rollback of a
        cancelled task comes after whatever it had begun.
        """
        async with self._lock:
            self._check()
            with explained(self.path):
                try:
                    await self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
                    await self._connection.execute("COMMIT")
                except BaseException:
                    await self._connection.rollback()
                    raise

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of one query."""
        async with self._lock:
            self._check()
            with explained(self.path):
                return list(await self._connection.execute_fetchall(sql, parameters))

    async def row(self, sql: str, parameters: Sequence[Any] = ()) -> Any | None:
        """Return the first row of one query, or None."""
        rows = await self.rows(sql, parameters)
        return rows[0] if rows else None

    def peek(self) -> int:
        """Return a number that changes with every commit by anybody, in a few microseconds and without waiting."""
        if self._closed:
            raise StoreError(f"STATE_DB={self.path} was closed by this process")
        with explained(self.path):
            return int(self._peephole.execute("PRAGMA data_version").fetchone()[0])

    async def foreign_version(self) -> int:
        """Return a number that changes with every commit by others, and not with our own."""
        return int((await self.rows("PRAGMA data_version"))[0][0])

    async def close(self) -> None:
        """Let the running transaction end, then close; closing twice is fine."""
        async with self._lock:
            if self._closed:
                return
            self._closed = True
            self._peephole.close()
            await self._connection.close()

    def _check(self) -> None:
        """Raise unless the file is still the one that was opened: SQLite would go on writing to a deleted one."""
        if self._closed:
            raise StoreError(f"STATE_DB={self.path} was closed by this process")
        now = _identity(self.path)
        if now is None:
            raise StoreUnavailable(f"STATE_DB={self.path} is gone: put it back, or restart to begin anew")
        if now != self._file:
            raise StoreError(f"STATE_DB={self.path} was replaced by another file while in use: restart")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
