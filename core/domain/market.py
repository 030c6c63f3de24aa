"""The market: reserves with their indexes and configuration, e-mode categories and prices, at one block.

`Market` is the only thing here that changes, and it changes by whole replacement of one entry: its three mappings are
never written in place. Whoever holds one of them holds a snapshot, and what is computed from them can be kept until one
of them is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple

from core.domain.units import (
    PERCENTAGE_FACTOR,
    RAY,
    SECONDS_PER_YEAR,
    Address,
    BaseUsd,
    Bps,
    Ray,
    TokenAmount,
    ray_mul_half_up,
)


class Revision(IntEnum):
    """Name the protocol revisions whose arithmetic is known here; the number is the pool's POOL_REVISION()."""

    V3_6 = 10
    V3_7 = 11

    @classmethod
    def of(cls, number: int) -> Revision | None:
        """Return the revision with that number, or None if its rules are not known here."""
        return next((revision for revision in cls if revision == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Hold one reserve as the pool stores it: DataTypes.ReserveData, its tokens and its decoded configuration.

    Indexes and rates are those of `last_update` (unix seconds); rates are per year. The defaults are those of a reserve
    that is not configured yet: nothing can be borrowed or liquidated with it.
    """

    id: int
    asset: Address
    symbol: str
    a_token: Address
    variable_debt_token: Address
    price_source: Address
    decimals: int = 0
    ltv: Bps = Bps(0)
    liquidation_threshold: Bps = Bps(0)
    liquidation_bonus: Bps = Bps(0)
    liquidation_protocol_fee: Bps = Bps(0)
    active: bool = False
    frozen: bool = False
    paused: bool = False
    liquidity_index: Ray = Ray(RAY)
    variable_borrow_index: Ray = Ray(RAY)
    liquidity_rate: Ray = Ray(0)
    variable_borrow_rate: Ray = Ray(0)
    last_update: int = 0
    virtual_underlying_balance: TokenAmount = TokenAmount(0)
    deficit: TokenAmount = TokenAmount(0)
    grace_period_until: int = 0

    @property
    def unit(self) -> int:
        """Return how many of the token's smallest units make one token."""
        return int(10**self.decimals)

    def normalized_income(self, now: int) -> Ray:
        """Return the liquidity index accrued to `now`, unix seconds, half-up (ReserveLogic.getNormalizedIncome)."""
        if now == self.last_update:
            return self.liquidity_index
        linear = RAY + self.liquidity_rate * (now - self.last_update) // SECONDS_PER_YEAR
        return Ray(ray_mul_half_up(linear, self.liquidity_index))

    def normalized_debt(self, now: int) -> Ray:
        """Return the borrow index accrued to `now`, unix seconds, half-up (ReserveLogic.getNormalizedDebt)."""
        if now == self.last_update:
            return self.variable_borrow_index
        compounded = compounded_interest(self.variable_borrow_rate, now - self.last_update)
        return Ray(ray_mul_half_up(compounded, self.variable_borrow_index))

    def with_configuration(self, data: int) -> Reserve:
        """Return the reserve with what ReserveConfigurationMap.data says (ReserveConfiguration.sol's bit positions)."""
        return replace(
            self,
            ltv=Bps(data & 0xFFFF),
            liquidation_threshold=Bps(data >> 16 & 0xFFFF),
            liquidation_bonus=Bps(data >> 32 & 0xFFFF),
            decimals=data >> 48 & 0xFF,
            active=bool(data >> 56 & 1),
            frozen=bool(data >> 57 & 1),
            paused=bool(data >> 60 & 1),
            liquidation_protocol_fee=Bps(data >> 152 & 0xFFFF),
        )


def compounded_interest(rate: int, seconds: int) -> int:
    """Return the growth of a debt over `seconds` at a yearly `rate`, both rays (MathUtils.calculateCompoundedInterest).

    Since v3.4: the first four terms of the exponential series, inner products half-up.
    """
    x = rate * seconds // SECONDS_PER_YEAR
    return RAY + x + ray_mul_half_up(x, x // 2 + ray_mul_half_up(x, x // 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class EModeCategory:
    """Hold one e-mode category (DataTypes.EModeCategory); bit i of a bitmap stands for reserve id i.

    `isolated` exists since v3.7: outside the category's collaterals no reserve has a loan-to-value.
    """

    id: int
    label: str = ""
    ltv: Bps = Bps(0)
    liquidation_threshold: Bps = Bps(0)
    liquidation_bonus: Bps = Bps(0)
    collateral_bitmap: int = 0
    borrowable_bitmap: int = 0
    ltvzero_bitmap: int = 0
    isolated: bool = False


@dataclass(slots=True, kw_only=True)
class Market:
    """Hold the mirror of one pool at the end of `block`; `timestamp` is that block's, in unix seconds.

    `prices` are AaveOracle's answers by reserve id. With `revision` None the pool runs rules that are not known here:
    figures computed from it screen at best, and no quote is given.
    """

    revision: Revision | None
    reserves: Mapping[int, Reserve] = field(default_factory=dict)
    e_modes: Mapping[int, EModeCategory] = field(default_factory=dict)
    prices: Mapping[int, BaseUsd] = field(default_factory=dict)
    block: int = 0
    timestamp: int = 0
    _valuation: Valuation | None = field(default=None, init=False, repr=False, compare=False)

    def valuation(self, now: int) -> Valuation:
        """Return what the market is worth at `now` (unix seconds), computed anew only if something changed."""
        if self._valuation is None or not self._valuation.holds_for(self, now):
            self._valuation = Valuation(self, now)
        return self._valuation

    def reserve_of(self, asset: Address) -> Reserve | None:
        """Return the reserve of that underlying token, or None if it is not listed."""
        return next((reserve for reserve in self.reserves.values() if reserve.asset == asset), None)

    def set_reserve(self, reserve: Reserve) -> None:
        """Add the reserve, or replace the one with its id."""
        self.reserves = {**self.reserves, reserve.id: reserve}

    def set_e_mode(self, category: EModeCategory) -> None:
        """Add the e-mode category, or replace the one with its id."""
        self.e_modes = {**self.e_modes, category.id: category}

    def set_price(self, reserve_id: int, price: BaseUsd) -> None:
        """Replace one reserve's price; raise ValueError for one that AaveOracle would not pass on (zero, negative)."""
        if price <= 0:
            raise ValueError(f"price of reserve {reserve_id} must be positive, not {price}")
        self.prices = {**self.prices, reserve_id: price}

    def set_head(self, block: int, timestamp: int) -> None:
        """Move to another block: its number and its timestamp in unix seconds."""
        self.block, self.timestamp = block, timestamp

    def repriced(self, price_bps: Mapping[int, int]) -> Market:
        """Return a market whose prices are the given bps of these, rounded down: 9900 is -1 %; unnamed ones stay."""
        prices = {
            id_: BaseUsd(price * price_bps.get(id_, PERCENTAGE_FACTOR) // PERCENTAGE_FACTOR)
            for id_, price in self.prices.items()
        }
        return replace(self, prices=prices)


class AssetValue(NamedTuple):
    """Hold a reserve's indexes accrued to one second, its price, and how many smallest units make one token."""

    income: Ray
    debt_index: Ray
    price: BaseUsd
    unit: int


CollateralRow = tuple[Ray, BaseUsd, int, Bps, Bps]
"""A reserve's accrued income index, price, unit, liquidation threshold and loan-to-value."""
DebtRow = tuple[Ray, BaseUsd, int]
"""A reserve's accrued borrow index, price and unit."""


class Valuation:
    """Hold what a market is worth at one second: everything in an account's figures that is not the account's.

    Everything is by reserve id and has the reserves with a price only. The rows are plain tuples, because they are
    unpacked for every balance of every account, and Python unpacks named tuples at half the speed.
    """

    __slots__ = ("_collaterals", "_market", "assets", "debts", "now")

    def __init__(self, market: Market, now: int) -> None:
        self.now = now
        self._market = replace(market)  # the caller's own goes on to change
        self._collaterals: dict[int, dict[int, CollateralRow]] = {}
        self.assets = {
            reserve_id: AssetValue(
                reserve.normalized_income(now), reserve.normalized_debt(now), market.prices[reserve_id], reserve.unit
            )
            for reserve_id, reserve in market.reserves.items()
            if reserve_id in market.prices
        }
        self.debts: dict[int, DebtRow] = {
            reserve_id: (asset.debt_index, asset.price, asset.unit) for reserve_id, asset in self.assets.items()
        }

    def holds_for(self, market: Market, now: int) -> bool:
        """Tell whether this is still what `market` is worth at `now`."""
        return (
            now == self.now
            and market.prices is self._market.prices
            and market.reserves is self._market.reserves
            and market.e_modes is self._market.e_modes
        )

    def collaterals(self, e_mode: int) -> dict[int, CollateralRow]:
        """Return what each reserve counts as collateral in that e-mode; raise LookupError for an unknown category."""
        rows = self._collaterals.get(e_mode)
        if rows is None:
            category = self._market.e_modes[e_mode] if e_mode else None
            rows = self._collaterals[e_mode] = {
                reserve_id: (
                    asset.income,
                    asset.price,
                    asset.unit,
                    *_threshold_and_ltv(self._market.reserves[reserve_id], category),
                )
                for reserve_id, asset in self.assets.items()
            }
        return rows


def _threshold_and_ltv(reserve: Reserve, category: EModeCategory | None) -> tuple[Bps, Bps]:
    """Choose as GenericLogic and ValidationLogic.getUserReserveLtv do."""
    if category is None:
        return reserve.liquidation_threshold, reserve.ltv
    if not category.collateral_bitmap >> reserve.id & 1:
        return reserve.liquidation_threshold, Bps(0) if category.isolated else reserve.ltv
    ltv = Bps(0) if category.ltvzero_bitmap >> reserve.id & 1 else category.ltv
    return category.liquidation_threshold, ltv
