"""The orchestrator over a real grid: what it tells, when, to whom, and how it marks itself."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from core.config import PredictiveSettings
from core.domain.events import ReserveUpdated
from core.domain.health_factor import HFCalculator
from core.domain.market import Market
from core.domain.units import RAY, WAD, BaseUsd, Ray
from core.ops.metrics import WorkerMetrics
from core.risk.crossings import crossing_second
from core.risk.exposures import GridBook
from core.risk.predictive_engine import Scenario
from tests.unit.domain.builders import NOW, USDC, WETH, market, position
from tests.unit.risk.crowds import DOLLAR, ETHER, borrower, grid_of, user
from worker.detection.predictive_listener import PredictiveListener
from worker.detection.predictive_news import PredictiveScenario
from worker.detection.predictive_orchestrator import PredictiveOrchestrator

BASELINE, ADVERSE, EXTREME = Scenario
PRESTAGE_BPS = 10_200
CLOSE, NEAR, FAR = user(1), user(2), user(3)


@dataclass
class Bench:
    """Hold an orchestrator over three accounts (health factors 1.0024, 1.0122, 1.0375) and what it told."""

    settings: dict[str, Any] = field(default_factory=dict)
    clock: float = 100.0

    def __post_init__(self) -> None:
        crowd = (borrower(1, 1_000, 1_656), borrower(2, 1_000, 1_640), borrower(3, 1_000, 1_600))
        self.market: Market = market()
        self.grid = grid_of(self.market, *crowd)
        self.metrics = WorkerMetrics(CollectorRegistry())
        self.told: list[PredictiveScenario] = []
        book = GridBook(lambda: self.grid, 0.0)
        settings = PredictiveSettings(**self.settings)
        self.orchestrator = PredictiveOrchestrator(settings, PRESTAGE_BPS, book, self.metrics, lambda: self.clock)
        self.orchestrator.listen(self.told.append)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"liquidbot_{name}", labels)

    def price(self, dollars: float, at: int) -> None:
        self.market.set_price(WETH, BaseUsd(int(dollars * 10**8)))
        self.grid.reprice(self.market, NOW)
        self.orchestrator.update_price(WETH, dollars, at)


def keys(events: list[PredictiveScenario]) -> set[tuple[str, Scenario]]:
    return {(event.candidate.address, event.candidate.scenario) for event in events}


def test_it_tells_what_may_come_and_what_to_do_ahead(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        bench = Bench()
        events = bench.orchestrator.evaluate(7, NOW)
    assert events == bench.told
    of = {(event.candidate.address, event.candidate.scenario): event for event in events}
    assert set(of) == {(who, scenario) for who in (CLOSE, NEAR) for scenario in Scenario}
    assert {key for key, event in of.items() if event.should_micro_verify} == {
        (CLOSE, BASELINE), (CLOSE, ADVERSE), (CLOSE, EXTREME), (NEAR, ADVERSE), (NEAR, EXTREME),
    }  # fmt: skip
    assert all(event.should_prestage and event.should_queue and not event.fast_path for event in events)
    assert of[CLOSE, BASELINE].debt_usd == pytest.approx(1_656)
    assert (of[CLOSE, BASELINE].block, of[CLOSE, BASELINE].trace, of[CLOSE, BASELINE].probability) == (
        7, "predictive-7", 0.5,
    )  # fmt: skip
    assert "[predictive-engine] Initialized: buffer=40bps, horizon=180s" in caplog.messages
    line = "[predictive-orchestrator] run block=7 reason=head usersEvaluated=2 candidates=5"
    assert line in caplog.messages
    assert bench.value("predictive_candidates_total", scenario="adverse") == 2
    assert bench.value("predictive_candidates_total", scenario="baseline") == 1


def test_settings_say_what_is_asked_for() -> None:
    bench = Bench(
        {
            "predictive_scenarios": "extreme",
            "predictive_queue_enabled": False,
            "predictive_micro_verify_enabled": False,
            "predictive_fastpath_enabled": True,
        }
    )
    events = bench.orchestrator.evaluate(7, NOW)
    assert keys(events) == {(CLOSE, EXTREME), (NEAR, EXTREME)}
    assert all(event.fast_path and not event.should_queue and not event.should_micro_verify for event in events)


def test_a_price_brings_its_holders_and_a_rate_its_borrowers(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench({"predictive_hf_buffer_bps": 400})
    assert FAR not in {who for who, _ in keys(bench.orchestrator.evaluate(1, NOW))}
    with caplog.at_level(logging.INFO):
        bench.orchestrator.update_price(WETH, 2_000.0, NOW)
        assert FAR in {who for who, _ in keys(bench.orchestrator.evaluate(2, NOW))}
        assert bench.orchestrator.evaluate(3, NOW) == []
        bench.orchestrator.update_reserve(ReserveUpdated(USDC, Ray(0), Ray(RAY // 20), Ray(RAY), Ray(RAY), NOW))
        assert FAR in {who for who, _ in keys(bench.orchestrator.evaluate(4, NOW))}
    runs = [message for message in caplog.messages if "] run " in message]
    assert [run.split()[3] for run in runs] == ["reason=price", "reason=reserve"]


def test_the_same_is_said_again_after_a_while_or_when_more_is_to_be_done() -> None:
    bench = Bench()
    assert bench.orchestrator.evaluate(1, NOW)
    bench.clock += 14
    assert bench.orchestrator.evaluate(2, NOW + 14) == []
    bench.clock += 1
    assert keys(bench.orchestrator.evaluate(3, NOW + 15)) == keys(bench.told[:6])
    bench.price(1_983.0, NOW + 16)
    assert keys(bench.orchestrator.evaluate(4, NOW + 16)) == {(NEAR, BASELINE), *((FAR, s) for s in (ADVERSE, EXTREME))}
    assert bench.value("predictive_candidates_total", scenario="extreme") == 2


def test_a_tick_runs_once_a_second_and_what_was_touched_waits() -> None:
    bench = Bench()
    assert bench.orchestrator.tick(1, NOW)
    bench.clock += 0.5
    bench.price(1_970.0, NOW + 1)
    assert bench.orchestrator.tick(2, NOW + 1) == []
    bench.clock += 0.5
    assert FAR in {who for who, _ in keys(bench.orchestrator.tick(3, NOW + 1))}


def test_more_than_the_cap_are_left_out_aloud() -> None:
    bench = Bench({"predictive_max_users_per_tick": 1})
    assert {who for who, _ in keys(bench.orchestrator.evaluate(1, NOW))} == {CLOSE}
    assert bench.value("events_dropped_total", reason="predictive_cap") == 1


def test_bad_prices_and_late_ones_are_counted_and_change_nothing() -> None:
    bench = Bench()
    for price in (0, -5, math.nan):
        bench.orchestrator.update_price(WETH, price, NOW)
    assert bench.value("events_dropped_total", reason="predictive_price") == 3
    bench.orchestrator.seed(bench.market)
    bench.orchestrator.update_price(WETH, 1_000.0, NOW - 1)
    bench.orchestrator.update_reserve(ReserveUpdated(USDC, Ray(0), Ray(RAY), Ray(RAY), Ray(RAY), NOW - 1))
    assert bench.value("events_dropped_total", reason="predictive_late") == 2


def test_its_own_report_card_is_in_metrics_and_status(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.orchestrator.evaluate(1, NOW)
    assert bench.value("predictive_open") == 3  # -1 % takes one below, -2 % both, and nothing moves the baseline
    assert bench.value("predictive_recall_ratio", scenario="any") is None
    bench.price(1_990.0, NOW + 60)
    with caplog.at_level(logging.INFO):
        assert bench.orchestrator.crossed(CLOSE, NOW + 60) == (ADVERSE, EXTREME)
        assert bench.orchestrator.crossed(user(9), NOW + 60) == ()
    assert f"[predictive-orchestrator] crossing user={CLOSE} foretold=adverse,extreme" in caplog.messages
    assert f"[predictive-orchestrator] crossing user={user(9)} foretold=none" in caplog.messages
    bench.orchestrator.evaluate(2, NOW + 181)
    assert bench.value("predictive_crossings_confirmed_total", scenario="adverse") == 1
    assert bench.value("predictive_scored_total", scenario="adverse", verdict="true") == 1
    assert bench.value("predictive_precision_ratio", scenario="adverse") == 1.0
    assert bench.value("predictive_precision_ratio", scenario="extreme") == 0.5
    assert bench.value("predictive_brier_score", scenario="extreme") == 0.25
    assert bench.value("predictive_recall_ratio", scenario="any") == 0.5
    assert bench.value("predictive_probability_ratio", scenario="adverse") == pytest.approx(2 / 3)
    assert bench.value("predictive_probability_ratio", scenario="extreme") == 0.5
    bench.orchestrator.evaluate(3, NOW + 361)
    assert bench.value("predictive_scored_total", scenario="extreme", verdict="false") == 1
    card = bench.orchestrator.report()
    assert (card.crossings, card.foretold, card.recall) == (2, 1, 0.5)


def test_the_listener_does_what_is_asked_and_counts_what_was_done(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    checked: list[str] = []

    def check_once(event: PredictiveScenario) -> bool:
        checked.append(event.candidate.address)
        return len(checked) == 1

    bench.orchestrator.listen(PredictiveListener(bench.metrics, lambda _: True, check_once, lambda _: True))
    bench.orchestrator.listen(PredictiveListener(bench.metrics))
    with caplog.at_level(logging.INFO):
        bench.orchestrator.evaluate(1, NOW)
    assert len(checked) == 5
    assert bench.value("predictive_ingested_total", scenario="baseline") == 2
    assert bench.value("predictive_prestaged_total", scenario="extreme") == 2
    assert bench.value("predictive_micro_verify_scheduled_total", scenario="baseline") == 1
    assert f"[predictive-listener] micro-verify scheduled user={CLOSE} scenario=baseline" in caplog.messages
    assert f"[predictive-listener] prestage called user={NEAR} scenario=extreme debtUsd=1640.00" in caplog.messages


async def test_the_fallback_runs_when_nobody_else_does(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    orchestrator = PredictiveOrchestrator(
        PredictiveSettings(), PRESTAGE_BPS, GridBook(lambda: bench.grid, 0.0), bench.metrics, time.monotonic
    )
    runs: list[PredictiveScenario] = []
    ran = asyncio.Event()
    with caplog.at_level(logging.INFO):
        task = asyncio.create_task(orchestrator.run(fallback_seconds=0.05))
        await asyncio.sleep(0.2)
        orchestrator.evaluate(5, NOW)
        orchestrator.listen(runs.append)
        orchestrator.listen(lambda _: ran.set())
        bench.price(1_983.0, NOW)
        orchestrator.update_price(WETH, 1_983.0, NOW)
        async with asyncio.timeout(10):
            await ran.wait()
        task.cancel()
    assert runs[0].block == 5
    assert any("run block=5 reason=fallback" in message for message in caplog.messages)
    assert not any("run block=0" in message for message in caplog.messages)


def test_interest_alone_is_told_to_the_exact_second() -> None:
    where = market()
    where.set_reserve(replace(where.reserves[USDC], variable_borrow_rate=Ray(RAY // 2)))
    close = replace(position({WETH: ETHER}, {USDC: 1_660 * DOLLAR - 3_000}), user=CLOSE)
    grid = grid_of(where, close)
    orchestrator = PredictiveOrchestrator(
        PredictiveSettings(),
        0,
        GridBook(lambda: grid, 0.0),
        WorkerMetrics(CollectorRegistry()),
        time.monotonic,
        lambda _: crossing_second(where, close, NOW, 180),
    )
    orchestrator.seed(where)
    eta = {each.candidate.scenario: each.candidate.eta_sec for each in orchestrator.evaluate(1, NOW)}[BASELINE]
    assert eta is not None
    figures = [HFCalculator().calculate(where, close, NOW + int(eta) + step).health_factor for step in (-1, 0)]
    assert figures[1] < WAD <= figures[0]
    assert 100 < eta < 180
