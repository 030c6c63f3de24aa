"""What the prediction asks of whoever knows the accounts, and the answer that the grid gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from core.domain.units import Address
from core.risk.columns import Floats, Side
from core.risk.hf_grid import HFGrid

NEAR_CRITICAL = 1.02

Rows = NDArray[np.intp]
DriverOf = Callable[[int], Hashable]


class Picked(NamedTuple):
    """Hold rows of accounts, valid until the book changes, and how many more there were than room."""

    rows: Rows
    left_out: int = 0


class Exposures(NamedTuple):
    """Hold what some accounts have at stake, a row an account and a column a reserve, in base USD.

    `weighted` is collateral times its liquidation threshold. Reserves of one `driver` move together, as a staked token
    does with what it is made of.
    """

    users: Sequence[Address]
    reserves: tuple[int, ...]
    drivers: tuple[Hashable, ...]
    weighted: Floats
    owed: Floats


class Book(Protocol):
    """Name what the prediction asks about the accounts that owe enough to count."""

    def near(self, health_factor: float, cap: int) -> Picked:
        """Return the accounts below a health factor, at most `cap`, the lowest kept."""
        ...

    def holding(self, reserve_ids: Collection[int], cap: int) -> Picked:
        """Return the accounts that have collateral or debt in any of the reserves, at most `cap`, the lowest kept."""
        ...

    def borrowing(self, reserve_ids: Collection[int], cap: int) -> Picked:
        """Return the accounts that owe in any of the reserves, at most `cap`, the lowest kept."""
        ...

    def health_factors(self, rows: Rows) -> Floats:
        """Return the accounts' health factors."""
        ...

    def exposures(self, rows: Rows) -> Exposures:
        """Return what the accounts have at stake."""
        ...


class Touched(NamedTuple):
    """Hold the reserves whose price moved, and those whose rates did."""

    moved: frozenset[int] = frozenset()
    accrued: frozenset[int] = frozenset()


def slices(book: Book, touched: Touched, cap: int) -> Picked:
    """Return who is worth projecting, once each, at most `cap`, the lowest health factors kept.

    Three slices: the accounts below 1.02 (head start), those who hold what a price moved, and those who owe in a
    reserve whose rates moved. `left_out` is a lower bound, as slices overlap.
    """
    picked = [book.near(NEAR_CRITICAL, cap)]
    if touched.moved:
        picked.append(book.holding(touched.moved, cap))
    if touched.accrued:
        picked.append(book.borrowing(touched.accrued, cap))
    rows: Rows = np.unique(np.concatenate([each.rows for each in picked]))
    left_out = max(each.left_out for each in picked)
    if len(rows) <= cap:
        return Picked(rows, left_out)
    lowest = np.argpartition(book.health_factors(rows), cap - 1)[:cap]
    return Picked(rows[lowest], left_out + len(rows) - cap)


class GridBook:
    """Answer from the grid that detection keeps anyway: two passes over the sums, and no list of users of its own.

    `grid` is asked each time, as a mirror may replace its grid; `driver_of` names what moves a reserve's price, by
    default the reserve itself.
    """

    def __init__(self, grid: Callable[[], HFGrid], min_debt: float, driver_of: DriverOf = lambda id_: id_) -> None:
        self._grid = grid
        self._min_debt = min_debt
        self._driver_of = driver_of

    def near(self, health_factor: float, cap: int) -> Picked:
        """Return the accounts below a health factor."""
        weighted, owed = self._grid().sums()
        return self._lowest(self._in_scope(owed) & (weighted < health_factor * owed), cap)

    def holding(self, reserve_ids: Collection[int], cap: int) -> Picked:
        """Return the accounts with collateral or debt in any of the reserves."""
        grid = self._grid()
        return self._touched((grid.collateral, grid.debt), reserve_ids, cap)

    def borrowing(self, reserve_ids: Collection[int], cap: int) -> Picked:
        """Return the accounts with debt in any of the reserves."""
        return self._touched((self._grid().debt,), reserve_ids, cap)

    def health_factors(self, rows: Rows) -> Floats:
        """Return the accounts' health factors."""
        weighted, owed = self._grid().sums()
        factors: Floats = weighted[rows] / owed[rows]
        return factors

    def exposures(self, rows: Rows) -> Exposures:
        """Return what the accounts have at stake, at the values that the grid's sums are made of."""
        grid = self._grid()
        reserves = tuple(sorted(grid.collateral.columns.keys() | grid.debt.columns.keys()))
        users = grid.users
        return Exposures(
            [users[row] for row in rows.tolist()],
            reserves,
            tuple(self._driver_of(reserve_id) for reserve_id in reserves),
            _values(grid.collateral, reserves, rows),
            _values(grid.debt, reserves, rows),
        )

    def _touched(self, sides: tuple[Side, ...], reserve_ids: Collection[int], cap: int) -> Picked:
        n = len(self._grid())
        found = np.zeros(n, dtype=bool)
        for side in sides:
            for reserve_id in set(reserve_ids) & side.columns.keys():
                found |= side.columns[reserve_id][:n] > 0
        return self._lowest(found & self._in_scope(self._grid().sums().owed), cap)

    def _in_scope(self, owed: Floats) -> NDArray[np.bool_]:
        return (owed > 0) & (owed >= self._min_debt)

    def _lowest(self, wanted: NDArray[np.bool_], cap: int) -> Picked:
        rows = np.flatnonzero(wanted)
        if len(rows) <= cap:
            return Picked(rows)
        lowest = np.argpartition(self.health_factors(rows), cap - 1)[:cap]
        return Picked(rows[lowest], len(rows) - cap)


def _values(side: Side, reserves: Sequence[int], rows: Rows) -> Floats:
    values: Mapping[int, float] = side.values
    table = np.zeros((len(rows), len(reserves)))
    for spot, reserve_id in enumerate(reserves):
        column = side.columns.get(reserve_id)
        if column is not None:
            table[:, spot] = column[rows] * values.get(reserve_id, 0.0)
    return table
