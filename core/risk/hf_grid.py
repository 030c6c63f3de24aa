"""Every account at once in numpy columns: floats that decide where they provably can, and ask for integers elsewhere.

Row i holds one account: its scaled collateral in each reserve times the liquidation threshold that applies to it, and
its scaled debt in each. Both sides keep a sum an account, which a price moves by its own columns only (`Side`).

The margin. Let W and D be the exact rational sums, w and d what the protocol computes; it rounds against the account:

- One balance loses or gains less than one token unit, and its value less than one base unit. With `slack` the sum over
  the reserves in use of (price of one unit + 1), and no threshold above 100 %: W - slack < w <= W, D <= d < D + slack.
- Health factor < H means w * 10^18 < H * d - d / 20000, by GenericLogic's wadDiv and division: the last term is 5e-23
  of d, relatively.
- The floats S and T are off from W and D by at most a and b, relatively: the sums' `uncertainty` (see Side), and 3
  roundings of 2^-53 for the amounts, the values and the thresholds put in. For a, b < 0.01 let m = 3 (a + b) + 2^-48.

So with h = H / 10^18: S (1 + m) < h T proves that the account is below, and S >= (h T + (1 + h) slack) (1 + m) that it
is not. What lies between is for integers: a band around the line of 2e-14 when the sums are fresh, of 6e-10 after many
moves, and of 6e-7 at most while interest lags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.domain.market import EModeCategory, Market, Reserve
from core.domain.position import Position
from core.domain.units import PERCENTAGE_FACTOR, RAY, Address
from core.risk.columns import ROUNDING, Floats, Side

FIRST_ROWS = 256
GROWTH = 1.25
FIRST_CHUNK = 64
INPUT_ERROR = 3 * ROUNDING
SMALLEST_SURE = 1.0
"""Base units: what is owed less than that is left to integers, so that no underflow is ever taken for a proof."""

Rows = NDArray[np.intp]
Decide = Callable[[Address], bool]


class Sums(NamedTuple):
    """Hold each account's weighted collateral and debt in base USD, by row, as floats."""

    weighted: Floats
    owed: Floats


