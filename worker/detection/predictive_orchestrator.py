"""PredictiveOrchestrator: choose who is worth projecting, tell listeners what may come, and mark what was told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from core.config import PredictiveSettings
from core.domain.events import ReserveUpdated
from core.domain.market import Market
from core.domain.messages import PredictionReport
from core.domain.units import PERCENTAGE_FACTOR, Address
from core.ops.metrics import WorkerMetrics
from core.risk.exposures import Book, Exposures, Touched, choose
from core.risk.predictive_engine import CrossingSecond, Outlook, PredictiveCandidate, PredictiveEngine, Scenario
from core.risk.rate_index_tracker import Rates
from core.risk.report_card import ReportCard
from worker.detection.predictive_news import News, PredictiveScenario

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
FALLBACK_SECONDS = 15.0

Clock = Callable[[], float]
Listener = Callable[[PredictiveScenario], None]


class PredictiveOrchestrator:
    """Take prices and rates as they come, project at most once a second, and every 15 s if nobody asks.

    `prestage_hf_bps` is PRESTAGE_HF_BPS, or 0 where no plans are prepared; `clock` is monotonic, in seconds;
    `crossing_second` tells when interest alone takes an account below 1. What is named `now` or `at` are unix seconds
    of the chain. The three slices: accounts below 1.02, those who hold what a price moved, and those who owe in a
    reserve whose rates moved, as far as a scenario can bring them down. Where they are more than
    PREDICTIVE_MAX_USERS_PER_TICK the lowest health factors stay, and the rest is counted.
    """

    def __init__(
        self,
        settings: PredictiveSettings,
        prestage_hf_bps: int,
        book: Book,
        metrics: WorkerMetrics,
        clock: Clock,
        crossing_second: CrossingSecond | None = None,
    ) -> None:
        scenarios = tuple(Scenario(name) for name in dict.fromkeys(settings.predictive_scenarios))
        buffer = settings.predictive_hf_buffer_bps / PERCENTAGE_FACTOR
        self._outlook = Outlook(settings.predictive_horizon_sec, buffer, scenarios)
        self._engine = PredictiveEngine(self._outlook, crossing_second)
        self._card = ReportCard(self._outlook.horizon, scenarios)
        self._settings, self._prestage = settings, prestage_hf_bps / PERCENTAGE_FACTOR
        self._news = News(settings, self._prestage, self._outlook)
        self._book, self._metrics, self._clock = book, metrics, clock
        self._listeners: list[Listener] = []
        self._moved: set[int] = set()
        self._accrued: set[int] = set()
        self._last: tuple[int, float] | None = None  # block and unix second of the last run
        self._ran_at = clock() - INTERVAL_SECONDS
        logger.info(
            "[predictive-engine] Initialized: buffer=%dbps, horizon=%ds",
            settings.predictive_hf_buffer_bps,
            settings.predictive_horizon_sec,
        )

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every PredictiveScenario from now on."""
        self._listeners.append(listener)

    def seed(self, market: Market) -> None:
        """Take all rates and prices of a market that was read as a whole."""
        for reserve in market.reserves.values():
            rates = (reserve.liquidity_rate, reserve.variable_borrow_rate)
            self._engine.update_reserve(
                reserve.id, Rates(reserve.last_update, *rates, reserve.liquidity_index, reserve.variable_borrow_index)
            )
        for reserve_id, price in market.prices.items():
            self.update_price(reserve_id, price, market.timestamp, market.block)

    def update_price(self, reserve_id: int, price: float, at: float, block: int = 0) -> None:
        """Take a reserve's price; one that is not positive, or older than the newest, is counted and left out."""
        try:
            taken = self._engine.update_price(reserve_id, price, at, block)
        except ValueError as error:
            self._metrics.dropped.labels(reason="predictive_price").inc()
            logger.warning("[predictive-engine] a price is left out: %s", error)
            return
        if taken:
            self._moved.add(reserve_id)
        else:
            self._metrics.dropped.labels(reason="predictive_late").inc()

    def update_reserve(self, event: ReserveUpdated) -> None:
        """Take a reserve's new rates and indexes; an older one than the newest is counted and left out."""
        rates = (event.liquidity_rate, event.variable_borrow_rate)
        if self._engine.update_reserve(
            event.reserve, Rates(event.at, *rates, event.liquidity_index, event.variable_borrow_index)
        ):
            self._accrued.add(event.reserve)
        else:
            self._metrics.dropped.labels(reason="predictive_late").inc()

    def tick(self, block: int, now: float) -> list[PredictiveScenario]:
        """Evaluate unless that was done less than a second ago: what was touched waits for the next tick."""
        return self.evaluate(block, now) if self._clock() - self._ran_at >= INTERVAL_SECONDS else []

    def evaluate(self, block: int, now: float, reason: str = "") -> list[PredictiveScenario]:
        """Project the three slices, call the listeners with what is new, and return that.

        An account and scenario are told again when more should be done than before, and after 15 s in any case.
        """
        began = self._clock()
        reason = reason or ("price" if self._moved else "reserve" if self._accrued else "head")
        forecast = self._engine.forecast(now)
        exposures = self._choose(self._engine.reach(forecast, self._prestage))
        found = self._engine.evaluate(exposures, forecast, self._prestage)
        line = self._outlook.line
        candidates = [candidate for candidate in found if candidate.hf_projected < line]
        self._mark(candidates, now)
        events = self._tell(found, exposures, block)
        self._last, self._ran_at = (block, now), began
        self._measure(len(exposures.users), self._clock() - began)
        words = "[predictive-orchestrator] run block=%d reason=%s usersEvaluated=%d candidates=%d"
        level = logging.INFO if events else logging.DEBUG
        logger.log(level, words, block, reason, len(exposures.users), len(candidates))
        for event in events:
            for listener in self._listeners:
                listener(event)
        return events

    def crossed(self, user: Address, at: float) -> tuple[Scenario, ...]:
        """Take that an account fell below 1 at a second; return the scenarios that had foretold it."""
        foretold = self._card.crossed(user, at)
        for scenario in foretold:
            self._metrics.predictive_crossings.labels(scenario=scenario).inc()
        words = ",".join(foretold) or "none"
        logger.info("[predictive-orchestrator] crossing user=%s foretold=%s", user, words)
        return foretold

    def report(self) -> PredictionReport:
        """Return the report card."""
        return self._card.report()

    async def run(self, fallback_seconds: float = FALLBACK_SECONDS) -> None:
        """Evaluate whenever nothing else did for so long; the chain's time is taken to have gone on since."""
        while True:
            await asyncio.sleep(max(0.0, self._ran_at + fallback_seconds - self._clock()))
            passed = self._clock() - self._ran_at
            if passed < fallback_seconds:
                continue
            if self._last is None:
                self._ran_at = self._clock()
                continue
            block, now = self._last
            self.evaluate(block, now + passed, "fallback")

    def _choose(self, reach: float) -> Exposures:
        """Return what the accounts worth projecting have at stake, and forget what was touched."""
        touched = Touched(frozenset(self._moved), frozenset(self._accrued))
        self._moved.clear()
        self._accrued.clear()
        chosen = choose(self._book, touched, reach, self._settings.predictive_max_users_per_tick)
        if chosen.left_out:
            self._metrics.dropped.labels(reason="predictive_cap").inc(chosen.left_out)
        return chosen.exposures

    def _mark(self, candidates: Iterable[PredictiveCandidate], now: float) -> None:
        """Mark the predictions that are due, then open new ones, so that these know the marks."""
        marked = self._card.settle(now)
        for prediction, verdict in marked:
            self._metrics.predictive_scored.labels(scenario=prediction.scenario, verdict=verdict).inc()
        self._card.predict(candidates, now)
        report = self._card.report()
        self._metrics.predictive_open.set(report.open)
        if report.crossings:
            self._metrics.predictive_recall.labels(scenario="any").set(report.recall)
        for score in report.scores:
            scenario = score.scenario
            probability = self._card.probability(Scenario(scenario))
            self._metrics.predictive_probability.labels(scenario=scenario).set(probability)
            if report.crossings:
                self._metrics.predictive_recall.labels(scenario=scenario).set(score.foretold / report.crossings)
            if score.scored:
                self._metrics.predictive_precision.labels(scenario=scenario).set(score.precision)
                self._metrics.predictive_brier.labels(scenario=scenario).set(score.brier)

    def _tell(self, found: Iterable[PredictiveCandidate], exposures: Exposures, block: int) -> list[PredictiveScenario]:
        """Return what listeners have not heard yet."""
        new, became = self._news.of(found, self._clock())
        for scenario, count in became.items():
            self._metrics.predictive_candidates.labels(scenario=scenario).inc(count)
        if not new:
            return []
        debts = dict(zip(exposures.users, (exposures.owed.sum(axis=1) / 1e8).tolist(), strict=True))
        odds = {scenario: self._card.probability(scenario) for scenario in self._outlook.scenarios}
        return self._news.worded(new, block, debts, odds)

    def _measure(self, users: int, seconds: float) -> None:
        self._metrics.predictive_duration.observe(seconds)
        if users and seconds > 0:
            self._metrics.hf_calc_rate.set(users / seconds)
