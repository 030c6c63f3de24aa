"""The borrowers index in memory."""

from __future__ import annotations

from collections.abc import Mapping

from core.domain.units import ScaledAmount
from core.state.memory.disk import Session
from core.state.ports import DebtKey


class MemoryBorrowersIndex:
    """Keep scaled debts in a dictionary."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def indexed_to(self) -> int | None:
        """Return the mark; see BorrowersIndexStore."""
        return self._session.disk.indexed_to

    async def save(self, changes: Mapping[DebtKey, ScaledAmount], to_block: int) -> None:
        """Save changes and move the mark; see BorrowersIndexStore."""
        disk = self._session.disk
        debts = {**disk.borrower_debts, **changes}
        disk.borrower_debts = {key: debt for key, debt in debts.items() if debt}
        disk.indexed_to = to_block
        self._session.changed()

    async def load(self) -> dict[DebtKey, ScaledAmount]:
        """Return all debts; see BorrowersIndexStore."""
        return dict(self._session.disk.borrower_debts)
