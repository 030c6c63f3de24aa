"""One side's running sums: what moves them, what does not, and when they are made afresh."""

from __future__ import annotations

from itertools import pairwise

import pytest

from core.risk.columns import REFRESH_ERROR, Side


def test_interest_of_seconds_moves_no_column_but_widens_the_margin() -> None:
    side = Side(4)
    side.put(0, {1: 10.0, 2: 5.0})
    side.reprice({1: 3.0, 2: 4.0}, 1)
    fresh = side.uncertainty
    side.reprice({1: 3.0 * (1 + 5e-8), 2: 4.0}, 1)
    assert side.sums[0] == 50.0
    assert fresh + 4e-8 < side.uncertainty < fresh + 6e-8
    side.reprice({1: 3.0 * (1 + 3e-7), 2: 4.0}, 1)
    assert side.sums[0] == pytest.approx(50.0 + 9e-6, abs=1e-12)
    assert side.uncertainty < 1e-13


def test_after_a_fall_that_eats_the_precision_sums_are_made_afresh() -> None:
    side = Side(1)
    side.put(0, {1: 0.1, 2: 0.3})
    side.reprice({1: 1e20, 2: 0.7}, 1)
    side.reprice({1: 1e-9, 2: 0.7}, 1)
    assert side.sums[0] == 0.1 * 1e-9 + 0.3 * 0.7
    side.reprice({2: 0.7}, 1)
    assert side.sums[0] == 0.3 * 0.7
    assert side.uncertainty < REFRESH_ERROR


def test_many_small_moves_end_in_a_fresh_sum() -> None:
    side, value, largest = Side(1), 1000.0, 0.0
    side.put(0, {1: 0.1, 2: 0.3})
    uncertainties = []
    for step in range(5_000):
        value *= 0.99 if step % 2 else 1 / 0.99
        side.reprice({1: value, 2: 7.0}, 1)
        assert abs(side.sums[0] - (0.1 * value + 0.3 * 7.0)) <= side.uncertainty * side.sums[0]
        uncertainties.append(side.uncertainty)
        largest = max(largest, side.uncertainty)
    assert largest <= REFRESH_ERROR
    assert any(later < earlier / 100 for earlier, later in pairwise(uncertainties))
