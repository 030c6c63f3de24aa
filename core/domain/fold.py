"""How events move the market and its accounts, exactly as the contracts do, for revisions 10 and 11.

A position that is folded keeps the aTokens used as collateral and every debt, as the worker reads it. An aToken outside
of that is not followed, so switching one on needs the chain: its balance may have come from anywhere.

Folding assumes that each log is folded once, in the chain's order, over a market and positions of an earlier point: who
reads something again at a block must not fold that block's logs into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from core.domain import events
from core.domain.events import (
    ATokenBurned,
    ATokenMinted,
    ATokenTransferred,
    BalanceEvent,
    CollateralSwitched,
    DebtBurned,
    DebtMinted,
    EModeEntered,
    Event,
    PositionEvent,
)
from core.domain.market import Market, Reserve
from core.domain.position import (
    Position,
    atoken_after_burn,
    atoken_after_mint,
    vtoken_after_burn,
    vtoken_after_mint,
)
from core.domain.units import Address, ScaledAmount, TokenAmount


@dataclass(frozen=True, slots=True)
class Subjects:
    """Hold what an event is about, and so what has to be read again where it cannot be folded.

    `market`: the list of reserves and everything in it. `sources`: the price tree. `contracts`: who is who.
    """

    users: tuple[Address, ...] = ()
    reserves: tuple[int, ...] = ()
    e_modes: tuple[int, ...] = ()
    market: bool = False
    sources: bool = False
    contracts: bool = False


def fold_market(market: Market, event: Event) -> bool:
    """Apply an event to the market; return False where what `subjects` names has to be read again instead.

    That is: a reserve or e-mode category that the market lacks; a category that is new, since bitmaps may have been set
    before it; a liquidation for aTokens in a reserve that may have no debt (the pool accrues it without a log, and the
    borrow index only if there is debt); and every ReserveListed, ContractReplaced, SourceChanged and UnknownSubject.
    Events of positions and prices leave the market as it is and return True.

    The virtual underlying balance follows exactly from Supply, Withdraw, Borrow, Repay, FlashLoan and LiquidationCall;
    between a flash loan's payout and its log the pool's own figure is lower. mintToTreasury moves only the Collector's
    aTokens. Source: SupplyLogic, BorrowLogic, FlashLoanLogic, LiquidationLogic, PoolConfigurator.
    """
    fold = _MARKET_FOLDS.get(type(event))
    return True if fold is None else fold(market, event)


def fold_position(position: Position, event: PositionEvent) -> Position | None:
    """Return one account's position after an event that `subjects` says it is in; None: it has to be read again.

    None comes only from a reserve being switched on as collateral. Raise ValueError where an event takes more than
    there is: then a log is missing, and the position has to be read again, too.
    """
    return _POSITION_FOLDS[type(event)](position, event)


def subjects(event: Event) -> Subjects:
    """Return the accounts, reserves and e-mode categories that an event is about; of a price event there are none."""
    of = _SUBJECTS.get(type(event))
    return _NONE if of is None else of(event)


def _change(market: Market, reserve_id: int, **changes: Any) -> bool:
    reserve = market.reserves.get(reserve_id)
    if reserve is not None:
        market.set_reserve(replace(reserve, **changes))
    return reserve is not None


def _reserve_updated(market: Market, event: events.ReserveUpdated) -> bool:
    return _change(
        market,
        event.reserve,
        liquidity_rate=event.liquidity_rate,
        variable_borrow_rate=event.variable_borrow_rate,
        liquidity_index=event.liquidity_index,
        variable_borrow_index=event.variable_borrow_index,
        last_update=event.at,
    )


def _move_liquidity(market: Market, reserve_id: int, change: int) -> bool:
    reserve = market.reserves.get(reserve_id)
    if reserve is None:
        return False
    return _change(
        market, reserve_id, virtual_underlying_balance=TokenAmount(reserve.virtual_underlying_balance + change)
    )


def _configured(market: Market, event: events.CollateralConfigured) -> bool:
    return _change(
        market,
        event.reserve,
        ltv=event.ltv,
        liquidation_threshold=event.liquidation_threshold,
        liquidation_bonus=event.liquidation_bonus,
    )


def _deficit(market: Market, reserve_id: int, change: int) -> bool:
    reserve = market.reserves.get(reserve_id)
    return reserve is not None and _change(market, reserve_id, deficit=TokenAmount(reserve.deficit + change))


def _liquidated(market: Market, event: events.Liquidated) -> bool:
    """Move what was paid and what was taken; for aTokens nothing is taken, but the reserve accrues without a log."""
    paid = _move_liquidity(market, event.debt, event.debt_to_cover)
    if not event.receive_a_token:
        return _move_liquidity(market, event.collateral, -event.collateral_seized) and paid
    reserve = market.reserves.get(event.collateral)
    accrued = None if reserve is None else _accrued(reserve, event.at)
    if accrued is not None:
        market.set_reserve(accrued)
    return accrued is not None and paid


def _accrued(reserve: Reserve, at: int) -> Reserve | None:
    """Return the reserve as ReserveLogic.updateState leaves it; None where it matters whether anybody owes anything."""
    if reserve.variable_borrow_rate and not reserve.liquidity_rate and reserve.last_update != at:
        return None
    income, debt = reserve.normalized_income(at), reserve.normalized_debt(at)
    return replace(reserve, liquidity_index=income, variable_borrow_index=debt, last_update=at)


def _e_mode_set(market: Market, event: events.EModeCategorySet) -> bool:
    return _change_e_mode(
        market,
        event.category,
        ltv=event.ltv,
        liquidation_threshold=event.liquidation_threshold,
        liquidation_bonus=event.liquidation_bonus,
        label=event.label,
    )


def _e_mode_bit(bitmap: str) -> Callable[[Market, Any], bool]:
    def fold(market: Market, event: events.EModeBitEvent) -> bool:
        category = market.e_modes.get(event.category)
        if category is None or event.reserve not in market.reserves:
            return False
        before, bit = getattr(category, bitmap), 1 << event.reserve
        return _change_e_mode(market, event.category, **{bitmap: before | bit if event.enabled else before & ~bit})

    return fold


def _change_e_mode(market: Market, category_id: int, **changes: Any) -> bool:
    category = market.e_modes.get(category_id)
    if category is not None:
        market.set_e_mode(replace(category, **changes))
    return category is not None


def _unfoldable(_market: Market, _event: Event) -> bool:
    return False


def _collateral(position: Position, reserve: int, scaled: int) -> Position:
    if scaled < 0:
        raise ValueError(f"{position.user} cannot have {scaled} aTokens in reserve {reserve}: a log is missing")
    return position.with_collateral(reserve, ScaledAmount(scaled))


def _debt(position: Position, reserve: int, scaled: int) -> Position:
    if scaled < 0:
        raise ValueError(f"{position.user} cannot owe {scaled} in reserve {reserve}: a log is missing")
    return position.with_debt(reserve, ScaledAmount(scaled))


def _a_token(rule: Callable[[int, int, int, int], int]) -> Callable[[Position, Any], Position]:
    def fold(position: Position, event: BalanceEvent) -> Position:
        if not position.uses_as_collateral(event.reserve):
            return _collateral(position, event.reserve, 0)
        before = position.collateral_of(event.reserve)
        after = rule(before, event.value, event.balance_increase, event.index)
        return _collateral(position, event.reserve, after)

    return fold


def _debt_token(rule: Callable[[int, int, int, int], int]) -> Callable[[Position, Any], Position]:
    def fold(position: Position, event: BalanceEvent) -> Position:
        before = position.debt_of(event.reserve)
        return _debt(position, event.reserve, rule(before, event.value, event.balance_increase, event.index))

    return fold


def _transferred(position: Position, event: ATokenTransferred) -> Position:
    if not position.uses_as_collateral(event.reserve):
        return _collateral(position, event.reserve, 0)
    moved = (event.recipient == position.user) - (event.sender == position.user)
    return _collateral(position, event.reserve, position.collateral_of(event.reserve) + moved * event.scaled)


def _switched(position: Position, event: CollateralSwitched) -> Position | None:
    if event.enabled:
        return None
    return _collateral(position.with_collateral_flag(event.reserve, False), event.reserve, 0)


_MARKET_FOLDS: dict[type, Callable[[Market, Any], bool]] = {
    events.ReserveUpdated: _reserve_updated,
    events.LiquidityMoved: lambda market, event: _move_liquidity(market, event.reserve, event.change),
    events.CollateralConfigured: _configured,
    events.ReserveActiveSet: lambda market, event: _change(market, event.reserve, active=event.value),
    events.ReserveFrozenSet: lambda market, event: _change(market, event.reserve, frozen=event.value),
    events.ReservePausedSet: lambda market, event: _change(market, event.reserve, paused=event.value),
    events.ProtocolFeeSet: lambda market, event: _change(market, event.reserve, liquidation_protocol_fee=event.fee),
    events.GracePeriodSet: lambda market, event: _change(market, event.reserve, grace_period_until=event.until),
    events.DeficitCreated: lambda market, event: _deficit(market, event.reserve, event.amount),
    events.DeficitCovered: lambda market, event: _deficit(market, event.reserve, -event.amount),
    events.Liquidated: _liquidated,
    events.EModeCategorySet: _e_mode_set,
    events.EModeCollateralSet: _e_mode_bit("collateral_bitmap"),
    events.EModeBorrowableSet: _e_mode_bit("borrowable_bitmap"),
    events.EModeLtvZeroSet: _e_mode_bit("ltvzero_bitmap"),
    events.EModeIsolationSet: lambda market, event: _change_e_mode(market, event.category, isolated=event.isolated),
    events.ReserveListed: _unfoldable,
    events.ContractReplaced: _unfoldable,
    events.SourceChanged: _unfoldable,
    events.UnknownSubject: _unfoldable,
}

_POSITION_FOLDS: dict[type, Callable[[Position, Any], Position | None]] = {
    ATokenMinted: _a_token(atoken_after_mint),
    ATokenBurned: _a_token(atoken_after_burn),
    ATokenTransferred: _transferred,
    DebtMinted: _debt_token(vtoken_after_mint),
    DebtBurned: _debt_token(vtoken_after_burn),
    CollateralSwitched: _switched,
    EModeEntered: lambda position, event: position.with_e_mode(event.category),
}

_NONE = Subjects()


def _account(event: Any) -> Subjects:
    return Subjects((event.user,), (event.reserve,))


def _reserve(event: Any) -> Subjects:
    return Subjects(reserves=(event.reserve,))


def _category(event: Any) -> Subjects:
    return Subjects(e_modes=(event.category,))


def _both(first: Any, second: Any) -> tuple[Any, ...]:
    return (first,) if first == second else (first, second)


_SUBJECTS: dict[type, Callable[[Any], Subjects]] = {
    **dict.fromkeys((ATokenMinted, ATokenBurned, DebtMinted, DebtBurned, CollateralSwitched), _account),
    **dict.fromkeys((events.LiquidityMoved, events.DeficitCreated), _account),
    **dict.fromkeys((events.ReserveUpdated, events.DeficitCovered, events.CollateralConfigured), _reserve),
    **dict.fromkeys((events.LtvPending, events.ProtocolFeeSet, events.GracePeriodSet), _reserve),
    **dict.fromkeys((events.ReserveActiveSet, events.ReserveFrozenSet, events.ReservePausedSet), _reserve),
    **dict.fromkeys((events.EModeCategorySet, events.EModeIsolationSet), _category),
    **dict.fromkeys((events.EModeCollateralSet, events.EModeBorrowableSet, events.EModeLtvZeroSet), _category),
    EModeEntered: lambda event: Subjects((event.user,)),
    ATokenTransferred: lambda event: Subjects(_both(event.sender, event.recipient), (event.reserve,)),
    events.Liquidated: lambda event: Subjects((event.user,), _both(event.collateral, event.debt)),
    events.ReserveListed: lambda _: Subjects(market=True, sources=True),
    events.UnknownSubject: lambda _: Subjects(market=True, sources=True),
    events.SourceChanged: lambda _: Subjects(market=True, sources=True),
    events.ContractReplaced: lambda _: Subjects(market=True, sources=True, contracts=True),
}
