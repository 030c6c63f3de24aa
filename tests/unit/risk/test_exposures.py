"""The book that the grid keeps: who is in a slice, and what they have at stake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.domain.position import Position
from core.domain.units import Address
from core.risk.exposures import GridBook, Rows, Touched, slices
from core.risk.hf_grid import HFGrid
from tests.unit.domain.builders import CBETH, GHO, USDC, WETH, market, position
from tests.unit.risk.crowds import DOLLAR, ETHER, borrower, grid_of, user


def crowd() -> list[Position]:
    """Return 1 to 3 with ether (health factors 0.83 * 2000 / debt), 4 with dollars that owes cbETH, 5 without debt."""
    owes_ether = replace(position({USDC: 10_000 * DOLLAR}, {CBETH: 2 * ETHER}), user=user(4))
    rich = replace(position({WETH: ETHER}, {}), user=user(5))
    return [borrower(1, 1_000, 1_650), borrower(2, 1_000, 1_600), borrower(3, 1_000, 1_000), owes_ether, rich]


def book_of(grid: HFGrid, min_debt: float = 0.0) -> GridBook:
    return GridBook(lambda: grid, min_debt * 10**8)


def people(book: GridBook, rows: Rows) -> set[Address]:
    return set(book.exposures(rows).users)


def test_each_slice_has_who_belongs_to_it() -> None:
    book = book_of(grid_of(market(), *crowd()))
    assert people(book, book.near(1.02, 10).rows) == {user(1)}
    assert people(book, book.near(1.04, 10).rows) == {user(1), user(2)}
    assert people(book, book.holding({WETH}, 10).rows) == {user(1), user(2), user(3)}
    assert people(book, book.holding({CBETH, USDC}, 10).rows) == {user(1), user(2), user(3), user(4)}
    assert people(book, book.borrowing({CBETH}, 10).rows) == {user(4)}
    assert people(book, book.borrowing({WETH, GHO, 99}, 10).rows) == set()


def test_the_lowest_stay_under_the_cap_and_the_rest_is_counted() -> None:
    book = book_of(grid_of(market(), *crowd()))
    picked = book.holding({WETH}, 2)
    assert people(book, picked.rows) == {user(1), user(2)}
    assert picked.left_out == 1


def test_who_owes_too_little_does_not_count() -> None:
    book = book_of(grid_of(market(), *crowd()), min_debt=1_620)
    assert people(book, book.holding({WETH}, 10).rows) == {user(1)}
    assert people(book, book.near(2.0, 10).rows) == {user(1), user(4)}


def test_exposures_are_weighted_collateral_and_debt_in_base_dollars() -> None:
    book = book_of(grid_of(market(), *crowd()))
    at_stake = book.exposures(book.borrowing({CBETH}, 10).rows)
    assert at_stake.reserves == at_stake.drivers == (WETH, USDC, CBETH)
    assert at_stake.weighted.tolist() == [pytest.approx([0, 7_800 * 10**8, 0])]
    assert at_stake.owed.tolist() == [pytest.approx([0, 0, 4_400 * 10**8])]


def test_drivers_are_whatever_the_caller_names() -> None:
    grid = grid_of(market(), *crowd())
    book = GridBook(lambda: grid, 0.0, lambda reserve_id: "ETH" if reserve_id in (WETH, CBETH) else "USD")
    assert book.exposures(np.array([0])).drivers == ("ETH", "USD", "ETH")


def test_slices_join_without_doubles_and_keep_the_lowest() -> None:
    book = book_of(grid_of(market(), *crowd()))
    everybody = slices(book, Touched(frozenset({WETH}), frozenset({CBETH})), 10)
    assert sorted(book.exposures(everybody.rows).users) == [user(1), user(2), user(3), user(4)]
    assert everybody.left_out == 0
    two = slices(book, Touched(frozenset({WETH}), frozenset({CBETH})), 2)
    assert people(book, two.rows) == {user(1), user(2)}
    assert two.left_out >= 1
    assert people(book, slices(book, Touched(), 10).rows) == {user(1)}


def test_an_empty_grid_has_empty_slices() -> None:
    book = book_of(HFGrid())
    assert len(slices(book, Touched(frozenset({WETH}), frozenset({USDC})), 10).rows) == 0
    assert list(book.exposures(np.array([], dtype=np.intp)).users) == []