class _Line(NamedTuple):
    """Hold a health factor, a smallest debt, and the sums with their margin: what is needed to sort accounts by it."""

    sums: Sums
    health_factor: float
    min_debt: float
    margin: float
    slack: float

    def maybe(self) -> NDArray[np.bool_]:
        """Tell for each row whether it is not proven to be out of scope or at or above the line."""
        reach = self.sums.owed * (self.health_factor * (1 + self.margin))
        reach += (1 + self.health_factor) * self.slack * (1 + self.margin)
        found = self.sums.weighted < reach
        found &= self.sums.owed > 0
        if self.min_debt > 0:
            found &= self.sums.owed >= (self.min_debt / (1 + self.margin) - self.slack)
        return found

    def sure(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell for each of these rows whether it is proven to be in scope and below the line."""
        weighted, owed = self.sums.weighted[rows], self.sums.owed[rows]
        below = weighted * (1 + self.margin) < owed * self.health_factor
        return below & (owed >= max(SMALLEST_SURE, self.min_debt * (1 + self.margin)))

    def worst_first(self, rows: Rows) -> Rows:
        """Order rows by what is missing in base USD: low health factors and large debts come first."""
        missing = self.sums.owed[rows] * self.health_factor - self.sums.weighted[rows]
        ordered: Rows = rows[np.argsort(-missing)]
        return ordered


class HFGrid:
    """Keep accounts with debt as rows, re-price them, and find who is below a health factor.

    After `rebuild` comes `reprice`. Accounts told by `newly_below` are remembered until `recovered` tells them again.
    """

    def __init__(self) -> None:
        self._clear(FIRST_ROWS)

    def _clear(self, capacity: int) -> None:
        self.collateral, self.debt = Side(capacity), Side(capacity)
        self._row_of: dict[Address, int] = {}
        self._users: NDArray[Any] = np.empty(capacity, dtype=object)
        self._told = np.zeros(capacity, dtype=bool)
        self._odd = np.zeros(capacity, dtype=bool)
        self._unit_prices: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, user: Address) -> bool:
        return user in self._row_of

    @property
    def users(self) -> list[Address]:
        """Return every account, by row."""
        users: list[Address] = self._users[: len(self)].tolist()
        return users

    def put(self, position: Position, market: Market) -> None:
        """Set the account's row, or remove it when it owes nothing; LookupError for a reserve the market lacks."""
        if not position.has_debt:
            self._remove(position.user)
            return
        weights = _weights(position, market)
        row = self._row_of.get(position.user)
        if row is None:
            row = self._append(position.user)
        self.collateral.put(row, weights)
        self.debt.put(row, {reserve_id: float(scaled) for reserve_id, scaled in position.debt})
        self._odd[row] = position.e_mode != 0 and position.e_mode not in market.e_modes

    def rebuild(self, positions: Iterable[Position], market: Market) -> None:
        """Set every row anew: at the start, and after a change of thresholds or e-modes; who was told stays told."""
        told = set(self._users[: len(self)][self._told[: len(self)]].tolist())
        self._clear(FIRST_ROWS)
        for position in positions:
            self.put(position, market)
        for user in told & self._row_of.keys():
            self._told[self._row_of[user]] = True

    def reprice(self, market: Market, now: int) -> None:
        """Take the market's prices and its indexes accrued to `now` (unix seconds); reserves without price count 0.

        Only the columns that moved are read; those that accrued a few seconds' interest widen the margin instead.
        """
        self._unit_prices = _unit_prices(market, now)
        for side, values in zip((self.collateral, self.debt), _values(market, now), strict=True):
            side.reprice(values, len(self))

    def below(self, health_factor: float, min_debt: float = 0.0) -> list[Address]:
        """Return every account that may be below `health_factor` and owe at least `min_debt` base units.

        Lowest float health factor first. Complete, not exact: integers must decide on each.
        """
        return self._lowest_first(self._line(health_factor, min_debt))

    def below_if(self, market: Market, now: int, health_factor: float, min_debt: float = 0.0) -> list[Address]:
        """Return what `below` would at the prices and the time of another market; nothing here moves."""
        collateral, debt = _values(market, now)
        (weighted, error), (owed, debt_error) = self.collateral.at(collateral, len(self)), self.debt.at(debt, len(self))
        slack = self._slack(_unit_prices(market, now))
        return self._lowest_first(
            _Line(Sums(weighted, owed), health_factor, min_debt, _margin(error, debt_error), slack)
        )

    def newly_below(self, health_factor: float, min_debt: float, decide: Decide) -> Iterator[list[Address]]:
        """Return the accounts that are below and were not told before, what is missing most first, in chunks.

        Exact: `decide` is asked, in integers, about those within the floats' margin only. The whole answer is taken
        before the first chunk (64 accounts; each next one is twice as long), so what happens between two chunks does
        not touch it. An account whose row was removed and put again counts as new.
        """
        line = self._line(health_factor, min_debt)
        rows = np.flatnonzero(line.maybe() & ~self._told[: len(self)])
        rows = rows[self._decided(line, rows, np.ones(len(rows), dtype=bool), decide)]
        self._told[rows] = True
        return _chunks(self._users[line.worst_first(rows)])

    def recovered(self, health_factor: float, min_debt: float, decide: Decide) -> list[Address]:
        """Return the accounts told before that are out of scope, or at or above the line, and forget them; exact."""
        line = self._line(health_factor, min_debt)
        rows = np.flatnonzero(self._told[: len(self)])
        rows = rows[~self._decided(line, rows, line.maybe()[rows], decide)]
        self._told[rows] = False
        users: list[Address] = self._users[rows].tolist()
        return users

    def sums(self) -> Sums:
        """Return each account's weighted collateral and debt in base USD, by row; not to be written to."""
        return Sums(self.collateral.sums[: len(self)], self.debt.sums[: len(self)])

    def _line(self, health_factor: float, min_debt: float) -> _Line:
        margin = _margin(self.collateral.uncertainty, self.debt.uncertainty)
        return _Line(self.sums(), health_factor, min_debt, margin, self._slack(self._unit_prices))

    def _slack(self, unit_prices: Mapping[int, float]) -> float:
        used = self.collateral.columns.keys() | self.debt.columns.keys()
        return sum(unit_prices.get(reserve_id, 0.0) + 1.0 for reserve_id in used)

    def _decided(self, line: _Line, rows: Rows, maybe: NDArray[np.bool_], decide: Decide) -> NDArray[np.bool_]:
        """Tell for each of these rows whether it is below: by proof, or by `decide` for those that `maybe` are."""
        below = line.sure(rows)
        unpriced = (self.collateral.columns.keys() | self.debt.columns.keys()) - self._unit_prices.keys()
        held = self.collateral.holds_any(unpriced, rows) | self.debt.holds_any(unpriced, rows) | self._odd[rows]
        for index in np.flatnonzero(maybe & (~below | held)):
            below[index] = decide(self._users[rows[index]])
        return below

    def _lowest_first(self, line: _Line) -> list[Address]:
        rows = np.flatnonzero(line.maybe())
        ratio = line.sums.weighted[rows] / np.maximum(line.sums.owed[rows], 1e-300)
        users: list[Address] = self._users[rows[np.argsort(ratio, kind="stable")]].tolist()
        return users

    def _append(self, user: Address) -> int:
        row = len(self)
        if row == len(self._users):
            capacity = int(row * GROWTH)
            more = capacity - row
            self._users = np.concatenate((self._users, np.empty(more, dtype=object)))
            self._told = np.concatenate((self._told, np.zeros(more, dtype=bool)))
            self._odd = np.concatenate((self._odd, np.zeros(more, dtype=bool)))
            self.collateral.grow(capacity)
            self.debt.grow(capacity)
        self._users[row] = user
        self._row_of[user] = row
        self._told[row] = False
        return row

    def _remove(self, user: Address) -> None:
        row = self._row_of.pop(user, None)
        if row is None:
            return
        last = len(self)
        moved = self._users[last]
        if moved != user:
            self._row_of[moved] = row
        for column in (self._users, self._told, self._odd):
            column[row] = column[last]
        self._users[last] = None
        self.collateral.move_row(last, row)
        self.debt.move_row(last, row)


def liquidation_threshold(
    reserves: Mapping[int, Reserve], e_modes: Mapping[int, EModeCategory], e_mode: int, reserve_id: int
) -> int:
    """Return the threshold in bps that applies to a collateral: the e-mode's where its bitmap has the reserve."""
    category = e_modes.get(e_mode) if e_mode else None
    if category is not None and category.collateral_bitmap >> reserve_id & 1:
        return category.liquidation_threshold
    return reserves[reserve_id].liquidation_threshold


def _weights(position: Position, market: Market) -> dict[int, float]:
    """Return the scaled collateral times its threshold, correctly rounded, of each reserve used as collateral."""
    weights = {}
    for reserve_id, scaled in position.collateral:
        if position.uses_as_collateral(reserve_id):
            threshold = liquidation_threshold(market.reserves, market.e_modes, position.e_mode, reserve_id)
            weights[reserve_id] = scaled * threshold / PERCENTAGE_FACTOR
    return weights


def _values(market: Market, now: int) -> tuple[dict[int, float], dict[int, float]]:
    """Return the base USD of one scaled unit of collateral and of debt by reserve, correctly rounded."""
    assets = market.valuation(now).assets
    return (
        {reserve_id: each.price * each.income / (each.unit * RAY) for reserve_id, each in assets.items()},
        {reserve_id: each.price * each.debt_index / (each.unit * RAY) for reserve_id, each in assets.items()},
    )


def _unit_prices(market: Market, now: int) -> dict[int, float]:
    return {reserve_id: asset.price / asset.unit for reserve_id, asset in market.valuation(now).assets.items()}


def _margin(collateral_error: float, debt_error: float) -> float:
    return 3 * (collateral_error + debt_error + 2 * INPUT_ERROR) + 32 * ROUNDING


def _chunks(users: NDArray[Any]) -> Iterator[list[Address]]:
    start, size = 0, FIRST_CHUNK
    while start < len(users):
        yield users[start : start + size].tolist()
        start, size = start + size, size * 2
