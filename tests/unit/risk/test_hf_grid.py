"""The grid: who is told when, in which order, and about whom integers are asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest

from core.domain.market import Market
from core.domain.units import BaseUsd, Bps
from core.risk.hf_grid import HFGrid
from tests.unit.domain.builders import CBETH, NOW, USDC, WETH, market, position
from tests.unit.risk.crowds import Integers, borrower, grid_of, user

DOLLAR = 10**8


def fallen(grid: HFGrid, decide: Integers, min_debt: float = 0.0) -> list[str]:
    return list(chain.from_iterable(grid.newly_below(1.0, min_debt, decide)))


def set_ether(where: Market, grid: HFGrid, dollars: float) -> None:
    where.set_price(WETH, BaseUsd(int(dollars * DOLLAR)))
    grid.reprice(where, NOW)


def test_each_is_told_once_until_it_recovers() -> None:
    where = market()
    crowd = [borrower(1, 1000, 1600), borrower(2, 1000, 1500), borrower(3, 1000, 100)]
    grid, decide = grid_of(where, *crowd), Integers(where, *crowd)
    assert fallen(grid, decide) == []
    set_ether(where, grid, 1900)
    assert fallen(grid, decide) == [user(1)]
    assert fallen(grid, decide) == []
    set_ether(where, grid, 1800)
    assert fallen(grid, decide) == [user(2)]
    assert grid.recovered(1.0, 0.0, decide) == []
    set_ether(where, grid, 1900)
    assert grid.recovered(1.0, 0.0, decide) == [user(2)]
    set_ether(where, grid, 1800)
    assert fallen(grid, decide) == [user(2)]
    assert decide.asked == []


def test_the_most_missing_comes_first_in_chunks_that_grow() -> None:
    where = market()
    crowd = [borrower(n, 1000 + n, 2000) for n in range(300)]
    grid = grid_of(where, *crowd)
    chunks = list(grid.newly_below(1.0, 0.0, Integers(where, *crowd)))
    assert [len(chunk) for chunk in chunks] == [64, 128, 13]
    assert list(chain.from_iterable(chunks)) == [user(n) for n in range(205)]  # 1.205 ether at 83 % are 2000 dollars


def test_what_happens_between_two_chunks_does_not_touch_the_answer() -> None:
    where = market()
    crowd = [borrower(n, 1000, 2000 + n) for n in range(100)]
    grid = grid_of(where, *crowd)
    chunks = grid.newly_below(1.0, 0.0, Integers(where, *crowd))
    told = next(chunks)
    for each in crowd:
        grid.put(replace(each, debt=()), where)
    assert sorted(told + next(chunks)) == [each.user for each in crowd]
    assert len(grid) == 0


def test_on_the_line_integers_decide_and_only_there() -> None:
    where = market()
    crowd = [borrower(1, 1000, 1660), borrower(2, 1000, 1661), borrower(3, 1000, 1659)]
    crowd.append(replace(crowd[0], user=user(4), debt=((USDC, crowd[0].debt[0][1] + 1),)))
    grid, decide = grid_of(where, *crowd), Integers(where, *crowd)
    assert fallen(grid, decide) == [user(2), user(4)]
    assert decide.asked == [user(1)]


def test_small_debts_are_out_of_scope() -> None:
    where = market()
    crowd = [borrower(1, 10, 49), borrower(2, 10, 50), borrower(3, 10, 51)]
    grid = grid_of(where, *crowd)
    assert set(grid.below(1.0, 50 * DOLLAR)) == {user(2), user(3)}
    decide = Integers(where, *crowd)
    assert fallen(grid, decide, 50 * DOLLAR) == [user(3), user(2)]
    assert decide.asked == [user(2)]


def test_an_account_that_left_and_came_back_is_new() -> None:
    where = market()
    one, other = borrower(1, 10, 100), borrower(2, 10, 100)
    grid, decide = grid_of(where, one, other), Integers(where, one, other)
    assert set(fallen(grid, decide)) == {user(1), user(2)}
    grid.put(replace(one, debt=()), where)
    assert (user(1) in grid, user(2) in grid, grid.users) == (False, True, [user(2)])
    assert fallen(grid, decide) == []
    grid.put(one, where)
    assert fallen(grid, decide) == [user(1)]
    grid.put(replace(one, user=user(9), debt=()), where)
    assert len(grid) == 2


def test_a_rebuild_remembers_who_was_told() -> None:
    where = market()
    one, other = borrower(1, 10, 100), borrower(2, 1000, 100)
    grid, decide = grid_of(where, one, other), Integers(where, one, other)
    fallen(grid, decide)
    where.set_reserve(replace(where.reserves[WETH], liquidation_threshold=Bps(100)))
    grid.rebuild([other, one], where)
    grid.reprice(where, NOW)
    assert fallen(grid, decide) == [user(2)]


def test_what_has_no_price_or_no_known_e_mode_is_left_to_integers() -> None:
    where = market()
    two_kinds = replace(position({WETH: 10**18, CBETH: 10**18}, {USDC: 10**9}), user=user(1))
    odd = replace(borrower(2, 10, 100), e_mode=7)
    grid = grid_of(where, two_kinds, odd)
    where.prices = {id_: price for id_, price in where.prices.items() if id_ != CBETH}
    where.set_price(WETH, BaseUsd(1000 * DOLLAR))
    grid.reprice(where, NOW)
    asked: list[str] = []
    assert list(grid.newly_below(1.0, 0.0, lambda who: bool(asked.append(who)))) == []
    assert sorted(asked) == [user(1), user(2)]


def test_a_reserve_that_the_market_lacks_is_an_error() -> None:
    where = market()
    with pytest.raises(LookupError):
        HFGrid().put(position({77: 10**18}, {USDC: 1}), where)


def test_a_reserve_listed_later_gets_its_column() -> None:
    where = market()
    grid = grid_of(where, borrower(1, 1000, 100))
    where.set_reserve(replace(where.reserves[WETH], id=9))
    grid.put(replace(position({9: 10**18}, {USDC: 10**9}), user=user(2)), where)
    where.set_price(9, BaseUsd(2000 * DOLLAR))
    grid.reprice(where, NOW)
    assert grid.below(1.0) == []
    where.set_price(9, BaseUsd(1000 * DOLLAR))
    grid.reprice(where, NOW)
    assert grid.below(1.0) == [user(2)]
