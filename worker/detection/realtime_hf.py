"""RealTimeHF: judge every account on the local mirror, and let the chain confirm what it finds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace

from core.domain.health_factor import UserAccountData
from core.domain.units import Address
from worker.chain.aave import AaveReader
from worker.chain.logs import Log
from worker.detection.looking import Limits, Look, Work, sort_out
from worker.detection.mirror import Mirror

logger = logging.getLogger(__name__)


class RealTimeHF:
    """Apply what a block touched, judge in integers, and confirm at that very block.

    The confirmation is one block-pinned multicall for all suspects and all open accounts that seem to have recovered.
    Because it is pinned to the mirror's block, the chain's six figures and ours must be equal. A block's logs come one
    by one, though, and the first of them (a price) may be looked at before the last (the liquidation behind it): where
    figures differ, the account is read again at that block. What differs still is reported as diverged, and the chain's
    figures are used.
    """

    def __init__(self, mirror: Mirror, reader: AaveReader, limits: Limits, on_check: Callable[[int], None]) -> None:
        self._mirror = mirror
        self._reader = reader
        self._limits = limits
        self._on_check = on_check

    def hear(self, log: Log) -> None:
        """Fold one log into the mirror; raise ValueError when it cannot be decoded."""
        self._mirror.hear(log)

    def take_back(self, floor: int) -> None:
        """Distrust what was read above a block: the chain is another one there."""
        self._mirror.take_back(floor)

    async def look(self, work: Work, open_users: Collection[Address]) -> Look:
        """Return whose spell below the threshold began, changed or ended at `work.block`."""
        work.moved = await self._mirror.settle(work.block, work.timestamp) or work.moved
        suspects = self._mirror.below(self._limits.health_factor, self._limits.min_debt)
        ask = [user for user in suspects if user not in open_users or user in work.users]
        ask += [user for user in open_users if user not in suspects]
        ask += [user for user in work.asked if user not in suspects and user not in open_users]
        if not ask:
            return Look(self._mirror.block)
        answers = await self._reader.account_data(ask, self._mirror.block)
        self._on_check(len(ask))
        accounts = {user: account for user, account in zip(ask, answers, strict=True) if account is not None}
        for user in set(ask) - accounts.keys():
            logger.warning("[realtime-hf] the chain gives no figures for user=%s block=%d", user, self._mirror.block)
        look = sort_out(accounts, open_users, self._limits, self._mirror.block)
        return replace(look, diverged=await self._diverged(accounts))

    async def _diverged(self, accounts: dict[Address, UserAccountData]) -> frozenset[Address]:
        behind = self._different(accounts)
        if not behind:
            return frozenset()
        await self._mirror.reread(behind)
        diverged = self._different(accounts)
        block = self._mirror.block
        for user in behind - diverged:
            logger.warning("[realtime-hf] was behind its block's logs and is read again: user=%s block=%d", user, block)
        for user in diverged:
            ours, chain = self._mirror.figures(user), accounts[user]
            words = "[realtime-hf] our figures differ from the chain's: user=%s block=%d ours=%s chain=%s"
            logger.error(words, user, block, tuple(ours or ()), tuple(chain))
        return diverged

    def _different(self, accounts: dict[Address, UserAccountData]) -> frozenset[Address]:
        return frozenset(user for user, chain in accounts.items() if not self._mirror.agrees(user, chain))
