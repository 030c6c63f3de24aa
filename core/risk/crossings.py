"""Where the line is for each account: the price at which it crosses, and the second at which interest alone does it.

In the factor f of one driver of prices an account's health factor is (a + f b) / (c + f d): b and d are what it holds
and owes in the reserves that move, a and c all the rest. It is below 1 where f (b - d) < c - a.

By interest alone collateral grows linearly (MathUtils.calculateLinearInterest) and debt by a cubic polynomial
(calculateCompoundedInterest), so that collateral minus debt is concave in time: once below, it stays below.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.domain.market import Market, Reserve
from core.domain.position import Position
from core.domain.units import PERCENTAGE_FACTOR, RAY, SECONDS_PER_YEAR, WAD, Address
from core.risk.columns import Floats
from core.risk.hf_grid import HFGrid, liquidation_threshold

NEWTON_STEPS = 12
MOST_LOOKS = 2_000
CAUTION = 1e-9
"""Relative: accounts that come this near to the line within the horizon are looked at exactly. Made afresh from the
market's own rates, the floats are off by a thousandth of that."""


@dataclass(frozen=True, slots=True)
class CrossingPrices:
    """Hold for each account the factor of one driver at which it crosses a health factor of 1; floats.

    Where `falling`, an account is below 1 at every factor under its own (one that is not positive: never); elsewhere it
    owes more of the driver than it holds, and is below 1 at every factor above its own (not positive: always).
    """

    users: list[Address]
    factors: Floats
    falling: NDArray[np.bool_]
    owed: Floats
    owed_moving: Floats

    def below_at(self, factor: float) -> NDArray[np.bool_]:
        """Tell for each account whether it is below 1 at a factor; nothing is priced anew for that."""
        return np.where(self.falling, factor < self.factors, factor > self.factors)

    def debt_at(self, factor: float) -> Floats:
        """Return each account's debt in base USD at a factor."""
        return self.owed + self.owed_moving * (factor - 1.0)

    def of(self) -> dict[Address, float]:
        """Return the factor of each account."""
        return dict(zip(self.users, self.factors.tolist(), strict=True))


def crossing_prices(grid: HFGrid, reserves: Collection[int]) -> CrossingPrices:
    """Return where each account crosses when the prices of these reserves move together by one factor."""
    weighted, owed = grid.sums()
    held = grid.collateral.combine(_only(grid.collateral.values, reserves), len(grid))
    borrowed = grid.debt.combine(_only(grid.debt.values, reserves), len(grid))
    slope = held - borrowed
    missing = (owed - borrowed) - (weighted - held)
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.where(slope == 0, np.where(missing > 0, np.inf, -np.inf), missing / slope)
    return CrossingPrices(grid.users, factors, slope >= 0, owed.copy(), borrowed)


def crossing_seconds(
    grid: HFGrid, market: Market, position_of: Callable[[Address], Position], now: int, horizon: int
) -> Iterator[tuple[int, Address]]:
    """Yield (second, account) for those that interest alone puts below 1 in `now` .. `now + horizon`, soonest first.

    At present prices and rates, times in unix seconds. Each second is exact: the first at which the protocol's integers
    are below. The order is that of the floats' estimate, and each is computed when it is asked for. An account with a
    balance that has no price cannot cross: the pool would revert.
    """
    estimates = estimated_seconds(grid, market, now, horizon)
    rows = np.flatnonzero(np.isfinite(estimates))
    users = grid.users
    for row in rows[np.argsort(estimates[rows])].tolist():
        position = position_of(users[row])
        second = crossing_second(market, position, now, horizon) if _priced(market, position) else None
        if second is not None:
            yield second, users[row]


def estimated_seconds(grid: HFGrid, market: Market, now: int, horizon: int) -> Floats:
    """Return about when, in seconds from `now`, each account crosses by interest; infinite beyond the horizon.

    No account that crosses within the horizon is infinite: those that end within `CAUTION` of the line are not.
    """
    linear = [{id_: _income_slope(reserve, now)[n] for id_, reserve in market.reserves.items()} for n in (0, 1)]
    cubic = [{id_: _debt_polynomial(reserve, now)[n] for id_, reserve in market.reserves.items()} for n in range(4)]
    unit = {id_: market.prices.get(id_, 0) / reserve.unit for id_, reserve in market.reserves.items()}
    rows = len(grid)
    held = [grid.collateral.combine({id_: each[id_] * unit[id_] for id_ in unit}, rows) for each in linear]
    owed = [grid.debt.combine({id_: each[id_] * unit[id_] for id_ in unit}, rows) for each in cubic]
    curve = np.array([held[0] - owed[0], held[1] - owed[1], -owed[2], -owed[3]])
    caution = CAUTION * owed[0] + 2 * sum(each + 1.0 for each in unit.values())
    estimates = np.full(rows, np.inf)
    near = np.flatnonzero((np.minimum(curve[0], _at(curve, float(horizon))) <= caution) & (owed[0] > 0))
    estimates[near] = _roots(curve[:, near], float(horizon))
    return estimates


