"""The feed on a real node, with a proxy between them that cuts, mutes and garbles: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.domain.units import Address
from devnet.chain import Chain
from tests.devnet_fixtures import live_chain
from tests.nodes import NodeProxy
from worker.chain.feed import Feed, FeedOptions, Head, Log
from worker.chain.logs import LogFilter, get_logs, head
from worker.chain.rpc import HttpRpc

QUICK = FeedOptions(poll_seconds=0.1, reconnect_seconds=0.2, stale_seconds=0.4, chunk_blocks=3)


class Sink:
    """Write down what the feed delivers."""

    def __init__(self) -> None:
        self.heard: list[Head | Log] = []
        self.states: list[tuple[bool, str]] = []
        self.reorganised: list[int] = []

    def on_log(self, log: Log) -> None:
        self.heard.append(log)

    def on_head(self, head: Head) -> None:
        self.heard.append(head)

    def on_reorganisation(self, first: int) -> None:
        self.reorganised.append(first)

    def on_state(self, up: bool, text: str) -> None:
        self.states.append((up, text))

    @property
    def logs(self) -> list[Log]:
        return [each for each in self.heard if isinstance(each, Log)]

    @property
    def heads(self) -> list[Head]:
        return [each for each in self.heard if isinstance(each, Head)]

    @property
    def kept(self) -> list[tuple[str, int]]:
        """The logs that were delivered and not taken back, in order."""
        kept: dict[tuple[str, int], None] = {}
        for log in self.logs:
            assert (log.key in kept) is log.removed, f"{log.place} was delivered twice, or taken back unheard"
            if log.removed:
                del kept[log.key]
            else:
                kept[log.key] = None
        return list(kept)


async def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        await asyncio.sleep(0.01)


def watched(chain: Chain) -> list[Address]:
    return [chain.pool, *(feed.aggregator for feed in chain.feeds.by_name.values())]


async def truth(chain: Chain, addresses: list[Address], after: int) -> list[tuple[str, int]]:
    """Return the keys of the chain's own logs after a block."""
    rpc = HttpRpc(chain.http_url)
    try:
        logs = await get_logs(rpc, LogFilter(tuple(addresses)), after + 1, await chain.rpc.block_number())
    finally:
        await rpc.aclose()
    return [log.key for log in logs]


@asynccontextmanager
async def hearing(
    chain: Chain,
    ws_url: str | None,
    *,
    options: FeedOptions = QUICK,
    addresses: list[Address] | None = None,
    wait: bool = True,
) -> AsyncIterator[tuple[Feed, Sink]]:
    """Run a feed until the block ends; HTTP goes straight to the node."""
    http = HttpRpc(chain.http_url, chain_id=31337)
    feed = Feed(ws_url, http, watched(chain) if addresses is None else addresses, options=options, rng=random.Random(1))
    sink = Sink()
    start = await head(http)
    task = asyncio.create_task(feed.run(sink, start))
    try:
        if wait:
            await wait_until(lambda: feed.connected)
        yield feed, sink
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await http.aclose()


async def move(chain: Chain, times: int = 1) -> int:
    """Move the price of ETH a few times, a block each; return the last block."""
    block = 0
    for _ in range(times):
        block = await chain.set_price("ETH", factor="0.999")
    return block


async def caught_up(chain: Chain, sink: Sink) -> None:
    block = await chain.rpc.block_number()
    await wait_until(lambda: bool(sink.heads) and sink.heads[-1].number >= block)


async def test_heads_and_logs_come_in_order() -> None:
    async with live_chain(borrowers=20) as chain, hearing(chain, chain.ws_url) as (feed, sink):
        start = await chain.rpc.block_number()
        for _ in range(3):
            await chain.set_price("ETH", factor="0.99")
        await caught_up(chain, sink)
        numbers = [each.number for each in sink.heads]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert all(a.hash == b.parent_hash for a, b in zip(sink.heads, sink.heads[1:], strict=False))
        assert sink.kept[-9:] == (await truth(chain, watched(chain), start))[-9:]
        blocks = [log.block_number for log in sink.logs]
        assert blocks == sorted(blocks)
        assert all(each.heard_at <= time.monotonic() for each in sink.heard)
        assert feed.stats.reconnects == feed.stats.gaps == feed.stats.reorganisations == 0
        assert sink.states == [(True, f"connected to {chain.ws_url.removeprefix('ws://')}")]


