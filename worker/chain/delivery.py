"""The order of things: every head and log reaches the sink once, whatever the connection did in between."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from core.domain.units import Address
from core.errors import RpcUnavailable
from worker.chain.logs import CHUNK_BLOCKS, Head, Log, LogFilter, LogWalk, addresses_of, head
from worker.chain.recent import DEPTH, Recent
from worker.chain.rpc import Rpc

log = logging.getLogger(__name__)


class FeedSink(Protocol):
    """Receive what the feed hears; called one at a time, in order, and expected to return at once."""

    def on_log(self, log: Log) -> None:
        """Receive a log."""
        ...

    def on_head(self, head: Head) -> None:
        """Receive a head; its logs may come before it or after: nodes tell of both, and not in a fixed order."""
        ...

    def on_reorganisation(self, first: int) -> None:
        """Receive that the chain may be another one from block `first` on; the logs that are gone come next."""
        ...

    def on_state(self, up: bool, text: str) -> None:
        """Receive whether the connection stands, with words for people."""
        ...


@dataclass(slots=True)
class FeedStats:
    """Count what the feed did since it was made."""

    heads: int = 0
    logs: int = 0
    reconnects: int = 0
    gaps: int = 0
    backfilled: int = 0
    duplicates: int = 0
    removed: int = 0
    reorganisations: int = 0
    polls: int = 0


class Delivery:
    """Pass heads and logs on: none twice, none left out, and those that a reorganisation took back marked as removed.

    `watched` are the addresses whose logs are wanted; it may be replaced at any time.
    """

    def __init__(self, sink: FeedSink, stats: FeedStats, chunk_blocks: int = CHUNK_BLOCKS) -> None:
        self.watched: frozenset[Address] = frozenset()
        self.block_seconds: float | None = None
        self._sink = sink
        self._stats = stats
        self._chunk = chunk_blocks
        self._recent = Recent()
        self._covered = -1
        self._floor = 0

    @property
    def head(self) -> Head | None:
        """Return the last head delivered."""
        return self._recent.head

    def start_after(self, head: Head) -> None:
        """Take everything up to that head as delivered."""
        self._recent.move_to(head)
        self._floor = head.number + 1

    async def catch_up(self, rpc: Rpc) -> None:
        """Deliver everything up to the node's latest block."""
        tip = await head(rpc)
        if tip is None:
            raise RpcUnavailable(f"{rpc.name} has no latest block")
        await self._move_to(tip, rpc, logs_are_heard=False)

    async def take_head(self, heard: Head, rpc: Rpc) -> None:
        """Deliver a head that was notified, and before it the logs of blocks that were not heard of."""
        await self._move_to(heard, rpc, logs_are_heard=True)

    async def _move_to(self, tip: Head, rpc: Rpc, *, logs_are_heard: bool) -> None:
        """Without a subscription each block's logs have to be read; with one, only when blocks were left out."""
        last = self._recent.head
        if last is None:
            self._floor = tip.number
        elif tip.hash == last.hash:
            return
        elif tip.number <= last.number and not self._recent.contradicts(tip):
            self._stats.duplicates += 1
            return
        else:
            self._measure(tip, last)
            if not logs_are_heard or tip.parent_hash != last.hash:
                await self.fill(rpc, tip)
        self._recent.move_to(tip)
        self._stats.heads += 1
        self._sink.on_head(tip)

    async def take_live_log(self, entry: Log, rpc: Rpc) -> None:
        """Deliver a log that was just heard, and before it those of blocks in between that were not."""
        last = self._recent.head
        if last is not None and entry.block_number - 1 > max(last.number, self._covered):
            self._stats.gaps += 1
            await self._walk(rpc, max(last.number, self._floor, self._covered + 1), entry.block_number - 1)
        self.take_log(entry)

    def take_log(self, entry: Log) -> None:
        """Deliver a log, unless that was done."""
        if not self._recent.is_new(entry):
            self._stats.duplicates += 1
            return
        self._stats.logs += 1
        self._stats.removed += entry.removed
        self._sink.on_log(entry)

    async def refill(self, rpc: Rpc) -> None:
        """Read the last head's block and what follows: a subscription begins, or ends, between a head and its logs."""
        last = self._recent.head
        tip = await head(rpc)
        if last is not None and tip is not None and tip.number >= last.number and await self._builds_on(rpc, last, tip):
            await self._walk(rpc, max(last.number, self._floor), tip.number)

    async def fill(self, rpc: Rpc, tip: Head) -> None:
        """Deliver the logs from the last head's block to `tip`'s, and take back what the chain took back."""
        last = self._recent.head
        if last is None:
            return
        first = max(last.number, self._floor, self._covered + 1)
        if tip.number > max(last.number, self._covered) + 1:
            self._stats.gaps += 1
        if not await self._builds_on(rpc, last, tip):
            self._stats.reorganisations += 1
            self._floor = min(self._floor, tip.number)  # what was delivered may be gone itself
            remembered = last.number - DEPTH  # earlier logs would be delivered twice
            first = max(self._floor, min(tip.number, remembered))
            log.warning("[realtime-hf] Reorganisation: block %d %s is gone", last.number, last.hash[:10])
            self._sink.on_reorganisation(first if tip.number >= remembered else 0)
        await self._walk(rpc, first, tip.number)

    async def _walk(self, rpc: Rpc, first: int, last: int) -> None:
        """Deliver chunk by chunk: a long gap is never held in memory, and a failure does not begin it anew."""
        watched, begin = self.watched, first
        walk = LogWalk(rpc, LogFilter(addresses_of(watched)), first, last, self._chunk)
        while not walk.finished:
            to_block, found = await walk.next_chunk()
            reach = to_block if to_block < last else max(to_block, self._recent.head.number if self._recent.head else 0)
            for entry in self._recent.taken_back(found, begin, reach, watched):
                self.take_log(entry)
            before = self._stats.logs
            for entry in found:
                self.take_log(entry)
            self._stats.backfilled += self._stats.logs - before
            self._recent.forget_before(to_block - DEPTH)
            self._covered, begin = to_block, to_block + 1

    async def _builds_on(self, rpc: Rpc, last: Head, tip: Head) -> bool:
        if last.hash in (tip.hash, tip.parent_hash):
            return True
        if tip.number <= last.number:
            return False
        now = await head(rpc, last.number)
        return now is not None and now.hash == last.hash

    def _measure(self, heard: Head, last: Head) -> None:
        """Keep a running mean of the seconds between blocks, by arrival."""
        blocks = heard.number - last.number
        if blocks > 0:
            seconds = (heard.heard_at - last.heard_at) / blocks
            self.block_seconds = seconds if self.block_seconds is None else self.block_seconds * 0.9 + seconds * 0.1
