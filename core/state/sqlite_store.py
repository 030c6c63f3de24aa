"""The store in one SQLite file: the default, for two processes that share a disk."""

from __future__ import annotations

from pathlib import Path

from core.errors import StoreMismatch
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
from core.state.sqlite.bot_ports import SqliteConfirmations, SqliteInbox, SqliteMailbox, SqliteQueries
from core.state.sqlite.database import Database
from core.state.sqlite.delivery_ports import SqliteDeliveries
from core.state.sqlite.index_port import SqliteBorrowersIndex
from core.state.sqlite.migrations import BUSY_SECONDS
from core.state.sqlite.shared_ports import SqliteBell, SqliteLease, SqlitePresences, Watch
from core.state.sqlite.worker_ports import SqliteBorrowers, SqliteControls, SqliteJournal, SqliteOutbox, SqliteSnapshots


class SqliteStore:
    """Hold all ports over one file, through one connection of this process."""

    def __init__(self, database: Database, epoch: str, watch: Watch) -> None:
        self._database = database
        self._epoch = epoch
        self._watch = watch
        self.journal: Journal = SqliteJournal(database)
        self.outbox: Outbox = SqliteOutbox(database)
        self.controls: ControlStore = SqliteControls(database)
        self.borrowers: Borrowers = SqliteBorrowers(database)
        self.borrowers_index: BorrowersIndexStore = SqliteBorrowersIndex(database)
        self.snapshots: Snapshots = SqliteSnapshots(database)
        self.mailbox: Mailbox = SqliteMailbox(database)
        self.queries: Queries = SqliteQueries(database)
        self.inbox: Inbox = SqliteInbox(database)
        self.deliveries: Deliveries = SqliteDeliveries(database)
        self.confirmations: Confirmations = SqliteConfirmations(database)
        self.presences: Presences = SqlitePresences(database)
        self.lease: Lease = SqliteLease(database)

    @classmethod
    async def open(cls, path: Path | str, busy_seconds: float = BUSY_SECONDS) -> SqliteStore:
        """Open the store, making or migrating its file first; `busy_seconds` is the longest wait for another's lock.

        Raise StoreUnavailable for what may pass (locked, disk full), SchemaTooNew for a newer version's file, and
        StoreError for the rest; each text names STATE_DB and says what to do.
        """
        database = await Database.open(Path(path), busy_seconds)
        try:
            ((epoch,),) = await database.rows("SELECT value FROM meta WHERE key = 'epoch'")
            return cls(database, epoch, Watch(database, await database.foreign_version()))
        except BaseException:
            await database.close()
            raise

    @property
    def epoch(self) -> str:
        """Return the random name that this file got when it was made."""
        return self._epoch

    def bell(self) -> Bell:
        """Return a new bell; each waiting task has its own."""
        return SqliteBell(self._watch)

    async def bind(self, market: str) -> None:
        """Tie the store to a market; see Store."""
        async with self._database.write() as connection:
            await connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('market', ?)", (market,))
            ((tied,),) = await connection.execute_fetchall("SELECT value FROM meta WHERE key = 'market'")
        if tied != market:
            raise StoreMismatch(
                f"STATE_DB={self._database.path} belongs to market {tied}, not to {market}: "
                "set STATE_DB to another file, or the settings back to that market"
            )

    async def close(self) -> None:
        """Finish what is being written and let go of the file."""
        await self._database.close()