def crossing_second(market: Market, position: Position, now: int, horizon: int) -> int | None:
    """Return the first second in `now` .. `now + horizon` at which interest puts an account below 1, or None; exact.

    Balances and debts never shrink by interest, so collateral at a stretch's first second and debt at its last bound
    every health factor within: stretches that pass are left out, others are halved. Where an account hugs the line so
    closely that MOST_LOOKS do not settle it, the answer is the earliest second that it can still be. Raise LookupError
    where a reserve or its price is missing.
    """
    parts = _Parts(market, position)
    stretches = [(now, now + horizon)]
    looks = 0
    while stretches:
        first, last = stretches.pop()
        looks += 1
        if not parts.below(first, last):
            continue
        if first == last or looks >= MOST_LOOKS:
            return first
        middle = (first + last) // 2
        stretches += [(middle + 1, last), (first, middle)]
    return None


class _Parts:
    """Hold one account's balances with their reserves, and value them at any second in integers."""

    def __init__(self, market: Market, position: Position) -> None:
        self._held = [
            (
                scaled,
                market.reserves[id_],
                market.prices[id_],
                liquidation_threshold(market.reserves, market.e_modes, position.e_mode, id_),
            )
            for id_, scaled in position.collateral
            if position.uses_as_collateral(id_)
        ]
        self._owed = [(scaled, market.reserves[id_], market.prices[id_]) for id_, scaled in position.debt]

    def below(self, held_at: int, owed_at: int) -> bool:
        """Tell whether collateral at one second over debt at another is below 1 (GenericLogic's roundings)."""
        weighted = sum(
            scaled * reserve.normalized_income(held_at) // RAY * price // reserve.unit * threshold
            for scaled, reserve, price, threshold in self._held
        )
        owed = sum(
            -(-(scaled * reserve.normalized_debt(owed_at)) // RAY * price // reserve.unit)
            for scaled, reserve, price in self._owed
        )
        return owed > 0 and (weighted * WAD + owed // 2) // owed // PERCENTAGE_FACTOR < WAD


def _only(values: Mapping[int, float], reserves: Collection[int]) -> dict[int, float]:
    return {id_: value for id_, value in values.items() if id_ in reserves}


def _income_slope(reserve: Reserve, now: int) -> tuple[float, float]:
    """Return the liquidity index at `now` and what it gains a second."""
    index, rate = reserve.liquidity_index / RAY, reserve.liquidity_rate / RAY / SECONDS_PER_YEAR
    return index * (1 + rate * (now - reserve.last_update)), index * rate


def _debt_polynomial(reserve: Reserve, now: int) -> tuple[float, float, float, float]:
    """Return the borrow index as a polynomial in the seconds since `now`: 1 + x + x^2 / 2 + x^3 / 6 shifted by them."""
    index, rate = reserve.variable_borrow_index / RAY, reserve.variable_borrow_rate / RAY / SECONDS_PER_YEAR
    x = rate * (now - reserve.last_update)
    terms = (1 + x + x * x / 2 + x**3 / 6, rate * (1 + x + x * x / 2), rate**2 / 2 * (1 + x), rate**3 / 6)
    constant, first, second, third = (index * term for term in terms)
    return constant, first, second, third


def _at(curve: Floats, seconds: Floats | float) -> Floats:
    value: Floats = curve[0] + seconds * (curve[1] + seconds * (curve[2] + seconds * curve[3]))
    return value


def _roots(curve: Floats, horizon: float) -> Floats:
    """Return where each concave curve falls through zero, by Newton's method from the horizon down; 0 where it has."""
    seconds = np.full(curve.shape[1], horizon)
    for _ in range(NEWTON_STEPS):
        slope = curve[1] + seconds * (2 * curve[2] + seconds * 3 * curve[3])
        falling = slope < 0
        step = np.divide(_at(curve, seconds), slope, out=np.zeros_like(seconds), where=falling)
        seconds = np.clip(seconds - step, 0.0, horizon)
    return np.where(curve[0] <= 0, 0.0, seconds)


def _priced(market: Market, position: Position) -> bool:
    used = [id_ for id_, _ in position.collateral if position.uses_as_collateral(id_)]
    return all(id_ in market.prices for id_ in (*used, *(id_ for id_, _ in position.debt)))
