from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from core.domain.health_factor import HFCalculator
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import RAY, WAD, BaseUsd, ScaledAmount
from tests.property.strategies import RESERVES, situations

Situation = tuple[Market, Position, int]
ids = st.integers(0, RESERVES - 1)


def health_factor(market: Market, position: Position, now: int) -> int:
    return HFCalculator().calculate(market, position, now).health_factor


def exact_health_factor(market: Market, position: Position, now: int, lost: int) -> Fraction:
    """Return the unrounded health factor, each balance `lost` token units and `lost` base units to the worse."""
    weighted = debt = Fraction(0)
    for reserve_id, scaled in position.collateral:
        reserve = market.reserves[reserve_id]
        if position.uses_as_collateral(reserve_id):
            inside = position.e_mode and market.e_modes[1].collateral_bitmap >> reserve_id & 1
            threshold = market.e_modes[1].liquidation_threshold if inside else reserve.liquidation_threshold
            balance = Fraction(scaled * reserve.normalized_income(now), RAY) - lost
            value = balance * market.prices[reserve_id] / reserve.unit - lost
            weighted += max(Fraction(0), value) * Fraction(threshold, 10_000)
    for reserve_id, scaled in position.debt:
        reserve = market.reserves[reserve_id]
        balance = Fraction(scaled * reserve.normalized_debt(now), RAY) + lost
        debt += balance * market.prices[reserve_id] / reserve.unit + lost
    return weighted / debt


@given(situations())
def test_rounding_is_for_the_protocol_and_by_one_unit_at_most(situation: Situation) -> None:
    computed = health_factor(*situation)
    assert computed <= exact_health_factor(*situation, lost=0) * WAD + Fraction(1, 20_000)
    assert computed >= exact_health_factor(*situation, lost=1) * WAD - 1


@given(situations(), ids, st.integers(10_000, 20_000))
def test_a_higher_price_of_a_mere_collateral_never_lowers_it(situation: Situation, reserve_id: int, bps: int) -> None:
    market, position, now = situation
    without_debt = position.with_debt(reserve_id, ScaledAmount(0))
    if without_debt.has_debt:
        projected = HFCalculator().project(market, without_debt, now, {reserve_id: bps})
        assert projected.health_factor >= health_factor(market, without_debt, now)


@given(situations(), ids, st.integers(10_000, 20_000))
def test_a_higher_price_of_a_mere_debt_never_raises_it(situation: Situation, reserve_id: int, bps: int) -> None:
    market, position, now = situation
    without_collateral = position.with_collateral_flag(reserve_id, False)
    projected = HFCalculator().project(market, without_collateral, now, {reserve_id: bps})
    assert projected.health_factor <= health_factor(market, without_collateral, now)


@given(situations(), ids, st.integers(1, 10**24))
def test_more_collateral_never_lowers_it_and_more_debt_never_raises_it(
    situation: Situation, reserve_id: int, more: int
) -> None:
    market, position, now = situation
    before = health_factor(market, position, now)
    richer = position.with_collateral(reserve_id, ScaledAmount(position.collateral_of(reserve_id) + more))
    deeper = position.with_debt(reserve_id, ScaledAmount(position.debt_of(reserve_id) + more))
    assert health_factor(market, richer, now) >= before
    assert health_factor(market, deeper, now) <= before


@given(situations(), st.integers(1, 10**8))
def test_time_never_helps_who_earns_nothing(situation: Situation, seconds: int) -> None:
    market, position, now = situation
    debts_only = Position(position.user, position.e_mode, (), position.debt, 0).with_collateral(0, ScaledAmount(0))
    before = HFCalculator().calculate(market, debts_only, now).total_debt_base
    assert HFCalculator().calculate(market, debts_only, now + seconds).total_debt_base >= before


@given(situations())
def test_figures_are_of_one_piece(situation: Situation) -> None:
    market, position, now = situation
    account = HFCalculator().calculate(market, position, now)
    assert account.ltv <= max(9_500, 9_000)
    borrowable = account.total_collateral_base * account.ltv // 10_000
    assert account.available_borrows_base == max(0, borrowable - account.total_debt_base)
    assert HFCalculator().batch(market, [position, position], now) == [account, account]
    assert HFCalculator().project(market, position, now, {}) == account


@given(situations(), ids, st.integers(1, 10**13))
def test_a_kept_valuation_equals_a_fresh_one(situation: Situation, reserve_id: int, price: int) -> None:
    market, position, now = situation
    HFCalculator().calculate(market, position, now)
    market.set_price(reserve_id, BaseUsd(price))
    fresh = Market(
        revision=market.revision, reserves=market.reserves, e_modes=market.e_modes, prices=dict(market.prices)
    )
    assert HFCalculator().calculate(market, position, now) == HFCalculator().calculate(fresh, position, now)
