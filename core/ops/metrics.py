"""Every metric of both processes, each declared once.

Names follow prometheus.io/docs/practices/naming: base units, `_total` for counters, and labels with few values only,
so never an account's address or a transaction's hash.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

from core.version import VERSION

PREFIX = "liquidbot"
DETECTION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 4, 8, 16)
EVALUATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
MILLISECOND_BUCKETS = (1, 2.5, 5, 10, 25, 50, 100, 200, 400, 800, 1_600, 5_000)
SIZE_BUCKETS = (0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000)
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double every counter, and nobody asks when a counter was made


class ProcessMetrics:
    """Hold what both processes say of themselves; every metric lives in the registry that is passed in."""

    def __init__(self, registry: CollectorRegistry, process: str) -> None:
        self.registry = registry
        self._process = process
        build = Info(f"{PREFIX}_build", "Which version runs.", ["process"], registry=registry)
        build.labels(process=process).info({"version": VERSION})
        self.started = self._gauge("process_start_timestamp_seconds", "When the process began.", "process")
        self.started.labels(process=process).set_to_current_time()
        self.heartbeats = self._gauge("heartbeat_timestamp_seconds", "When the process last said it lives.", "process")
        self.settings_version = self._gauge("settings_version", "Version of the controls in use.", "process")
        self.lease_held = self._gauge("lease_held", "1 while this process holds the lease.", "lease")
        self.dropped = self._counter("events_dropped", "Inputs left out, by reason.", "reason")

    def heartbeat(self) -> None:
        """Say that the process lives, now."""
        self.heartbeats.labels(process=self._process).set(time.time())

    def controls(self, version: int) -> None:
        """Say which version of the controls is in use."""
        self.settings_version.labels(process=self._process).set(version)

    def lease(self, name: str, *, held: bool) -> None:
        """Say whether this process holds a lease."""
        self.lease_held.labels(lease=name).set(held)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", help_text, labels, registry=self.registry, buckets=buckets)


class WorkerMetrics(ProcessMetrics):
    """Hold the worker's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "worker")
        self._declare_hearing()
        self._declare_judging()
        self._declare_asking()
        self._declare_verifying()
        self._declare_predicting()

    def _declare_hearing(self) -> None:
        self.head_number = self._gauge("head_block_number", "Number of the last head.")
        self.head_timestamp = self._gauge("head_block_timestamp_seconds", "The chain's time at the last head.")
        self.blocks = self._counter("blocks_received", "Heads received.")
        self.logs = self._counter("aave_logs_received", "Logs of the pool and its tokens received.")
        self.prices = self._counter("price_updates_received", "Price updates received.")
        self.reconnects = self._counter("ws_reconnects", "Times the WebSocket was opened again.")
        self.backfills = self._counter("gap_backfills", "Ranges of blocks read after a gap.")
        self._fed = (0, 0)

    def _declare_judging(self) -> None:
        self.dry_run = self._gauge("dry_run", "1 while nothing is sent.")
        self.dry_run.set(1)
        self.watched_positions = self._gauge("watched_positions", "Watched accounts by health factor.", "band")
        self.candidates = self._gauge("candidates", "Accounts that get attention at every head.")
        self.opportunities = self._counter("opportunities", "Accounts found below a health factor of 1.", "trigger")
        self.skips = self._counter("skips", "Opportunities not acted upon.", "reason")
        self.detection_latency = self._histogram(
            "detection_latency_seconds", "From the frame's arrival to the outbox row.", DETECTION_BUCKETS
        )
        self.health_checks = self._counter("health_checks_performed", "Accounts asked of the chain.")
        self.divergence = self._counter("divergence", "Accounts whose figures differed from the chain's.")

    def _declare_asking(self) -> None:
        self.rpc_requests = self._counter("rpc_requests", "Requests to the node.", "endpoint", "method", "result")
        self.rpc_duration = self._histogram(
            "rpc_request_duration_seconds", "Time of a request to the node.", REQUEST_BUCKETS, "endpoint"
        )

    def _declare_verifying(self) -> None:
        counter, histogram = self._counter, self._histogram
        self.micro_verify = counter("micro_verify", "Speculative checks by how they ended.", "result", "trigger")
        self.micro_verify_latency = histogram(
            "micro_verify_latency_ms", "From a check's scheduling to its answer, in milliseconds.", MILLISECOND_BUCKETS
        )
        self.reserve_fast_subset = counter("reserve_fast_subset", "Accounts of fast subsets checked alone.", "asset")
        self.reserve_first_check = histogram(
            "reserve_event_to_first_microverify_ms",
            "From a reserve's event to the first answer of its fast subset, in milliseconds.",
            MILLISECOND_BUCKETS,
            "reserve",
        )
        self.reserve_rechecks = counter("reserve_rechecks", "Borrowers judged again by cause.", "asset", "source")
        self.subset_intersection = histogram(
            "subset_intersection_size", "Near-critical borrowers of a touched reserve.", SIZE_BUCKETS, "trigger"
        )
        self.borrowers_index = self._gauge("borrowers_index_users", "Indexed borrowers of a reserve.", "asset")

    def _declare_predicting(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.predictive_candidates = counter("predictive_candidates", "Accounts that became candidates.", "scenario")
        self.predictive_ingested = counter("predictive_ingested", "Candidates taken into the queue.", "scenario")
        self.predictive_micro_verify = counter(
            "predictive_micro_verify_scheduled", "Candidates whose single check was scheduled.", "scenario"
        )
        self.predictive_prestaged = counter("predictive_prestaged", "Candidates whose plan was prepared.", "scenario")
        self.predictive_crossings = counter(
            "predictive_crossings_confirmed", "Accounts that fell below 1 with a prediction open.", "scenario"
        )
        self.predictive_scored = counter("predictive_scored", "Predictions by verdict.", "scenario", "verdict")
        self.predictive_open = gauge("predictive_open", "Predictions whose horizon has not ended.")
        self.predictive_precision = gauge("predictive_precision_ratio", "Predictions that came true.", "scenario")
        self.predictive_recall = gauge("predictive_recall_ratio", "Crossings that were foretold.", "scenario")
        self.predictive_brier = gauge("predictive_brier_score", "Mean squared error of the probability.", "scenario")
        self.predictive_probability = gauge("predictive_probability_ratio", "Probability told from now on.", "scenario")
        self.hf_calc_rate = gauge("hf_calc_users_per_sec", "Accounts projected a second, in the last run.")
        self.predictive_duration = self._histogram(
            "predictive_evaluation_seconds", "Time of one predictive run.", EVALUATION_BUCKETS
        )

    def head(self, number: int, timestamp: int) -> None:
        """Count a head; `timestamp` is the block's, in unix seconds."""
        self.blocks.inc()
        self.head_number.set(number)
        self.head_timestamp.set(timestamp)

    def feed(self, reconnects: int, gaps: int) -> None:
        """Take over the feed's own totals, which grow."""
        before, self._fed = self._fed, (reconnects, gaps)
        self.reconnects.inc(max(0, reconnects - before[0]))
        self.backfills.inc(max(0, gaps - before[1]))

    def watched(self, bands: Mapping[str, int]) -> None:
        """Say how many accounts are watched in each band of the health factor."""
        for band, count in bands.items():
            self.watched_positions.labels(band=band).set(count)

    def rpc_request(self, endpoint: str, method: str, result: str, seconds: float) -> None:
        """Count and time one request; `endpoint` is a host, never a URL."""
        self.rpc_requests.labels(endpoint=endpoint, method=method, result=result).inc()
        self.rpc_duration.labels(endpoint=endpoint).observe(seconds)


class BotMetrics(ProcessMetrics):
    """Hold the bot's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "bot")
        self.telegram_requests = self._counter("telegram_requests", "Requests to Telegram.", "method", "code")
        self.retry_after = self._counter("telegram_retry_after_seconds", "Seconds of patience Telegram asked for.")
        self.conflicts = self._counter("telegram_conflicts", "Times another poller was in the way.")
        self.outbox_depth = self._gauge("alert_outbox_depth", "Messages that wait to be sent.", "lane")
        self.deliveries = self._counter("alert_deliveries", "Messages by how their sending ended.", "result")
        self.commands = self._counter("operator_commands", "Commands by how they ended.", "command", "result")

    def telegram(self, method: str, code: str) -> None:
        """Count one request to Telegram."""
        self.telegram_requests.labels(method=method, code=code).inc()
