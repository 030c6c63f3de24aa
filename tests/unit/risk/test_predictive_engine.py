"""The engine: scenarios, seconds to the crossing, and who is left out."""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np
import pytest

from core.domain.units import RAY, Address, Ray
from core.risk.exposures import Exposures
from core.risk.predictive_engine import Outlook, PredictiveCandidate, PredictiveEngine, Scenario
from core.risk.rate_index_tracker import Rates
from tests.unit.domain.builders import CBETH, NOW, USDC, WETH
from tests.unit.risk.crowds import user

BASELINE, ADVERSE, EXTREME = Scenario
Row = tuple[dict[int, float], dict[int, float]]


def exposures(*rows: Row, drivers: dict[int, Hashable] | None = None) -> Exposures:
    """Return accounts 1, 2, ... with weighted collateral and debt in dollars by reserve."""
    reserves = (WETH, USDC, CBETH)
    tables = [np.array([[row[side].get(r, 0.0) for r in reserves] for row in rows]).reshape(-1, 3) for side in (0, 1)]
    named = tuple((drivers or {}).get(r, r) for r in reserves)
    return Exposures([user(n + 1) for n in range(len(rows))], reserves, named, tables[0], tables[1])


def ratio(health_factor: float) -> Row:
    """Return an account with ether against dollars."""
    return {WETH: 1_000 * health_factor}, {USDC: 1_000.0}


def found(
    engine: PredictiveEngine, book: Exposures, limit: float = 0.0
) -> dict[tuple[Address, Scenario], PredictiveCandidate]:
    return {(each.address, each.scenario): each for each in engine.evaluate(book, engine.forecast(NOW), limit)}


def sliding(engine: PredictiveEngine, per_second: float, reserve_id: int = WETH) -> None:
    for n in range(30):
        assert engine.update_price(reserve_id, 2_000 * math.exp(per_second * (10 * n - 290)), NOW - 290 + 10 * n)


def test_the_shocks_are_one_and_two_percent_of_collateral() -> None:
    candidates = found(PredictiveEngine(Outlook()), exposures(ratio(1.003), ratio(1.012), ratio(1.022), ratio(1.03)))
    assert set(candidates) == {
        (user(1), BASELINE), (user(1), ADVERSE), (user(1), EXTREME), (user(2), ADVERSE), (user(2), EXTREME),
        (user(3), EXTREME),
    }  # fmt: skip
    assert candidates[user(1), BASELINE].hf_projected == pytest.approx(1.003)
    assert candidates[user(2), ADVERSE].hf_projected == pytest.approx(1.012 * 0.99)
    assert candidates[user(3), EXTREME].hf_projected == pytest.approx(1.022 * 0.98)
    assert candidates[user(3), EXTREME].hf_current == pytest.approx(1.022)


def test_only_the_scenarios_asked_for_are_evaluated() -> None:
    engine = PredictiveEngine(Outlook(scenarios=(EXTREME,)))
    assert {scenario for _, scenario in found(engine, exposures(ratio(1.001)))} == {EXTREME}


def test_the_seconds_follow_a_geometric_way_to_the_horizon() -> None:
    candidates = found(PredictiveEngine(Outlook(horizon=180)), exposures(ratio(1.005), ratio(1.012)))
    expected = 180 * math.log(1.005) / -math.log(0.99)
    assert candidates[user(1), ADVERSE].eta_sec == pytest.approx(expected)
    assert (candidates[user(2), ADVERSE].eta_sec or 0) > 180


def test_one_that_does_not_fall_has_no_seconds() -> None:
    assert found(PredictiveEngine(Outlook()), exposures(ratio(1.003)))[user(1), BASELINE].eta_sec is None


def test_those_below_one_already_and_those_without_debt_are_no_predictions() -> None:
    engine = PredictiveEngine(Outlook())
    assert found(engine, exposures(ratio(0.9999), ({WETH: 5.0}, {}), ({}, {}))) == {}
    assert found(engine, exposures()) == {}


def test_a_higher_limit_brings_more_than_candidates() -> None:
    candidates = found(PredictiveEngine(Outlook()), exposures(ratio(1.02), ratio(1.021)), limit=1.02)
    assert (user(1), BASELINE) in candidates
    assert (user(2), BASELINE) not in candidates


