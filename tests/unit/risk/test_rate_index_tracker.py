"""The tracker's projections are the protocol's own accrual, and its observed growth averages the rates."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from core.domain.units import RAY, SECONDS_PER_YEAR, Ray
from core.risk.rate_index_tracker import Growth, RateIndexTracker, Rates
from tests.unit.domain.builders import NOW, reserve


def rates(at: int, liquidity_rate: int = 0, borrow_rate: int = 0, liquidity: int = RAY, borrow: int = RAY) -> Rates:
    return Rates(at, Ray(liquidity_rate), Ray(borrow_rate), Ray(liquidity), Ray(borrow))


def test_an_unknown_reserve_does_not_grow() -> None:
    tracker = RateIndexTracker()
    assert tracker.project(3, NOW) is None
    assert tracker.growth_between(3, NOW, NOW + 180) == Growth(1.0, 1.0)
    assert tracker.growth_per_second(3) is None


@given(
    st.integers(0, RAY),
    st.integers(0, RAY),
    st.integers(RAY, 3 * RAY),
    st.integers(RAY, 3 * RAY),
    st.integers(0, 10**8),
)
def test_projecting_is_what_the_reserve_itself_would_say(
    liquidity_rate: int, borrow_rate: int, liquidity: int, borrow: int, seconds: int
) -> None:
    tracker = RateIndexTracker()
    assert tracker.update(0, rates(NOW, liquidity_rate, borrow_rate, liquidity, borrow))
    same = reserve(
        0,
        liquidity_rate=Ray(liquidity_rate),
        variable_borrow_rate=Ray(borrow_rate),
        liquidity_index=Ray(liquidity),
        variable_borrow_index=Ray(borrow),
    )
    expected = (same.normalized_income(NOW + seconds), same.normalized_debt(NOW + seconds))
    assert tracker.project(0, NOW + seconds) == expected


def test_growth_ahead_starts_at_the_second_that_is_asked_for() -> None:
    tracker = RateIndexTracker()
    tracker.update(0, rates(NOW, RAY // 10, RAY // 5))
    growth = tracker.growth_between(0, NOW + 1_000, NOW + 1_180)
    assert math.isclose(growth.borrow - 1, 0.2 * 180 / SECONDS_PER_YEAR, rel_tol=1e-4)
    assert math.isclose(growth.liquidity - 1, 0.1 * 180 / SECONDS_PER_YEAR, rel_tol=1e-4)


def test_observed_growth_averages_all_rates_between() -> None:
    tracker = RateIndexTracker()
    slow, fast = RAY // 100, RAY // 10
    halfway = RAY + slow * 1_000 // SECONDS_PER_YEAR
    end = halfway + fast * 1_000 // SECONDS_PER_YEAR
    tracker.update(0, rates(NOW, slow, slow))
    tracker.update(0, rates(NOW + 1_000, fast, fast, halfway, halfway))
    tracker.update(0, rates(NOW + 2_000, fast, fast, end, end))
    growth = tracker.growth_per_second(0)
    assert growth is not None
    assert math.isclose(growth.borrow, (0.01 + 0.1) / 2 / SECONDS_PER_YEAR, rel_tol=1e-4)
    assert math.isclose(growth.liquidity, growth.borrow)


def test_the_last_update_of_a_second_counts_and_an_older_one_is_refused() -> None:
    tracker = RateIndexTracker()
    assert tracker.update(0, rates(NOW, borrow=2 * RAY))
    assert tracker.update(0, rates(NOW, borrow=3 * RAY))
    assert not tracker.update(0, rates(NOW - 1, borrow=4 * RAY))
    assert tracker.project(0, NOW) == (RAY, 3 * RAY)
    assert tracker.growth_per_second(0) is None


def test_only_the_last_updates_are_kept() -> None:
    tracker = RateIndexTracker(updates=2)
    for second in range(5):
        tracker.update(0, rates(NOW + second, borrow=RAY + second * 10**20))
    growth = tracker.growth_per_second(0)
    assert growth is not None
    assert math.isclose(growth.borrow, 1e-7, rel_tol=1e-5)
