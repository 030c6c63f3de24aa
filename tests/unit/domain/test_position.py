from __future__ import annotations

from core.domain.position import Position, borrow_flags, collateral_flags, holdings
from core.domain.units import ScaledAmount
from tests.unit.domain.builders import CBETH, USDC, USER, WETH


def test_user_configuration_has_borrowing_on_even_bits_and_collateral_on_odd_ones() -> None:
    configuration = 0b10_00_01_11
    assert borrow_flags(configuration) == 0b0011
    assert collateral_flags(configuration) == 0b1001
    assert collateral_flags(0) == borrow_flags(0) == 0


def test_the_last_of_128_reserves_has_flags_too() -> None:
    assert borrow_flags(1 << 254) == 1 << 127
    assert collateral_flags(1 << 255) == 1 << 127


def test_holdings_are_ordered_and_without_zeros() -> None:
    assert holdings({CBETH: 5, WETH: 7, USDC: 0}) == ((WETH, 7), (CBETH, 5))


def test_changes_make_a_new_position() -> None:
    empty = Position(USER)
    filled = (
        empty.with_collateral(CBETH, ScaledAmount(3))
        .with_collateral(WETH, ScaledAmount(4))
        .with_debt(USDC, ScaledAmount(5))
        .with_collateral_flag(WETH, True)
        .with_e_mode(1)
    )
    assert filled == Position(
        USER, 1, ((WETH, ScaledAmount(4)), (CBETH, ScaledAmount(3))), ((USDC, ScaledAmount(5)),), 1
    )
    assert empty == Position(USER)
    assert (filled.collateral_of(CBETH), filled.debt_of(USDC), filled.debt_of(WETH)) == (3, 5, 0)
    assert filled.uses_as_collateral(WETH)
    assert not filled.uses_as_collateral(CBETH)
    assert filled.has_debt
    assert not filled.with_debt(USDC, ScaledAmount(0)).has_debt
    assert not filled.with_collateral_flag(WETH, False).uses_as_collateral(WETH)


def test_clearing_a_flag_that_is_not_set_changes_nothing() -> None:
    assert Position(USER).with_collateral_flag(WETH, False) == Position(USER)