def test_a_slide_that_goes_on_crosses_when_it_says() -> None:
    engine = PredictiveEngine(Outlook(horizon=180))
    sliding(engine, -1e-4)
    candidate = found(engine, exposures(ratio(1.01)))[user(1), BASELINE]
    assert candidate.hf_projected == pytest.approx(1.01 * math.exp(-1e-4 * 180))
    assert candidate.eta_sec == pytest.approx(math.log(1.01) / 1e-4)


def test_a_price_that_rises_takes_debt_in_it_below() -> None:
    engine = PredictiveEngine(Outlook())
    sliding(engine, 1e-4)
    candidates = found(engine, exposures(({USDC: 1_010.0}, {WETH: 1_000.0}), ratio(1.003)))
    assert candidates[user(1), BASELINE].eta_sec == pytest.approx(math.log(1.01) / 1e-4)
    assert (user(2), BASELINE) not in candidates


def test_what_moves_together_does_not_fall_against_itself() -> None:
    staked: Row = ({CBETH: 1_005.0}, {WETH: 1_000.0})
    together: dict[int, Hashable] = {WETH: "ETH", CBETH: "ETH"}
    engine = PredictiveEngine(Outlook())
    assert found(engine, exposures(staked, drivers=together)) == {}
    assert {scenario for _, scenario in found(engine, exposures(staked))} == {ADVERSE, EXTREME}


def test_only_the_driver_with_more_collateral_than_debt_falls() -> None:
    mixed: Row = ({USDC: 900.0, WETH: 110.0}, {WETH: 1_000.0})
    candidate = found(PredictiveEngine(Outlook()), exposures(mixed))[user(1), ADVERSE]
    assert candidate.hf_projected == pytest.approx((900 * 0.99 + 110) / 1_000)


def rates(borrow: float) -> Rates:
    return Rates(NOW, Ray(0), Ray(int(borrow * RAY)), Ray(RAY), Ray(RAY))


def test_interest_alone_has_its_exact_second() -> None:
    engine = PredictiveEngine(Outlook(horizon=180), {user(1): NOW + 77, user(2): None}.get)
    engine.update_reserve(USDC, rates(0.5))
    candidates = found(engine, exposures(ratio(1 + 1e-6), ratio(1 + 1.5e-6), ratio(1.003)))
    assert candidates[user(1), BASELINE].eta_sec == 77
    assert candidates[user(2), BASELINE].eta_sec is None
    assert (candidates[user(3), BASELINE].eta_sec or 0) > 180


def test_where_nobody_tells_the_exact_second_it_is_estimated() -> None:
    engine = PredictiveEngine(Outlook(horizon=180))
    engine.update_reserve(USDC, rates(0.5))
    eta = found(engine, exposures(ratio(1 + 1e-6)))[user(1), BASELINE].eta_sec
    assert eta == pytest.approx(1e-6 * 31_536_000 / 0.5, rel=1e-3)


def test_with_a_price_trend_interest_is_not_asked_about() -> None:
    asked: list[Address] = []
    engine = PredictiveEngine(Outlook(), asked.append)
    sliding(engine, -1e-5)
    found(engine, exposures(ratio(1 + 1e-6)))
    assert asked == []
    found(PredictiveEngine(Outlook(), asked.append), exposures(ratio(1 + 1e-7), ratio(1.1)))
    assert asked == [user(1)]


def test_beyond_its_reach_nobody_becomes_a_candidate() -> None:
    engine = PredictiveEngine(Outlook())
    assert engine.reach(engine.forecast(NOW)) == pytest.approx(1.004 / 0.98)
    assert engine.reach(engine.forecast(NOW), 1.02) == pytest.approx(1.02 / 0.98)
    sliding(engine, -1e-5, WETH)
    sliding(engine, 1e-5, USDC)
    engine.update_reserve(USDC, rates(0.5))
    reach = engine.reach(engine.forecast(NOW))
    assert reach == pytest.approx(1.004 / 0.98 * math.exp(2e-5 * 180), rel=1e-5)
    assert (user(1), EXTREME) not in found(engine, exposures(ratio(reach)))
    assert (user(1), EXTREME) in found(engine, exposures(ratio(reach * (1 - 1e-6))))
