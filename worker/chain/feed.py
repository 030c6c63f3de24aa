"""The worker's ear: heads and logs in the order of their arrival, whatever happens to the connection.

Over a WebSocket while there is one, by polling over HTTP while there is none. After every interruption the blocks in
between are read with eth_getLogs before anything newer is delivered; what was delivered already is not delivered again,
and logs that a reorganisation took back are delivered once more with `removed` set.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from core.domain.units import Address
from core.errors import ChainError, RpcUnavailable
from worker.chain.delivery import Delivery, FeedSink, FeedStats
from worker.chain.jsonrpc import backoff
from worker.chain.logs import CHUNK_BLOCKS, Head, Log, LogFilter, addresses_of, parse_head, parse_log
from worker.chain.rpc import Observe, Rpc, ignore, jitter, verify_chain
from worker.chain.ws import Notification, WsRpc

__all__ = ["Feed", "FeedOptions", "FeedSink", "FeedStats", "Head", "Log"]

log = logging.getLogger(__name__)

STALE_AT_LEAST = 2.0
STALE_UNMEASURED = 10.0
STALE_BLOCKS = 3
ON_THE_WAY = 0.2


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Hold the feed's settings; times in seconds.

    `stale_seconds` is how long a socket may be without a head before it must prove that it lives; None means three
    measured block times, at least two seconds.
    """

    chain_id: int | None = None
    poll_seconds: float = 10.0
    reconnect_seconds: float = 2.0
    stale_seconds: float | None = None
    chunk_blocks: int = CHUNK_BLOCKS


class Feed:
    """Supervise one connection and deliver heads and logs to a sink, without gaps and without repeats."""

    def __init__(
        self,
        ws_url: str | None,
        http: Rpc,
        addresses: Iterable[Address] = (),
        *,
        options: FeedOptions | None = None,
        observe: Observe = ignore,
        rng: random.Random | None = None,
    ) -> None:
        self.stats = FeedStats()
        self.connected = False
        self._ws_url = ws_url
        self._http = http
        self._watched: frozenset[Address] = frozenset(addresses)
        self._options = options or FeedOptions()
        self._observe = observe
        self._rng = rng or jitter()

    def watch(self, addresses: Iterable[Address]) -> None:
        """Replace the set of addresses whose logs are wanted; nothing is lost while the subscription changes."""
        self._watched = frozenset(addresses)

    @property
    def watched(self) -> frozenset[Address]:
        """Return the addresses whose logs are wanted."""
        return self._watched

    async def run(self, sink: FeedSink, after: Head | None = None) -> None:
        """Deliver to `sink` for ever; with `after` given, everything after that head comes first.

        Nothing about the node ends it; what the sink raises does.
        """
        delivery = Delivery(sink, self.stats, self._options.chunk_blocks)
        if after is not None:
            delivery.start_after(after)
        if self._ws_url is None:
            await self._poll_for_ever(delivery, sink)
        attempt = 0
        while self._ws_url is not None:
            heads_before = self.stats.heads
            try:
                await self._listen(self._ws_url, delivery, sink)
            except ChainError as exc:
                log.warning("[realtime-hf] Provider error: %s", exc)
                self._state(sink, False, str(exc))
            attempt = 1 if self.stats.heads > heads_before else attempt + 1
            wait = backoff(attempt, self._rng, self._options.reconnect_seconds)
            log.warning("[realtime-hf] Attempting reconnect in %dms (attempt %d)", wait * 1000, attempt)
            self.stats.reconnects += 1
            await self._poll_until(time.monotonic() + wait, delivery, sink)

    async def _listen(self, url: str, delivery: Delivery, sink: FeedSink) -> None:
        """Live on one WebSocket until it fails; always raises."""
        ws = await WsRpc.connect(url, observe=self._observe)
        try:
            if self._options.chain_id is not None:
                await verify_chain(ws, self._options.chain_id)
            line = Line(ws, self._http, delivery, self._options.stale_seconds)
            await line.open(self._watched)
            log.info("[realtime-hf] WebSocket provider connected")
            self._state(sink, True, f"connected to {ws.name}")
            while True:
                if self._watched != delivery.watched:
                    await line.watch(self._watched)
                await line.step()
        finally:
            self.connected = False
            await ws.aclose()

    async def _poll_for_ever(self, delivery: Delivery, sink: FeedSink) -> None:
        log.info("[realtime-hf] No WebSocket: polling by HTTP every %g s", self._options.poll_seconds)
        while True:
            if await self._poll(delivery, sink) and not self.connected:
                self._state(sink, True, f"polling {self._http.name} every {self._options.poll_seconds:g} s")
            await asyncio.sleep(self._options.poll_seconds)

    async def _poll_until(self, deadline: float, delivery: Delivery, sink: FeedSink) -> None:
        """Poll at once and then in the usual rhythm, until it is time to try the WebSocket again."""
        while (left := deadline - time.monotonic()) > 0:
            with suppress(TimeoutError):  # the WebSocket's next try does not wait for a slow poll
                async with asyncio.timeout(left):
                    await self._poll(delivery, sink)
            await asyncio.sleep(min(max(0.0, deadline - time.monotonic()), self._options.poll_seconds))

    async def _poll(self, delivery: Delivery, sink: FeedSink) -> bool:
        self.stats.polls += 1
        delivery.watched = self._watched
        try:
            await delivery.catch_up(self._http)
        except ChainError as exc:
            log.warning("[realtime-hf] Polling failed: %s", exc)
            self._state(sink, False, str(exc))
            return False
        return True

    def _state(self, sink: FeedSink, up: bool, text: str) -> None:
        self.connected = up
        sink.on_state(up, text)


