"""What a liquidationCall would do, to the wei, for protocol revisions 10 and 11, and which one pays best.

Source: LiquidationLogic.executeLiquidationCall, ValidationLogic.validateLiquidationCall.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from core.domain.health_factor import HEALTH_FACTOR_LIQUIDATION_THRESHOLD, HFCalculator, UserAccountData
from core.domain.market import Market, Reserve
from core.domain.position import Position
from core.domain.seizure import (
    DEFAULT_LIQUIDATION_CLOSE_FACTOR,
    Pair,
    Seizure,
    collateral_base,
    debt_base,
    fee_transferred,
    largest_that_fits,
    leaves_dust,
    max_debt,
    seize,
    what_is_left,
)
from core.domain.units import (
    PERCENTAGE_FACTOR,
    UINT256_MAX,
    Address,
    BaseUsd,
    Bps,
    TokenAmount,
    ray_div_floor,
    ray_mul_ceil,
    ray_mul_floor,
)


class CloseFactorMode(StrEnum):
    """Name how much of a debt to ask for: all that the protocol permits, or never more than half of the debt."""

    AUTO = "auto"
    FIXED50 = "fixed50"


class QuoteRefusal(StrEnum):
    """Name why the pool would revert, about in the order of its checks; the first is our own refusal to guess."""

    UNKNOWN_REVISION = "unknown_revision"
    RESERVE_INACTIVE = "reserve_inactive"
    RESERVE_PAUSED = "reserve_paused"
    GRACE_PERIOD = "grace_period"
    HEALTH_FACTOR_NOT_BELOW_THRESHOLD = "health_factor_not_below_threshold"
    COLLATERAL_CANNOT_BE_LIQUIDATED = "collateral_cannot_be_liquidated"
    NOT_BORROWED = "not_borrowed"
    AMOUNT_TOO_SMALL = "amount_too_small"
    MUST_NOT_LEAVE_DUST = "must_not_leave_dust"
    NOT_ENOUGH_LIQUIDITY = "not_enough_liquidity"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationQuote:
    """Hold the exact outcome of one liquidationCall that receives the underlying token.

    `collateral` and `debt` are reserve ids. `debt_to_cover` is what the liquidator pays, as in the LiquidationCall
    event; `call_amount` is the argument to pass, 2^256 - 1 where the pool clamps (passing `debt_to_cover` itself would
    round anew and could leave dust). `max_debt_to_cover` is what the close factor permits. `collateral_seized` is what
    the liquidator receives, `protocol_fee` what the Collector gets in aTokens. `close_factor` is 5000 if a 50 % rule
    limited the amount. `debt_base` is rounded up, `collateral_base` down. `deficits` are (reserve id, amount) of the
    bad debt that is written off.
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


def quote(
    market: Market, position: Position, collateral: int, debt: int, now: int, debt_to_cover: int = UINT256_MAX
) -> LiquidationQuote | QuoteRefusal:
    """Return what liquidationCall would do in a block with timestamp `now` (unix seconds), or why it would revert.

    `collateral` and `debt` are reserve ids, `debt_to_cover` an amount of the debt's token. Not looked at: who calls
    (nobody may liquidate himself), and the price-oracle sentinel that a v3.6 market can have. Raise LookupError if the
    market lacks a reserve, its price or the account's e-mode.
    """
    account = HFCalculator().calculate(market, position, now)
    pair = _pair(market, position, (collateral, debt), now, account)
    if isinstance(pair, QuoteRefusal):
        return pair
    offer = _offer(pair, debt_to_cover)
    return offer if isinstance(offer, QuoteRefusal) else _settle(market, position, offer, now)


def best_quote(
    market: Market, position: Position, now: int, close_factor_mode: CloseFactorMode = CloseFactorMode.AUTO
) -> LiquidationQuote | QuoteRefusal:
    """Return the liquidation with the highest gross profit over all pairs, or the refusal that got furthest.

    Where the largest permitted amount would leave dust, or is more than the collateral's reserve can pay out, the
    largest amount that fits is taken. Raise LookupError as `quote`.
    """
    account = HFCalculator().calculate(market, position, now)
    refusal = _refuse_account(market, account)
    if refusal:
        return refusal
    best: _Offer | None = None
    refusals = []
    for ids in product(_used_as_collateral(position), dict(position.debt)):
        pair = _pair(market, position, ids, now, account)
        offer = pair if isinstance(pair, QuoteRefusal) else _best_offer(pair, close_factor_mode)
        if isinstance(offer, QuoteRefusal):
            refusals.append(offer)
        elif best is None or offer.profit > best.profit:
            best = offer
    if best:
        return _settle(market, position, best, now)
    return max(refusals, key=list(QuoteRefusal).index, default=QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED)


class _Offer(NamedTuple):
    pair: Pair
    asked: int
    permitted: int
    halved: bool
    seizure: Seizure

    @property
    def profit(self) -> int:
        return collateral_base(self.pair, self.seizure.collateral) - debt_base(self.pair, self.seizure.debt)


def _used_as_collateral(position: Position) -> list[int]:
    return [reserve_id for reserve_id, _ in position.collateral if position.uses_as_collateral(reserve_id)]


def _refuse_account(market: Market, account: UserAccountData) -> QuoteRefusal | None:
    if market.revision is None:
        return QuoteRefusal.UNKNOWN_REVISION
    if account.health_factor >= HEALTH_FACTOR_LIQUIDATION_THRESHOLD:
        return QuoteRefusal.HEALTH_FACTOR_NOT_BELOW_THRESHOLD
    return None


