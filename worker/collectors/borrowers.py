"""Who ever borrowed: from the chain's logs, in chunks that go on where they stopped, or from a file of addresses."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from core.domain.market import Market
from core.domain.units import Address
from core.errors import ConfigError
from core.state.ports import Borrowers
from worker.chain import codec
from worker.chain.events import MINT
from worker.chain.jsonrpc import backoff, retryable
from worker.chain.logs import CHUNK_BLOCKS, Log, LogFilter, LogWalk, addresses_of
from worker.chain.rpc import Rpc, jitter

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with a stage, what is done and what there is to do."""

STAGE = "discovering borrowers"
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class DiscoveryLimits:
    """Bound a discovery: its first block, blocks per request (BORROWERS_INDEX_CHUNK_BLOCKS), and how many borrowers
    are kept (UNIVERSE_MAX_CANDIDATES).
    """

    start_block: int
    chunk_blocks: int = CHUNK_BLOCKS
    max_borrowers: int = 100_000


@dataclass(frozen=True, slots=True)
class Discovery:
    """Tell how a discovery went: borrowers known, blocks read now, logs among them, and whether the bound was hit."""

    borrowers: int
    blocks: int
    logs: int
    capped: bool


async def discover_borrowers(
    rpc: Rpc, market: Market, store: Borrowers, to_block: int, limits: DiscoveryLimits, progress: Progress
) -> Discovery:
    """Add every account that took on debt up to `to_block` to the store, going on after its last chunk.

    A borrower is whoever a variable debt token's Mint names as onBehalfOf. A node that is away is waited for; raise
    RpcRejected when it refuses even a single block.
    """
    done_to = await store.discovered_to()
    first = limits.start_block if done_to is None else done_to + 1
    known = dict.fromkeys(await store.all())
    tokens = addresses_of(reserve.variable_debt_token for reserve in market.reserves.values())
    walk = LogWalk(rpc, LogFilter(tokens, ((MINT,),)), first, to_block, limits.chunk_blocks)
    seen = 0
    capped = False
    while not walk.finished:
        to, logs = await next_chunk(walk)
        seen += len(logs)
        new = [user for user in dict.fromkeys(map(_on_behalf_of, logs)) if user not in known]
        room = max(0, limits.max_borrowers - len(known))
        if len(new) > room and not capped:
            capped = True
            logger.warning(
                "[borrowers-index] UNIVERSE_MAX_CANDIDATES=%d is reached at block %d: later borrowers are NOT watched",
                limits.max_borrowers,
                to,
            )
        known |= dict.fromkeys(new[:room])
        await store.add(new[:room], to)
        progress(STAGE, to - first + 1, to_block - first + 1)
    return Discovery(len(known), max(0, to_block - first + 1), seen, capped)


def read_borrowers_file(path: str | Path) -> list[Address]:
    """Return the addresses of a file, one a line, without repeats; empty lines and what follows a # are left out.

    Raise ConfigError with the line's number for anything else.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"BORROWERS_FILE={path}: cannot be read: {_reason(exc)}") from exc
    return list(dict.fromkeys(_parsed(lines, path)))


def _parsed(lines: Iterable[str], path: str | Path) -> Iterable[Address]:
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not ADDRESS.fullmatch(text):
            raise ConfigError(f"BORROWERS_FILE={path}: line {number}: {text[:60]!r}: allowed: 0x and 40 hex digits")
        yield Address(text.lower())


def _reason(exc: Exception) -> str:
    return (exc.strerror or type(exc).__name__) if isinstance(exc, OSError) else "it is not UTF-8 text"


async def next_chunk(walk: LogWalk) -> tuple[int, list[Log]]:
    """Return the next chunk, however long the node takes to come back."""
    attempt = 0
    while True:
        try:
            return await walk.next_chunk()
        except Exception as exc:
            if not retryable(exc):
                raise
            attempt += 1
            wait = backoff(attempt, jitter())
            logger.warning("[borrowers-index] %s; trying again in %.1f s", exc, wait)
        await asyncio.sleep(wait)


def _on_behalf_of(log: Log) -> Address:
    return codec.address_at(codec.unhex(log.topics[2]))
