"""The price window: averages as people know them where prices come regularly, and sane where they do not."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from core.risk.price_window import PricePoint, PriceWindow


def window_of(*points: tuple[float, float], size: int = 60) -> PriceWindow:
    window = PriceWindow("ETH", size)
    for at, price in points:
        assert window.add(price, at)
    return window


def walk(seed: int, steps: int, drift: float, volatility: float, spacing: float = 0.0) -> PriceWindow:
    """Return a window of a geometric random walk, at irregular seconds unless a spacing is given."""
    rng, at, log = random.Random(seed), 0.0, math.log(2_000)
    window = PriceWindow("ETH", steps + 1)
    window.add(2_000, at)
    for _ in range(steps):
        step = spacing or rng.uniform(1, 60)
        at += step
        log += drift * step + volatility * math.sqrt(step) * rng.gauss(0, 1)
        window.add(math.exp(log), at)
    return window


def test_an_empty_window_knows_nothing() -> None:
    window = PriceWindow("ETH")
    assert (len(window), window.latest, window.ema(), window.volatility()) == (0, None, None, 0.0)
    assert (window.drift(10.0), window.trend(10.0)) == (0.0, 0.0)


def test_one_price_is_its_own_average_and_goes_nowhere() -> None:
    window = window_of((5.0, 2_000.0))
    assert window.ema(20) == 2_000.0
    assert (window.drift(50.0), window.volatility(), window.trend(50.0)) == (0.0, 0.0, 0.0)


def test_the_ring_keeps_the_last_prices_in_order() -> None:
    window = window_of(*((float(n), 1_000.0 + n) for n in range(100)), size=60)
    assert len(window) == 60
    assert window.latest == PricePoint(1_099.0, 99.0, 0)
    assert window.drift(99.0, n=60) == pytest.approx(math.log(1_099 / 1_040) / 59)


def test_a_window_of_fewer_than_two_prices_is_refused() -> None:
    with pytest.raises(ValueError, match="room for two"):
        PriceWindow("ETH", 1)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_not_positive_is_refused_and_changes_nothing(price: float) -> None:
    window = window_of((1.0, 2_000.0))
    with pytest.raises(ValueError, match="price of ETH must be positive"):
        window.add(price, 2.0)
    assert window.latest == PricePoint(2_000.0, 1.0, 0)


def test_the_last_price_of_a_second_counts_and_an_older_one_is_refused() -> None:
    window = window_of((1.0, 2_000.0), (5.0, 1_990.0))
    assert window.add(1_980.0, 5.0, block=7)
    assert len(window) == 2
    assert not window.add(1_000.0, 4.0)
    assert window.latest == PricePoint(1_980.0, 5.0, 7)


def test_with_regular_steps_the_average_is_the_usual_one() -> None:
    prices = [2_000 + 10 * math.sin(n) for n in range(30)]
    alpha, expected = 2 / 21, prices[0]
    for price in prices[1:]:
        expected += alpha * (price - expected)
    assert window_of(*((15.0 * n, price) for n, price in enumerate(prices))).ema(20) == pytest.approx(expected)


def test_the_average_lies_within_the_prices_and_follows_a_price_that_stands_long() -> None:
    window = window_of((0.0, 100.0), (1.0, 101.0), (2.0, 102.0), (3_600.0, 200.0))
    near = window_of((0.0, 100.0), (1.0, 101.0), (2.0, 102.0), (3.0, 200.0))
    assert 100 < (near.ema(3) or 0) < (window.ema(3) or 0) < 200


def test_volatility_is_that_of_the_walk_whatever_the_spacing() -> None:
    for spacing in (0.0, 1.0, 30.0):
        found = [walk(seed, 500, 0.0, 1e-4, spacing).volatility(501) for seed in range(5)]
        assert np.mean(found) == pytest.approx(1e-4, rel=0.05)


def test_a_straight_slide_has_drift_and_no_volatility() -> None:
    window = window_of(*((10.0 * n, 2_000 * math.exp(-1e-5 * 10 * n)) for n in range(20)))
    assert window.volatility() == pytest.approx(0.0, abs=1e-12)
    assert window.drift(190.0) == pytest.approx(-1e-5)
    assert window.trend(190.0) == pytest.approx(-1e-5)


def test_silence_flattens_the_drift_and_a_short_burst_is_spread() -> None:
    window = window_of((0.0, 2_000.0), (10.0, 1_990.0), (20.0, 1_980.0))
    move = math.log(1_980 / 2_000)
    assert window.drift(20.0) == pytest.approx(move / 20)
    assert window.drift(2_000.0) == pytest.approx(move / 2_000)
    assert window.drift(20.0, least=180.0) == pytest.approx(move / 180)


def test_a_single_jump_is_no_trend() -> None:
    flat = [(10.0 * n, 2_000.0) for n in range(10)]
    assert window_of(*flat, (100.0, 1_900.0)).trend(100.0) == 0.0
    assert window_of(*flat, (300.0, 1_900.0)).trend(300.0) == 0.0
    assert window_of((0.0, 2_000.0), *((at + 300, 1_900.0) for at, _ in flat)).trend(390.0) == 0.0
    assert window_of((0.0, 2_000.0), (1.0, 1_900.0)).trend(1.0) == 0.0


def test_a_fall_that_turned_is_no_trend() -> None:
    falling = [(10.0 * n, 2_000.0 - 20 * n) for n in range(10)]
    window = window_of(*falling)
    assert window.trend(90.0) < 0
    for n, price in enumerate((1_860.0, 1_900.0, 1_940.0)):
        window.add(price, 100.0 + 10 * n)
    assert window.trend(120.0) == 0.0


def test_a_random_walk_shows_a_trend_in_a_minority_of_cases() -> None:
    windows = [walk(seed, 40, 0.0, 1e-4) for seed in range(300)]
    shown = sum(window.trend(window.latest.at) != 0.0 for window in windows if window.latest)
    assert 0 < shown < 100
    assert not any(window.trend(1e6) for window in windows)
