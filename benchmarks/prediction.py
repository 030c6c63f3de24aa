"""One predictive run over a large crowd: what it costs the worker's only thread, once a second at most.

A dense crowd, so that every run is a full one: two in a hundred accounts are within two per cent of the line, and more
than half hold a price that moved. Run it alone with `python -m benchmarks.prediction`.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry

from benchmarks.report import quantile
from core.config import PredictiveSettings
from core.domain.events import ReserveUpdated
from core.domain.market import Market, Reserve, Revision
from core.domain.position import Position, holdings
from core.domain.units import RAY, WAD, Address, BaseUsd, Bps, Ray
from core.ops.metrics import WorkerMetrics
from core.risk.exposures import GridBook
from core.risk.hf_grid import HFGrid
from worker.detection.predictive_orchestrator import PredictiveOrchestrator

NOW = 1_790_000_000
RESERVES = 15
ETHER = tuple(range(5))
PRICE = BaseUsd(1_000 * 10**8)
CROWDS = (100_000, 1_000_000)
ROUNDS = 100
PRESTAGE_BPS = 10_200


def run() -> Iterator[dict[str, Any]]:
    """Yield one figure after another; times in milliseconds."""
    for accounts in CROWDS:
        market = _market()
        grid = HFGrid()
        grid.rebuild(_positions(accounts), market)
        grid.reprice(market, NOW)
        gc.freeze()
        for reason, prestage in (("head", 0), ("price", 0), ("price", PRESTAGE_BPS)):
            yield from _runs(grid, market, reason, prestage)


def _runs(grid: HFGrid, market: Market, reason: str, prestage: int) -> Iterator[dict[str, Any]]:
    settings, metrics = PredictiveSettings(), WorkerMetrics(CollectorRegistry())
    book = GridBook(lambda: grid, 50e8, lambda id_: "ETH" if id_ in ETHER else id_)
    orchestrator = PredictiveOrchestrator(settings, prestage, book, metrics, time.perf_counter)
    orchestrator.seed(market)
    times, busy, told = _rounds(orchestrator, _touch(orchestrator, reason))
    left_out = metrics.registry.get_sample_value("liquidbot_events_dropped_total", {"reason": "predictive_cap"})
    context = {
        "accounts": len(grid),
        "reserves": RESERVES,
        "cap": settings.predictive_max_users_per_tick,
        "reason": reason,
        "prestage_hf_bps": prestage,
        "told_first": told,
        "left_out_a_run": round((left_out or 0.0) / ROUNDS),
        "rounds": ROUNDS,
    }
    for name, values in (("prediction.run", times), ("prediction.run_cpu", busy)):
        yield {"bench": f"{name}.first", "value": round(values[0], 3), "unit": "ms", **context}
        for share in (0.5, 0.95):
            value = round(quantile(sorted(values[1:]), share), 3)
            yield {"bench": f"{name}.p{share * 100:.0f}", "value": value, "unit": "ms", **context}


def _touch(orchestrator: PredictiveOrchestrator, reason: str) -> Callable[[int], None]:
    """Return what happens before each run."""

    def touch(second: int) -> None:
        for reserve_id in ETHER:
            if reason == "price":
                orchestrator.update_price(reserve_id, PRICE * (1 + 1e-4 * (second % 7)), NOW + second)
                rates = (Ray(RAY // 50), Ray(RAY // 20), Ray(RAY), Ray(RAY))
                orchestrator.update_reserve(ReserveUpdated(reserve_id, *rates, NOW + second))

    return touch


def _rounds(orchestrator: PredictiveOrchestrator, touch: Callable[[int], None]) -> tuple[list[float], list[float], int]:
    times, busy, told = [], [], 0
    for second in range(1, ROUNDS + 1):
        touch(second)
        started, started_cpu = time.perf_counter(), time.thread_time()
        events = orchestrator.evaluate(second, NOW + second)
        busy.append((time.thread_time() - started_cpu) * 1000)
        times.append((time.perf_counter() - started) * 1000)
        told = told or len(events)
    return times, busy, told


def _market() -> Market:
    market = Market(revision=Revision.V3_6, block=1, timestamp=NOW)
    for id_ in range(RESERVES):
        place = Address(f"0x{id_:040x}")
        market.set_reserve(
            Reserve(
                id=id_, asset=place, symbol=f"T{id_}", a_token=place, variable_debt_token=place, price_source=place,
                decimals=18, ltv=Bps(7_500), liquidation_threshold=Bps(8_000), liquidation_bonus=Bps(10_500),
                active=True, liquidity_rate=Ray(RAY // 50), variable_borrow_rate=Ray(RAY // 20), last_update=NOW,
            )
        )  # fmt: skip
        market.set_price(id_, PRICE)
    return market


def _positions(accounts: int) -> Iterator[Position]:
    rng = random.Random(1)
    for number in range(accounts):
        collateral, debt = rng.sample(range(RESERVES), 2)
        health_factor = rng.uniform(1.0, 2.0)
        owed = int(rng.lognormvariate(1, 1.5) * WAD)
        supplied = int(owed * health_factor / 0.8)
        yield Position(
            Address(f"0x{number:040x}"), 0, holdings({collateral: supplied}), holdings({debt: owed}), 1 << collateral
        )


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure), flush=True)
