"""What a detector is given to look at, and what it finds, whichever way it looks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from core.domain.health_factor import UserAccountData
from core.domain.opportunity import TriggerKind
from core.domain.units import Address, BaseUsd, Wad
from worker.chain.events import Touched
from worker.chain.logs import Log


@dataclass(slots=True)
class Work:
    """Gather what logs and heads touched since the last look; it only coalesces, nothing is ever dropped from it.

    `heard_at` is the monotonic arrival of the frame that opened it. `users` maps a touched account to the words for
    what touched it ("Aave Borrow"); `asked` maps an account that a single check put below the line to that check's
    words; `taken` maps a liquidated account to its liquidator. `moved` says which prices moved ("WETH -1.20%"); the
    detector fills it in. `configuration` are the words for changed parameters, or "". `scan` marks the first look after
    a start.
    """

    heard_at: float
    block: int = 0
    timestamp: int = 0
    users: dict[Address, str] = field(default_factory=dict)
    asked: dict[Address, str] = field(default_factory=dict)
    configuration: str = ""
    moved: str = ""
    taken: dict[Address, Address] = field(default_factory=dict)
    scan: bool = False

    def at(self, block: int, timestamp: int, *, back: bool = False) -> None:
        """Move on to a block and its second, or, where the chain went back, to exactly that."""
        self.block = block if back else max(self.block, block)
        self.timestamp = timestamp if back else max(self.timestamp, timestamp)

    def add(self, touched: Touched) -> None:
        """Add what one log touched."""
        self.users.update(dict.fromkeys(touched.users, touched.label))
        if touched.configuration:
            self.configuration = touched.label
        if touched.liquidator:
            self.taken.update(dict.fromkeys(touched.users, touched.liquidator))

    def absorb(self, later: Work) -> None:
        """Add all of a later piece of work; the arrival stays the earlier one."""
        self.block, self.timestamp = later.block, later.timestamp
        self.users |= later.users
        self.asked |= later.asked
        self.configuration = later.configuration or self.configuration
        self.taken |= later.taken

    def cause_of(self, user: Address) -> tuple[TriggerKind, str]:
        """Return what made us look at an account: its own event, a check, a price, else the head's new second."""
        if user in self.users:
            return TriggerKind.EVENT, self.users[user]
        if self.scan:
            return TriggerKind.SCAN, "start"
        if user in self.asked:
            return TriggerKind.HEAD, self.asked[user]
        if self.configuration:
            return TriggerKind.EVENT, self.configuration
        if self.moved:
            return TriggerKind.PRICE, self.moved
        return TriggerKind.HEAD, "interest"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound what is looked for: health factors below `health_factor`, debts of at least `min_debt`."""

    health_factor: Wad
    min_debt: BaseUsd

    def met_by(self, account: UserAccountData) -> bool:
        """Tell whether an account is in scope and below the threshold."""
        return account.health_factor < self.health_factor and account.total_debt_base >= self.min_debt


@dataclass(slots=True)
class Look:
    """Hold the chain's own figures at `block` for every account whose spell begins, goes on changed, or ends.

    `below` are new ones, lowest health factor first; `changed` are open ones still below whose position was touched;
    `over` are open ones that are not below any more. `diverged` are accounts for which our figures and the chain's
    differ at the same block.
    """

    block: int
    below: dict[Address, UserAccountData] = field(default_factory=dict)
    changed: dict[Address, UserAccountData] = field(default_factory=dict)
    over: dict[Address, UserAccountData] = field(default_factory=dict)
    diverged: frozenset[Address] = frozenset()


class Detector(Protocol):
    """Find who fell below the threshold, and who came back."""

    def hear(self, log: Log) -> None:
        """Take in one log, in order; raise ValueError when it cannot be decoded."""
        ...

    def take_back(self, floor: int) -> None:
        """Take in that the chain may be another one above block `floor`."""
        ...

    async def look(self, work: Work, open_users: Collection[Address]) -> Look:
        """Return what changed at `work.block`; raise ChainError when the chain could not be asked."""
        ...


def sort_out(
    accounts: dict[Address, UserAccountData], open_users: Collection[Address], limits: Limits, block: int
) -> Look:
    """Return the look that the chain's figures amount to."""
    look = Look(block)
    for user, account in sorted(accounts.items(), key=lambda item: item[1].health_factor):
        below = limits.met_by(account)
        if below and user not in open_users:
            look.below[user] = account
        elif below:
            look.changed[user] = account
        elif user in open_users:
            look.over[user] = account
    return look
