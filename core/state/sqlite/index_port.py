"""The borrowers index in tables: a row for each account in each reserve, and how far the logs were read."""

from __future__ import annotations

from collections.abc import Mapping

from core.domain.units import Address, ScaledAmount
from core.state.ports import DebtKey
from core.state.sqlite.database import Database


class SqliteBorrowersIndex:
    """Keep scaled debts as text: SQLite's integers end at 64 bits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def indexed_to(self) -> int | None:
        """Return the mark; see BorrowersIndexStore."""
        row = await self._database.row("SELECT to_block FROM borrower_debt_mark")
        return row[0] if row else None

    async def save(self, changes: Mapping[DebtKey, ScaledAmount], to_block: int) -> None:
        """Save changes and move the mark; see BorrowersIndexStore."""
        gone = [key for key, debt in changes.items() if not debt]
        owed = [(*key, str(debt)) for key, debt in changes.items() if debt]
        async with self._database.write() as connection:
            await connection.executemany("DELETE FROM borrower_debt WHERE asset = ? AND user = ?", gone)
            await connection.executemany(
                "INSERT OR REPLACE INTO borrower_debt (asset, user, debt) VALUES (?, ?, ?)", owed
            )
            await connection.execute(
                "INSERT OR REPLACE INTO borrower_debt_mark (one, to_block) VALUES (1, ?)", (to_block,)
            )

    async def load(self) -> dict[DebtKey, ScaledAmount]:
        """Return all debts; see BorrowersIndexStore."""
        rows = await self._database.rows("SELECT asset, user, debt FROM borrower_debt")
        return {(Address(asset), Address(user)): ScaledAmount(int(debt)) for asset, user, debt in rows}
