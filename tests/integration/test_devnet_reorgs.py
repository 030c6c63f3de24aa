"""Blocks can be taken back and replaced, with or without their transactions, and subscribers hear of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from core.domain.units import WAD, Address
from devnet import addresses as at
from devnet.abi import to_address
from devnet.build import Artifacts
from devnet.chain import Chain, ChainOptions
from devnet.relay import Relay
from tests.devnet_fixtures import live_chain

ALICE = Address("0x" + "a11ce".rjust(40, "0"))
USD = 10**8


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def market(built: Artifacts) -> AsyncIterator[Chain]:
    """Run a chain of this module's own: a chain that was reverted far has lost the states that a reorg needs."""
    async with Chain.running(ChainOptions(borrowers=20, block_time=None)) as chain:
        yield chain


async def hashes(chain: Chain, first: int) -> list[str]:
    last = await chain.rpc.block_number()
    blocks = [await chain.rpc.request("eth_getBlockByNumber", hex(one), False) for one in range(first, last + 1)]
    assert [one["parentHash"] for one in blocks[1:]] == [one["hash"] for one in blocks[:-1]]
    return [str(one["hash"]) for one in blocks]


async def test_blocks_are_replaced_by_empty_ones(market: Chain) -> None:
    before = await market.prices()
    first = await market.set_price("ETH", factor="0.9")
    await market.supply(ALICE, "WETH", WAD)
    head = await market.rpc.block_number()
    old = await hashes(market, first)
    done = await market.reorg(head - first + 1)
    assert done.first_block == first
    assert await market.rpc.block_number() == head
    assert not set(old) & set(await hashes(market, first))
    assert await market.prices() == before
    assert (await market.lens.accounts([ALICE]))[0].total_collateral_base == 0
    aggregator = market.feeds.by_name["ETH"].aggregator
    assert {to_address(log["address"]) for log in done.removed} >= {aggregator, at.POOL}
    await market.set_price("ETH", factor="0.8")
    await market.supply(ALICE, "WETH", WAD)
    assert (await market.prices())["WETH"] == before["WETH"] * 8 // 10


async def test_old_transactions_can_come_back_and_others_beside_them(market: Chain) -> None:
    before = await market.prices()
    await market.set_price("ETH", factor="0.9")
    await market.mine()
    btc = market.feeds.by_name["BTC"].aggregator
    order = (1, at.TRANSMITTER, btc, "transmit(int192)", 50_000 * USD)
    await market.reorg(2, [order], keep=True)
    after = await market.prices()
    assert after["WETH"] == before["WETH"] * 9 // 10
    assert after["cbBTC"] == 50_000 * USD


async def test_blocks_can_be_taken_back_without_others(market: Chain) -> None:
    before = await market.prices()
    block = await market.set_price("ETH", factor="0.9")
    done = await market.rollback(1)
    assert (done.first_block, len(done.removed)) == (block, 3)
    assert await market.rpc.block_number() == block - 1
    assert await market.prices() == before
    with pytest.raises(ValueError, match="cannot replace 0 of"):
        await market.reorg(0)


class Listener:
    """Subscribe to heads and logs and keep what comes, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.heard: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def on(cls, url: str, heads: bool = True) -> AsyncIterator[Listener]:
        async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
            listener = cls(socket)
            for what in [["newHeads"], ["logs", {}]][not heads :]:
                await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": what})
                assert "result" in await socket.receive_json()
            task = asyncio.create_task(listener._listen())
            yield listener
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        async for message in self._socket:
            self.heard.append(json.loads(message.data)["params"]["result"])
            self._news.set()

    @property
    def logs(self) -> list[dict[str, Any]]:
        return [one for one in self.heard if "logIndex" in one]

    async def until(self, logs: int) -> None:
        async with asyncio.timeout(5):
            while len(self.logs) < logs:
                self._news.clear()
                await self._news.wait()


async def test_a_subscriber_hears_that_logs_were_removed(market: Chain) -> None:
    async with Relay.running(market.ws_url) as relay, Listener.on(relay.url) as listener:
        await market.set_price("BTC", factor="0.99")
        await market.set_price("ETH", factor="0.9")
        await market.mine()
        await listener.until(6)
        kept, lost = listener.logs[:3], listener.logs[3:]
        assert [log["removed"] for log in listener.logs] == [False] * 6
        aggregator = market.feeds.by_name["ETH"].aggregator
        done = await market.reorg(2, [(1, at.TRANSMITTER, aggregator, "transmit(int192)", 2_000 * USD)])
        await listener.until(12)
        removed, fresh = listener.logs[6:9], listener.logs[9:]
        assert [log["removed"] for log in removed] == [True] * 3
        assert [log | {"removed": False} for log in reversed(removed)] == lost
        assert {log["blockHash"] for log in removed} == {log["blockHash"] for log in done.removed}
        assert [log["removed"] for log in fresh] == [False] * 3
        assert not {log["blockHash"] for log in fresh} & {log["blockHash"] for log in [*kept, *lost]}
        # A removed log comes before anything of the blocks that replace its own.
        place = listener.heard.index(removed[-1])
        assert all(
            int(one["number"], 16) < done.first_block + 2 for one in listener.heard[:place] if "parentHash" in one
        )


async def test_who_wants_logs_only_hears_of_it_as_well(market: Chain) -> None:
    async with Relay.running(market.ws_url) as relay, Listener.on(relay.url, heads=False) as listener:
        await market.set_price("BTC", factor="0.99")
        await listener.until(3)
        await market.reorg(1)
        await listener.until(6)
        assert [log["removed"] for log in listener.heard] == [False] * 3 + [True] * 3


async def test_a_live_chain_goes_on_after_a_reorganisation() -> None:
    async with live_chain(borrowers=20) as chain:
        for turn in range(3):
            await chain.set_price("ETH", factor="0.99")
            await chain.reorg(2 + turn, keep=True)
            answered = await chain.set_price("ETH", answer=(2_000 + turn) * USD)
            assert answered <= await chain.rpc.block_number()
            assert (await chain.prices())["WETH"] == (2_000 + turn) * USD
