"""What a liquidationCall would do, to the wei, for protocol revisions 10 and 11, and which one pays best.

Source: LiquidationLogic.executeLiquidationCall and _calculateAvailableCollateralToLiquidate,
ValidationLogic.validateLiquidationCall. The order of the steps here is the order there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from core.domain.health_factor import HEALTH_FACTOR_LIQUIDATION_THRESHOLD, HFCalculator, UserAccountData
from core.domain.market import AssetValue, Market, Reserve, Revision
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
    limited the amount. `debt_base` is rounded up, `collateral_base` down. `deficits` are (reserve id, amount) of
    the bad debt that is written off.
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
    held: AssetValue
    owed: AssetValue
    scaled_collateral: int
    collateral_balance: int
    debt_balance: int
    bonus: Bps
    account: UserAccountData


class _Seizure(NamedTuple):
    """Hold the amounts of one liquidation; `fee` comes on top of `collateral`."""

    debt: int
    collateral: int
    fee: int


def quote(
    market: Market, position: Position, collateral: int, debt: int, now: int, debt_to_cover: int = UINT256_MAX
) -> LiquidationQuote | QuoteRefusal:
    """Return what liquidationCall would do in a block with timestamp `now`, or why it would revert.

    `collateral` and `debt` are reserve ids, `debt_to_cover` an amount of the debt's token. A price-oracle sentinel,
    which v3.6 can have, is not looked at. Raise LookupError if the market lacks a reserve, its price or the account's
    e-mode.
    """
    account = HFCalculator().calculate(market, position, now)
    pair = _pair(market, position, (collateral, debt), now, account)
    return pair if isinstance(pair, QuoteRefusal) else _settle(market, position, pair, now, debt_to_cover)


def best_quote(
    market: Market, position: Position, now: int, close_factor_mode: CloseFactorMode = CloseFactorMode.AUTO
) -> LiquidationQuote | QuoteRefusal:
    """Return the liquidation with the highest gross profit over all pairs, or the refusal that got furthest.

    Where the largest permitted amount would leave dust, or seize more than the reserve can pay out, the largest amount
    that does not is taken. Raise LookupError as `quote`.
    """
    account = HFCalculator().calculate(market, position, now)
    if account.health_factor >= HEALTH_FACTOR_LIQUIDATION_THRESHOLD:
        return QuoteRefusal.HEALTH_FACTOR_NOT_BELOW_THRESHOLD
    best: LiquidationQuote | None = None
    refusals = [QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED]
    for ids in product(
        (id_ for id_, _ in position.collateral if position.uses_as_collateral(id_)), dict(position.debt)
    ):
        pair = _pair(market, position, ids, now, account)
        result = (
            pair if isinstance(pair, QuoteRefusal) else _best_amount(market, position, pair, now, close_factor_mode)
        )
        if isinstance(result, QuoteRefusal):
            refusals.append(result)
        elif best is None or result.gross_profit_base > best.gross_profit_base:
            best = result
    return best or max(refusals, key=list(QuoteRefusal).index)


def _pair(
    market: Market, position: Position, ids: tuple[int, int], now: int, account: UserAccountData
) -> _Pair | QuoteRefusal:
    collateral, debt = (market.reserves[reserve_id] for reserve_id in ids)
    refusal = _refuse(position, collateral, debt, now, account)
    if refusal:
        return refusal
    if market.revision is None:
        return QuoteRefusal.UNKNOWN_REVISION
    held, owed = (market.valuation(now).assets[reserve_id] for reserve_id in ids)
    scaled = position.collateral_of(collateral.id)
    category = market.e_modes[position.e_mode] if position.e_mode else None
    in_category = category is not None and category.collateral_bitmap >> collateral.id & 1
    return _Pair(
        revision=market.revision,
        collateral=collateral,
        debt=debt,
        held=held,
        owed=owed,
        scaled_collateral=scaled,
        collateral_balance=ray_mul_floor(scaled, held.income),
        debt_balance=ray_mul_ceil(position.debt_of(debt.id), owed.debt_index),
        bonus=category.liquidation_bonus if category and in_category else collateral.liquidation_bonus,
        account=account,
    )


def _refuse(
    position: Position, collateral: Reserve, debt: Reserve, now: int, account: UserAccountData
) -> QuoteRefusal | None:
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


def _best_amount(
    market: Market, position: Position, pair: _Pair, now: int, mode: CloseFactorMode
) -> LiquidationQuote | QuoteRefusal:
    asked = UINT256_MAX if mode is CloseFactorMode.AUTO else pair.debt_balance // 2
    result = _settle(market, position, pair, now, asked)
    if result in (QuoteRefusal.MUST_NOT_LEAVE_DUST, QuoteRefusal.NOT_ENOUGH_LIQUIDITY):
        smaller = _largest_that_fits(pair, min(asked, _max_debt(pair)))
        result = _settle(market, position, pair, now, smaller) if smaller > 0 else result
    if mode is CloseFactorMode.FIXED50 and isinstance(result, LiquidationQuote):
        return replace(result, close_factor=DEFAULT_LIQUIDATION_CLOSE_FACTOR)
    return result


def _settle(market: Market, position: Position, pair: _Pair, now: int, asked: int) -> LiquidationQuote | QuoteRefusal:
    permitted = _max_debt(pair)
    seizure = _seize(pair, min(asked, permitted))
    refusal = _refuse_amounts(pair, seizure)
    if refusal:
        return refusal
    disabled, bankrupt = _what_is_left(pair, seizure)
    return LiquidationQuote(
        user=position.user,
        collateral=pair.collateral.id,
        debt=pair.debt.id,
        call_amount=TokenAmount(asked),
        debt_to_cover=TokenAmount(seizure.debt),
        collateral_seized=TokenAmount(seizure.collateral),
        protocol_fee=TokenAmount(_fee_transferred(pair, seizure)),
        liquidation_bonus=pair.bonus,
        close_factor=Bps(PERCENTAGE_FACTOR) if permitted == pair.debt_balance else DEFAULT_LIQUIDATION_CLOSE_FACTOR,
        max_debt_to_cover=TokenAmount(permitted),
        debt_base=BaseUsd(mul_div_ceil(seizure.debt, pair.owed.price, pair.owed.unit)),
        collateral_base=BaseUsd(seizure.collateral * pair.held.price // pair.held.unit),
        collateral_disabled=disabled,
        deficits=_deficits(market, position, pair, now, seizure) if bankrupt else (),
    )


def _max_debt(pair: _Pair) -> int:
    """Return the most that one call may repay: all, or 50 % of the account's whole debt for large and mild cases."""
    debt_base = mul_div_ceil(pair.debt_balance, pair.owed.price, pair.owed.unit)
    collateral_base = pair.collateral_balance * pair.held.price // pair.held.unit
    if (
        collateral_base >= MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD
        and debt_base >= MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD
        and pair.account.health_factor > CLOSE_FACTOR_HF_THRESHOLD
    ):
        half = percent_mul_half_up(pair.account.total_debt_base, DEFAULT_LIQUIDATION_CLOSE_FACTOR)
        if debt_base > half:
            return half * pair.owed.unit // pair.owed.price
    return pair.debt_balance


