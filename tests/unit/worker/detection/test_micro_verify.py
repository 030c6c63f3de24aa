"""Micro-verification: the ration, what becomes of each check, and what is said of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import pytest
from prometheus_client import CollectorRegistry

from core.config import DetectionSettings
from core.domain.health_factor import UserAccountData
from core.domain.units import WAD, Address, BaseUsd, Bps, Wad
from core.errors import RpcUnavailable
from core.ops.metrics import WorkerMetrics
from tests.processes import until
from worker.detection.micro_verify import Admission, Hit, MicroTrigger, MicroVerifier, Ration, Wanted

NEAR, FAST = MicroTrigger.NEAR_THRESHOLD, MicroTrigger.RESERVE_FAST


def user(number: int) -> Address:
    return Address(f"0x{number:040x}")


def wanted(*numbers: int, since: float = 0.0) -> list[Wanted]:
    return [Wanted(user(number), NEAR, since) for number in numbers]


def account(hf: int, debt_usd: int = 1_000) -> UserAccountData:
    debt = BaseUsd(debt_usd * 10**8)
    return UserAccountData(BaseUsd(2 * debt), debt, BaseUsd(0), Bps(8_000), Bps(7_500), Wad(hf))


def test_each_account_is_checked_once_a_block() -> None:
    ration = Ration(25, 150)
    assert ration.want(wanted(1, 2, 1), 10) == Admission(2, 0)
    assert ration.want(wanted(2, 3), 10) == Admission(1, 0)
    assert [each.user for each in ration.take(0.0)] == [user(1), user(2), user(3)]
    assert ration.want(wanted(1, 2, 3), 10) == Admission(0, 0)
    assert ration.want(wanted(1, 2, 3), 11) == Admission(3, 0)


def test_the_cap_holds_for_a_block_and_says_who_was_too_many() -> None:
    ration = Ration(3, 0)
    assert ration.want(wanted(1, 2), 10) == Admission(2, 0)
    ration.take(0.0)
    assert ration.want(wanted(3, 4, 5), 10) == Admission(1, 2)
    assert ration.want(wanted(6), 9) == Admission(0, 1)  # told late, of an older block: it is still this one
    assert ration.want(wanted(4), 11) == Admission(1, 0)


def test_what_waits_when_a_block_ends_counts_in_the_next_one() -> None:
    ration = Ration(3, 0)
    ration.want(wanted(1, 2), 10)
    assert ration.want(wanted(1, 3, 4), 11) == Admission(1, 1)
    assert len(ration.take(0.0)) == 3
    assert ration.block == 11


def test_between_runs_is_a_pause() -> None:
    ration = Ration(25, 150)
    assert ration.pause(100.0) == 0.0
    assert ration.take(100.0) == []
    assert ration.pause(100.0) == 0.0
    ration.want(wanted(1), 10)
    ration.take(100.0)
    assert ration.pause(100.05) == pytest.approx(0.1)
    assert ration.pause(100.15) == pytest.approx(0.0, abs=1e-9)
    assert ration.pause(107.0) == 0.0


@dataclass
class Table:
    """Answer from a table, and remember what was asked."""

    accounts: dict[Address, UserAccountData] = field(default_factory=dict)
    asked: list[tuple[list[Address], int]] = field(default_factory=list)
    away: bool = False

    async def account_data(self, users: Sequence[Address], block: int) -> list[UserAccountData | None]:
        self.asked.append((list(users), block))
        if self.away:
            raise RpcUnavailable("away")
        return [self.accounts.get(each) for each in users]


@dataclass
class Bench:
    reader: Table
    verifier: MicroVerifier
    metrics: WorkerMetrics
    hits: list[Hit]

    def count(self, result: str, trigger: MicroTrigger) -> float | None:
        labels = {"result": result, "trigger": trigger.value}
        return self.metrics.registry.get_sample_value("liquidbot_micro_verify_total", labels)

    async def asked(self, times: int) -> None:
        async def reached() -> bool:
            return len(self.reader.asked) >= times

        await until(reached, 5)
        await asyncio.sleep(0)


@asynccontextmanager
async def running(**settings: object) -> AsyncIterator[Bench]:
    reader, hits, metrics = Table(), list[Hit](), WorkerMetrics(CollectorRegistry())
    limits = DetectionSettings(**settings)  # type: ignore[arg-type]
    verifier = MicroVerifier(limits, reader, metrics, hits.append, monotonic)
    task = asyncio.create_task(verifier.run())
    try:
        yield Bench(reader, verifier, metrics, hits)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_hit_miss_and_error_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running() as bench:
        low = account(9_993 * 10**14)
        bench.reader.accounts = {user(1): low, user(2): account(WAD), user(3): account(WAD // 2, debt_usd=49)}
        users = [user(number) for number in (1, 2, 3, 4)]
        bench.verifier.want(users, MicroTrigger.PROJECTION, block=77, since=monotonic() - 0.042)
        await bench.asked(1)
        assert bench.reader.asked == [(users, 77)]
        (hit,) = bench.hits
        assert (hit.user, hit.account, hit.block, hit.reason) == (user(1), low, 77, "micro_verify_projection_cross")
        assert bench.count("hit", MicroTrigger.PROJECTION) == 1
        assert bench.count("miss", MicroTrigger.PROJECTION) == 2
        assert bench.count("error", MicroTrigger.PROJECTION) == 1
        assert bench.metrics.registry.get_sample_value("liquidbot_micro_verify_latency_ms_count") == 3
        (line,) = [each for each in caplog.messages if user(1) in each]
        assert line.startswith(
            f"[realtime-hf] micro-verify user={user(1)} hf=0.9993 trigger=projection_cross latency=4"
        )


async def test_a_head_critical_hit_has_its_own_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running() as bench:
        bench.reader.accounts = {user(1): account(9_987 * 10**14)}
        bench.verifier.want([user(1)], MicroTrigger.HEAD_CRITICAL, 77, monotonic())
        await bench.asked(1)
        assert f"[realtime-hf] head-critical hit user={user(1)} hf=0.9987 latency=" in caplog.text


async def test_a_node_that_is_away_costs_errors_and_nothing_else() -> None:
    async with running(micro_verify_interval_ms=0) as bench:
        bench.reader.away = True
        bench.verifier.want([user(1), user(2)], NEAR, 77, monotonic())
        await bench.asked(1)
        assert bench.count("error", NEAR) == 2
        bench.reader.away = False
        bench.reader.accounts = {user(1): account(WAD - 1)}
        bench.verifier.want([user(1)], NEAR, 78, monotonic())
        await bench.asked(2)
        assert [hit.user for hit in bench.hits] == [user(1)]


async def test_checks_inside_the_interval_wait_and_go_together() -> None:
    async with running(micro_verify_interval_ms=120) as bench:
        started = monotonic()
        bench.verifier.want([user(1)], NEAR, 77, started)
        await bench.asked(1)
        bench.verifier.want([user(2)], NEAR, 77, started)
        await asyncio.sleep(0.01)
        bench.verifier.want([user(3)], NEAR, 78, started)
        await bench.asked(2)
        assert monotonic() - started >= 0.12
        assert bench.reader.asked == [([user(1)], 77), ([user(2), user(3)], 78)]


async def test_the_cap_is_counted_and_said_once_a_block(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(micro_verify_max_per_block=2) as bench:
        users = [user(number) for number in range(5)]
        assert bench.verifier.want(users, FAST, 77, monotonic(), "WETH") == Admission(2, 3)
        assert bench.verifier.want(users, NEAR, 77, monotonic()) == Admission(0, 3)
        assert (bench.count("cap", FAST), bench.count("cap", NEAR)) == (3, 3)
        assert caplog.text.count("micro-verify-skip (cap reached)") == 1
        await bench.asked(1)
        assert "[fast-lane] [reserve-fast-subset] asset=WETH verifiedMs=" in caplog.text
        name = "liquidbot_reserve_event_to_first_microverify_ms_count"
        assert bench.metrics.registry.get_sample_value(name, {"reserve": "WETH"}) == 1


async def test_switched_off_it_checks_nobody() -> None:
    async with running(micro_verify_enabled=False) as bench:
        assert bench.verifier.want([user(1)], NEAR, 77, monotonic()) == Admission(0, 0)
        await asyncio.sleep(0.01)
        assert bench.reader.asked == []


async def test_the_line_is_the_settings_threshold() -> None:
    async with running(execution_hf_threshold_bps=9_800, min_debt_usd=0) as bench:
        bench.reader.accounts = {user(1): account(WAD * 98 // 100), user(2): account(WAD * 98 // 100 - 1, debt_usd=1)}
        bench.verifier.want([user(1), user(2)], NEAR, 77, monotonic())
        await bench.asked(1)
        assert [hit.user for hit in bench.hits] == [user(2)]
