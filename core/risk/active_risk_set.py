"""The capped watch list: the accounts nearest to liquidation, the worst always kept.

It does the duties of both the ActiveRiskSet and the CandidateManager of older designs.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from core.domain.units import Address, BaseUsd, Wad

BANDS: tuple[tuple[str, Wad], ...] = (
    ("1.00", Wad(10**18)),
    ("1.02", Wad(102 * 10**16)),
    ("1.05", Wad(105 * 10**16)),
    ("1.10", Wad(11 * 10**17)),
)


class Watched(NamedTuple):
    """Hold what the watch list knows of an account."""

    health_factor: Wad
    user: Address
    total_debt_base: BaseUsd
    total_collateral_base: BaseUsd


class ActiveRiskSet:
    """Keep at most `cap` accounts; when one too many comes, the one with the highest health factor leaves.

    `hot` is the front of the list: what gets attention at every head when the chain itself has to be asked.
    """

    def __init__(self, cap: int, hot_cap: int) -> None:
        self._cap = cap
        self._hot_cap = hot_cap
        self._accounts: dict[Address, Watched] = {}
        self._heap: list[tuple[int, Address]] = []  # (-health factor, user); entries of changed accounts are stale

    def __len__(self) -> int:
        return len(self._accounts)

    def __contains__(self, user: Address) -> bool:
        return user in self._accounts

    def add(self, account: Watched) -> bool:
        """Add or update an account; return False when the cap pushed it, or another one, out."""
        self._accounts[account.user] = account
        heapq.heappush(self._heap, (-account.health_factor, account.user))
        if len(self._heap) > 2 * self._cap:  # mostly entries of accounts that changed since
            self._rank(self._accounts.values())
        if len(self._accounts) <= self._cap:
            return True
        self._drop_healthiest()
        return False

    def discard(self, user: Address) -> None:
        """Forget an account."""
        self._accounts.pop(user, None)

    def replace_all(self, accounts: Iterable[Watched]) -> None:
        """Make the list anew of these accounts, the worst kept."""
        worst = heapq.nsmallest(self._cap, accounts)
        self._accounts = {account.user: account for account in worst}
        self._rank(worst)

    def ranked(self) -> list[Watched]:
        """Return all accounts, lowest health factor first."""
        return sorted(self._accounts.values())

    def hot(self) -> list[Address]:
        """Return the accounts with the lowest health factors, at most the hot cap."""
        return [account.user for account in heapq.nsmallest(self._hot_cap, self._accounts.values())]

    def bands(self) -> tuple[tuple[str, int], ...]:
        """Count the accounts below each health factor of BANDS."""
        factors = sorted(account.health_factor for account in self._accounts.values())
        return tuple((name, sum(1 for factor in factors if factor < bound)) for name, bound in BANDS)

    def _rank(self, accounts: Iterable[Watched]) -> None:
        self._heap = [(-account.health_factor, account.user) for account in accounts]
        heapq.heapify(self._heap)

    def _drop_healthiest(self) -> None:
        while True:
            negative, user = heapq.heappop(self._heap)
            account = self._accounts.get(user)
            if account is not None and account.health_factor == -negative:
                del self._accounts[user]
                return
