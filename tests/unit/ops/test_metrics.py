"""Metrics follow their conventions, live in their own registry, and say what happened."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from core.ops.metrics import BotMetrics, ProcessMetrics, WorkerMetrics
from core.version import VERSION

BOTH: list[Callable[[CollectorRegistry], ProcessMetrics]] = [WorkerMetrics, BotMetrics]
FAMILIAR = {"liquidbot_micro_verify_latency_ms", "liquidbot_reserve_event_to_first_microverify_ms"}
"""Names that operators know from before, kept although the convention wants seconds."""

LABELS = {
    "asset", "band", "code", "command", "endpoint", "lane", "lease", "method", "op", "process", "reason", "reserve",
    "result", "scenario", "source", "trigger", "verdict",
}  # fmt: skip


def families(registry: CollectorRegistry) -> Iterator[Metric]:
    yield from text_string_to_metric_families(generate_latest(registry).decode())


@pytest.mark.parametrize("make", BOTH)
def test_names_follow_the_conventions(make: Callable[[CollectorRegistry], ProcessMetrics]) -> None:
    registry = CollectorRegistry()
    make(registry)
    for family in families(registry):
        assert re.fullmatch(r"liquidbot_[a-z0-9_]+", family.name)
        assert family.name in FAMILIAR or not re.search(r"_(ms|millis|milliseconds|percent|created)$", family.name)
        assert family.documentation.endswith(".")
        samples = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert samples <= {f"{family.name}_total"}
        if family.type == "gauge":
            assert not family.name.endswith("_total")


@pytest.mark.parametrize("make", BOTH)
def test_no_label_has_room_for_an_address(make: Callable[[CollectorRegistry], ProcessMetrics]) -> None:
    metrics = make(CollectorRegistry())
    names = {label for one in vars(metrics).values() for label in getattr(one, "_labelnames", ())}
    assert names
    assert names <= LABELS


def test_registries_are_apart_and_the_global_one_stays_empty_of_ours() -> None:
    first, second = WorkerMetrics(CollectorRegistry()), WorkerMetrics(CollectorRegistry())
    first.blocks.inc()
    assert second.registry.get_sample_value("liquidbot_blocks_received_total") == 0.0
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("liquidbot")]


@pytest.mark.parametrize(("make", "process"), [(WorkerMetrics, "worker"), (BotMetrics, "bot")])
def test_a_process_says_what_it_is_and_that_it_lives(
    make: Callable[[CollectorRegistry], ProcessMetrics], process: str
) -> None:
    began = time.time()
    metrics = make(CollectorRegistry())
    metrics.heartbeat()
    metrics.controls(42)
    metrics.lease("poller", held=True)
    value = metrics.registry.get_sample_value
    mine = {"process": process}
    assert value("liquidbot_build_info", mine | {"version": VERSION}) == 1.0
    for name in ("process_start", "heartbeat"):
        assert began <= (value(f"liquidbot_{name}_timestamp_seconds", mine) or 0) <= time.time()
    assert value("liquidbot_settings_version", mine) == 42
    assert value("liquidbot_lease_held", {"lease": "poller"}) == 1
    metrics.lease("poller", held=False)
    assert value("liquidbot_lease_held", {"lease": "poller"}) == 0


def test_a_fresh_worker_is_in_dry_run() -> None:
    assert WorkerMetrics(CollectorRegistry()).registry.get_sample_value("liquidbot_dry_run") == 1


def test_a_worker_counts_heads_accounts_and_requests() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.head(17, 1_700_000_000)
    metrics.head(18, 1_700_000_001)
    metrics.watched({"lt_1": 2, "1_to_1_02": 30})
    metrics.rpc_request("base.example", "eth_call", "ok", 0.02)
    metrics.detection_latency.observe(0.03)
    value = metrics.registry.get_sample_value
    assert value("liquidbot_blocks_received_total") == 2
    assert value("liquidbot_head_block_number") == 18
    assert value("liquidbot_head_block_timestamp_seconds") == 1_700_000_001
    assert value("liquidbot_watched_positions", {"band": "1_to_1_02"}) == 30
    assert (
        value("liquidbot_rpc_requests_total", {"endpoint": "base.example", "method": "eth_call", "result": "ok"}) == 1
    )
    assert value("liquidbot_rpc_request_duration_seconds_sum", {"endpoint": "base.example"}) == 0.02
    assert value("liquidbot_detection_latency_seconds_bucket", {"le": "0.025"}) == 0
    assert value("liquidbot_detection_latency_seconds_bucket", {"le": "0.05"}) == 1


def test_a_bot_counts_what_it_asks_of_telegram() -> None:
    metrics = BotMetrics(CollectorRegistry())
    metrics.telegram("sendMessage", "ok")
    metrics.telegram("sendMessage", "429")
    metrics.retry_after.inc(3.5)
    value = metrics.registry.get_sample_value
    assert value("liquidbot_telegram_requests_total", {"method": "sendMessage", "code": "429"}) == 1
    assert value("liquidbot_telegram_retry_after_seconds_total") == 3.5
