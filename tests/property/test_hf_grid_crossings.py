"""Crossing prices and crossing seconds against exact figures at moved prices and at every second."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.domain.health_factor import HFCalculator
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import RAY, WAD, BaseUsd, Ray, ScaledAmount
from core.risk.crossings import crossing_prices, crossing_second, crossing_seconds
from core.risk.hf_grid import HFGrid
from tests.property.strategies import RESERVES, accounts, markets, situations
from tests.unit.domain.builders import NOW

SECONDS = 400
REACH = 30 * 86_400


def grid_of(market: Market, position: Position, now: int = NOW) -> HFGrid:
    grid = HFGrid()
    grid.rebuild([position], market)
    grid.reprice(market, now)
    return grid


def exact_ratio(market: Market, position: Position, now: int) -> float:
    """Return the health factor, as a float."""
    return HFCalculator().calculate(market, position, now).health_factor / WAD


@given(situations(), st.sets(st.integers(0, RESERVES - 1), min_size=1), st.integers(5_000, 20_000))
@settings(max_examples=300, deadline=None)
def test_below_at_a_factor_is_below_at_those_prices(
    situation: tuple[Market, Position, int], moving: set[int], bps: int
) -> None:
    market, position, now = situation
    prices = {id_: BaseUsd(price * 10_000) for id_, price in market.prices.items()}  # so that no bps is rounded away
    market = replace(market, prices=prices)
    crossing = crossing_prices(grid_of(market, position, now), moving)
    ratio = exact_ratio(market.repriced(dict.fromkeys(moving, bps)), position, now)
    assume(abs(ratio - 1) > 1e-6)
    assert bool(crossing.below_at(bps / 10_000)[0]) == (ratio < 1)


@st.composite
def near_the_line(draw: st.DrawFn) -> tuple[Market, Position]:
    """Draw an account whose debts are scaled so that it stands a few parts in a million from the line, mostly above."""
    market = draw(markets())
    for reserve in market.reserves.values():
        income, owed = draw(st.sampled_from([0, 1, 5, 30])), draw(st.sampled_from([0, 2, 10, 60, 100]))
        rates = {"liquidity_rate": Ray(income * RAY // 100), "variable_borrow_rate": Ray(owed * RAY // 100)}
        market.set_reserve(replace(reserve, **rates))
    position = draw(accounts(market))
    figures = HFCalculator().calculate(market, position, NOW)
    assume(10**12 < figures.health_factor < 10**24 and figures.total_debt_base > 10**6)
    off = draw(st.integers(-50, 3_000))
    debt = tuple(
        (id_, ScaledAmount(max(1, scaled * figures.health_factor * (10**9 - off) // (WAD * 10**9))))
        for id_, scaled in position.debt
    )
    return market, replace(position, debt=debt)


@given(near_the_line())
@settings(max_examples=60, deadline=None)
def test_the_second_is_the_first_of_all(account: tuple[Market, Position]) -> None:
    market, position = account
    seconds = range(NOW, NOW + SECONDS + 1)
    below = (at for at in seconds if HFCalculator().calculate(market, position, at).health_factor < WAD)
    assert crossing_second(market, position, NOW, SECONDS) == next(below, None)


@given(near_the_line())
@settings(max_examples=150, deadline=None)
def test_the_floats_leave_nobody_out(account: tuple[Market, Position]) -> None:
    market, position = account
    second = crossing_second(market, position, NOW, REACH)
    found = list(crossing_seconds(grid_of(market, position), market, lambda _user: position, NOW, REACH))
    assert found == ([(second, position.user)] if second is not None else [])
