"""Places of storage that the contract suite runs over; another store joins by another class here."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from core.state.memory import MemoryDisk, MemoryStore
from core.state.memory.disk import Asked, Posted
from core.state.ports import Store
from core.state.sqlite_store import SqliteStore


class Place(Protocol):
    """Be one place that several processes share."""

    async def open(self) -> Store:
        """Return one more process's store over this place."""
        ...

    def plant(self, table: str, raw: str) -> None:
        """Write a raw message into "outbox", "command" or "question", as a newer version of the program would."""
        ...


class SqlitePlace:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "state.db"

    async def open(self) -> Store:
        return await SqliteStore.open(self.path)

    def plant(self, table: str, raw: str) -> None:
        sql = {
            "outbox": "INSERT INTO outbox (body, at) VALUES (?, 0)",
            "command": "INSERT INTO command (id, body, stored_at) VALUES ('planted', ?, 0)",
            "question": "INSERT INTO question (body, deadline) VALUES (?, 1e12)",
        }[table]
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(sql, (raw,))


class MemoryPlace:
    def __init__(self) -> None:
        self.disk = MemoryDisk()

    async def open(self) -> Store:
        return MemoryStore(self.disk)

    def plant(self, table: str, raw: str) -> None:
        if table == "outbox":
            self.disk.outbox.append(raw)
        elif table == "command":
            self.disk.commands["planted"] = Posted(raw, 0.0)
        else:
            self.disk.asked += 1
            self.disk.questions[self.disk.asked] = Asked(raw, 1e12)
