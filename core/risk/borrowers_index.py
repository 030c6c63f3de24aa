"""Borrowers index: reserve to borrowers, the largest debts first."""

from __future__ import annotations

from collections.abc import Mapping

from core.domain.events import DebtBurned, DebtMinted
from core.domain.position import Position, vtoken_after_burn, vtoken_after_mint
from core.domain.units import Address, ScaledAmount

Key = tuple[int, Address]
"""A reserve's id and an account."""

SLACK = 8
"""An eighth more than the cap is held before the smallest debts leave, so that most events cost no sorting."""


class BorrowersIndex:
    """Keep who owes in each reserve: at most `cap` accounts a reserve, the largest scaled debts kept.

    `apply` folds debt-token logs and so needs their whole history to be exact: where an account's begins in between,
    its debt is too low, and one that burns more than is known leaves. `take` puts that right from an exact position.
    `left_out` counts the accounts that the cap pushed out.
    """

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._debts: dict[int, dict[Address, ScaledAmount]] = {}
        self._changed: dict[Key, ScaledAmount] = {}
        self._ranked: dict[int, list[Address]] = {}
        self.left_out = 0

    def __len__(self) -> int:
        """Return the number of reserves in which somebody owes."""
        return sum(1 for debts in self._debts.values() if debts)

    def apply(self, event: DebtMinted | DebtBurned) -> None:
        """Fold one log of a debt token; a burn of somebody who is not known changes nothing."""
        known = self._debts.get(event.reserve, {}).get(event.user)
        if isinstance(event, DebtBurned) and known is None:
            return
        rule = vtoken_after_mint if isinstance(event, DebtMinted) else vtoken_after_burn
        self.put(event.reserve, event.user, rule(known or 0, event.value, event.balance_increase, event.index))

    def take(self, position: Position) -> None:
        """Put in all that an account owes, which is exact, and take out what it does not owe any more."""
        owed = dict(position.debt)
        for reserve, debts in self._debts.items():
            if position.user in debts and reserve not in owed:
                self._remove(reserve, position.user)
        for reserve, debt in owed.items():
            self.put(reserve, position.user, debt)

    def put(self, reserve: int, user: Address, debt: int) -> None:
        """Set one debt, in scaled units; nothing, or less than that, takes the account out."""
        if debt <= 0:
            self._remove(reserve, user)
            return
        debts = self._debts.setdefault(reserve, {})
        if debts.get(user) == debt:
            return
        debts[user] = self._changed[reserve, user] = ScaledAmount(debt)
        self._ranked.pop(reserve, None)
        if len(debts) > self._cap + self._cap // SLACK:
            self._prune(reserve)

    def borrowers(self, reserve: int, limit: int | None = None) -> list[Address]:
        """Return who owes in a reserve, the largest debt first, at most the cap and `limit`."""
        return self._rank(reserve)[: self._cap if limit is None else min(limit, self._cap)]

    def users(self, reserve: int) -> Mapping[Address, ScaledAmount]:
        """Return the scaled debts of a reserve, in no order."""
        return self._debts.get(reserve, {})

    def drain(self) -> dict[Key, ScaledAmount]:
        """Return what changed since the last drain, 0 for who left, for a store to save."""
        for reserve, debts in self._debts.items():
            if len(debts) > self._cap:
                self._prune(reserve)
        changed, self._changed = self._changed, {}
        return changed

    def give_back(self, changes: Mapping[Key, ScaledAmount]) -> None:
        """Take back what was drained and could not be saved; what changed since stays newer."""
        self._changed = {**changes, **self._changed}

    def _remove(self, reserve: int, user: Address) -> None:
        if self._debts.get(reserve, {}).pop(user, None) is not None:
            self._changed[reserve, user] = ScaledAmount(0)
            self._ranked.pop(reserve, None)

    def _rank(self, reserve: int) -> list[Address]:
        ranked = self._ranked.get(reserve)
        if ranked is None:
            debts = self._debts.get(reserve, {})
            ranked = self._ranked[reserve] = sorted(debts, key=lambda user: (-debts[user], user))
        return ranked

    def _prune(self, reserve: int) -> None:
        for user in self._rank(reserve)[self._cap :]:
            self._remove(reserve, user)
            self.left_out += 1
