"""The book that the grid keeps: who is in a slice, and what they have at stake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.domain.position import Position
from core.domain.units import Address
from core.risk.exposures import GridBook, Touched, choose
from core.risk.hf_grid import HFGrid, Rows
from tests.unit.domain.builders import CBETH, GHO, USDC, WETH, market, position
from tests.unit.risk.crowds import DOLLAR, ETHER, borrower, grid_of, user


def crowd() -> list[Position]:
    """Return 1 to 3 with ether (health factors 0.83 * 2000 / debt), 4 with dollars that owes cbETH, 5 without debt."""
    owes_ether = replace(position({USDC: 10_000 * DOLLAR}, {CBETH: 2 * ETHER}), user=user(4))
    rich = replace(position({WETH: ETHER}, {}), user=user(5))
    return [borrower(1, 1_000, 1_650), borrower(2, 1_000, 1_600), borrower(3, 1_000, 1_000), owes_ether, rich]


def book_of(grid: HFGrid, min_debt: float = 0.0) -> GridBook:
    return GridBook(lambda: grid, min_debt * 10**8)


def people(book: GridBook, rows: Rows) -> list[Address]:
    return list(book.exposures(rows).users)


def chosen(book: GridBook, moved: set[int], accrued: set[int], reach: float = 10.0, cap: int = 10) -> list[Address]:
    return list(choose(book, Touched(frozenset(moved), frozenset(accrued)), reach, cap).exposures.users)


def test_accounts_come_lowest_first() -> None:
    book = book_of(grid_of(market(), *crowd()))
    ranked = book.below(2.0)
    assert people(book, ranked.rows) == [user(1), user(2), user(3), user(4)]
    assert ranked.health_factors == pytest.approx([1_660 / 1_650, 1_660 / 1_600, 1.66, 7_800 / 4_400])
    assert people(book, book.below(1.04).rows) == [user(1), user(2)]


def test_holding_is_either_side_and_borrowing_is_debt() -> None:
    book = book_of(grid_of(market(), *crowd()))
    rows = book.below(2.0).rows
    assert book.holding(rows, {CBETH}).tolist() == book.borrowing(rows, {CBETH}).tolist() == [False] * 3 + [True]
    assert book.holding(rows, {WETH}).tolist() == book.borrowing(rows, {USDC, 99}).tolist() == [True] * 3 + [False]
    assert not book.borrowing(rows, {WETH, GHO}).any()


def test_who_owes_too_little_does_not_count() -> None:
    book = book_of(grid_of(market(), *crowd()), min_debt=1_620)
    assert people(book, book.below(2.0).rows) == [user(1), user(4)]


def test_exposures_are_weighted_collateral_and_debt_in_base_dollars() -> None:
    book = book_of(grid_of(market(), *crowd()))
    at_stake = book.exposures(book.below(2.0).rows[-1:])
    assert at_stake.reserves == at_stake.drivers == (WETH, USDC, CBETH)
    assert at_stake.weighted.tolist() == [pytest.approx([0, 7_800 * 10**8, 0])]
    assert at_stake.owed.tolist() == [pytest.approx([0, 0, 4_400 * 10**8])]


def test_drivers_are_whatever_the_caller_names() -> None:
    grid = grid_of(market(), *crowd())
    book = GridBook(lambda: grid, 0.0, lambda reserve_id: "ETH" if reserve_id in (WETH, CBETH) else "USD")
    assert book.exposures(np.array([0])).drivers == ("ETH", "USD", "ETH")


def test_each_slice_brings_who_belongs_to_it_and_nobody_twice() -> None:
    book = book_of(grid_of(market(), *crowd()))
    assert chosen(book, set(), set()) == [user(1)]
    assert chosen(book, {WETH}, set()) == [user(1), user(2), user(3)]
    assert chosen(book, set(), {CBETH}) == [user(1), user(4)]
    assert chosen(book, {WETH}, {CBETH}) == [user(1), user(2), user(3), user(4)]


def test_what_cannot_come_down_is_left_alone_without_counting_it() -> None:
    book = book_of(grid_of(market(), *crowd()))
    assert chosen(book, {WETH}, {CBETH}, reach=1.04) == [user(1), user(2)]
    assert choose(book, Touched(frozenset({WETH})), 1.04, 10).left_out == 0


def test_the_lowest_stay_under_the_cap_and_the_rest_is_counted() -> None:
    book = book_of(grid_of(market(), *crowd()))
    assert chosen(book, {WETH}, set(), cap=2) == [user(1), user(2)]
    assert choose(book, Touched(frozenset({WETH})), 10.0, 2).left_out == 1


def test_who_is_below_already_takes_nobodys_place() -> None:
    book = book_of(grid_of(market(), borrower(6, 1_000, 1_700), borrower(7, 0, 100), *crowd()))
    assert chosen(book, {WETH}, set(), cap=1) == [user(1)]


def test_an_empty_grid_has_nobody() -> None:
    book = book_of(HFGrid())
    assert chosen(book, {WETH}, {USDC}) == []
    assert people(book, np.array([], dtype=np.intp)) == []