def _pair(
    market: Market, position: Position, ids: tuple[int, int], now: int, account: UserAccountData
) -> Pair | QuoteRefusal:
    if market.revision is None:
        return QuoteRefusal.UNKNOWN_REVISION
    collateral, debt = (market.reserves[reserve_id] for reserve_id in ids)
    refusal = _refuse_pair(position, collateral, debt, now, account)
    if refusal:
        return refusal
    held, owed = (market.valuation(now).assets[reserve_id] for reserve_id in ids)
    scaled_collateral = position.collateral_of(collateral.id)
    return Pair(
        revision=market.revision,
        collateral=collateral,
        debt=debt,
        held=held,
        owed=owed,
        scaled_collateral=scaled_collateral,
        collateral_balance=ray_mul_floor(scaled_collateral, held.income),
        debt_balance=ray_mul_ceil(position.debt_of(debt.id), owed.debt_index),
        bonus=_bonus(market, position, collateral),
        account=account,
    )


def _bonus(market: Market, position: Position, collateral: Reserve) -> Bps:
    category = market.e_modes[position.e_mode] if position.e_mode else None
    if category and category.collateral_bitmap >> collateral.id & 1:
        return category.liquidation_bonus
    return collateral.liquidation_bonus


def _refuse_pair(
    position: Position, collateral: Reserve, debt: Reserve, now: int, account: UserAccountData
) -> QuoteRefusal | None:
    """Check as ValidationLogic.validateLiquidationCall does, in its order."""
    checks = (
        (collateral.active and debt.active, QuoteRefusal.RESERVE_INACTIVE),
        (not (collateral.paused or debt.paused), QuoteRefusal.RESERVE_PAUSED),
        (max(collateral.grace_period_until, debt.grace_period_until) < now, QuoteRefusal.GRACE_PERIOD),
        (
            account.health_factor < HEALTH_FACTOR_LIQUIDATION_THRESHOLD,
            QuoteRefusal.HEALTH_FACTOR_NOT_BELOW_THRESHOLD,
        ),
        (position.uses_as_collateral(collateral.id), QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED),
        (position.debt_of(debt.id) > 0, QuoteRefusal.NOT_BORROWED),
    )
    return next((refusal for passed, refusal in checks if not passed), None)


def _offer(pair: Pair, asked: int, halved: bool = False) -> _Offer | QuoteRefusal:
    permitted = max_debt(pair)
    seizure = seize(pair, min(asked, permitted))
    if seizure.collateral == 0 or ray_div_floor(seizure.debt, pair.owed.debt_index) == 0:
        return QuoteRefusal.AMOUNT_TOO_SMALL
    if leaves_dust(pair, seizure):
        return QuoteRefusal.MUST_NOT_LEAVE_DUST
    if seizure.collateral > pair.collateral.virtual_underlying_balance:
        return QuoteRefusal.NOT_ENOUGH_LIQUIDITY
    return _Offer(pair, asked, permitted, halved or permitted < pair.debt_balance, seizure)


def _best_offer(pair: Pair, mode: CloseFactorMode) -> _Offer | QuoteRefusal:
    halved = mode is CloseFactorMode.FIXED50
    asked = pair.debt_balance // 2 if halved else UINT256_MAX
    offer = _offer(pair, asked, halved)
    if offer in (QuoteRefusal.MUST_NOT_LEAVE_DUST, QuoteRefusal.NOT_ENOUGH_LIQUIDITY):
        smaller = largest_that_fits(pair, min(asked, max_debt(pair)))
        return _offer(pair, smaller, halved) if smaller > 0 else offer
    return offer


def _settle(market: Market, position: Position, offer: _Offer, now: int) -> LiquidationQuote:
    pair, seizure = offer.pair, offer.seizure
    disabled, bankrupt = what_is_left(pair, seizure)
    return LiquidationQuote(
        user=position.user,
        collateral=pair.collateral.id,
        debt=pair.debt.id,
        call_amount=TokenAmount(offer.asked),
        debt_to_cover=TokenAmount(seizure.debt),
        collateral_seized=TokenAmount(seizure.collateral),
        protocol_fee=TokenAmount(fee_transferred(pair, seizure)),
        liquidation_bonus=pair.bonus,
        close_factor=DEFAULT_LIQUIDATION_CLOSE_FACTOR if offer.halved else Bps(PERCENTAGE_FACTOR),
        max_debt_to_cover=TokenAmount(offer.permitted),
        debt_base=BaseUsd(debt_base(pair, seizure.debt)),
        collateral_base=BaseUsd(collateral_base(pair, seizure.collateral)),
        collateral_disabled=disabled,
        deficits=_deficits(market, position, offer, now) if bankrupt else (),
    )


def _deficits(market: Market, position: Position, offer: _Offer, now: int) -> tuple[tuple[int, TokenAmount], ...]:
    """Return the bad debt of an account without collateral; debts in inactive reserves stay (_burnBadDebt)."""
    assets = market.valuation(now).assets
    left = {offer.pair.debt.id: offer.pair.debt_balance - offer.seizure.debt}
    for reserve_id, scaled in position.debt:
        if reserve_id not in left and market.reserves[reserve_id].active:
            left[reserve_id] = ray_mul_ceil(scaled, assets[reserve_id].debt_index)
    return tuple((reserve_id, TokenAmount(amount)) for reserve_id, amount in left.items() if amount)