class Line:
    """Hold the subscriptions of one open WebSocket, and see that it does not fall silent unnoticed."""

    def __init__(self, ws: WsRpc, http: Rpc, delivery: Delivery, stale_seconds: float | None) -> None:
        self._ws = ws
        self._http = http
        self._delivery = delivery
        self._stale_seconds = stale_seconds
        self._heads_id = ""
        self._logs_id: str | None = None
        self._alive_at = 0.0

    async def open(self, addresses: frozenset[Address]) -> None:
        """Subscribe, then deliver what was missed; what is notified meanwhile waits its turn."""
        await self._subscribe(addresses)
        self._heads_id = await self._ws.subscribe("newHeads")
        await self._delivery.refill(self._ws)
        await self._delivery.catch_up(self._ws)
        self._alive_at = time.monotonic()

    async def watch(self, addresses: frozenset[Address]) -> None:
        """Change the addresses: the new subscription first, so that what overlaps is heard twice rather than never."""
        former = self._logs_id
        await self._subscribe(addresses)
        await self._delivery.refill(self._ws)
        if former is not None:
            await self._ws.unsubscribe(former)

    async def step(self) -> None:
        """Deliver the next notification, or see why there is none."""
        left = self._alive_at + self._stale_after() - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                note = await self._ws.next()
        except TimeoutError:
            await self._prove_alive()
        else:
            await self._deliver(note)

    async def _subscribe(self, addresses: frozenset[Address]) -> None:
        self._delivery.watched = addresses
        self._logs_id = None
        if addresses:  # an empty list would mean every contract there is
            self._logs_id = await self._ws.subscribe("logs", LogFilter(addresses_of(addresses)).params())

    async def _deliver(self, note: Notification) -> None:
        if note.subscription == self._heads_id:
            self._alive_at = time.monotonic()
            await self._delivery.take_head(parse_head(self._ws.name, note.result, note.heard_at), self._ws)
        else:
            await self._delivery.take_live_log(parse_log(self._ws.name, note.result, note.heard_at), self._ws)

    async def _prove_alive(self) -> None:
        """Raise RpcUnavailable unless the chain itself stands still: then silence is no fault of the socket."""
        last = self._delivery.head
        known = last.number if last else -1
        block = await self._block_number(self._ws)
        with suppress(ChainError):  # the HTTP side may be away; then the socket's own word has to do
            block = max(block, await self._block_number(self._http))
        if block > known and not self._ws.backlog:
            await asyncio.sleep(ON_THE_WAY)
            if not self._ws.backlog:
                raise RpcUnavailable(
                    f"{self._ws.name} is open but silent: block {block} is out, {known} was the last heard"
                )
        self._alive_at = time.monotonic()

    async def _block_number(self, rpc: Rpc) -> int:
        answer = await rpc.call("eth_blockNumber", [], max(STALE_AT_LEAST, self._stale_after()))
        try:
            return int(answer, 16)
        except (TypeError, ValueError):
            raise RpcUnavailable(f"{rpc.name} answered eth_blockNumber with {str(answer)[:40]!r}") from None

    def _stale_after(self) -> float:
        if self._stale_seconds is not None:
            return self._stale_seconds
        if self._delivery.block_seconds is None:
            return STALE_UNMEASURED
        return max(STALE_AT_LEAST, STALE_BLOCKS * self._delivery.block_seconds)
