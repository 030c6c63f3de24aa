"""Token events give the scaled balances back exactly, whatever interest lies between them."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from core.domain.position import (
    atoken_after_burn,
    atoken_after_mint,
    borrow_flags,
    collateral_flags,
    vtoken_after_burn,
    vtoken_after_mint,
)
from core.domain.units import RAY, ray_mul_ceil, ray_mul_floor

SCALED = st.integers(0, 2**110)
INDEXES = st.tuples(st.integers(RAY, 5 * RAY), st.integers(RAY, 5 * RAY)).map(sorted)


class Event(NamedTuple):
    """What ScaledBalanceTokenBase emits: a repayment or withdrawal smaller than the interest comes as a Mint."""

    mint: bool
    value: int
    balance_increase: int


def emitted(previous: int, accrued: int, following: int) -> Event:
    """Return the event for a balance valued `previous` at the old index, `accrued` at the new, `following` after."""
    return Event(following > previous, abs(following - previous), accrued - previous)


@given(before=SCALED, after=SCALED, indexes=INDEXES)
def test_atoken_events(before: int, after: int, indexes: list[int]) -> None:
    old, new = indexes
    event = emitted(ray_mul_floor(before, old), ray_mul_floor(before, new), ray_mul_floor(after, new))
    follow = atoken_after_mint if event.mint else atoken_after_burn
    assert follow(before, event.value, event.balance_increase, new) == after


@given(before=SCALED, after=SCALED, indexes=INDEXES)
def test_vtoken_events(before: int, after: int, indexes: list[int]) -> None:
    old, new = indexes
    event = emitted(ray_mul_ceil(before, old), ray_mul_ceil(before, new), ray_mul_ceil(after, new))
    follow = vtoken_after_mint if event.mint else vtoken_after_burn
    assert follow(before, event.value, event.balance_increase, new) == after


@given(st.sets(st.integers(0, 127)), st.sets(st.integers(0, 127)))
def test_user_configuration(borrowed: set[int], collateral: set[int]) -> None:
    data = sum(1 << 2 * i for i in borrowed) | sum(1 << 2 * i + 1 for i in collateral)
    assert borrow_flags(data) == sum(1 << i for i in borrowed)
    assert collateral_flags(data) == sum(1 << i for i in collateral)
