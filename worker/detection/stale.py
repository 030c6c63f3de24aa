"""What the mirror cannot fold and has to read again, and from which block on each subject is exact."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.domain.fold import Subjects
from core.domain.units import Address

KEPT_BLOCKS = 256
"""A log that comes this much later than the read which covers it is not expected from any node."""


@dataclass(slots=True)
class Stale:
    """Gather subjects that are to be read again; `market` and `sources` mean everything in them."""

    users: set[Address] = field(default_factory=set)
    reserves: set[int] = field(default_factory=set)
    e_modes: set[int] = field(default_factory=set)
    market: bool = False
    sources: bool = False

    def __bool__(self) -> bool:
        return bool(self.users or self.reserves or self.e_modes or self.market or self.sources)

    def add(self, subjects: Subjects) -> None:
        """Add everything that an event was about."""
        self.users.update(subjects.users)
        self.absorb_market(subjects)

    def absorb_market(self, subjects: Subjects) -> None:
        """Add what an event was about but its accounts."""
        self.reserves.update(subjects.reserves)
        self.e_modes.update(subjects.e_modes)
        self.market |= subjects.market
        self.sources |= subjects.sources

    def absorb(self, other: Stale) -> None:
        """Add all of another: a read that failed is still to be done."""
        self.users |= other.users
        self.reserves |= other.reserves
        self.e_modes |= other.e_modes
        self.market |= other.market
        self.sources |= other.sources

    def holds_market_part(self, subjects: Subjects) -> bool:
        """Tell whether something that an event would move is to be read again anyway."""
        return (
            self.market
            or not self.reserves.isdisjoint(subjects.reserves)
            or not self.e_modes.isdisjoint(subjects.e_modes)
        )


class ReadMarks:
    """Remember at which block each subject was read last: logs up to that block are in what was read.

    A read pinned to a block holds all of the block, also those of its logs that arrive after the answer.
    """

    def __init__(self, start: int) -> None:
        self._market = start
        self._sources = start
        self._users: dict[Address, int] = {}
        self._reserves: dict[int, int] = {}
        self._e_modes: dict[int, int] = {}

    def note(self, read: Stale, block: int) -> None:
        """Note a read of `read` at `block`, and forget marks that no log can be late for any more."""
        self._users.update(dict.fromkeys(read.users, block))
        self._reserves.update(dict.fromkeys(read.reserves, block))
        self._e_modes.update(dict.fromkeys(read.e_modes, block))
        if read.market:
            self._market = block
        if read.sources:
            self._sources = block
        if len(self._users) > KEPT_BLOCKS:
            self._users = {user: at for user, at in self._users.items() if at > block - KEPT_BLOCKS}

    def take_back(self, floor: int) -> Stale:
        """Return what was read above `floor`, where the chain is another one now, and forget that it was read."""
        taken = Stale(
            {user for user, at in self._users.items() if at > floor},
            {reserve for reserve, at in self._reserves.items() if at > floor},
            {category for category, at in self._e_modes.items() if at > floor},
            self._market > floor,
            self._sources > floor,
        )
        self._users = {user: at for user, at in self._users.items() if at <= floor}
        self._reserves = {reserve: at for reserve, at in self._reserves.items() if at <= floor}
        self._e_modes = {category: at for category, at in self._e_modes.items() if at <= floor}
        self._market, self._sources = min(self._market, floor), min(self._sources, floor)
        return taken

    def user_read(self, user: Address, block: int, start: int) -> bool:
        """Tell whether an account was read at `block` or later; every account was at `start`."""
        return block <= max(start, self._users.get(user, 0))

    def market_read(self, subjects: Subjects, block: int) -> bool | None:
        """Tell whether what an event moves in the market was read at `block` or later; None: some of it was."""
        if subjects.e_modes:  # such an event moves the category, whatever reserve it names
            marks = [self._e_modes.get(category, 0) for category in subjects.e_modes]
        else:
            marks = [self._reserves.get(reserve, 0) for reserve in subjects.reserves]
        read = [block <= max(self._market, mark) for mark in marks] or [block <= self._market]
        return None if any(read) and not all(read) else all(read)

    def sources_read(self, block: int) -> bool:
        """Tell whether the price tree was read at `block` or later."""
        return block <= self._sources
