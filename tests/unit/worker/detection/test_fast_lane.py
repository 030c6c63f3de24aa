"""The fast lane: who is sent to the micro-verifier, in which order, and what is said of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

import pytest
from prometheus_client import CollectorRegistry

from core.config import DetectionSettings
from core.domain.events import LtvPending, ReserveUpdated
from core.domain.health_factor import UserAccountData
from core.domain.market import Market
from core.domain.units import RAY, WAD, Address, BaseUsd, Bps, Ray, Wad
from core.ops.metrics import WorkerMetrics
from core.risk.borrowers_index import BorrowersIndex
from tests.unit.domain.builders import GHO, NOW, USDC, WETH, market
from worker.detection.fast_lane import FastLane
from worker.detection.micro_verify import MicroVerifier


def user(number: int) -> Address:
    return Address(f"0x{number:040x}")


def account(hf: int) -> UserAccountData:
    return UserAccountData(BaseUsd(2 * 10**12), BaseUsd(10**12), BaseUsd(0), Bps(8_000), Bps(7_500), Wad(hf))


@dataclass
class Figures:
    """Be a mirror whose figures are given."""

    hfs: dict[Address, int] = field(default_factory=dict)
    market: Market = field(default_factory=market)
    unknown: tuple[Address, ...] = ()

    def below(self, health_factor: Wad, _min_debt: BaseUsd) -> dict[Address, UserAccountData | None]:
        ranked = sorted(self.hfs.items(), key=lambda item: item[1])
        found: dict[Address, UserAccountData | None] = dict.fromkeys(self.unknown)
        return found | {each: account(hf) for each, hf in ranked if hf < health_factor}


@dataclass
class Chain:
    """Answer that everybody is fine, and remember who was asked about."""

    asked: list[list[Address]] = field(default_factory=list)

    async def account_data(self, users: Sequence[Address], _block: int) -> list[UserAccountData | None]:
        self.asked.append(list(users))
        return [account(WAD) for _ in users]


class Bench:
    def __init__(self, **settings: int) -> None:
        limits = DetectionSettings(**{"micro_verify_interval_ms": 0, **settings})  # type: ignore[arg-type]
        self.own, self.chain, self.metrics = Figures(), Chain(), WorkerMetrics(CollectorRegistry())
        self.index = BorrowersIndex(3_000)
        self.rechecks: list[tuple[list[Address], str]] = []
        self._verifier = MicroVerifier(limits, self.chain, self.metrics, lambda hit: None, monotonic)
        self.lane = FastLane(
            limits,
            self.own,
            self.index,
            self._verifier,
            self.metrics,
            lambda users, why: self.rechecks.append((list(users), why)),
        )
        self._block = 0

    def settle(self, **hfs: str) -> None:
        """Settle at the next block: u1="1.0029" is account 1."""
        self.own.hfs = {user(int(name[1:])): int(value.replace(".", "").ljust(19, "0")) for name, value in hfs.items()}
        self._block += 1
        self.lane.on_settled(self._block, monotonic())

    async def checked(self) -> list[Address]:
        """Let the verifier do what waits, and return whom it asked about."""
        self.chain.asked.clear()
        task = asyncio.create_task(self._verifier.run())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        return [each for users in self.chain.asked for each in users]

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"liquidbot_{name}", labels)

    def scheduled(self, trigger: str) -> float:
        return self.sample("micro_verify_total", result="miss", trigger=trigger) or 0.0


async def test_at_a_head_those_in_the_band_are_checked_the_worst_first() -> None:
    bench = Bench()
    bench.settle(u1="1.0020", u2="1.0010", u3="1.0150", u4="1.0300")
    assert await bench.checked() == [user(2), user(1)]
    assert bench.scheduled("head_critical") == 2


async def test_who_is_about_to_cross_comes_before_who_only_falls() -> None:
    bench = Bench()
    bench.settle(u1="1.0199", u2="1.0030", u3="1.0190")
    await bench.checked()
    bench.settle(u1="1.0090", u2="1.0029", u3="1.0189")
    assert await bench.checked() == [user(1), user(2)]
    assert (bench.scheduled("projection"), bench.scheduled("near_threshold")) == (1, 1)


async def test_who_is_below_by_our_own_figures_is_none_of_its_business() -> None:
    bench = Bench()
    bench.own.unknown = (user(9),)
    bench.settle(u1="1.0010", u2="0.9990")
    assert await bench.checked() == [user(1)]
    bench.settle(u1="0.9999", u2="0.9990")
    assert await bench.checked() == []


async def test_the_head_critical_slice_is_bounded() -> None:
    bench = Bench(head_critical_batch_size=2)
    bench.settle(u1="1.0010", u2="1.0011", u3="1.0012")
    assert await bench.checked() == [user(1), user(2)]


async def test_a_reserves_event_checks_its_near_critical_borrowers_first(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench = Bench(reserve_recheck_top_n=3)
    for number in (1, 3, 5, 6):
        bench.index.put(USDC, user(number), number)
    bench.settle(u1="1.0150", u2="1.0100", u3="1.0110", u4="1.0010", u5="1.0500")
    await bench.checked()
    updated = ReserveUpdated(USDC, Ray(0), Ray(0), Ray(RAY), Ray(RAY), NOW)
    bench.lane.on_event(updated, 1, monotonic())
    assert await bench.checked() == [user(3), user(1)]
    assert "[fast-lane] [reserve-fast-subset] asset=T1 size=2 via micro-verify (source=reserve)" in caplog.messages
    assert "[reserve-recheck] Checking 3/4 borrowers for reserve T1 (source=reserve)" in caplog.messages
    assert bench.rechecks == [([user(6), user(5), user(3)], "T1 reserve")]
    assert bench.sample("reserve_fast_subset_total", asset="T1") == 2
    assert bench.sample("reserve_rechecks_total", asset="T1", source="reserve") == 3
    assert bench.sample("subset_intersection_size_sum", trigger="reserve") == 2
    assert bench.sample("reserve_event_to_first_microverify_ms_count", reserve="T1") == 1


async def test_a_price_does_the_same_for_each_of_its_reserves() -> None:
    bench = Bench(reserve_fast_subset_max=1)
    for reserve in (WETH, USDC):
        bench.index.put(reserve, user(1 + reserve), 5)
        bench.index.put(reserve, user(3), 1)
    bench.settle(u1="1.0150", u2="1.0160", u3="1.0190")
    bench.lane.on_prices([WETH, USDC, GHO], 1, monotonic())
    assert await bench.checked() == [user(1), user(2)]
    assert bench.sample("subset_intersection_size_count", trigger="price") == 3
    assert [why for _, why in bench.rechecks] == ["T0 price", "T1 price"]


async def test_what_is_not_a_reserves_event_or_of_no_known_reserve_is_left_alone() -> None:
    bench = Bench()
    bench.index.put(77, user(1), 5)
    bench.settle(u1="1.0150")
    bench.lane.on_event(LtvPending(USDC, Bps(0)), 1, monotonic())
    bench.lane.on_reserve(77, "reserve", 1, monotonic())
    assert await bench.checked() == []
    assert bench.rechecks == []


async def test_a_pending_block_is_a_hint_for_the_band_only() -> None:
    bench = Bench()
    bench.settle(u1="1.0010", u2="1.0100")
    assert await bench.checked() == [user(1)]
    bench.lane.on_pending(1, monotonic())
    assert await bench.checked() == []  # the node has nothing newer: it was checked at this block
    bench.lane.on_pending(2, monotonic())
    assert await bench.checked() == [user(1)]
    assert bench.scheduled("pending_block") == 1


async def test_who_repaid_is_forgotten() -> None:
    bench = Bench()
    bench.index.put(USDC, user(1), 5)
    bench.settle(u1="1.0020")
    bench.settle(u1="1.0019")
    assert user(1) in bench.lane.near.users
    bench.lane.forget(user(1))
    await bench.checked()
    bench.lane.on_reserve(USDC, "reserve", 3, monotonic())
    assert await bench.checked() == []
    assert user(1) not in bench.lane.near.users
