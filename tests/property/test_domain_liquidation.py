from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import ceil, floor

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.domain.health_factor import HFCalculator
from core.domain.liquidation import CloseFactorMode, LiquidationQuote, QuoteRefusal, best_quote, quote
from core.domain.market import Market, Revision
from core.domain.position import Position
from core.domain.units import RAY, UINT256_MAX, TokenAmount
from tests.property.strategies import situations

DOLLAR = 10**8
Situation = tuple[Market, Position, int]


def half_up(exact: Fraction) -> int:
    return floor(exact + Fraction(1, 2))


@st.composite
def under_water(draw: st.DrawFn) -> Situation:
    """Draw an account below one: its debts are grown by what puts its health factor at 0.80 to 0.9999."""
    market, position, now = draw(situations())
    account = HFCalculator().calculate(market, position, now)
    assume(account.health_factor > 0)
    target = draw(st.one_of(st.integers(6_000, 9_500), st.integers(9_500, 9_999))) * 10**14
    factor = Fraction(account.health_factor, target)
    for reserve_id, scaled in position.debt:
        position = position.with_debt(reserve_id, type(scaled)(max(1, ceil(scaled * factor))))
    assume(HFCalculator().calculate(market, position, now).health_factor < 10**18)
    return market, position, now


def pairs(position: Position) -> list[tuple[int, int]]:
    used = [reserve_id for reserve_id, _ in position.collateral if position.uses_as_collateral(reserve_id)]
    return list(product(used, [reserve_id for reserve_id, _ in position.debt]))


def balances(situation: Situation, collateral: int, debt: int) -> tuple[int, int]:
    market, position, now = situation
    held = floor(Fraction(position.collateral_of(collateral) * market.reserves[collateral].normalized_income(now), RAY))
    owed = ceil(Fraction(position.debt_of(debt) * market.reserves[debt].normalized_debt(now), RAY))
    return held, owed


def reference(situation: Situation, collateral: int, debt: int, bonus: int, repay: int) -> tuple[int, int, int]:
    """Return debt, collateral and fee in exact fractions, rounded as each revision's words say."""
    market, _, _ = situation
    old = market.revision is Revision.V3_6
    k, d = market.reserves[collateral], market.reserves[debt]
    price = Fraction(market.prices[debt] * k.unit, market.prices[collateral] * d.unit)
    held, _ = balances(situation, collateral, debt)
    seized = (half_up if old else floor)(Fraction(floor(repay * price) * bonus, 10_000))
    if seized > held:
        seized, repay = held, ceil(Fraction(floor(held / price) * 10_000, bonus))
    fee = Fraction(k.liquidation_protocol_fee, 10_000)
    without_bonus = (half_up if old else floor)(Fraction(seized * 10_000, bonus))
    fee_amount = (half_up if old else ceil)((seized - without_bonus) * fee) if fee else 0
    return repay, seized - fee_amount, fee_amount


@settings(deadline=None)
@given(under_water(), st.one_of(st.none(), st.integers(1, 1_100)))
def test_every_quote_keeps_the_protocols_rules(situation: Situation, share: int | None) -> None:
    market, position, now = situation
    account = HFCalculator().calculate(market, position, now)
    for collateral, debt in pairs(position):
        held, owed = balances(situation, collateral, debt)
        asked = UINT256_MAX if share is None else owed * share // 1_000
        result = quote(market, position, collateral, debt, now, asked)
        if not isinstance(result, LiquidationQuote):
            assert result in (QuoteRefusal.MUST_NOT_LEAVE_DUST, QuoteRefusal.AMOUNT_TOO_SMALL)
            continue
        repay = min(asked, result.max_debt_to_cover)
        expected = reference(situation, collateral, debt, result.liquidation_bonus, repay)
        assert (result.debt_to_cover, result.collateral_seized) == expected[:2]
        assert expected[2] - result.protocol_fee in range(3)
        assert result.debt_to_cover <= result.max_debt_to_cover <= owed
        assert result.collateral_seized + expected[2] <= held
        assert result.close_factor == (10_000 if result.max_debt_to_cover == owed else 5_000)
        if result.close_factor == 5_000:
            assert account.health_factor > 95 * 10**16
        debt_left = (owed - result.debt_to_cover) * Fraction(market.prices[debt], market.reserves[debt].unit)
        held_left = held - result.collateral_seized - expected[2]
        base_left = held_left * Fraction(market.prices[collateral], market.reserves[collateral].unit)
        assert debt_left <= 0 or held_left == 0 or (ceil(debt_left) >= 1_000 * DOLLAR <= floor(base_left))


@settings(deadline=None)
@given(under_water())
def test_deficits_are_all_that_is_left_of_the_debts(situation: Situation) -> None:
    market, position, now = situation
    for collateral, debt in pairs(position):
        result = quote(market, position, collateral, debt, now)
        if isinstance(result, LiquidationQuote) and result.creates_deficit:
            left = {reserve_id: balances(situation, collateral, reserve_id)[1] for reserve_id, _ in position.debt}
            left[debt] -= result.debt_to_cover
            assert dict(result.deficits) == {reserve_id: amount for reserve_id, amount in left.items() if amount}


@settings(deadline=None)
@given(under_water(), st.booleans(), st.integers(1, 999))
def test_no_other_amount_or_pair_pays_more_than_the_best(situation: Situation, scarce: bool, part: int) -> None:
    market, position, now = situation
    if scarce:
        for collateral, _ in pairs(position):
            held, _ = balances(situation, collateral, collateral)
            reserve = market.reserves[collateral]
            short = TokenAmount(held * part // 1_000)
            market.set_reserve(replace(reserve, virtual_underlying_balance=short))
    best = best_quote(market, position, now)
    rivals = [
        quote(market, position, collateral, debt, now, balances(situation, collateral, debt)[1] * share // 100)
        for collateral, debt in pairs(position)
        for share in (1, 10, 25, 50, 75, 90, 99, 100)
    ]
    legal = [rival for rival in rivals if isinstance(rival, LiquidationQuote)]
    if isinstance(best, LiquidationQuote):
        assert best == quote(market, position, best.collateral, best.debt, now, best.call_amount)
        slack = 4 + 2 * sum(market.prices[i] // market.reserves[i].unit for i in (best.collateral, best.debt))
        assert all(rival.gross_profit_base <= best.gross_profit_base + slack for rival in legal)
    else:
        assert not legal


@settings(deadline=None)
@given(under_water(), st.sampled_from(CloseFactorMode))
def test_one_unit_more_than_the_best_would_break_a_rule(situation: Situation, mode: CloseFactorMode) -> None:
    market, position, now = situation
    best = best_quote(market, position, now, mode)
    if isinstance(best, LiquidationQuote):
        _, owed = balances(situation, best.collateral, best.debt)
        wanted = owed // 2 if mode is CloseFactorMode.FIXED50 else UINT256_MAX
        if best.call_amount < wanted:
            more = quote(market, position, best.collateral, best.debt, now, best.call_amount + 1)
            assert more is QuoteRefusal.MUST_NOT_LEAVE_DUST
