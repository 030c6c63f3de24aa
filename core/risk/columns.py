"""One side of every account, collateral or debt, in one numpy column a reserve, with a running sum an account.

A price that moves changes the sums by its own column only: `sums += column * (new value - old value)`. What is proven
of the result, with u = 2^-53, amounts and values at least zero, and the sums that exact arithmetic would give for the
very same floats:

- A sum made afresh over m columns is off by at most (m + 1) u of itself.
- Let k columns move, the one that falls most to `drop` times its value (1 if none falls). No sum on the way exceeds
  1 / drop times the last one, because each term is at most 1 / drop times its last value; each column's difference,
  product and addition are off by less than 4 u of the largest sum on the way. So an error of at most `error` times the
  sum becomes at most (error + 4 k u) / drop times the new sum.
- `error` is one number for all accounts; where it would pass REFRESH_ERROR all sums are made afresh.

A value that moved by less than LAG_TOLERANCE (interest of a few seconds) is not worth a pass over all accounts: its
column stays, and `lag` says by how much, relatively, a sum can be off for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROUNDING = 2.0**-53
REFRESH_ERROR = 1e-10
LAG_TOLERANCE = 1e-7
BLOCK = 32_768
"""Rows at a time, so that a block's products and sums stay in the processor's cache."""

Floats = NDArray[np.float64]


class _Move(NamedTuple):
    """Hold by how much columns' values move, and the bounds on the sums' error and lag afterwards."""

    deltas: dict[int, float]
    error: float
    lag: float


class Side:
    """Keep amounts by reserve and row, the value of one unit of each, and each row's sum of amount times value.

    `values` are those that the sums are made of; a reserve without a value counts 0.
    """

    def __init__(self, capacity: int) -> None:
        self.columns: dict[int, Floats] = {}
        self.values: dict[int, float] = {}
        self.sums: Floats = np.zeros(capacity)
        self._error = 0.0
        self._lag = 0.0

    @property
    def uncertainty(self) -> float:
        """Return by how much, relatively, a sum can differ from the exact one at the values last given."""
        return max(self._error, self._fresh_error()) + self._lag

    def put(self, row: int, amounts: Mapping[int, float]) -> None:
        """Set one row's amounts by reserve; all others become zero."""
        for column in self.columns.values():
            column[row] = 0.0
        total = 0.0
        for reserve_id, amount in amounts.items():
            self.column(reserve_id)[row] = amount
            total += amount * self.values.get(reserve_id, 0.0)
        self.sums[row] = total

    def move_row(self, source: int, target: int) -> None:
        """Copy one row over another and empty it."""
        for column in (*self.columns.values(), self.sums):
            column[target] = column[source]
            column[source] = 0.0

    def column(self, reserve_id: int) -> Floats:
        """Return a reserve's column, made on its first use."""
        column = self.columns.get(reserve_id)
        if column is None:
            column = self.columns[reserve_id] = np.zeros(len(self.sums))
        return column

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        more = np.zeros(capacity - len(self.sums))
        self.columns = {reserve_id: np.concatenate((column, more)) for reserve_id, column in self.columns.items()}
        self.sums = np.concatenate((self.sums, more))

    def reprice(self, values: Mapping[int, float], rows: int) -> None:
        """Take new values of all reserves; only the columns that moved are read."""
        move = self._move_to(values)
        if move.error > REFRESH_ERROR:
            self.refresh(values, rows)
            return
        self._error, self._lag = move.error, move.lag
        _add(self.sums[:rows], self.columns, move.deltas)
        still = {reserve_id: self.values[reserve_id] for reserve_id in self.columns.keys() & self.values.keys()}
        self.values = {**values, **still, **{reserve_id: values[reserve_id] for reserve_id in move.deltas}}

    def refresh(self, values: Mapping[int, float], rows: int) -> None:
        """Take new values and make every sum afresh."""
        self.values = dict(values)
        self.sums[:rows] = self.combine(values, rows)
        self._error, self._lag = self._fresh_error(), 0.0

    def at(self, values: Mapping[int, float], rows: int) -> tuple[Floats, float]:
        """Return what the sums would be at other values, and by how much, relatively, they can be off."""
        move = self._move_to(values)
        if move.error > REFRESH_ERROR:
            return self.combine(values, rows), self._fresh_error()
        sums = self.sums[:rows].copy()
        _add(sums, self.columns, move.deltas)
        return sums, max(move.error, self._fresh_error()) + move.lag

    def combine(self, factors: Mapping[int, float], rows: int) -> Floats:
        """Return each row's sum of amount times factor, over the reserves named."""
        sums = np.zeros(rows)
        _add(sums, self.columns, factors)
        return sums

    def holds_any(self, reserve_ids: set[int], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Tell for each of these rows whether it has an amount in any of the reserves."""
        found = np.zeros(len(rows), dtype=bool)
        for reserve_id in reserve_ids & self.columns.keys():
            found |= self.columns[reserve_id][rows] > 0
        return found

    def _fresh_error(self) -> float:
        return (len(self.columns) + 2) * ROUNDING

    def _move_to(self, values: Mapping[int, float]) -> _Move:
        deltas: dict[int, float] = {}
        drop, lag = 1.0, 0.0
        for reserve_id in self.columns:
            old, new = self.values.get(reserve_id, 0.0), values.get(reserve_id, 0.0)
            apart = abs(new - old)
            if apart <= LAG_TOLERANCE * min(old, new):
                lag = max(lag, apart / min(old, new) if apart else 0.0)
                continue
            deltas[reserve_id] = new - old
            drop = min(drop, new / old if old else 1.0)
        error = max(self._error, self._fresh_error()) + 4 * len(deltas) * ROUNDING
        return _Move(deltas, error / drop if drop else np.inf, lag)


def _add(sums: Floats, columns: Mapping[int, Floats], factors: Mapping[int, float]) -> None:
    """Add each column times its factor to the sums."""
    pairs = [(columns[reserve_id], factor) for reserve_id, factor in factors.items() if reserve_id in columns]
    products = np.empty(min(BLOCK, len(sums)))
    for start in range(0, len(sums), BLOCK):
        block = sums[start : start + BLOCK]
        product = products[: len(block)]
        for column, factor in pairs:
            np.multiply(column[start : start + len(block)], factor, out=product)
            np.add(block, product, out=block)
