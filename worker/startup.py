"""From an address in the settings to a mirror that is exact at one block."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.config import Settings
from core.domain.health_factor import UserAccountData, health_factor_text
from core.domain.market import Market
from core.domain.units import Address
from core.errors import ChainError, RpcUnavailable, StoreUnavailable
from core.risk.active_risk_set import ActiveRiskSet, Watched
from core.state.ports import Borrowers, Store
from worker.chain.aave import AaveReader
from worker.chain.jsonrpc import backoff, retryable
from worker.chain.logs import Head, head
from worker.chain.oracles import verify_prices, walk
from worker.chain.rpc import Rpc, jitter
from worker.collectors.borrowers import DiscoveryLimits, discover_borrowers, read_borrowers_file
from worker.detection.bootstrap_scan import Progress, ScanLimits, scan
from worker.detection.mirror import Mirror
from worker.restoring import catch_up, usable_snapshot

logger = logging.getLogger(__name__)

T = TypeVar("T")


async def patiently(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what `attempt` returns, trying again with growing pauses for as long as the trouble may pass."""
    tries = 0
    while True:
        try:
            return await attempt()
        except (ChainError, StoreUnavailable) as error:
            if not (isinstance(error, StoreUnavailable) or retryable(error)):
                raise
            tries += 1
            wait = backoff(tries, jitter())
            logger.warning("[worker] %s does not answer, trying again in %.0f s: %s", what, wait, error)
            await asyncio.sleep(wait)


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold what a start-up found, all of it as of `head`."""

    reader: AaveReader
    mirror: Mirror
    watch_list: ActiveRiskSet
    borrowers: list[Address]
    head: Head


async def set_scene(settings: Settings, rpc: Rpc, store: Store, progress: Progress) -> Scene:
    """Find the market and its borrowers, and load the mirror, all at one block: from a snapshot, else from scratch.

    With rules that are not known here the mirror holds the market only: positions are not computed then. Raise
    WrongChain or ConfigError for what no patience will mend.
    """
    chain = settings.chain
    pool = Address(chain.aave_pool) if chain.aave_pool else None
    reader = await AaveReader.discover(
        rpc, chain.pool_addresses_provider, chain.chain_id, aave_pool=pool, multicall3=chain.multicall3_address
    )
    at = await head(rpc)
    if at is None:
        raise RpcUnavailable(f"{rpc.name} has no latest block")
    mirror = await _begin_mirror(reader, at.number, chain.chainlink_feeds)
    watch_list = ActiveRiskSet(settings.detection.riskset_max_users, settings.detection.candidate_max)
    snapshot = await usable_snapshot(store.snapshots, reader, at.number)
    if snapshot is not None and await catch_up(mirror, snapshot, reader, at, settings):
        return Scene(reader, mirror, watch_list, list(mirror.positions), at)
    borrowers = await find_borrowers(settings, reader, mirror.market, store.borrowers, progress)
    await _scan(settings, reader, watch_list, borrowers, at.number, progress)
    if mirror.market.revision is not None:
        await mirror.load(borrowers, progress)
    return Scene(reader, mirror, watch_list, borrowers, at)


async def _scan(
    settings: Settings,
    reader: AaveReader,
    watch_list: ActiveRiskSet,
    borrowers: list[Address],
    block: int,
    progress: Progress,
) -> None:
    detection = settings.detection
    limits = ScanLimits(detection.min_debt_base, detection.hf_threshold_start_wad)

    def keep(user: Address, account: UserAccountData) -> None:
        watch_list.add(watched(user, account))

    counters = await scan(borrowers, reader, block, limits, keep, progress)
    logger.info(
        "[v2] Active risk set built: scanned=%d stored=%d watched=%d (minDebt>=$%s) minHF=%s",
        counters.scanned, len(watch_list), len(watch_list), detection.min_debt_usd, health_factor_text(counters.min_hf),
    )  # fmt: skip


async def _begin_mirror(reader: AaveReader, block: int, feeds: Sequence[tuple[str, Address]]) -> Mirror:
    """Return a mirror of the market at a block, without accounts; prices that we get wrong are asked of the oracle."""
    market = await reader.load_market(block)
    sources = await walk(reader.multicall, market, block, feeds)
    await verify_prices(reader, market, sources.book, block)
    return Mirror(reader, market, sources, feeds)


async def find_borrowers(
    settings: Settings, reader: AaveReader, market: Market, store: Borrowers, progress: Progress
) -> list[Address]:
    """Return every borrower: those of BORROWERS_FILE if it is set, else those that the logs name."""
    if settings.chain.borrowers_file:
        return read_borrowers_file(settings.chain.borrowers_file)
    detection = settings.detection
    limits = DiscoveryLimits(
        settings.chain.start_block, detection.borrowers_index_chunk_blocks, detection.universe_max_candidates
    )
    await discover_borrowers(reader.rpc, market, store, market.block, limits, progress)
    return await store.all()


def watched(user: Address, account: UserAccountData) -> Watched:
    """Return an account as the watch list keeps it."""
    return Watched(account.health_factor, user, account.total_debt_base, account.total_collateral_base)
