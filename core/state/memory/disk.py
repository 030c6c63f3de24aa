"""What stores in memory share, and the view that one of them has of it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from weakref import WeakSet

from core.domain.units import Address, ScaledAmount
from core.errors import StoreError, Superseded
from core.state.ports import DebtKey, Delivery, Presence


@dataclass
class Spell:
    """Keep one opportunity."""

    user: Address
    episode: int
    over: bool
    body: str


@dataclass
class Posted:
    """Keep one command."""

    body: str
    stored_at: float
    handled: bool = False


@dataclass
class Asked:
    """Keep one question."""

    body: str
    deadline: float
    answer: str | None = None


@dataclass
class Update:
    """Keep one update of Telegram."""

    body: str
    done: bool = False


@dataclass
class Held:
    """Keep one lease; its token outlives its holders."""

    holder: str
    token: int
    expires_at: float


@dataclass(frozen=True)
class Told:
    """Keep one alert."""

    opened_at: float
    board: str
    body: str


@dataclass(frozen=True)
class Code:
    """Keep one command that waits for its code."""

    code: str
    command: str
    expires_at: float


@dataclass
class MemoryDisk:
    """Hold what several stores share; forget it and everything is gone."""

    epoch: str = field(default_factory=lambda: secrets.token_hex(16))
    market: str | None = None
    opportunities: dict[int, Spell] = field(default_factory=dict)
    outbox: list[str] = field(default_factory=list)
    controls: str | None = None
    borrowers: dict[Address, None] = field(default_factory=dict)
    discovered_to: int | None = None
    borrower_debts: dict[DebtKey, ScaledAmount] = field(default_factory=dict)
    indexed_to: int | None = None
    snapshot: tuple[int, bytes] | None = None
    commands: dict[str, Posted] = field(default_factory=dict)
    questions: dict[int, Asked] = field(default_factory=dict)
    asked: int = 0
    updates: dict[int, Update] = field(default_factory=dict)
    cursor: int = 0
    alerts: dict[str, Told] = field(default_factory=dict)
    deliveries: dict[tuple[str, int], Delivery] = field(default_factory=dict)
    places: dict[tuple[str, int], int] = field(default_factory=dict)
    last_place: int = 0
    confirmations: dict[tuple[int, int], Code] = field(default_factory=dict)
    presences: dict[str, Presence] = field(default_factory=dict)
    leases: dict[str, Held] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)


class Session:
    """Give one store its view of the disk until it is closed, and ring the others' bells."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk
        self._closed = False
        self.bells: WeakSet[asyncio.Event] = WeakSet()
        disk.sessions.append(self)

    @property
    def disk(self) -> MemoryDisk:
        """Return the data."""
        self.require_open()
        return self._disk

    def require_open(self) -> None:
        """Raise StoreError once the store is closed."""
        if self._closed:
            raise StoreError("the store was closed by this process")

    def changed(self) -> None:
        """Tell the other stores that something was written."""
        for session in self._disk.sessions:
            if session is not self:
                for bell in session.bells:
                    bell.set()

    def close(self) -> None:
        """Let go of the disk; closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._disk.sessions.remove(self)

    def waiting(self, command_id: str) -> Posted:
        """Return a command that waits, or raise Superseded."""
        posted = self.disk.commands.get(command_id)
        if posted is None or posted.handled:
            raise Superseded(f"command {command_id} does not wait any more: it was handled already, or never stored")
        return posted
