"""What DualAggregators show their readers is known to the second, whichever route an answer takes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from core.domain.dual_aggregator import DualAggregator
from core.domain.price_tree import Proxy
from core.domain.prices import PriceBook
from devnet.chain import Chain
from devnet.feeds import NOBODY
from tests.golden.follower import Follower

DOLLAR = 10**8


@pytest.fixture
async def follower(fresh_market: Chain) -> AsyncIterator[Follower]:
    """Follow a market whose ETH and AAVE feeds have two routes."""
    for feed in ("ETH", "AAVE"):
        await fresh_market.use_dual_aggregator(feed)
    followed = await Follower.start(fresh_market, accounts=False)
    yield followed
    await followed.close()


def eth(chain: Chain, book: PriceBook) -> DualAggregator:
    node = book.tree.nodes[chain.feeds.by_name["ETH"].aggregator]
    assert isinstance(node, DualAggregator)
    return node


async def step(chain: Chain, follower: Follower, seconds: int = 1) -> int | None:
    """Let seconds pass and return ETH's price, which is the oracle's."""
    await chain.increase_time(seconds)
    await follower.follow()
    return follower.book.price(chain.reserves["WETH"].id, follower.market.timestamp)


async def test_a_primary_answer_is_seen_when_the_clock_allows(fresh_market: Chain, follower: Follower) -> None:
    chain, weth = fresh_market, fresh_market.reserves["WETH"].id
    await step(chain, follower, 60)
    await chain.transmit_primary("ETH", 2_900 * DOLLAR)
    await follower.follow()
    recorded = follower.market.timestamp
    assert follower.book.price(weth, recorded) == 3_000 * DOLLAR
    moved = {reserve_id for reserve_id, second in follower.book.timed(recorded).items() if second == recorded + 11}
    assert moved == {chain.reserves[name].id for name in ("WETH", "cbETH", "wstETH", "weETH", "ezETH", "wrsETH")}
    for _ in range(10):
        assert await step(chain, follower) == 3_000 * DOLLAR
    assert await step(chain, follower) == 2_900 * DOLLAR
    assert follower.moved_by_the_clock.keys() == moved


async def test_a_known_round_becomes_visible_without_an_answer(fresh_market: Chain, follower: Follower) -> None:
    chain, weth = fresh_market, fresh_market.reserves["WETH"].id
    await step(chain, follower, 60)
    await chain.transmit_primary("ETH", 2_950 * DOLLAR)
    await chain.transmit_primary("ETH", 2_940 * DOLLAR)
    latest, _ = await chain.rounds("ETH")
    await chain.transmit_secondary("ETH", known_round=latest - 1)
    await follower.follow()
    assert follower.book.price(weth, follower.market.timestamp) == 2_950 * DOLLAR
    await chain.transmit_secondary("ETH", 2_930 * DOLLAR)
    await follower.follow()
    assert follower.book.price(weth, follower.market.timestamp) == 2_930 * DOLLAR
    assert follower.seen["SecondaryRoundIdUpdated"] == 2
    assert follower.seen["AnswerUpdated"] == 3


@pytest.mark.parametrize("seed", range(2))
async def test_routes_at_random(fresh_market: Chain, follower: Follower, seed: int) -> None:
    chain, rng = fresh_market, random.Random(seed)
    for number in range(80):
        await _act(chain, rng)
        await chain.increase_time(rng.choice((0, 1, 1, 2, 5, 11, 40)))
        await follower.follow()
        if number % 10 == 0:
            await _compare_with_a_fresh_walk(chain, follower)
    kinds = {"AnswerUpdated", "SecondaryRoundIdUpdated", "PrimaryFeedUnlocked", "CutoffTimeSet", "MaxSyncIterationsSet"}
    assert kinds <= follower.seen.keys()
    assert follower.moved_by_the_clock[chain.reserves["WETH"].id] > 5


async def _act(chain: Chain, rng: random.Random) -> None:
    answer = rng.randint(2_500, 3_500) * DOLLAR
    latest, secondary = await chain.rounds("ETH")
    kind = rng.choices(("primary", "secondary", "known", "unlock", "cutoff", "depth"), (40, 15, 15, 10, 10, 10))[0]
    if kind == "secondary":
        await chain.transmit_secondary("ETH", answer)
        if rng.random() < 0.5:
            await chain.unlock_primary("ETH")
    elif kind == "known" and latest > secondary:
        await chain.transmit_secondary("ETH", known_round=max(secondary + 1, latest - rng.randint(0, 2)))
    elif kind == "cutoff":
        await chain.set_cutoff_time("ETH", rng.choice((0, 3, 10, 30)))
    elif kind == "depth":
        await chain.set_max_sync_iterations("ETH", rng.choice((2, 5, 20)))
    else:
        await chain.transmit_primary("ETH", answer)


async def _compare_with_a_fresh_walk(chain: Chain, follower: Follower) -> None:
    """Read the aggregator anew, also in the very second of a secondary answer, and compare what it will answer."""
    folded, now = eth(chain, follower.book), follower.market.timestamp
    await follower.walk_again()
    read = eth(chain, follower.book)
    for side in (False, True):
        ours = [folded.answer(second, through_secondary=side) for second in range(now, now + 40)]
        assert ours == [read.answer(second, through_secondary=side) for second in range(now, now + 40)]


async def test_readers_past_the_secondary_proxy_see_the_newest_round(fresh_market: Chain, follower: Follower) -> None:
    chain, aave = fresh_market, fresh_market.reserves["AAVE"].id
    aggregator = chain.feeds.by_name["AAVE"].aggregator
    plain = await chain.market.deployer.create("EACAggregatorProxy", "address,address", [aggregator, NOBODY])
    await chain.set_price_source("AAVE", plain)
    await follower.follow()
    assert follower.book.tree.nodes[plain] == Proxy(aggregator, secondary=False)
    await chain.transmit_primary("AAVE", 170 * DOLLAR)
    await follower.follow()
    assert follower.book.price(aave, follower.market.timestamp) == 170 * DOLLAR
    await chain.transmit_secondary("AAVE", 160 * DOLLAR)
    await follower.follow()
    hidden = follower.market.timestamp
    assert follower.book.price(aave, hidden) == 170 * DOLLAR
    assert follower.book.timed(hidden)[aave] == hidden + 1
    await step(chain, follower)
    assert follower.book.price(aave, hidden + 1) == 160 * DOLLAR


async def test_an_aggregator_behind_a_proxy_changes_and_is_followed(fresh_market: Chain, follower: Follower) -> None:
    chain, weth = fresh_market, fresh_market.reserves["WETH"].id
    fresh = await chain.add_aggregator("ETH")
    await follower.follow()
    await follower.walk_again()
    await chain.set_price("ETH", answer=2_800 * DOLLAR)
    await follower.follow()
    assert fresh in follower.book.aggregators
    assert follower.book.price(weth, follower.market.timestamp) == 2_800 * DOLLAR
