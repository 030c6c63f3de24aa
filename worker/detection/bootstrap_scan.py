"""The streaming health-factor scan ("Phase 4"): look at everybody, keep only who may matter.

One batch of figures is in memory at a time, so 100,000 accounts take no more than 100 do.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from core.domain.health_factor import UserAccountData
from core.domain.units import WAD, Address, BaseUsd, Wad
from worker.chain.aave import AaveReader
from worker.chain.multicall import Block

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH = 100
STAGE = "scanning health factors"
USD = 10**8

Keep = Callable[[Address, UserAccountData], None]
Progress = Callable[[str, int, int], None]
"""Called with a stage, what is done and what there is to do (0 when that is not known)."""


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Bound what is kept: debt of at least `min_debt` (MIN_DEBT_USD), health factor up to `hf_threshold_start`."""

    min_debt: BaseUsd
    hf_threshold_start: Wad


@dataclass(slots=True)
class ScanCounters:
    """Count what became of the accounts; `failed` are those for which the chain gives no figures.

    scanned = kept + skipped_no_coll + skipped_debt + skipped_hf + failed.
    """

    scanned: int = 0
    kept: int = 0
    skipped_debt: int = 0
    skipped_hf: int = 0
    skipped_no_coll: int = 0
    failed: int = 0
    requests: int = 0
    min_hf: Wad | None = None


async def scan(
    users: Iterable[Address] | AsyncIterable[Address],
    reader: AaveReader,
    block: Block,
    limits: ScanLimits,
    keep: Keep,
    progress: Progress,
) -> ScanCounters:
    """Ask the chain for every user's figures in batches of 100 and hand those that pass all filters to `keep`.

    The filters, in this order: collateral, debt, health factor. `block` pins all batches to one block. Raises what
    AaveReader.account_data raises.
    """
    logger.info("[v2] Phase 4: Building active risk set")
    logger.info("[v2] Checking health factors for all users (streaming mode)...")
    total = len(users) if isinstance(users, (list, tuple, set, frozenset, dict)) else 0
    counters = ScanCounters()
    async for batch in _batches(users):
        figures = await reader.account_data(batch, block)
        counters.requests += 1
        for user, account in zip(batch, figures, strict=True):
            if _passes(account, limits, counters) and account is not None:
                _count_kept(user, account, counters)
                keep(user, account)
        progress(STAGE, counters.scanned, total)
    logger.info(
        "[v2] Phase 4 done: scanned=%d kept=%d skippedDebt=%d skippedHF=%d skippedNoColl=%d",
        counters.scanned,
        counters.kept,
        counters.skipped_debt,
        counters.skipped_hf,
        counters.skipped_no_coll,
    )
    if counters.failed:
        logger.warning("[v2] Phase 4: the chain gives no figures for %d accounts", counters.failed)
    return counters


def _passes(account: UserAccountData | None, limits: ScanLimits, counters: ScanCounters) -> bool:
    counters.scanned += 1
    if account is None:
        counters.failed += 1
    elif account.total_collateral_base <= 0:
        counters.skipped_no_coll += 1
    elif account.total_debt_base < limits.min_debt or account.total_debt_base == 0:
        counters.skipped_debt += 1
    elif account.health_factor > limits.hf_threshold_start:
        counters.skipped_hf += 1
    else:
        return True
    return False


def _count_kept(user: Address, account: UserAccountData, counters: ScanCounters) -> None:
    counters.kept += 1
    if counters.min_hf is None or account.health_factor < counters.min_hf:
        counters.min_hf = account.health_factor
    logger.debug(
        "[v2] Watched user: %s HF=%d.%04d debtUsd=$%d.%02d",
        user,
        account.health_factor // WAD,
        account.health_factor % WAD * 10_000 // WAD,
        account.total_debt_base // USD,
        account.total_debt_base % USD * 100 // USD,
    )


async def _batches(users: Iterable[Address] | AsyncIterable[Address]) -> AsyncIterator[list[Address]]:
    batch: list[Address] = []
    async for user in _each(users):
        batch.append(user)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _each(users: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(users, AsyncIterable):
        async for user in users:
            yield user
    else:
        for user in users:
            yield user
