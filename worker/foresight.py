"""What follows every look: the fast lane's single checks, the prediction, and the drift audit.

None of it holds detection up: what asks the node runs in tasks of its own, and nothing here decides what is journaled;
a single check that hits leads back into the pipeline, where the account is confirmed like any other.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from core.config import Settings
from core.domain.events import Event, ReserveUpdated
from core.domain.messages import PredictionReport, WorkerWarned
from core.domain.units import PERCENTAGE_FACTOR, Address, Wad
from core.errors import ChainError
from core.ops.metrics import WorkerMetrics
from core.risk.crossings import crossing_second
from core.risk.exposures import GridBook
from core.risk.what_if import FAMILIES
from worker.chain.logs import Log
from worker.chain.rpc import Rpc
from worker.collectors.borrowers import Progress
from worker.collectors.borrowers_index import BorrowersIndexService
from worker.collectors.pending import pending_poller
from worker.detection.drift_audit import DriftAudit, Sample
from worker.detection.fast_lane import FastLane
from worker.detection.looking import Look, Work
from worker.detection.micro_verify import Hit, MicroTrigger, MicroVerifier
from worker.detection.predictive_listener import PredictiveListener
from worker.detection.predictive_news import PredictiveScenario
from worker.detection.predictive_orchestrator import PredictiveOrchestrator
from worker.startup import Scene

logger = logging.getLogger(__name__)

AUDIT_SECONDS = 2.0
NEAR = Wad(102 * 10**16)

RECHECKS = 50
"""How many of the borrowers of touched reserves are added to one audit."""

Check = Callable[[Address, str, float], None]
"""Takes an account that a single check found below the line, the words for it, and the second it was caused at."""

Distrust = Callable[[frozenset[Address], bool, list[WorkerWarned]], Awaitable[None]]
"""Takes whose figures drift, whether so many do that none is trusted, and what the operator is to be told."""


class Foresight:
    """Compose what looks ahead of one mirror; `check` takes the hits, `distrust` what the audit found."""

    def __init__(
        self,
        settings: Settings,
        scene: Scene,
        index: BorrowersIndexService,
        metrics: WorkerMetrics,
        check: Check,
        distrust: Distrust,
    ) -> None:
        mirror, reader = scene.mirror, scene.reader
        self._mirror = mirror
        self._distrust = distrust
        self._settings = settings
        self._index = index
        detection, predictive = settings.detection, settings.predictive
        self._verifier = MicroVerifier(detection, reader, metrics, on_hit(check), time.monotonic)
        self._lane = FastLane(detection, mirror, index.index, self._verifier, metrics, self._recheck)
        self._oracle = self._prediction(metrics) if predictive.predictive_enabled else None
        self.audit = DriftAudit(reader, detection.drift_halt_bps / PERCENTAGE_FACTOR)
        self._accrued: dict[int, Log] = {}
        self._rechecks: dict[Address, None] = {}
        self._samples: asyncio.Queue[Sample] = asyncio.Queue(maxsize=1)
        self._sampled_at = 0.0
        mirror.listeners.append(self._on_event)

    async def fill(self, rpc: Rpc, block: int, progress: Progress) -> None:
        """Fill the borrowers index as of `block`, the block of the scene; raise StoreUnavailable or ChainError."""
        if not self._settings.predictive.borrowers_index_enabled:
            return
        detection = self._settings.detection
        if detection.realtime_initial_backfill_enabled:
            await self._index.backfill(rpc, detection, self._settings.chain.start_block, block, progress)
        else:
            await self._index.restore()
        await self._index.start(block)

    async def save(self, block: int) -> None:
        """Save the borrowers index; raise StoreUnavailable."""
        if self._settings.predictive.borrowers_index_enabled:
            await self._index.save(block)

    def start(self, group: asyncio.TaskGroup, rpc: Rpc) -> None:
        """Start the tasks that ask the node, and the prediction's fallback timer."""
        group.create_task(self._verifier.run(), name="micro-verify")
        group.create_task(self._run_audit(), name="drift-audit")
        if self._oracle is not None:
            group.create_task(self._oracle.run(), name="prediction")
        poller = pending_poller(self._settings, rpc, self._lane.on_pending)
        if poller is not None:
            group.create_task(poller.run(), name="pending")

    def follow(self, work: Work, look: Look) -> None:
        """Take what a look found; called after it was journaled."""
        now, market = time.monotonic(), self._mirror.market
        moved = self._mirror.take_moved()
        self._lane.on_prices(moved, look.block, work.heard_at)
        accrued, self._accrued = self._accrued, {}
        for reserve, log in accrued.items():
            self._lane.on_reserve(reserve, "reserve", max(look.block, log.block_number), log.heard_at)
        self._lane.on_settled(look.block, now)
        if self._oracle is not None:
            for reserve in moved & market.prices.keys():
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

    def _recheck(self, users: Sequence[Address], words: str) -> None:
        """Have a reserve's largest borrowers audited when there is time."""
        del words  # the lane has logged them
        self._rechecks.update(dict.fromkeys(users))

    def _sample(self, block: int) -> Sample:
        asked = list(itertools.islice(self._rechecks, RECHECKS))
        for user in asked:
            del self._rechecks[user]
        nearest = list(self._mirror.below(NEAR, self._settings.detection.min_debt_base))
        return self.audit.sample(self._mirror, block, nearest, list(self._mirror.positions), asked)

    async def _run_audit(self) -> None:
        while True:
            sample = await self._samples.get()
            halted = self.audit.halted
            try:
                drifted = await self.audit.compare(sample)
            except ChainError as error:
                logger.warning("[drift] block %d could not be compared: %s", sample.block, error)
                continue
            warnings = []
            if drifted:
                users = ", ".join(sorted(drifted))
                text = f"Our figures of {users} differ from the chain's at block {sample.block}: not acting on them."
                warnings.append(WorkerWarned("drift", text))
            if self.audit.halted and not halted:
                text = "So many accounts differ from the chain's figures that nothing is executed (DRIFT_HALT_BPS)."
                warnings.append(WorkerWarned("drift", text))
            await self._distrust(self.audit.quarantined, self.audit.halted, warnings)

    def _on_event(self, event: Event, log: Log) -> None:
        if self._settings.predictive.borrowers_index_enabled:
            self._index.hear(event, log)
        if isinstance(event, ReserveUpdated):
            self._accrued[event.reserve] = log
            if self._oracle is not None:
                self._oracle.update_reserve(event)

    def _prediction(self, metrics: WorkerMetrics) -> PredictiveOrchestrator:
        settings, mirror = self._settings, self._mirror
        execution = settings.execution
        book = GridBook(lambda: mirror.grid, settings.detection.min_debt_base, self._driver)
        prestage = execution.prestage_hf_bps if execution.sprinter_enabled else 0
        oracle = PredictiveOrchestrator(settings.predictive, prestage, book, metrics, time.monotonic, self._crosses)
        oracle.listen(PredictiveListener(metrics, micro_verify=self._verify))
        oracle.seed(mirror.market)
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


def on_hit(check: Check) -> Callable[[Hit], None]:
    """Return what hands a hit on as a check."""
    return lambda hit: check(hit.user, hit.reason, hit.since)
