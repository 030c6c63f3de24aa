"""Where an account crosses: the price by arithmetic that can be followed, the second against every second before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.domain.health_factor import HFCalculator
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import RAY, WAD, Ray
from core.risk.crossings import crossing_prices, crossing_second, crossing_seconds
from tests.unit.domain.builders import CBETH, NOW, USDC, WETH, market, position
from tests.unit.risk.crowds import DOLLAR, ETHER, borrower, grid_of, user

ETH = frozenset({WETH, CBETH})
MONTH = 30 * 86_400


def test_collateral_that_moves_crosses_from_above() -> None:
    where = market()
    prices = crossing_prices(grid_of(where, borrower(1, 1000, 830)), ETH)
    assert prices.of() == {user(1): pytest.approx(0.5)}  # 2000 USD at 83 % over 830
    assert prices.falling.tolist() == [True]
    assert prices.below_at(0.51).tolist() == [False]
    assert prices.below_at(0.49).tolist() == [True]
    assert prices.debt_at(0.49)[0] == pytest.approx(830e8)


def test_debt_that_moves_crosses_from_below() -> None:
    where = market()
    short = position({USDC: 4000 * DOLLAR}, {WETH: ETHER})
    prices = crossing_prices(grid_of(where, short), ETH)
    assert prices.factors[0] == pytest.approx(4000 * 0.78 / 2000)
    assert prices.falling.tolist() == [False]
    assert (prices.below_at(1.5)[0], prices.below_at(1.6)[0]) == (False, True)
    assert prices.debt_at(2.0)[0] == pytest.approx(4000e8)


def test_debt_that_moves_with_the_collateral_is_held_against_it() -> None:
    where = market()
    both = position({WETH: 2 * ETHER}, {CBETH: ETHER, USDC: 100 * DOLLAR})
    factor = crossing_prices(grid_of(where, both), ETH).factors[0]
    assert factor == pytest.approx(100 / (2 * 2000 * 0.83 - 2200))


def test_some_never_cross_and_some_always_are_below() -> None:
    where = market()
    apart = replace(position({USDC: 1000 * DOLLAR}, {USDC: 100 * DOLLAR}), user=user(1))
    sunk = replace(position({USDC: 100 * DOLLAR}, {USDC: 100 * DOLLAR}), user=user(2))
    safe = replace(position({WETH: ETHER, USDC: 1000 * DOLLAR}, {USDC: 100 * DOLLAR}), user=user(3))
    broke = replace(position({USDC: 100 * DOLLAR}, {USDC: 100 * DOLLAR, WETH: ETHER}), user=user(4))
    prices = crossing_prices(grid_of(where, apart, sunk, safe, broke), ETH)
    for factor in (0.01, 0.5, 1.0, 2.0):
        assert prices.below_at(factor).tolist() == [False, True, False, True]


def with_rates(income: int, debt: int) -> Market:
    where = market()
    where.set_reserve(replace(where.reserves[WETH], liquidity_rate=Ray(RAY * income // 10_000)))
    where.set_reserve(replace(where.reserves[USDC], variable_borrow_rate=Ray(RAY * debt // 10_000)))
    return where


def brute_force(where: Market, who: Position, horizon: int) -> int | None:
    factors = (HFCalculator().calculate(where, who, NOW + t).health_factor for t in range(horizon + 1))
    return next((NOW + t for t, factor in enumerate(factors) if factor < WAD), None)


@pytest.mark.parametrize(("income", "debt"), [(0, 500), (300, 4000), (4000, 0), (0, 0)])
@pytest.mark.parametrize("margin", [-1, 0, 1, 2, 10, 100])
def test_the_second_is_the_first_of_all_seconds(income: int, debt: int, margin: int) -> None:
    where = with_rates(income, debt)
    who = position({WETH: ETHER}, {USDC: 1660 * DOLLAR - margin})
    expected = brute_force(where, who, 600)
    assert crossing_second(where, who, NOW, 600) == expected
    found = list(crossing_seconds(grid_of(where, who), where, lambda _who: who, NOW, 600))
    assert found == ([(expected, who.user)] if expected is not None else [])


def test_a_balance_that_grows_in_steps_may_dip_before_it_sinks() -> None:
    where = with_rates(4000, 3900)
    who = position({WETH: ETHER}, {USDC: 1660 * DOLLAR - 1})
    where.set_reserve(replace(where.reserves[WETH], decimals=4))
    coarse = replace(who, collateral=((WETH, 10**4),))
    expected = brute_force(where, coarse, 20_000)
    assert expected is not None
    assert crossing_second(where, coarse, NOW, 20_000) == expected


def test_the_soonest_comes_first_and_the_healthy_never() -> None:
    where = with_rates(100, 1000)
    crowd = {each.user: each for each in (borrower(n, 1000, 1660 - n * n) for n in range(1, 7))}
    crowd |= {user(9): borrower(9, 1000, 100)}
    found = list(crossing_seconds(grid_of(where, *crowd.values()), where, crowd.__getitem__, NOW, MONTH))
    assert [who for _, who in found] == [user(n) for n in range(1, 4)]
    for second, who in found:
        before, then = (HFCalculator().calculate(where, crowd[who], at).health_factor for at in (second - 1, second))
        assert then < WAD <= before


def test_what_has_no_price_cannot_cross() -> None:
    where = with_rates(100, 1000)
    who = borrower(1, 1000, 1660)
    grid = grid_of(where, who)
    where.prices = {WETH: where.prices[WETH]}
    assert list(crossing_seconds(grid, where, lambda _who: who, NOW, MONTH)) == []


def test_an_account_that_hugs_the_line_is_answered_in_time() -> None:
    where = with_rates(3000, 2950)
    where.set_reserve(replace(where.reserves[WETH], decimals=2))
    hugging = position({WETH: 10**6}, {USDC: 1660 * 10**4 * DOLLAR - 5})
    second = crossing_second(where, hugging, NOW, 365 * 86_400)
    assert second is None or NOW <= second <= NOW + 365 * 86_400


def test_floats_hold_no_nan() -> None:
    where = market()
    prices = crossing_prices(grid_of(where, borrower(1, 1000, 100), borrower(2, 0, 100)), [])
    assert not np.isnan(prices.factors).any()
    assert prices.below_at(1.0).tolist() == [False, True]
