"""What follows every look: the fast lane's single checks, the prediction, and the drift audit.

None of it holds detection up: what asks the node runs in tasks of its own, and nothing here decides what is journaled;
a single check that hits leads back into the pipeline, where the account is confirmed like any other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from core.config import Settings
from core.domain.events import DebtBurned, DebtMinted, Event, ReserveUpdated
from core.domain.messages import PredictionReport, WorkerWarned
from core.domain.units import Address, Wad
from core.errors import ChainError
from core.ops.metrics import WorkerMetrics
from core.risk.borrowers_index import BorrowersIndex
from core.risk.crossings import crossing_second
from core.risk.exposures import GridBook
from core.risk.what_if import FAMILIES
from worker.chain.aave import AaveReader
from worker.chain.logs import Log
from worker.detection.drift_audit import DriftAudit, Sample
from worker.detection.fast_lane import FastLane
from worker.detection.looking import Look, Work
from worker.detection.micro_verify import Hit, MicroTrigger, MicroVerifier
from worker.detection.mirror import Mirror
from worker.detection.predictive_listener import PredictiveListener
from worker.detection.predictive_news import PredictiveScenario
from worker.detection.predictive_orchestrator import PredictiveOrchestrator

logger = logging.getLogger(__name__)

AUDIT_SECONDS = 2.0
NEAR = Wad(102 * 10**16)

Warn = Callable[[WorkerWarned], None]


class Foresight:
    """Compose what looks ahead of one mirror; `on_hit` takes accounts that a single check found below the line."""

    def __init__(
        self,
        settings: Settings,
        mirror: Mirror,
        reader: AaveReader,
        metrics: WorkerMetrics,
        on_hit: Callable[[Hit], None],
        warn: Warn,
    ) -> None:
        self._mirror = mirror
        self._warn = warn
        self._settings = settings
        detection, predictive = settings.detection, settings.predictive
        self._index = BorrowersIndex(predictive.borrowers_index_max_users_per_reserve)
        for position in mirror.positions.values():
            self._index.take(position)
        logger.info("[borrowers-index] Initialized with %d reserves", len(self._index))
        self._verifier = MicroVerifier(detection, reader, metrics, on_hit, time.monotonic)
        self._lane = FastLane(detection, mirror, self._index, self._verifier, metrics)
        self._oracle = self._prediction(metrics) if predictive.predictive_enabled else None
        self.audit = DriftAudit(reader, detection.drift_halt_bps / 10_000)
        self._samples: asyncio.Queue[Sample] = asyncio.Queue(maxsize=1)
        self._sampled_at = 0.0
        mirror.listeners.append(self._on_event)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start the tasks that ask the node, and the prediction's fallback timer."""
        group.create_task(self._verifier.run(), name="micro-verify")
        group.create_task(self._run_audit(), name="drift-audit")
        if self._oracle is not None:
            self._oracle.seed(self._mirror.market)
            group.create_task(self._oracle.run(), name="prediction")

    def follow(self, work: Work, look: Look) -> None:
        """Take what a look found; called after it was journaled."""
        now, market = time.monotonic(), self._mirror.market
        moved = self._mirror.moved
        self._lane.on_prices(moved, look.block, work.heard_at)
        self._lane.on_settled(look.block, now)
        if self._oracle is not None:
            for reserve in moved:
                self._oracle.update_price(reserve, market.prices[reserve], market.timestamp, look.block)
            for user in () if work.scan else look.below:
                self._oracle.crossed(user, market.timestamp)
            self._oracle.tick(look.block, market.timestamp)
        if now - self._sampled_at >= AUDIT_SECONDS and self._samples.empty() and self._mirror.settled_at(look.block):
            self._sampled_at = now
            self._samples.put_nowait(self._sample(look.block))

    def report(self) -> PredictionReport | None:
        """Return the prediction's report card, or None where it is switched off."""
        return self._oracle.report() if self._oracle is not None else None

    def _sample(self, block: int) -> Sample:
        nearest = list(self._mirror.below(NEAR, self._settings.detection.min_debt_base))
        return self.audit.sample(self._mirror, block, nearest, list(self._mirror.positions))

    async def _run_audit(self) -> None:
        while True:
            sample = await self._samples.get()
            try:
                drifted = await self.audit.compare(sample)
            except ChainError as error:
                logger.warning("[drift] block %d could not be compared: %s", sample.block, error)
                continue
            if drifted:
                users = ", ".join(sorted(drifted))
                text = f"Our figures of {users} differ from the chain's at block {sample.block}: not acting on them."
                self._warn(WorkerWarned("drift", text))

    def _on_event(self, event: Event, log: Log) -> None:
        if isinstance(event, DebtMinted | DebtBurned):
            self._index.apply(event)
        self._lane.on_event(event, log.block_number, log.heard_at)
        if self._oracle is not None and isinstance(event, ReserveUpdated):
            self._oracle.update_reserve(event)

    def _prediction(self, metrics: WorkerMetrics) -> PredictiveOrchestrator:
        settings, mirror = self._settings, self._mirror
        execution = settings.execution
        book = GridBook(lambda: mirror.grid, settings.detection.min_debt_base, self._driver)
        prestage = execution.prestage_hf_bps if execution.sprinter_enabled else 0
        oracle = PredictiveOrchestrator(settings.predictive, prestage, book, metrics, time.monotonic, self._crosses)
        oracle.listen(PredictiveListener(metrics, micro_verify=self._verify))
        return oracle

    def _verify(self, event: PredictiveScenario) -> bool:
        user, block = event.candidate.address, event.block
        return self._verifier.want([user], MicroTrigger.PREDICTIVE, block, time.monotonic()).scheduled > 0

    def _driver(self, reserve: int) -> str:
        """Return what moves a reserve's price: staked and wrapped forms move with what they are made of."""
        known = self._mirror.market.reserves.get(reserve)
        symbol = known.symbol.upper() if known else str(reserve)
        return next((family for family in FAMILIES if family in symbol), symbol)

    def _crosses(self, user: Address) -> int | None:
        position, market = self._mirror.positions.get(user), self._mirror.market
        if position is None:
            return None
        try:
            return crossing_second(market, position, market.timestamp, self._settings.predictive.predictive_horizon_sec)
        except LookupError:
            return None
