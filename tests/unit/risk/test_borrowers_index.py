"""The borrowers index: folded debts, exact positions, the cap, and what a store is told."""

from __future__ import annotations

from core.domain.events import DebtBurned, DebtMinted
from core.domain.position import Position, holdings
from core.domain.units import RAY, Address, Ray, TokenAmount
from core.risk.borrowers_index import BorrowersIndex

USDC, WETH = 0, 1


def user(number: int) -> Address:
    return Address(f"0x{number:040x}")


ADA, BOB = user(1), user(2)


def mint(reserve: int, who: Address, value: int, increase: int = 0, index: int = RAY) -> DebtMinted:
    return DebtMinted(reserve, who, TokenAmount(value), TokenAmount(increase), Ray(index))


def burn(reserve: int, who: Address, value: int, increase: int = 0, index: int = RAY) -> DebtBurned:
    return DebtBurned(reserve, who, TokenAmount(value), TokenAmount(increase), Ray(index))


def test_who_borrows_is_in_and_who_repays_is_out() -> None:
    index = BorrowersIndex(10)
    index.apply(mint(USDC, ADA, 100))
    index.apply(mint(WETH, ADA, 7))
    index.apply(mint(USDC, BOB, 200))
    assert index.borrowers(USDC) == [BOB, ADA]
    assert index.borrowers(WETH) == [ADA]
    assert len(index) == 2
    index.apply(burn(USDC, BOB, 150))
    assert index.borrowers(USDC) == [ADA, BOB]
    index.apply(burn(USDC, BOB, 50))
    assert index.borrowers(USDC) == [ADA]


def test_interest_is_not_lost() -> None:
    """Borrow 100 at index 1, repay all of 150 at index 1.5: Burn says value 100, of which the interest is apart."""
    index = BorrowersIndex(10)
    index.apply(mint(USDC, ADA, 100))
    index.apply(burn(USDC, ADA, 100, increase=50, index=RAY * 3 // 2))
    assert index.borrowers(USDC) == []


def test_a_burn_of_a_stranger_changes_nothing_and_a_larger_one_than_known_takes_him_out() -> None:
    index = BorrowersIndex(10)
    index.apply(burn(USDC, ADA, 100))
    assert index.borrowers(USDC) == []
    assert index.drain() == {}
    index.apply(mint(USDC, ADA, 100))
    index.apply(burn(USDC, ADA, 101))
    assert index.borrowers(USDC) == []


def test_an_exact_position_corrects_everything() -> None:
    index = BorrowersIndex(10)
    index.apply(mint(USDC, ADA, 100))
    index.take(Position(ADA, debt=holdings({WETH: 5})))
    assert index.borrowers(USDC) == []
    assert index.users(WETH) == {ADA: 5}
    index.take(Position(ADA))
    assert len(index) == 0


def test_the_largest_debts_are_kept_and_the_rest_counted() -> None:
    index = BorrowersIndex(8)
    for number in range(1, 21):
        index.put(USDC, user(number), number * 10)
    assert index.borrowers(USDC) == [user(number) for number in range(20, 12, -1)]
    assert len(index.users(USDC)) <= 9
    index.drain()
    assert set(index.users(USDC)) == {user(number) for number in range(13, 21)}
    assert index.left_out == 12
    assert index.borrowers(USDC, limit=2) == [user(20), user(19)]


def test_a_store_is_told_of_the_last_value_once_and_of_who_left() -> None:
    index = BorrowersIndex(10)
    index.put(USDC, ADA, 5)
    index.put(USDC, ADA, 6)
    index.put(WETH, BOB, 7)
    assert index.drain() == {(USDC, ADA): 6, (WETH, BOB): 7}
    assert index.drain() == {}
    index.put(USDC, ADA, 6)
    assert index.drain() == {}
    index.put(USDC, ADA, 0)
    assert index.drain() == {(USDC, ADA): 0}


def test_the_order_follows_changes() -> None:
    index = BorrowersIndex(10)
    index.put(USDC, ADA, 5)
    index.put(USDC, BOB, 6)
    assert index.borrowers(USDC) == [BOB, ADA]
    index.put(USDC, ADA, 7)
    assert index.borrowers(USDC) == [ADA, BOB]
    index.put(USDC, ADA, 0)
    assert index.borrowers(USDC) == [BOB]