def _seize(pair: _Pair, debt: int) -> _Seizure:
    """Return the amounts for a permitted `debt` (_calculateAvailableCollateralToLiquidate)."""
    exact = pair.revision is not Revision.V3_6
    held, owed = pair.held, pair.owed
    base = owed.price * debt * held.unit // (held.price * owed.unit)
    seized = percent_mul_floor(base, pair.bonus) if exact else percent_mul_half_up(base, pair.bonus)
    if seized > pair.collateral_balance:
        seized = pair.collateral_balance
        debt = percent_div_ceil(held.price * seized * owed.unit // (owed.price * held.unit), pair.bonus)
    fee_rate = pair.collateral.liquidation_protocol_fee
    if not fee_rate or not pair.bonus:
        return _Seizure(debt, seized, 0)
    if exact:
        fee = percent_mul_ceil(seized - percent_div_floor(seized, pair.bonus), fee_rate)
    else:
        fee = percent_mul_half_up(seized - percent_div_half_up(seized, pair.bonus), fee_rate)
    return _Seizure(debt, seized - fee, fee)


def _refuse_amounts(pair: _Pair, seizure: _Seizure) -> QuoteRefusal | None:
    if seizure.collateral == 0 or ray_div_floor(seizure.debt, pair.owed.debt_index) == 0:
        return QuoteRefusal.AMOUNT_TOO_SMALL
    left_debt = pair.debt_balance - seizure.debt
    left_collateral = pair.collateral_balance - seizure.collateral - seizure.fee
    if left_debt > 0 and left_collateral > 0:
        debt_base = mul_div_ceil(left_debt, pair.owed.price, pair.owed.unit)
        collateral_base = left_collateral * pair.held.price // pair.held.unit
        if min(debt_base, collateral_base) < MIN_LEFTOVER_BASE:
            return QuoteRefusal.MUST_NOT_LEAVE_DUST
    if seizure.collateral > pair.collateral.virtual_underlying_balance:
        return QuoteRefusal.NOT_ENOUGH_LIQUIDITY
    return None


def _what_is_left(pair: _Pair, seizure: _Seizure) -> tuple[bool, bool]:
    """Tell whether the collateral flag is cleared, and whether the account has no collateral left at all."""
    held = pair.held
    total = pair.account.total_collateral_base
    if pair.revision is Revision.V3_6:
        taken = seizure.collateral + seizure.fee
        return taken == pair.collateral_balance, taken * held.price // held.unit == total
    scaled = ray_div_ceil(seizure.collateral, held.income) + ray_div_ceil(seizure.fee, held.income)
    scaled = min(scaled, pair.scaled_collateral)
    bankrupt = ray_mul_floor(scaled, held.income) * held.price // held.unit == total
    return scaled == pair.scaled_collateral or bankrupt, bankrupt


def _fee_transferred(pair: _Pair, seizure: _Seizure) -> int:
    """Return the fee as capped at the scaled balance that seizing the collateral, rounded up, leaves."""
    index = pair.held.income
    rest = pair.scaled_collateral - ray_div_ceil(seizure.collateral, index)
    return seizure.fee if ray_div_ceil(seizure.fee, index) <= rest else ray_mul_floor(rest, index)


def _deficits(
    market: Market, position: Position, pair: _Pair, now: int, seizure: _Seizure
) -> tuple[tuple[int, TokenAmount], ...]:
    """Return the bad debt of an account without collateral; debts in inactive reserves stay (_burnBadDebt)."""
    assets = market.valuation(now).assets
    left = {pair.debt.id: pair.debt_balance - seizure.debt}
    for reserve_id, scaled in position.debt:
        if reserve_id != pair.debt.id and market.reserves[reserve_id].active:
            left[reserve_id] = ray_mul_ceil(scaled, assets[reserve_id].debt_index)
    return tuple((reserve_id, TokenAmount(amount)) for reserve_id, amount in left.items() if amount)


def _largest_that_fits(pair: _Pair, asked: int) -> int:
    """Return the largest debt up to `asked` that leaves no dust and seizes no more than the reserve can pay out.

    Each rule bounds the debt from above: what is left must be worth 1000 USD on both sides, the debt rounded up and the
    collateral down. The result is 0 or negative if nothing fits.
    """
    held, owed = pair.held, pair.owed
    least_debt_left = (MIN_LEFTOVER_BASE - 1) * owed.unit // owed.price + 1
    least_collateral_left = mul_div_ceil(MIN_LEFTOVER_BASE, held.unit, held.price)
    seizable = min(pair.collateral_balance - least_collateral_left, pair.collateral.virtual_underlying_balance)
    return min(asked, pair.debt_balance - least_debt_left, _largest_debt_seizing(pair, seizable))


def _largest_debt_seizing(pair: _Pair, seized: int) -> int:
    """Return the largest debt for which at most `seized` collateral is taken, the fee included; inverts `_seize`."""
    half = 0 if pair.revision is not Revision.V3_6 else PERCENTAGE_FACTOR // 2
    base = ((seized + 1) * PERCENTAGE_FACTOR - 1 - half) // pair.bonus
    return ((base + 1) * pair.held.price * pair.owed.unit - 1) // (pair.owed.price * pair.held.unit)