async def test_a_cut_socket_is_opened_again_and_the_gap_is_filled(
    fresh_market: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with NodeProxy.running(chain.http_url) as proxy, hearing(chain, proxy.ws_url) as (feed, sink):
        for _ in range(3):
            await move(chain, 2)
            proxy.refuse = True
            await proxy.cut()
            await wait_until(lambda: not feed.connected)
            await move(chain, 7)
            proxy.refuse = False
            await wait_until(lambda: feed.connected)
            await move(chain)
        await caught_up(chain, sink)
        assert sink.kept == await truth(chain, watched(chain), start)
        assert feed.stats.reconnects >= 3
        assert feed.stats.backfilled >= 3 * 7
        assert (False, True) in {(a[0], b[0]) for a, b in zip(sink.states, sink.states[1:], strict=False)}
    assert "[realtime-hf] Attempting reconnect in 200ms (attempt 1)" in caplog.messages
    assert "[realtime-hf] WebSocket provider connected" in caplog.messages


async def test_the_first_reconnect_comes_after_two_seconds(
    fresh_market: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        NodeProxy.running(fresh_market.http_url) as proxy,
        hearing(fresh_market, proxy.ws_url, options=FeedOptions()),
    ):
        await proxy.cut()
        await wait_until(lambda: "[realtime-hf] Attempting reconnect in 2000ms (attempt 1)" in caplog.messages)


@pytest.mark.parametrize("silence", ["mute", "deaf"])
async def test_a_socket_that_is_open_but_silent_is_replaced(fresh_market: Chain, silence: str) -> None:
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with NodeProxy.running(chain.http_url) as proxy, hearing(chain, proxy.ws_url) as (feed, sink):
        await move(chain)
        await caught_up(chain, sink)
        setattr(proxy, silence, True)
        await move(chain, 5)
        await wait_until(lambda: feed.stats.reconnects > 0)
        setattr(proxy, silence, False)
        await wait_until(lambda: feed.connected)
        await caught_up(chain, sink)
        assert sink.kept == await truth(chain, watched(chain), start)
        assert any("silent" in text or "did not answer" in text for up, text in sink.states if not up)


async def test_a_chain_that_stands_still_is_no_reason_to_reconnect(fresh_market: Chain) -> None:
    async with NodeProxy.running(fresh_market.http_url) as proxy, hearing(fresh_market, proxy.ws_url) as (feed, _):
        await wait_until(lambda: proxy.asked["ws:eth_blockNumber"] >= 2)
        assert feed.connected
        assert (feed.stats.reconnects, proxy.opened) == (0, 1)


async def test_heads_that_were_not_notified_are_a_gap_that_is_filled(fresh_market: Chain) -> None:
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with NodeProxy.running(chain.http_url) as proxy, hearing(chain, proxy.ws_url) as (feed, sink):
        dropped: list[str] = []

        def drop(told: dict[str, Any]) -> bool:
            dropped.append(told["params"]["result"].get("number", ""))
            return True

        proxy.drop = drop
        block = await move(chain, 8)
        await wait_until(lambda: dropped.count("") == 8 * 3 and hex(block) in dropped)
        proxy.drop = lambda _told: False
        await move(chain)
        await caught_up(chain, sink)
        assert sink.kept == await truth(chain, watched(chain), start)
        assert (feed.stats.gaps, feed.stats.reconnects) == (1, 0)
        assert len(sink.heads) == 1


async def test_garbage_on_the_socket_is_survived(fresh_market: Chain) -> None:
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with NodeProxy.running(chain.http_url) as proxy, hearing(chain, proxy.ws_url) as (feed, sink):
        proxy.garble = True
        await move(chain, 2)
        await wait_until(lambda: feed.stats.reconnects > 0)
        proxy.garble = False
        await wait_until(lambda: feed.connected)
        await move(chain)
        await caught_up(chain, sink)
        assert sink.kept == await truth(chain, watched(chain), start)
        assert any("answered HTML where JSON was expected" in text for up, text in sink.states if not up)


async def test_http_is_polled_while_there_is_no_socket(fresh_market: Chain) -> None:
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with NodeProxy.running(chain.http_url) as proxy:
        proxy.refuse = True
        async with hearing(chain, proxy.ws_url, wait=False) as (feed, sink):
            await wait_until(lambda: feed.stats.polls > 0)
            await move(chain, 5)
            await caught_up(chain, sink)
            assert sink.kept == await truth(chain, watched(chain), start)
            assert not feed.connected
            proxy.refuse = False
            await wait_until(lambda: feed.connected)
            await move(chain)
            await caught_up(chain, sink)
            assert sink.kept == await truth(chain, watched(chain), start)


async def test_without_a_socket_at_all_http_is_polled(fresh_market: Chain, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with hearing(chain, None) as (feed, sink):
        for blocks in (3, 1, 1, 2, 1):  # a single block, too, has to be read: nobody tells of its logs
            await move(chain, blocks)
            await caught_up(chain, sink)
        assert sink.kept == await truth(chain, watched(chain), start)
        assert feed.connected
        assert sink.states == [(True, f"polling {chain.http_url.removeprefix('http://')} every 0.1 s")]
    assert "[realtime-hf] No WebSocket: polling by HTTP every 0.1 s" in caplog.messages


async def test_polling_survives_a_node_that_is_away(fresh_market: Chain) -> None:
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with NodeProxy.running(chain.http_url) as proxy:
        http = HttpRpc(proxy.http_url, attempts=1, cooldown=0.01)
        feed, sink = Feed(None, http, watched(chain), options=QUICK), Sink()
        task = asyncio.create_task(feed.run(sink, await head(http)))
        await wait_until(lambda: feed.connected)
        proxy.refuse = True
        await move(chain, 4)
        await wait_until(lambda: not feed.connected)
        proxy.refuse = False
        await caught_up(chain, sink)
        assert feed.connected
        assert sink.kept == await truth(chain, watched(chain), start)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await http.aclose()


async def test_what_happened_before_the_feed_began_comes_first(fresh_market: Chain) -> None:
    chain = fresh_market
    http = HttpRpc(chain.http_url)
    start = await head(http)
    assert start is not None
    await move(chain, 5)
    feed, sink = Feed(chain.ws_url, http, watched(chain), options=QUICK), Sink()
    task = asyncio.create_task(feed.run(sink, start))
    await caught_up(chain, sink)
    assert sink.kept == await truth(chain, watched(chain), start.number)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await http.aclose()


async def test_new_addresses_are_heard_without_losing_any(fresh_market: Chain) -> None:
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    everything = watched(chain)
    async with hearing(chain, chain.ws_url, addresses=[chain.pool]) as (feed, sink):
        await chain.set_price("ETH", factor="0.99")
        await caught_up(chain, sink)
        assert sink.logs == []
        feed.watch(everything)
        assert feed.watched == set(everything)
        first = await move(chain, 4)
        await caught_up(chain, sink)
        expected = await truth(chain, everything, first - 4)
        assert [key for key in sink.kept if key in expected] == expected
        assert set(sink.kept) <= set(await truth(chain, everything, start))


async def test_nothing_is_asked_about_when_nothing_is_watched(fresh_market: Chain) -> None:
    async with hearing(fresh_market, fresh_market.ws_url, addresses=[]) as (_, sink):
        await move(fresh_market, 2)
        await caught_up(fresh_market, sink)
        assert sink.logs == []
        assert len(sink.heads) == 2


@pytest.mark.parametrize("over", ["websocket", "http"])
async def test_a_reorganisation_takes_back_what_is_gone(fresh_market: Chain, over: str) -> None:
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with hearing(chain, chain.ws_url if over == "websocket" else None) as (feed, sink):
        await move(chain, 4)
        await caught_up(chain, sink)
        before = list(sink.kept)
        await chain.rpc.request("anvil_reorg", 3, [])
        chain.rpc.forget()  # its transactions are gone, and their nonces free again
        await chain.mine()
        await move(chain, 2)
        await caught_up(chain, sink)
        expected = await truth(chain, watched(chain), start)
        assert sink.kept == expected
        assert expected[:1] == before[:1]
        assert feed.stats.removed == sum(log.removed for log in sink.logs) > 0
        assert len(sink.reorganised) == feed.stats.reorganisations > 0
        assert all(log.block_number >= min(sink.reorganised) for log in sink.logs if log.removed)


async def test_a_chain_that_becomes_shorter_is_followed(fresh_market: Chain) -> None:
    chain, start = fresh_market, await fresh_market.rpc.block_number()
    async with hearing(chain, chain.ws_url) as (feed, sink):
        snapshot = await chain.snapshot()
        await move(chain, 5)
        await caught_up(chain, sink)
        await chain.revert(snapshot)
        await chain.set_price("BTC", factor="0.99")  # not the same again: equal blocks have equal hashes
        block = await chain.set_price("BTC", factor="0.99")
        await wait_until(lambda: sink.heads[-1].number == block)
        assert set(sink.kept) == set(await truth(chain, watched(chain), start))
        assert feed.stats.reorganisations > 0


async def test_nothing_is_lost_or_doubled_in_a_storm() -> None:
    rng = random.Random(3)
    options = FeedOptions(poll_seconds=0.3, reconnect_seconds=0.1, stale_seconds=0.6, chunk_blocks=4)
    async with live_chain(borrowers=20) as chain, NodeProxy.running(chain.http_url) as proxy:
        addresses, start = watched(chain), await chain.rpc.block_number()
        async with hearing(chain, proxy.ws_url, options=options) as (feed, sink):
            for _ in range(25):
                fault = rng.choice(["none", "cut", "mute", "deaf", "refuse", "garble", "lose"])
                proxy.mute, proxy.deaf = fault == "mute", fault == "deaf"
                proxy.refuse, proxy.garble = fault == "refuse", fault == "garble"
                proxy.drop = (
                    (lambda told: "number" in told["params"]["result"]) if fault == "lose" else (lambda _told: False)
                )
                if fault in ("cut", "refuse"):
                    await proxy.cut()
                await chain.post_price(rng.choice(["ETH", "BTC", "USDC"]), factor="0.9999")
                await asyncio.sleep(rng.uniform(0.45, 0.7) if fault in ("mute", "deaf") else rng.uniform(0.05, 0.5))
            proxy.mute = proxy.deaf = proxy.refuse = proxy.garble = False
            proxy.drop = lambda _told: False
            await proxy.cut()
            block = await chain.set_price("ETH", factor="0.99")
            await wait_until(lambda: feed.connected and sink.heads[-1].number > block)
            await wait_until(lambda: any(log.block_number == block for log in sink.logs))
            expected = [key for key in await truth(chain, addresses, start) if key]
            assert len(expected) >= 26 * 3
            await wait_until(lambda: len(sink.kept) >= len(expected))
            assert sorted(sink.kept) == sorted(expected)
            numbers = [each.number for each in sink.heads]
            assert numbers == sorted(set(numbers))
            assert feed.stats.reconnects > 3
            assert feed.stats.backfilled > 0


async def test_a_socket_of_another_chain_is_said_and_not_used(fresh_market: Chain) -> None:
    options = FeedOptions(chain_id=8453, poll_seconds=0.1, reconnect_seconds=0.1)
    async with hearing(fresh_market, fresh_market.ws_url, options=options, wait=False) as (feed, sink):
        await wait_until(lambda: feed.stats.reconnects >= 2)
        assert not feed.connected
        assert any("serves chain 31337, but CHAIN_ID is 8453" in text for _, text in sink.states)
