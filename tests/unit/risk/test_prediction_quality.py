"""What the predictions are worth on made-up days: a steady slide, a random walk, interest alone, a quiet night."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from core.domain.messages import PredictionReport
from core.domain.units import RAY, Ray
from core.risk.exposures import Exposures
from core.risk.predictive_engine import Outlook, PredictiveEngine
from core.risk.rate_index_tracker import Rates
from core.risk.report_card import ReportCard
from tests.unit.domain.builders import NOW, USDC, WETH
from tests.unit.risk.crowds import user

TICK = 5
HORIZON = 180.0
YEARLY_VOLATILITY = 0.6
SPREAD = 0.2


def day(seconds: int, price_at: Callable[[int], float], rate: float = 0.05, accounts: int = 1_000) -> PredictionReport:
    """Run engine and card over accounts that hold ether and owe dollars, spread evenly up to a health factor of 1.2.

    A price is heard when it moved by 0.05 %, or after ten minutes, and is applied to the accounts there and then.
    """
    engine, card = PredictiveEngine(Outlook(HORIZON)), ReportCard(HORIZON)
    engine.update_reserve(USDC, Rates(NOW, Ray(0), Ray(int(rate * RAY)), Ray(RAY), Ray(RAY)))
    supplied = 1 + SPREAD * (np.arange(accounts) + 1) / accounts
    users = [user(n) for n in range(accounts)]
    heard, heard_at = 0.0, 0
    above = np.ones(accounts, dtype=bool)
    for second in range(0, seconds, TICK):
        price, now = price_at(second), NOW + second
        if abs(price / heard - 1 if heard else 1.0) >= 5e-4 or second - heard_at >= 600:
            engine.update_price(WETH, price, now)
            heard, heard_at = price, second
        owed = engine.rates.growth_between(USDC, NOW, now).borrow
        health = supplied * heard / owed
        for row in np.flatnonzero(above & (health < 1)).tolist():
            card.crossed(users[row], now)
        above = health >= 1
        rows = np.flatnonzero(above & (health < 1.05)).tolist()
        held = np.array([[supplied[row] * heard, 0.0] for row in rows]).reshape(-1, 2)
        debts = np.array([[0.0, owed]] * len(rows)).reshape(-1, 2)
        exposures = Exposures([users[row] for row in rows], (WETH, USDC), (WETH, USDC), held, debts)
        card.settle(now)
        if second < seconds - HORIZON:
            card.predict(engine.evaluate(exposures, engine.forecast(now)), now)
    card.settle(NOW + seconds + 361)
    return card.report()


def walk(seed: int) -> Callable[[int], float]:
    """Return a price that walks at random, the same for the same second."""
    rng = random.Random(seed)
    step = YEARLY_VOLATILITY * math.sqrt(TICK / 31_536_000)

    def prices() -> Iterator[float]:
        log = 0.0
        while True:
            yield math.exp(log)
            log += step * rng.gauss(0, 1)

    each = prices()
    return lambda _: next(each)


def slide(second: int) -> float:
    return math.exp(-3e-5 * max(0, second - 600))


def test_a_slide_is_foretold_and_the_baseline_is_right() -> None:
    report = day(3_600, slide)
    baseline = report.scores[0]
    assert report.crossings > 400
    assert report.recall > 0.98
    assert baseline.precision > 0.95
    assert baseline.foretold / report.crossings > 0.85


def test_a_random_walk_is_foretold_by_the_shocks_and_each_says_how_sure_it_is() -> None:
    reports = [day(4 * 3_600, walk(seed)) for seed in range(2)]
    for report in reports:
        baseline, adverse, extreme = report.scores
        assert report.recall > 0.9
        assert baseline.precision > adverse.precision > extreme.precision
        for score in (adverse, extreme):
            base_rate = score.precision * (1 - score.precision)
            assert score.brier < base_rate + 0.02


def test_interest_alone_is_foretold_to_the_second_by_the_baseline() -> None:
    report = day(7_200, lambda _: 1.0, rate=30.0)
    baseline = report.scores[0]
    assert report.crossings > 30
    assert baseline.foretold >= report.crossings - 1
    assert baseline.precision == 1.0
    assert baseline.early == baseline.late == baseline.false == 0


def test_a_quiet_night_makes_no_baseline_prediction_and_the_shocks_learn_to_be_doubted() -> None:
    report = day(7_200, lambda _: 1.0)
    baseline, adverse, extreme = report.scores
    assert baseline.scored <= 3
    assert adverse.came_true == extreme.came_true == 0
    assert adverse.brier < 0.01
    assert report.recall == pytest.approx(1.0) or report.crossings == 0
