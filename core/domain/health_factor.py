"""The health factor and the five figures around it, to the wei, for protocol revisions 10 and 11.

Source: GenericLogic.calculateUserAccountData and calculateAvailableBorrows, ValidationLogic.getUserReserveLtv.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from core.domain.market import EModeCategory, Market, Reserve
from core.domain.position import Position
from core.domain.units import PERCENTAGE_FACTOR, RAY, UINT256_MAX, WAD, BaseUsd, Bps, Wad

HEALTH_FACTOR_LIQUIDATION_THRESHOLD = Wad(WAD)
"""An account is liquidatable strictly below this health factor."""


class UserAccountData(NamedTuple):
    """Hold the six figures of Pool.getUserAccountData, in its order; the health factor without debt is 2^256 - 1."""

    total_collateral_base: BaseUsd
    total_debt_base: BaseUsd
    available_borrows_base: BaseUsd
    current_liquidation_threshold: Bps
    ltv: Bps
    health_factor: Wad


class _Asset(NamedTuple):
    income: int
    debt_index: int
    price: int
    unit: int


class _Collateral(NamedTuple):
    income: int
    price: int
    unit: int
    liquidation_threshold: int
    ltv: int


class HFCalculator:
    """Compute account figures from a market and positions.

    What does not depend on the account (indexes accrued to `now`, thresholds by e-mode) is computed once and kept until
    the market or the second changes. An instance belongs to one thread.
    """

    def __init__(self) -> None:
        self._values: Valuation | None = None

    def calculate(self, market: Market, position: Position, now: int) -> UserAccountData:
        """Return the account's six figures as the pool would in a block with timestamp `now` (unix seconds).

        Raise LookupError if the position names a reserve without a price or an e-mode that the market does not hold.
        """
        return self.valuation(market, now).figures(position)

    def batch(self, market: Market, positions: Iterable[Position], now: int) -> list[UserAccountData]:
        """Return the six figures of every position, in their order; as `calculate`."""
        return list(map(self.valuation(market, now).figures, positions))

    def project(self, market: Market, position: Position, now: int, price_bps: Mapping[int, int]) -> UserAccountData:
        """Return the six figures if prices were the given bps of today's, by reserve id: 9900 is -1 %.

        For many positions at the same prices, use `batch` with `Market.repriced`.
        """
        return Valuation(market.repriced(price_bps), now).figures(position)

    def valuation(self, market: Market, now: int) -> Valuation:
        """Return what the market is worth at `now`, computed anew only if something changed."""
        if self._values is None or not self._values.holds_for(market, now):
            self._values = Valuation(market, now)
        return self._values


class Valuation:
    """Hold everything about a market at one second that an account's figures need."""

    __slots__ = ("_assets", "_by_e_mode", "_e_modes", "_prices", "_reserves", "now")

    def __init__(self, market: Market, now: int) -> None:
        self.now = now
        self._reserves = market.reserves
        self._e_modes = market.e_modes
        self._prices = market.prices
        self._by_e_mode: dict[int, dict[int, _Collateral]] = {}
        self._assets = {
            id_: _Asset(r.normalized_income(now), r.normalized_debt(now), market.prices[id_], r.unit)
            for id_, r in market.reserves.items()
            if id_ in market.prices
        }

    def holds_for(self, market: Market, now: int) -> bool:
        """Tell whether this is still the valuation of `market` at `now`."""
        return (
            now == self.now
            and market.prices is self._prices
            and market.reserves is self._reserves
            and market.e_modes is self._e_modes
        )

    def figures(self, position: Position) -> UserAccountData:
        """Return an account's six figures; raise LookupError for a reserve without price or an unknown e-mode."""
        collaterals = self._by_e_mode.get(position.e_mode) or self._collaterals(position.e_mode)
        enabled = position.collateral_enabled
        total_collateral = weighted_threshold = weighted_ltv = total_debt = 0
        for reserve_id, scaled in position.collateral:
            if enabled >> reserve_id & 1:
                income, price, unit, threshold, ltv = collaterals[reserve_id]
                value = scaled * income // RAY * price // unit
                total_collateral += value
                weighted_threshold += value * threshold
                weighted_ltv += value * ltv
        for reserve_id, scaled in position.debt:
            _, index, price, unit = self._assets[reserve_id]
            total_debt += -(scaled * index // -RAY * price // unit)
        return _summary(total_collateral, total_debt, weighted_threshold, weighted_ltv)

    def _collaterals(self, e_mode: int) -> dict[int, _Collateral]:
        category = self._e_modes[e_mode] if e_mode else None
        rows = {
            id_: _Collateral(a.income, a.price, a.unit, *_threshold_and_ltv(self._reserves[id_], category))
            for id_, a in self._assets.items()
        }
        self._by_e_mode[e_mode] = rows
        return rows


def _threshold_and_ltv(reserve: Reserve, category: EModeCategory | None) -> tuple[Bps, Bps]:
    if category is None:
        return reserve.liquidation_threshold, reserve.ltv
    if not category.collateral_bitmap >> reserve.id & 1:
        return reserve.liquidation_threshold, Bps(0) if category.isolated else reserve.ltv
    ltv = Bps(0) if category.ltvzero_bitmap >> reserve.id & 1 else category.ltv
    return category.liquidation_threshold, ltv


def _summary(total_collateral: int, total_debt: int, weighted_threshold: int, weighted_ltv: int) -> UserAccountData:
    threshold = ltv = available = 0
    if total_collateral:
        threshold = weighted_threshold // total_collateral
        ltv = weighted_ltv // total_collateral
        available = max(0, total_collateral * ltv // PERCENTAGE_FACTOR - total_debt)
    if total_debt:
        health_factor = (weighted_threshold * WAD + total_debt // 2) // total_debt // PERCENTAGE_FACTOR
    else:
        health_factor = UINT256_MAX
    return UserAccountData(
        BaseUsd(total_collateral), BaseUsd(total_debt), BaseUsd(available), Bps(threshold), Bps(ltv), Wad(health_factor)
    )
