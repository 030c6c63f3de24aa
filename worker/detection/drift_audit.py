"""DriftAudit: compare accounts with the chain at the same block, all the time; who differs is not acted upon.

Every round takes the accounts nearest to the threshold and some at random. The mirror's figures are noted the moment it
was settled at a block; the chain is asked about that very block afterwards, so the audit never holds detection up. A
block's last logs may come after its head: an account that differs once is looked at again at a later block, and only
what differs then, too, is drift.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.domain.health_factor import UserAccountData
from core.domain.units import Address

logger = logging.getLogger(__name__)

RECENT = 1_000
"""How many of the last comparisons the share of drifted ones is taken over."""

LEAST = 100
"""With fewer comparisons than this a share says nothing."""


class Figures(Protocol):
    """Tell an account's figures at the mirror's block."""

    def figures(self, user: Address) -> UserAccountData | None:
        """Return the six figures, or None where there is nothing to compare."""
        ...


class Chain(Protocol):
    """Tell the chain's own figures."""

    async def account_data(self, users: Sequence[Address], block: int) -> list[UserAccountData | None]:
        """Return what the chain says of each user at a block."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold our figures of some accounts at one block."""

    block: int
    ours: dict[Address, UserAccountData]


@dataclass(slots=True)
class DriftAudit:
    """Take samples, compare them, and name who drifted. `near` and `others` bound one sample."""

    chain: Chain
    halt_share: float
    near: int = 20
    others: int = 20
    rng: random.Random = field(default_factory=random.Random)
    compared: int = 0
    quarantined: frozenset[Address] = frozenset()
    _doubted: frozenset[Address] = frozenset()
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def halted(self) -> bool:
        """Tell whether so many accounts drifted that nothing may be executed."""
        return len(self._recent) >= LEAST and sum(self._recent) > self.halt_share * len(self._recent)

    def sample(
        self,
        mirror: Figures,
        block: int,
        nearest: Sequence[Address],
        everybody: Sequence[Address],
        asked: Sequence[Address] = (),
    ) -> Sample:
        """Note our figures of those in doubt, those asked for, those nearest to the line and some at random, now."""
        chance = [everybody[self.rng.randrange(len(everybody))] for _ in range(self.others)] if everybody else []
        chosen = dict.fromkeys((*self._doubted, *self.quarantined, *asked, *nearest[: self.near], *chance))
        ours = {user: figures for user in chosen if (figures := mirror.figures(user)) is not None}
        return Sample(block, ours)

    async def compare(self, sample: Sample) -> frozenset[Address]:
        """Ask the chain about a sample and return who drifted newly; raise ChainError when it does not answer."""
        users = list(sample.ours)
        theirs = await self.chain.account_data(users, sample.block)
        differ = {u for u, chain in zip(users, theirs, strict=True) if chain is not None and chain != sample.ours[u]}
        drifted = frozenset(differ & (self._doubted | self.quarantined))
        news = drifted - self.quarantined
        for user in news:
            logger.error("[drift] differs from the chain at block %d, and did before: user=%s", sample.block, user)
        self.compared += len(users)
        self._recent.extend(user in drifted for user in users)
        self.quarantined = frozenset(drifted | (self.quarantined - sample.ours.keys()))
        self._doubted = frozenset(differ - drifted)
        return news
