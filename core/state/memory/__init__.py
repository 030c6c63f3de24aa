"""The store in plain memory: for tests, for trying things out, and for a single process that may forget.

Values are kept as the same texts as in the other stores, so that what cannot be written there cannot be written here.
Several stores over one `MemoryDisk` see the same data, as processes that share a file do.
"""

from __future__ import annotations

from core.errors import StoreMismatch
from core.state.memory.bot_ports import MemoryConfirmations, MemoryInbox, MemoryMailbox, MemoryQueries
from core.state.memory.delivery_ports import MemoryDeliveries
from core.state.memory.disk import MemoryDisk, Session
from core.state.memory.index_port import MemoryBorrowersIndex
from core.state.memory.shared_ports import MemoryBell, MemoryLease, MemoryPresences
from core.state.memory.worker_ports import MemoryBorrowers, MemoryControls, MemoryJournal, MemoryOutbox, MemorySnapshots
from core.state.ports import (
    Bell,
    Borrowers,
    BorrowersIndexStore,
    Confirmations,
    ControlStore,
    Deliveries,
    Inbox,
    Journal,
    Lease,
    Mailbox,
    Outbox,
    Presences,
    Queries,
    Snapshots,
)

__all__ = ["MemoryDisk", "MemoryStore"]


class MemoryStore:
    """Hold all ports over one MemoryDisk."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self._session = session = Session(disk or MemoryDisk())
        self.journal: Journal = MemoryJournal(session)
        self.outbox: Outbox = MemoryOutbox(session)
        self.controls: ControlStore = MemoryControls(session)
        self.borrowers: Borrowers = MemoryBorrowers(session)
        self.borrowers_index: BorrowersIndexStore = MemoryBorrowersIndex(session)
        self.snapshots: Snapshots = MemorySnapshots(session)
        self.mailbox: Mailbox = MemoryMailbox(session)
        self.queries: Queries = MemoryQueries(session)
        self.inbox: Inbox = MemoryInbox(session)
        self.deliveries: Deliveries = MemoryDeliveries(session)
        self.confirmations: Confirmations = MemoryConfirmations(session)
        self.presences: Presences = MemoryPresences(session)
        self.lease: Lease = MemoryLease(session)

    @property
    def epoch(self) -> str:
        """Return the random name that this disk got when it was made."""
        return self._session.disk.epoch

    def bell(self) -> Bell:
        """Return a new bell; each waiting task has its own."""
        return MemoryBell(self._session)

    async def bind(self, market: str) -> None:
        """Tie the store to a market; see Store."""
        disk = self._session.disk
        if disk.market is None:
            disk.market = market
            self._session.changed()
        if disk.market != market:
            raise StoreMismatch(f"the store belongs to market {disk.market}, not to {market}")

    async def close(self) -> None:
        """Let go of the disk."""
        self._session.close()
