"""The health factor and the five figures around it, to the wei, for protocol revisions 10 and 11.

Source: GenericLogic.calculateUserAccountData and calculateAvailableBorrows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from core.domain.market import Market, Valuation
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


class HFCalculator:
    """Compute accounts' figures as the pool would in a block with timestamp `now` (unix seconds).

    Every method raises LookupError if a position names a reserve without a price or an e-mode that the market lacks.
    """

    def calculate(self, market: Market, position: Position, now: int) -> UserAccountData:
        """Return the account's six figures."""
        return _figures(market.valuation(now), position)

    def batch(self, market: Market, positions: Iterable[Position], now: int) -> list[UserAccountData]:
        """Return every position's six figures, in the order given."""
        valuation = market.valuation(now)
        return [_figures(valuation, position) for position in positions]

    def project(self, market: Market, position: Position, now: int, price_bps: Mapping[int, int]) -> UserAccountData:
        """Return the six figures if prices were the given bps of today's, by reserve id: 9900 is -1 %.

        For many positions at the same prices, `batch` over `Market.repriced` prices the market once.
        """
        return self.calculate(market.repriced(price_bps), position, now)


def _figures(valuation: Valuation, position: Position) -> UserAccountData:
    collaterals, debts = valuation.collaterals(position.e_mode), valuation.debts
    enabled = position.collateral_enabled
    total_collateral = weighted_threshold = weighted_ltv = total_debt = 0
    for reserve_id, scaled in position.collateral:
        if enabled >> reserve_id & 1:
            index, price, unit, reserve_threshold, reserve_ltv = collaterals[reserve_id]
            value = scaled * index // RAY * price // unit
            total_collateral += value
            weighted_threshold += value * reserve_threshold
            weighted_ltv += value * reserve_ltv
    for reserve_id, scaled in position.debt:
        index, price, unit = debts[reserve_id]
        total_debt -= scaled * index // -RAY * price // unit  # both divisions round up: the dividends are negative
    threshold = ltv = available = 0
    if total_collateral:
        threshold = weighted_threshold // total_collateral
        ltv = weighted_ltv // total_collateral
        available = total_collateral * ltv // PERCENTAGE_FACTOR - total_debt
    health_factor = UINT256_MAX
    if total_debt:
        health_factor = (weighted_threshold * WAD + total_debt // 2) // total_debt // PERCENTAGE_FACTOR
    return UserAccountData._make(
        (total_collateral, total_debt, available if available > 0 else 0, threshold, ltv, health_factor)
    )


def health_factor_text(health_factor: int | None) -> str:
    """Return a health factor with four decimals, cut and never rounded up; ∞ without debt, N/A for None."""
    if health_factor is None:
        return "N/A"
    if health_factor == UINT256_MAX:
        return "∞"
    whole, rest = divmod(health_factor, WAD)
    return f"{whole}.{rest * 10**4 // WAD:04d}"
