"""One price over every account: from the new price to the exact, sorted list of who fell, beside numpy's bare reading.

Both are measured in the same process on one thread. The crowd is the local chain's own: debts from dust to 1.5 million
US dollars, one in twenty-five within one per cent of the line, a third in e-modes.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.domain.health_factor import HEALTH_FACTOR_LIQUIDATION_THRESHOLD, HFCalculator
from core.domain.market import EModeCategory, Market, Reserve, Revision
from core.domain.position import Position, holdings
from core.domain.units import RAY, Address, BaseUsd, Bps, Ray, TokenAmount
from core.risk.hf_grid import HFGrid
from devnet.borrowers import BorrowerPlan, plan
from devnet.listing import E_MODES, RESERVES

NOW = 1_790_000_000
DOLLARS = {"WETH": 3_000, "cbETH": 3_373, "wstETH": 3_686, "weETH": 3_270, "ezETH": 3_219, "wrsETH": 3_198}
DOLLARS |= {"cbBTC": 90_000, "LBTC": 90_351, "tBTC": 90_000, "AAVE": 180}
MIN_DEBT = BaseUsd(50 * 10**8)
ROUNDS = 200
PLANS = 100_000
CROWDS = (100_000, 1_000_000)


def run() -> Iterator[dict[str, Any]]:
    """Yield one figure after another; times in milliseconds, memory in MB."""
    plans = plan(PLANS, seed=1, prices=list(_market().prices.values()))
    for accounts in CROWDS:
        yield from _crowd(plans, accounts)


class _Bench:
    """Hold one crowd, its market and its grid, and move the price of ether under them."""

    def __init__(self, positions: Iterator[Position]) -> None:
        self.market = _market()
        self.now = NOW
        self.calculator = HFCalculator()
        self.ether = [id_ for id_, each in self.market.reserves.items() if "ETH" in each.symbol]
        self.positions = {position.user: position for position in positions}
        self.grid = HFGrid()
        self.decided = 0

    def decide(self, user: Address) -> bool:
        """Decide one account in integers."""
        self.decided += 1
        figures = self.calculator.calculate(self.market, self.positions[user], self.now)
        return figures.health_factor < HEALTH_FACTOR_LIQUIDATION_THRESHOLD and figures.total_debt_base >= MIN_DEBT

    def move(self, bps: int) -> None:
        """Move ether and what is staked of it to so many hundredths of a per cent of the first prices."""
        first = _market().prices
        for id_ in self.ether:
            self.market.set_price(id_, BaseUsd(first[id_] * bps // 10_000))
        self.now += 1

    def look(self) -> Iterator[list[Address]]:
        """Take the prices and return who fell, worst first."""
        self.grid.reprice(self.market, self.now)
        return self.grid.newly_below(1.0, MIN_DEBT, self.decide)

    def heal(self) -> None:
        """Put prices and memory back."""
        self.move(10_000)
        self.grid.reprice(self.market, self.now)
        self.grid.recovered(1.0, MIN_DEBT, self.decide)

    def read_once(self, only_moved: bool) -> float:
        """Return the milliseconds that numpy needs to read once every column in use, or those that ether moves."""
        sides = (self.grid.collateral, self.grid.debt)
        columns = [each for side in sides for id_, each in side.columns.items() if id_ in self.ether or not only_moved]
        started = time.perf_counter()
        for column in columns:
            column[: len(self.grid)].sum()
        return (time.perf_counter() - started) * 1000


def _crowd(plans: list[BorrowerPlan], accounts: int) -> Iterator[dict[str, Any]]:
    context = {"accounts": accounts, "reserves": len(RESERVES)}
    gc.collect()
    before = _resident_mb()
    bench = _Bench(_positions(plans, accounts))
    gc.collect()
    yield {"bench": "grid.positions_memory", "value": round(_resident_mb() - before, 1), "unit": "MB", **context}
    before, started = _resident_mb(), time.perf_counter()
    bench.grid.rebuild(bench.positions.values(), bench.market)
    bench.grid.reprice(bench.market, bench.now)
    yield _figure("grid.build", [(time.perf_counter() - started) * 1000], 0.5, context)
    yield {"bench": "grid.memory", "value": round(_resident_mb() - before, 1), "unit": "MB", **context}
    bench.look()
    yield from _small_moves(bench, context)
    yield from _crash(bench, context)


def _small_moves(bench: _Bench, context: dict[str, Any]) -> Iterator[dict[str, Any]]:
    times, busy, reads, moved, fallen = [], [], [], [], 0
    gc.freeze()
    bench.decided = 0
    for _ in range(ROUNDS):
        bench.heal()
        bench.move(9_900)
        reads.append(bench.read_once(only_moved=False))
        moved.append(bench.read_once(only_moved=True))
        started, started_cpu = time.perf_counter(), time.thread_time()
        fallen = sum(map(len, bench.look()))
        busy.append((time.thread_time() - started_cpu) * 1000)
        times.append((time.perf_counter() - started) * 1000)
    context = {**context, "move": "-1 %", "fallen": fallen, "rounds": ROUNDS}
    for share in (0.5, 0.99):
        yield _figure("grid.update", times, share, context)
        yield _figure("grid.update_cpu", busy, share, context)
        yield _figure("grid.read_once", reads, share, context)
        yield _figure("grid.read_moved_once", moved, share, context)
    for name, read in (("grid.update_per_read", reads), ("grid.update_per_read_moved", moved)):
        ratio = _quantile(times, 0.5) / _quantile(read, 0.5)
        yield {"bench": f"{name}.p50", "value": round(ratio, 2), "unit": "x", **context}
    yield {"bench": "grid.integers", "value": bench.decided, "unit": "accounts in all rounds", **context}


def _crash(bench: _Bench, context: dict[str, Any]) -> Iterator[dict[str, Any]]:
    first, listed, exact, fallen = [], [], [], 0
    for _ in range(5):
        bench.heal()
        bench.move(8_000)
        started = time.perf_counter()
        chunks = bench.look()
        chunk = next(chunks)
        first.append((time.perf_counter() - started) * 1000)
        users = [*chunk, *itertools.chain.from_iterable(chunks)]
        listed.append((time.perf_counter() - started) * 1000)
        for user in users:
            bench.calculator.calculate(bench.market, bench.positions[user], bench.now)
        exact.append((time.perf_counter() - started) * 1000)
        fallen = len(users)
    context = {**context, "move": "-20 %", "fallen": fallen, "rounds": 5}
    yield _figure("grid.crash.first_chunk", first, 0.5, context)
    yield _figure("grid.crash.whole_list", listed, 0.5, context)
    yield _figure("grid.crash.all_six_figures", exact, 0.5, context)


def _figure(bench: str, values: list[float], share: float, context: dict[str, Any]) -> dict[str, Any]:
    return {
        "bench": f"{bench}.p{share * 100:.0f}",
        "value": round(_quantile(values, share), 3),
        "unit": "ms",
        **context,
    }


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def _market() -> Market:
    market = Market(revision=Revision.V3_6, block=1, timestamp=NOW)
    for id_, spec in enumerate(RESERVES):
        place = Address(f"0x{id_:040x}")
        reserve = Reserve(
            id=id_, asset=place, symbol=spec.symbol, a_token=place, variable_debt_token=place, price_source=place,
            decimals=spec.decimals, ltv=Bps(spec.ltv), liquidation_threshold=Bps(spec.threshold),
            liquidation_bonus=Bps(spec.bonus), liquidation_protocol_fee=Bps(spec.fee), active=True,
            liquidity_index=Ray(RAY * 103 // 100), variable_borrow_index=Ray(RAY * 105 // 100),
            liquidity_rate=Ray(RAY * 3 // 100), variable_borrow_rate=Ray(RAY * 5 // 100), last_update=NOW,
            virtual_underlying_balance=TokenAmount(10**30),
        )  # fmt: skip
        market.set_reserve(reserve)
        market.set_price(id_, BaseUsd(DOLLARS.get(spec.symbol, 1) * 10**8))
    for mode in E_MODES:
        market.set_e_mode(
            EModeCategory(
                id=mode.id,
                ltv=Bps(mode.ltv),
                liquidation_threshold=Bps(mode.threshold),
                liquidation_bonus=Bps(mode.bonus),
                collateral_bitmap=mode.collateral,
                borrowable_bitmap=mode.borrowable,
            )
        )
    return market


def _positions(plans: list[BorrowerPlan], accounts: int) -> Iterator[Position]:
    """Yield accounts of the plans, again and again under new addresses; plans are in tokens, balances are scaled."""
    for number, each in zip(range(accounts), itertools.cycle(plans), strict=False):
        yield Position(
            Address(f"0x{number:040x}"),
            each.e_mode,
            holdings({id_: amount * 100 // 103 for id_, amount in each.collaterals}),
            holdings({id_: amount * 100 // 105 for id_, amount in each.debts}),
            sum(1 << id_ for id_, _ in each.collaterals),
        )


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure, ensure_ascii=False), flush=True)
