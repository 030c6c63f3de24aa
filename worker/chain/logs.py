"""Heads and logs as the node tells them, and eth_getLogs over any range in pieces that the node accepts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from core.domain.units import Address
from core.errors import RpcRejected, RpcUnavailable
from worker.chain.jsonrpc import too_much
from worker.chain.rpc import Rpc

CHUNK_BLOCKS = 2_000


@dataclass(frozen=True, slots=True)
class Head:
    """Hold one block header; `timestamp` is in unix seconds, `heard_at` is time.monotonic() at its arrival."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    heard_at: float


@dataclass(frozen=True, slots=True)
class Log:
    """Hold one log; `topics` and `data` are 0x strings, `heard_at` is time.monotonic() at its arrival.

    `removed` says that the chain took its block back. `timestamp` is its block's in unix seconds, None from a node that
    does not send it along (blockTimestamp).
    """

    address: Address
    topics: tuple[str, ...]
    data: str
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int
    removed: bool
    heard_at: float
    timestamp: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Return what no other log has: its block's hash and its index there."""
        return self.block_hash, self.log_index

    @property
    def place(self) -> str:
        """Return where it is on the chain, for people."""
        return f"log {self.log_index} of block {self.block_number} ({self.address})"


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Choose logs by emitter and by topics; an empty tuple of topics takes all, and so does an empty inner tuple."""

    addresses: tuple[Address, ...]
    topics: tuple[tuple[str, ...], ...] = ()

    def params(self) -> dict[str, Any]:
        """Return the filter as JSON-RPC wants it."""
        chosen: dict[str, Any] = {"address": list(self.addresses)}
        if self.topics:
            chosen["topics"] = [list(topic) or None for topic in self.topics]
        return chosen


def parse_head(name: str, raw: Any, heard_at: float) -> Head:
    """Decode a header; fields that are not known are ignored. Raise RpcUnavailable when one is missing."""
    try:
        return Head(
            number=int(raw["number"], 16),
            hash=raw["hash"],
            parent_hash=raw["parentHash"],
            timestamp=int(raw["timestamp"], 16),
            heard_at=heard_at,
        )
    except (KeyError, TypeError, ValueError):
        raise RpcUnavailable(f"{name} sent a header that is none: {str(raw)[:80]}") from None


def parse_log(name: str, raw: Any, heard_at: float) -> Log:
    """Decode a log; raise RpcUnavailable when a field is missing."""
    try:
        return Log(
            address=Address(raw["address"].lower()),
            topics=tuple(raw["topics"]),
            data=raw["data"],
            block_number=int(raw["blockNumber"], 16),
            block_hash=raw["blockHash"],
            transaction_hash=raw["transactionHash"],
            log_index=int(raw["logIndex"], 16),
            removed=bool(raw.get("removed", False)),
            heard_at=heard_at,
            timestamp=int(raw["blockTimestamp"], 16) if raw.get("blockTimestamp") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RpcUnavailable(f"{name} sent a log that is none: {str(raw)[:80]}") from None


async def head(rpc: Rpc, block: int | str = "latest") -> Head | None:
    """Return a block's header, or None when the node does not have that block."""
    tag = block if isinstance(block, str) else hex(block)
    raw = await rpc.call("eth_getBlockByNumber", [tag, False])
    return None if raw is None else parse_head(rpc.name, raw, time.monotonic())


async def get_logs(rpc: Rpc, chosen: LogFilter, first: int, last: int) -> list[Log]:
    """Return the chosen logs of blocks `first` to `last` in one request, in the chain's order."""
    if not chosen.addresses:
        return []  # an empty list would mean every contract there is
    params = {**chosen.params(), "fromBlock": hex(first), "toBlock": hex(last)}
    raw = await rpc.call("eth_getLogs", [params], 30.0)
    heard_at = time.monotonic()
    if not isinstance(raw, list):
        raise RpcUnavailable(f"{rpc.name} answered eth_getLogs with {str(raw)[:40]!r}")
    logs = [parse_log(rpc.name, entry, heard_at) for entry in raw]
    return sorted(logs, key=lambda log: (log.block_number, log.log_index))


@dataclass(slots=True)
class LogWalk:
    """Walk a range of blocks in chunks; halve them when the node says too much, and grow them back after.

    Breaking off and going on is safe: `next_block` is the first block whose logs have not been returned.
    """

    rpc: Rpc
    chosen: LogFilter
    next_block: int
    last: int
    chunk: int = CHUNK_BLOCKS
    halvings: int = 0
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        self._size = self.chunk

    @property
    def finished(self) -> bool:
        """Tell whether the whole range was walked."""
        return self.next_block > self.last

    async def next_chunk(self) -> tuple[int, list[Log]]:
        """Return (last block of the chunk, its logs); raise RpcRejected when even a single block is too much."""
        while True:
            to_block = min(self.last, self.next_block + self._size - 1)
            try:
                logs = await get_logs(self.rpc, self.chosen, self.next_block, to_block)
            except RpcRejected as exc:
                if not too_much(exc) or to_block == self.next_block:
                    raise
                self._size = (to_block - self.next_block + 1) // 2
                self.halvings += 1
            else:
                self.next_block = to_block + 1
                self._size = min(self.chunk, self._size * 2)
                return to_block, logs


def addresses_of(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Return addresses without repeats, in a stable order."""
    return tuple(sorted(set(addresses)))
