"""From a snapshot and the logs since then to a mirror that is exact now."""

from __future__ import annotations

import logging
import time

from core.config import Settings
from core.domain.market import Revision
from core.state.ports import Snapshots
from core.state.snapshot import Snapshot, unpack
from worker.chain.aave import AaveReader
from worker.chain.logs import Head, LogFilter, LogWalk, addresses_of, head
from worker.chain.oracles import watched_addresses
from worker.detection.mirror import Mirror

logger = logging.getLogger(__name__)


async def usable_snapshot(snapshots: Snapshots, reader: AaveReader, block: int) -> Snapshot | None:
    """Return the last snapshot if it is of this chain, these rules and not of the future; else None, and say why."""
    kept = await snapshots.latest()
    if kept is None:
        return None
    try:
        snapshot = unpack(kept[1])
    except ValueError as error:
        logger.warning("[worker] starting without the snapshot of block %d: %s", kept[0], error)
        return None
    reason = await _why_not(snapshot, reader, block)
    if reason:
        logger.warning("[worker] starting without the snapshot of block %d: %s", kept[0], reason)
    return None if reason else snapshot


async def _why_not(snapshot: Snapshot, reader: AaveReader, block: int) -> str:
    revision = reader.contracts.revision
    if Revision.of(revision) is None or snapshot.revision != revision:
        return f"it is of revision {snapshot.revision}, the pool is at {revision}"
    if snapshot.block > block:
        return f"the chain is at block {block} only"
    there = await head(reader.rpc, snapshot.block)
    if there is None or there.hash != snapshot.block_hash:
        return "the chain has another block there"
    return ""


async def catch_up(mirror: Mirror, snapshot: Snapshot, reader: AaveReader, to: Head, settings: Settings) -> bool:
    """Restore the snapshot and fold every log since; return False when only a fresh start is safe.

    That is when a reserve was listed meanwhile: logs of its tokens were not asked for.
    """
    started = time.monotonic()
    mirror.restore(snapshot)
    addresses = watched_addresses(reader.contracts, mirror.market, mirror.sources)
    walk = LogWalk(
        reader.rpc,
        LogFilter(addresses_of(addresses)),
        snapshot.block + 1,
        to.number,
        settings.detection.borrowers_index_chunk_blocks,
    )
    heard = 0
    while not walk.finished:
        _, logs = await walk.next_chunk()
        for log in logs:
            mirror.hear(log)
        heard += len(logs)
    if mirror.misses_a_reserve:
        mirror.forget_accounts()
        logger.warning("[worker] a reserve was listed since the snapshot: reading every account again")
        return False
    await mirror.settle(to.number, to.timestamp)
    logger.info(
        "[worker] caught up from the snapshot of block %d to block %d: %d accounts, %d logs, %.2f s",
        snapshot.block, to.number, len(mirror), heard, time.monotonic() - started,
    )  # fmt: skip
    return True
