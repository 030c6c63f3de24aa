"""What the prediction asks of whoever knows the accounts, and the answer that the grid gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from core.domain.units import Address
from core.risk.columns import Floats, Side
from core.risk.hf_grid import HFGrid, Rows

NEAR_CRITICAL = 1.02

DriverOf = Callable[[int], Hashable]


class Ranked(NamedTuple):
    """Hold rows of accounts and their health factors, lowest first; rows are valid until the book changes."""

    rows: Rows
    health_factors: Floats


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

    def below(self, health_factor: float) -> Ranked:
        """Return the accounts below a health factor, lowest first."""
        ...

    def holding(self, rows: Rows, reserve_ids: Collection[int]) -> NDArray[np.bool_]:
        """Tell of each row whether it has collateral or debt in any of the reserves."""
        ...

    def borrowing(self, rows: Rows, reserve_ids: Collection[int]) -> NDArray[np.bool_]:
        """Tell of each row whether it owes in any of the reserves."""
        ...

    def exposures(self, rows: Rows) -> Exposures:
        """Return whose rows these are, and what is at stake."""
        ...


class Touched(NamedTuple):
    """Hold the reserves whose price moved, and those whose rates did."""

    moved: frozenset[int] = frozenset()
    accrued: frozenset[int] = frozenset()


class Chosen(NamedTuple):
    """Hold what is worth projecting, and how many accounts more there were than room."""

    exposures: Exposures
    left_out: int


def choose(book: Book, touched: Touched, reach: float, cap: int) -> Chosen:
    """Return who is worth projecting, at most `cap`, the lowest health factors kept.

    Three slices: the accounts below 1.02 (head start); and, below `reach`, those who hold what a price moved and those
    who owe in a reserve whose rates moved. Who is below 1 already is nobody's future.
    """
    ranked = book.below(max(reach, NEAR_CRITICAL))
    wanted = ranked.health_factors < NEAR_CRITICAL
    if touched.moved:
        wanted |= book.holding(ranked.rows, touched.moved)
    if touched.accrued:
        wanted |= book.borrowing(ranked.rows, touched.accrued)
    spots = np.flatnonzero(wanted & (ranked.health_factors >= 1.0))
    return Chosen(book.exposures(ranked.rows[spots[:cap]]), max(0, len(spots) - cap))


class GridBook:
    """Answer from the grid that detection keeps anyway.

    `grid` is asked each time, as a mirror may replace its grid; `driver_of` names what moves a reserve's price, by
    default the reserve itself. `min_debt` is in base USD.
    """

    def __init__(self, grid: Callable[[], HFGrid], min_debt: float, driver_of: DriverOf = lambda id_: id_) -> None:
        self._grid = grid
        self._min_debt = min_debt
        self._driver_of = driver_of

    def below(self, health_factor: float) -> Ranked:
        """Return the accounts below a health factor, lowest first."""
        weighted, owed = self._grid().sums()
        rows = np.flatnonzero((weighted < health_factor * owed) & (owed >= self._min_debt))
        health_factors = weighted[rows] / owed[rows]
        order = np.argsort(health_factors, kind="stable")
        return Ranked(rows[order], health_factors[order])

    def holding(self, rows: Rows, reserve_ids: Collection[int]) -> NDArray[np.bool_]:
        """Tell of each row whether it has collateral or debt in any of the reserves."""
        return self._grid().collateral.holds_any(set(reserve_ids), rows) | self.borrowing(rows, reserve_ids)

    def borrowing(self, rows: Rows, reserve_ids: Collection[int]) -> NDArray[np.bool_]:
        """Tell of each row whether it owes in any of the reserves."""
        return self._grid().debt.holds_any(set(reserve_ids), rows)

    def exposures(self, rows: Rows) -> Exposures:
        """Return whose rows these are, and what is at stake at the values that the grid's sums are made of."""
        grid = self._grid()
        everybody = grid.users if len(rows) else []
        reserves = tuple(sorted(grid.collateral.columns.keys() | grid.debt.columns.keys()))
        return Exposures(
            [everybody[row] for row in rows.tolist()],
            reserves,
            tuple(self._driver_of(reserve_id) for reserve_id in reserves),
            _values(grid.collateral, reserves, rows),
            _values(grid.debt, reserves, rows),
        )


def _values(side: Side, reserves: Sequence[int], rows: Rows) -> Floats:
    """Return each row's value in each reserve; a reserve without a price counts 0, as in the grid."""
    table = np.zeros((len(rows), len(reserves)))
    for spot, reserve_id in enumerate(reserves):
        column = side.columns.get(reserve_id)
        if column is not None:
            table[:, spot] = column[rows] * side.values.get(reserve_id, 0.0)
    return table
