"""What a liquidationCall would do, to the wei, for protocol revisions 10 and 11, and which one pays best.

Source: LiquidationLogic.executeLiquidationCall and _calculateAvailableCollateralToLiquidate,
ValidationLogic.validateLiquidationCall. The order of the steps here is the order there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from core.domain.health_factor import HEALTH_FACTOR_LIQUIDATION_THRESHOLD, HFCalculator, UserAccountData
from core.domain.market import Market, Reserve, Revision
from core.domain.position import Position
from core.domain.units import (
    PERCENTAGE_FACTOR,
    UINT256_MAX,
    Address,
    BaseUsd,
    Bps,
    TokenAmount,
    mul_div_ceil,
    percent_div_ceil,
    percent_div_floor,
    percent_div_half_up,
    percent_mul_ceil,
    percent_mul_floor,
    percent_mul_half_up,
    ray_div_ceil,
    ray_div_floor,
    ray_mul_ceil,
    ray_mul_floor,
)

CLOSE_FACTOR_HF_THRESHOLD = 95 * 10**16
DEFAULT_LIQUIDATION_CLOSE_FACTOR = Bps(5_000)
MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD = BaseUsd(2_000 * 10**8)
MIN_LEFTOVER_BASE = BaseUsd(1_000 * 10**8)


class CloseFactorMode(StrEnum):
    """Name how much of a debt to ask for: all that the protocol permits, or never more than half of the debt."""

    AUTO = "auto"
    FIXED50 = "fixed50"


class QuoteRefusal(StrEnum):
    """Name why the pool would revert, in the order of its checks; UNKNOWN_REVISION is our own refusal to guess."""

    UNKNOWN_REVISION = "unknown_revision"
    RESERVE_INACTIVE = "reserve_inactive"
    RESERVE_PAUSED = "reserve_paused"
    GRACE_PERIOD = "grace_period"
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD = "health_factor_not_below_threshold"
    COLLATERAL_CANNOT_BE_LIQUIDATED = "collateral_cannot_be_liquidated"
    NOT_BORROWED = "not_borrowed"
    MUST_NOT_LEAVE_DUST = "must_not_leave_dust"
    AMOUNT_TOO_SMALL = "amount_too_small"
    NOT_ENOUGH_LIQUIDITY = "not_enough_liquidity"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationQuote:
    """Hold the exact outcome of one liquidationCall that receives the underlying token.

    `collateral` and `debt` are reserve ids. `debt_to_cover` is what the liquidator pays, as in the LiquidationCall event;
    `call_amount` is the argument to pass, 2^256 - 1 where the pool clamps (passing the smaller `debt_to_cover` back would
    round anew and could leave dust). `collateral_seized` is what the liquidator receives, `protocol_fee` what the
    Collector gets in aTokens. `close_factor` is 5000 if a 50 % rule limited the amount. `debt_base` is rounded up,
    `collateral_base` down. `deficits` are (reserve id, amount) of the bad debt that is written off.
    """

    user: Address
    collateral: int
    debt: int
    call_amount: TokenAmount
    debt_to_cover: TokenAmount
    collateral_seized: TokenAmount
    protocol_fee: TokenAmount
    liquidation_bonus: Bps
    close_factor: Bps
    max_debt_to_cover: TokenAmount
    debt_base: BaseUsd
    collateral_base: BaseUsd
    collateral_disabled: bool
    deficits: tuple[tuple[int, TokenAmount], ...]

    @property
    def gross_profit_base(self) -> BaseUsd:
        """Return collateral minus debt in base USD, before gas and swap; negative where the bonus does not pay."""
        return BaseUsd(self.collateral_base - self.debt_base)

    @property
    def creates_deficit(self) -> bool:
        """Tell whether bad debt is left for the protocol to write off."""
        return bool(self.deficits)


class _Pair(NamedTuple):
    """Hold what the pool reads about one collateral and one debt of one account before it computes amounts."""

    revision: Revision
    collateral: Reserve
    debt: Reserve
    collateral_price: int
    debt_price: int
    collateral_index: int
    debt_index: int
    scaled_collateral: int
    collateral_balance: int
    debt_balance: int
    bonus: Bps
    account: UserAccountData


class _Seizure(NamedTuple):
    """Hold the amounts of one liquidation: `collateral` is net of `fee`."""

    debt: int
    collateral: int
    fee: int


def quote(
    market: Market, position: Position, collateral: int, debt: int, now: int, debt_to_cover: int = UINT256_MAX
) -> LiquidationQuote | QuoteRefusal:
    """Return what liquidationCall would do in a block with timestamp `now`, or why it would revert.

    `collateral` and `debt` are reserve ids, `debt_to_cover` an amount of the debt's token. A price-oracle sentinel, which
    v3.6 can have, is not looked at. Raise LookupError if the market lacks a price, a reserve or the account's e-mode.
    """
    account = HFCalculator().calculate(market, position, now)
    pair = _pair(market, position, (collateral, debt), now, account)
    return pair if isinstance(pair, QuoteRefusal) else _quote(market, position, pair, now, debt_to_cover)


def best_quote(
    market: Market, position: Position, now: int, close_factor_mode: CloseFactorMode = CloseFactorMode.AUTO
) -> LiquidationQuote | QuoteRefusal:
    """Return the liquidation with the highest gross profit over all pairs, or the refusal that came latest in the checks.

    Where the largest permitted amount would leave dust, or more than the collateral's reserve can pay out, the largest
    amount that would not is taken. Raise LookupError as `quote`.
    """
    account = HFCalculator().calculate(market, position, now)
    best: LiquidationQuote | None = None
    refusal = QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED
    return best or refusal
