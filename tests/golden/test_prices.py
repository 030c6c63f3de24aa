"""Prices computed from their source tree equal AaveOracle's in every block, by events, by caps and by the clock."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from core.domain.price_tree import Fixed, RatioCap
from devnet import addresses as at
from devnet.chain import Chain
from tests.golden.follower import Follower

DAY = 86_400
CAPPED = ("cbETH", "wstETH", "weETH", "ezETH", "wrsETH", "syrupUSDC")


@pytest.fixture
async def follower(fresh_market: Chain) -> AsyncIterator[Follower]:
    followed = await Follower.start(fresh_market, accounts=False)
    yield followed
    await followed.close()


async def pass_seconds(chain: Chain, follower: Follower, seconds: int) -> None:
    for _ in range(seconds):
        await chain.increase_time(1)
    await follower.follow()


async def test_everything_but_the_rate_contract_is_understood(fresh_market: Chain, follower: Follower) -> None:
    book, reserves = follower.book, fresh_market.reserves
    assert book.polled == {reserves["LBTC"].id}
    assert [node.ratio_of for node in book.polled_nodes.values()] == [reserves["LBTC"].source]
    assert book.tree.nodes[reserves["GHO"].source] == Fixed(10**8)
    assert book.aggregators == {feed.aggregator for feed in fresh_market.feeds.by_name.values()}
    assert not book.timed(follower.market.timestamp)


async def test_every_feed_moves_its_prices(fresh_market: Chain, follower: Follower) -> None:
    rng = random.Random(3)
    for name in [*fresh_market.feeds.by_name, "LBTC"] * 3:
        await fresh_market.set_price(name, factor=rng.choice(("0.9", "0.999", "1.001", "1.3")))
        await fresh_market.increase_time(rng.choice((0, 1, 3_600)))
    await follower.follow()
    assert follower.seen["AnswerUpdated"] == 3 * len(fresh_market.feeds.by_name)


async def test_a_capped_ratio_grows_with_every_second(fresh_market: Chain, follower: Follower) -> None:
    chain = fresh_market
    for symbol in CAPPED:
        await chain.set_price(symbol, factor="1.2")
    await chain.set_price("LBTC", factor="1.2")
    await follower.follow()
    ids = {chain.reserves[symbol].id for symbol in (*CAPPED, "LBTC")}
    now = follower.market.timestamp
    assert follower.book.timed(now) == dict.fromkeys(ids, now + 1)
    await pass_seconds(chain, follower, 20)
    await chain.increase_time(40 * DAY)
    await chain.set_price("ETH", factor="0.93")
    await follower.follow()
    assert follower.moved_by_the_clock.keys() == ids
    assert follower.moved_by_the_clock[chain.reserves["wstETH"].id] >= 21


async def test_caps_that_are_set(fresh_market: Chain, follower: Follower) -> None:
    chain, source = fresh_market, {one.symbol: one.source for one in fresh_market.reserves.values()}
    await chain.increase_time(DAY)
    now = int((await chain.rpc.request("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    cap = "setCapParameters(uint256,uint256,uint16)"
    for symbol, ratio, growth in (("wstETH", 11 * 10**17, 968), ("syrupUSDC", 10**18 + 7, 3), ("weETH", 2 * 10**18, 1)):
        await chain.rpc.send(at.EXECUTOR, source[symbol], cap, ratio, now - 3 * DAY, growth)
    await chain.rpc.send(at.EXECUTOR, source["USDC"], "setPriceCap(int256)", 98_000_000)
    await chain.rpc.send(at.EXECUTOR, source["EURC"], "setPriceCapRatio(int256)", 97_000_000)
    await pass_seconds(chain, follower, 5)
    node = follower.book.tree.nodes[source["wstETH"]]
    assert isinstance(node, RatioCap)
    folded = follower.book.tree
    await follower.walk_again()
    assert folded == follower.book.tree
    assert follower.book.price(chain.reserves["USDC"].id, now) == 98_000_000
    await chain.set_price("EUR", factor="0.8")
    await chain.set_price("USDC", factor="0.9")
    await follower.follow()
