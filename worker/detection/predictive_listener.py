"""What is done ahead about a predicted account: queue it, check it alone, prepare its plan."""

from __future__ import annotations

import logging
from collections.abc import Callable

from core.ops.metrics import WorkerMetrics
from worker.detection.predictive_news import PredictiveScenario

logger = logging.getLogger(__name__)

Action = Callable[[PredictiveScenario], bool]
"""Does something about a prediction; returns False where a cap, an interval or a switch kept it from that."""


class PredictiveListener:
    """Route each PredictiveScenario to what the worker can do, and count what was done; an action may be missing."""

    def __init__(
        self,
        metrics: WorkerMetrics,
        ingest: Action | None = None,
        micro_verify: Action | None = None,
        prestage: Action | None = None,
    ) -> None:
        self._metrics = metrics
        self._ingest = ingest
        self._micro_verify = micro_verify
        self._prestage = prestage

    def __call__(self, event: PredictiveScenario) -> None:
        """Do what the event says should be done."""
        user, scenario = event.candidate.address, event.candidate.scenario
        if event.should_queue and self._ingest and self._ingest(event):
            self._metrics.predictive_ingested.labels(scenario=scenario).inc()
        if event.should_micro_verify and self._micro_verify and self._micro_verify(event):
            self._metrics.predictive_micro_verify.labels(scenario=scenario).inc()
            logger.info("[predictive-listener] micro-verify scheduled user=%s scenario=%s", user, scenario)
        if event.should_prestage and self._prestage and self._prestage(event):
            self._metrics.predictive_prestaged.labels(scenario=scenario).inc()
            line = "[predictive-listener] prestage called user=%s scenario=%s debtUsd=%.2f"
            logger.info(line, user, scenario, event.debt_usd)
