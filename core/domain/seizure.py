"""The amounts of one liquidation: how much debt may be repaid, how much collateral goes, and what is left.

Source: LiquidationLogic.executeLiquidationCall and _calculateAvailableCollateralToLiquidate. Revision 10 (v3.6) rounds
half-up and looks at unscaled balances where revision 11 (v3.7) rounds for the protocol and looks at scaled ones.
"""

from __future__ import annotations

from typing import NamedTuple

from core.domain.health_factor import UserAccountData
from core.domain.market import AssetValue, Reserve, Revision
from core.domain.units import (
    BaseUsd,
    Bps,
    mul_div_ceil,
    percent_div_ceil,
    percent_div_floor,
    percent_div_half_up,
    percent_mul_ceil,
    percent_mul_floor,
    percent_mul_half_up,
    ray_div_ceil,
    ray_mul_floor,
)

CLOSE_FACTOR_HF_THRESHOLD = 95 * 10**16
DEFAULT_LIQUIDATION_CLOSE_FACTOR = Bps(5_000)
MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD = BaseUsd(2_000 * 10**8)
MIN_LEFTOVER_BASE = BaseUsd(1_000 * 10**8)


class Pair(NamedTuple):
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


class Seizure(NamedTuple):
    """Hold the amounts of one liquidation; the protocol's `fee` comes on top of `collateral`."""

    debt: int
    collateral: int
    fee: int


def collateral_base(pair: Pair, amount: int) -> int:
    """Return an amount of the collateral in base USD, rounded down."""
    return amount * pair.held.price // pair.held.unit


def debt_base(pair: Pair, amount: int) -> int:
    """Return an amount of the debt in base USD, rounded up."""
    return mul_div_ceil(amount, pair.owed.price, pair.owed.unit)


def max_debt(pair: Pair) -> int:
    """Return the most that one call may repay: all, or half of the account's whole debt in mild cases.

    The half is of the debt in all reserves together, so that a smaller debt beside a larger one can be closed in full.
    """
    owed = debt_base(pair, pair.debt_balance)
    if (
        collateral_base(pair, pair.collateral_balance) >= MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD
        and owed >= MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD
        and pair.account.health_factor > CLOSE_FACTOR_HF_THRESHOLD
    ):
        half = percent_mul_half_up(pair.account.total_debt_base, DEFAULT_LIQUIDATION_CLOSE_FACTOR)
        if owed > half:
            return half * pair.owed.unit // pair.owed.price
    return pair.debt_balance


def seize(pair: Pair, debt: int) -> Seizure:
    """Return the amounts for repaying `debt`; where that is worth more than the collateral, less is repaid."""
    half_up = pair.revision is Revision.V3_6
    held, owed = pair.held, pair.owed
    base = owed.price * debt * held.unit // (held.price * owed.unit)
    seized = percent_mul_half_up(base, pair.bonus) if half_up else percent_mul_floor(base, pair.bonus)
    if seized > pair.collateral_balance:
        seized = pair.collateral_balance
        debt = percent_div_ceil(held.price * seized * owed.unit // (owed.price * held.unit), pair.bonus)
    fee_rate = pair.collateral.liquidation_protocol_fee
    if not (fee_rate and seized):
        return Seizure(debt, seized, 0)
    if half_up:
        fee = percent_mul_half_up(seized - percent_div_half_up(seized, pair.bonus), fee_rate)
    else:
        fee = percent_mul_ceil(seized - percent_div_floor(seized, pair.bonus), fee_rate)
    return Seizure(debt, seized - fee, fee)


def leaves_dust(pair: Pair, seizure: Seizure) -> bool:
    """Tell whether debt and collateral both remain, and one of them is worth less than 1000 USD."""
    debt = pair.debt_balance - seizure.debt
    collateral = pair.collateral_balance - seizure.collateral - seizure.fee
    if debt <= 0 or collateral <= 0:
        return False
    return min(debt_base(pair, debt), collateral_base(pair, collateral)) < MIN_LEFTOVER_BASE


def what_is_left(pair: Pair, seizure: Seizure) -> tuple[bool, bool]:
    """Tell whether the reserve's collateral flag is cleared, and whether the account has no collateral left at all."""
    total = pair.account.total_collateral_base
    if pair.revision is Revision.V3_6:
        taken = seizure.collateral + seizure.fee
        return taken == pair.collateral_balance, collateral_base(pair, taken) == total
    index = pair.held.income
    scaled = min(ray_div_ceil(seizure.collateral, index) + ray_div_ceil(seizure.fee, index), pair.scaled_collateral)
    bankrupt = collateral_base(pair, ray_mul_floor(scaled, index)) == total
    return scaled == pair.scaled_collateral or bankrupt, bankrupt


def fee_transferred(pair: Pair, seizure: Seizure) -> int:
    """Return the fee, capped at the scaled balance that is left once the collateral was taken, rounded up."""
    index = pair.held.income
    rest = pair.scaled_collateral - ray_div_ceil(seizure.collateral, index)
    return seizure.fee if ray_div_ceil(seizure.fee, index) <= rest else ray_mul_floor(rest, index)


def largest_that_fits(pair: Pair, debt: int) -> int:
    """Return the largest amount below `debt` that leaves 1000 USD on both sides and that the reserve can pay out.

    `debt` itself must not fit. The result is 0 if nothing does. Seizures only grow with the amount, so it is bisected.
    """
    fits, too_much = 0, debt
    while too_much - fits > 1:
        middle = (fits + too_much) // 2
        if _fits(pair, middle):
            fits = middle
        else:
            too_much = middle
    return fits


def _fits(pair: Pair, debt: int) -> bool:
    seizure = seize(pair, debt)
    left = pair.collateral_balance - seizure.collateral - seizure.fee
    return (
        debt_base(pair, pair.debt_balance - seizure.debt) >= MIN_LEFTOVER_BASE
        and collateral_base(pair, left) >= MIN_LEFTOVER_BASE
        and seizure.collateral <= pair.collateral.virtual_underlying_balance
    )
