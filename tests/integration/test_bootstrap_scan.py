"""The streaming scan on the real market: what it keeps is what brute force would keep, at flat memory."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest

from core.domain.health_factor import UserAccountData
from core.domain.units import WAD, Address, BaseUsd, Wad
from devnet.chain import Chain
from tests.golden.second_opinion import SecondOpinion
from worker.chain.aave import AaveReader
from worker.chain.rpc import HttpRpc
from worker.detection.bootstrap_scan import ScanLimits, scan

LIMITS = ScanLimits(BaseUsd(50 * 10**8), Wad(WAD * 105 // 100))
NOBODY = [Address(f"0x{n:040x}") for n in range(1, 40)]


@pytest.fixture
async def reader(market_chain: Chain) -> AsyncIterator[AaveReader]:
    rpc = HttpRpc(market_chain.http_url)
    yield await AaveReader.discover(rpc, market_chain.provider, 31337)
    await rpc.aclose()


def silent(_stage: str, _done: int, _total: int) -> None:
    """Show no progress."""


async def test_what_is_kept_is_what_brute_force_keeps(
    reader: AaveReader, fresh_market: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await fresh_market.set_price("ETH", factor="0.96")
    users = [*fresh_market.borrowers, *fresh_market.suppliers, *NOBODY]
    kept: dict[Address, UserAccountData] = {}
    told: list[tuple[str, int, int]] = []
    counters = await scan(users, reader, "latest", LIMITS, kept.__setitem__, lambda *progress: told.append(progress))
    figures = dict(zip(users, SecondOpinion(fresh_market).figures(users), strict=True))
    expected = {
        user: each
        for user, each in figures.items()
        if each[0] > 0 and each[1] >= LIMITS.min_debt and each[5] <= LIMITS.hf_threshold_start
    }
    assert kept == expected
    assert 0 < len(kept) < len(fresh_market.borrowers)
    assert counters.scanned == len(users)
    assert counters.kept == len(kept)
    assert counters.skipped_no_coll == sum(each[0] == 0 for each in figures.values()) >= len(NOBODY)
    assert counters.skipped_debt == sum(each[0] > 0 and each[1] < LIMITS.min_debt for each in figures.values()) > 0
    assert counters.scanned == counters.kept + counters.skipped_no_coll + counters.skipped_debt + counters.skipped_hf
    assert counters.min_hf == min(each[5] for each in expected.values())
    assert counters.requests == -(-len(users) // 100)
    assert told[-1] == ("scanning health factors", len(users), len(users))
    assert caplog.messages[0] == "[v2] Phase 4: Building active risk set"
    assert caplog.messages[-1] == (
        f"[v2] Phase 4 done: scanned={len(users)} kept={counters.kept} skippedDebt={counters.skipped_debt} "
        f"skippedHF={counters.skipped_hf} skippedNoColl={counters.skipped_no_coll}"
    )


async def test_watched_users_are_told_one_by_one_in_detail(
    reader: AaveReader, market_chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="worker.detection.bootstrap_scan")
    kept: dict[Address, UserAccountData] = {}
    await scan(market_chain.borrowers, reader, "latest", LIMITS, kept.__setitem__, silent)
    user, figures = next(iter(kept.items()))
    whole, part = divmod(figures.health_factor, WAD)
    dollars, cents = divmod(figures.total_debt_base // 10**6, 100)
    assert (
        f"[v2] Watched user: {user} HF={whole}.{part // 10**14:04d} debtUsd=${dollars}.{cents:02d}" in caplog.messages
    )
    assert sum("[v2] Watched user" in message for message in caplog.messages) == len(kept)


async def test_a_scan_is_of_one_block(reader: AaveReader, fresh_market: Chain) -> None:
    block = await fresh_market.rpc.block_number()
    before: dict[Address, UserAccountData] = {}
    await scan(fresh_market.borrowers, reader, block, LIMITS, before.__setitem__, silent)
    await fresh_market.set_price("ETH", factor="0.9")
    after: dict[Address, UserAccountData] = {}
    await scan(fresh_market.borrowers, reader, block, LIMITS, after.__setitem__, silent)
    assert after == before


async def test_nobody_at_all_is_scanned_too(reader: AaveReader) -> None:
    counters = await scan([], reader, "latest", LIMITS, lambda _u, _a: None, silent)
    assert (counters.scanned, counters.requests, counters.min_hf) == (0, 0, None)


async def test_those_without_figures_are_counted_and_said(
    reader: AaveReader, fresh_market: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    await fresh_market.set_price_source("WETH", fresh_market.pool)
    kept: dict[Address, UserAccountData] = {}
    counters = await scan(fresh_market.borrowers, reader, "latest", LIMITS, kept.__setitem__, silent)
    assert counters.failed > 0
    assert counters.scanned == len(fresh_market.borrowers)
    assert f"[v2] Phase 4: the chain gives no figures for {counters.failed} accounts" in caplog.messages


async def test_users_may_come_one_by_one_and_memory_stays_flat(reader: AaveReader) -> None:
    async def crowd(count: int) -> AsyncIterator[Address]:
        for user in strangers(count):
            yield user

    peaks = []
    for count in (1_000, 8_000):
        tracemalloc.start()
        counters = await scan(crowd(count), reader, "latest", LIMITS, lambda _u, _a: None, silent)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (counters.scanned, counters.skipped_no_coll) == (count, count)
    assert peaks[1] < peaks[0] + 500_000


def strangers(count: int) -> Iterator[Address]:
    for number in range(count):
        yield Address(f"0x{number + 1:040x}")
