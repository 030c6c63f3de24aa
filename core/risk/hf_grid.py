"""Every account at once in numpy columns: floats that say who may be below a health factor, never who is.

Row i holds one account: `weights[i, r]` is its scaled collateral in reserve r times the liquidation threshold that
applies to it, `debts[i, r]` its scaled debt. A price or an index moves two vectors, not the rows, so re-pricing every
account is two matrix products.

The screen never lets an account through that the protocol's integers put below the threshold. Against the exact sums,
the protocol loses at most one token unit (balance rounded by rayMul) and one base unit (value rounded by the division)
per reserve and side; `slack` adds these up at today's prices. Double precision adds a relative error below
(reserves + 4) * 2^-53 per sum, under 1e-13 for 128 reserves; RELATIVE_MARGIN is a thousand times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from core.domain.market import EModeCategory, Market, Reserve
from core.domain.position import Position
from core.domain.units import PERCENTAGE_FACTOR, RAY, Address

RELATIVE_MARGIN = 1e-10
FIRST_ROWS = 256

Floats = NDArray[np.float64]


class HFGrid:
    """Keep accounts with debt as rows, and screen them."""

    def __init__(self) -> None:
        self._clear(columns=1)

    def _clear(self, columns: int) -> None:
        self._weights: Floats = np.zeros((FIRST_ROWS, columns))
        self._debts: Floats = np.zeros((FIRST_ROWS, columns))
        self._row_of: dict[Address, int] = {}
        self._users: list[Address] = []
        self._collateral_value: Floats = np.zeros(columns)
        self._debt_value: Floats = np.zeros(columns)
        self._slack = 0.0

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user: Address) -> bool:
        return user in self._row_of

    def put(self, position: Position, market: Market) -> None:
        """Set the account's row, or remove it when the account owes nothing."""
        if not position.has_debt:
            self._remove(position.user)
            return
        row = self._row_of.get(position.user)
        if row is None:
            row = self._append(position.user)
        self._weights[row] = 0.0
        self._debts[row] = 0.0
        for reserve_id, scaled in position.collateral:
            if position.uses_as_collateral(reserve_id):
                threshold = liquidation_threshold(market.reserves, market.e_modes, position.e_mode, reserve_id)
                self._weights[row, reserve_id] = scaled * threshold / PERCENTAGE_FACTOR
        for reserve_id, scaled in position.debt:
            self._debts[row, reserve_id] = scaled

    def rebuild(self, positions: Iterable[Position], market: Market) -> None:
        """Set every row anew: after a change of thresholds, e-modes or the number of reserves."""
        self._clear(columns=1 + max(market.reserves, default=0))
        for position in positions:
            self.put(position, market)

    def reprice(self, market: Market, now: int) -> None:
        """Take the market's prices and its indexes accrued to `now` (unix seconds); reserves without price count 0."""
        self._slack = 0.0
        for reserve_id, reserve in market.reserves.items():
            value = market.prices.get(reserve_id, 0) / reserve.unit
            self._collateral_value[reserve_id] = value * (reserve.normalized_income(now) / RAY)
            self._debt_value[reserve_id] = value * (reserve.normalized_debt(now) / RAY)
            self._slack += 2 * (value + 1)

    def below(self, health_factor: float, min_debt: float = 0.0) -> list[Address]:
        """Return every account that may be below `health_factor` and owe at least `min_debt` base units.

        Lowest float health factor first. Complete, not exact: integers must decide on each.
        """
        weighted, owed = self._sums()
        margin = owed * RELATIVE_MARGIN + self._slack
        maybe = (weighted - margin < (owed + margin) * health_factor) & (owed + margin >= min_debt)
        rows = np.flatnonzero(maybe)
        ratio = weighted[rows] / np.maximum(owed[rows], 1.0)
        return [self._users[row] for row in rows[np.argsort(ratio, kind="stable")]]

    def _sums(self) -> tuple[Floats, Floats]:
        n = len(self._users)
        return self._weights[:n] @ self._collateral_value, self._debts[:n] @ self._debt_value

    def _append(self, user: Address) -> int:
        row = len(self._users)
        if row == len(self._weights):
            self._weights = np.vstack((self._weights, np.zeros_like(self._weights)))
            self._debts = np.vstack((self._debts, np.zeros_like(self._debts)))
        self._users.append(user)
        self._row_of[user] = row
        return row

    def _remove(self, user: Address) -> None:
        row = self._row_of.pop(user, None)
        if row is None:
            return
        last = self._users.pop()
        if last != user:
            self._users[row] = last
            self._row_of[last] = row
            self._weights[row], self._debts[row] = self._weights[len(self._users)], self._debts[len(self._users)]


def liquidation_threshold(
    reserves: Mapping[int, Reserve], e_modes: Mapping[int, EModeCategory], e_mode: int, reserve_id: int
) -> int:
    """Return the threshold in bps that applies to a collateral: the e-mode's where its bitmap has the reserve."""
    category = e_modes.get(e_mode) if e_mode else None
    if category is not None and category.collateral_bitmap >> reserve_id & 1:
        return category.liquidation_threshold
    return reserves[reserve_id].liquidation_threshold
