"""What is projected in floats is what integers say of the same future, and the price window keeps its bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.domain.health_factor import HFCalculator
from core.domain.units import WAD
from core.risk.exposures import GridBook
from core.risk.hf_grid import HFGrid
from core.risk.predictive_engine import Outlook, PredictiveEngine, Scenario
from core.risk.price_window import PriceWindow
from core.risk.rate_index_tracker import Rates
from tests.property.strategies import accounts, markets
from tests.unit.domain.builders import NOW

HORIZON = 180


@given(st.data())
def test_the_baseline_is_the_exact_health_factor_at_the_horizon(data: st.DataObject) -> None:
    market = data.draw(markets())
    position = data.draw(accounts(market))
    engine = PredictiveEngine(Outlook(HORIZON, buffer=1e9))
    for each in market.reserves.values():
        rates = (each.liquidity_rate, each.variable_borrow_rate, each.liquidity_index, each.variable_borrow_index)
        engine.update_reserve(each.id, Rates(each.last_update, *rates))
    grid = HFGrid()
    grid.rebuild([position], market)
    grid.reprice(market, NOW)
    exposures = GridBook(lambda: grid, 0.0).exposures(np.array([0]))
    exact_now = HFCalculator().calculate(market, position, NOW)
    exact_then = HFCalculator().calculate(market, position, NOW + HORIZON)
    assume(exact_now.total_debt_base > 10**4 and exact_now.health_factor > 10**14)
    found = {each.scenario: each for each in engine.evaluate(exposures, engine.forecast(NOW))}
    if exact_now.health_factor < WAD * 0.999:
        assert not found
        return
    assume(exact_now.health_factor > WAD * 1.001)
    slack = sum(market.prices[each.id] / each.unit + 1 for each in market.reserves.values())
    roundings = 3 * slack / exact_now.total_debt_base  # the protocol rounds whole token units, and whole base units
    baseline = found[Scenario.BASELINE]
    assert baseline.hf_current == pytest.approx(exact_now.health_factor / WAD, rel=1e-9 + roundings)
    assert baseline.hf_projected == pytest.approx(exact_then.health_factor / WAD, rel=1e-9 + roundings)
    adverse, extreme = found[Scenario.ADVERSE].hf_projected, found[Scenario.EXTREME].hf_projected
    assert baseline.hf_projected * 0.99 * (1 - 1e-12) <= adverse <= baseline.hf_projected * (1 + 1e-12)
    assert baseline.hf_projected * 0.98 * (1 - 1e-12) <= extreme <= adverse * (1 + 1e-12)


@given(st.data())
def test_beyond_the_reach_nobody_is_ever_a_candidate(data: st.DataObject) -> None:
    market = data.draw(markets())
    engine = PredictiveEngine(Outlook(HORIZON))
    slope = st.floats(-1e-4, 1e-4)
    for each in market.reserves.values():
        rates = (each.liquidity_rate, each.variable_borrow_rate, each.liquidity_index, each.variable_borrow_index)
        engine.update_reserve(each.id, Rates(each.last_update, *rates))
        drift = data.draw(slope)
        for step in range(20):
            engine.update_price(each.id, 1_000 * math.exp(drift * 10 * step), NOW - 190 + 10 * step)
    positions = [replace(data.draw(accounts(market)), user=f"0x{n:040x}") for n in range(5)]
    grid = HFGrid()
    grid.rebuild(positions, market)
    grid.reprice(market, NOW)
    forecast = engine.forecast(NOW)
    reach = engine.reach(forecast)
    exposures = GridBook(lambda: grid, 0.0).exposures(np.arange(len(grid)))
    assert all(candidate.hf_current <= reach for candidate in engine.evaluate(exposures, forecast))


POINTS = st.lists(st.tuples(st.floats(0.1, 5_000), st.floats(1e-3, 1e6)), min_size=1, max_size=90)


@given(POINTS, st.integers(1, 60), st.floats(0, 1e5))
def test_a_window_keeps_its_bounds_whatever_comes_when(points: list[tuple[float, float]], n: int, wait: float) -> None:
    window, at = PriceWindow("ETH"), 0.0
    for step, price in points:
        at += step
        assert window.add(price, at)
    prices = [price for _, price in points][-60:]
    average = window.ema(n)
    assert average is not None
    assert min(prices) * (1 - 1e-9) <= average <= max(prices) * (1 + 1e-9)
    assert math.isfinite(window.volatility(n))
    assert window.volatility(n) >= 0
    now = at + wait
    trend = window.trend(now, HORIZON, n)
    assert trend in (0.0, window.drift(now, HORIZON, n))
    assert abs(trend) * HORIZON <= math.log(max(prices) / min(prices)) + 1e-9
