"""A feed with two routes follows the read rule: what the market sees, when, and which events say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from eth_utils.crypto import keccak

from core.domain.units import Address
from devnet.abi import function, topic
from devnet.chain import Chain
from devnet.dual_feeds import CUTOFF_SLOT, HOT_VARS_SLOT
from devnet.paths import VOLATILE
from devnet.rpc import TransactionReverted
from devnet.scenario import Scenario, ScenarioOptions
from tests.devnet_fixtures import live_chain

USD = 10**8
ANSWER_UPDATED = topic("AnswerUpdated(int256,uint256,uint256)")
SECONDARY = topic("SecondaryRoundIdUpdated(uint32)")
UNLOCKED = topic("PrimaryFeedUnlocked(uint32)")
NEW_TRANSMISSION = topic("NewTransmission(uint32,int192,address,uint32,int192[],bytes,int192,bytes32,uint40)")
NEW_ROUND = topic("NewRound(uint256,address,uint256)")
STORED = [NEW_TRANSMISSION, NEW_ROUND, ANSWER_UPDATED]


@pytest_asyncio.fixture(loop_scope="session")
async def dual(fresh_market: Chain) -> AsyncIterator[Chain]:
    """Lend the chain with ETH on a DualAggregator; its first answer is 3000 dollars."""
    before = fresh_market.feeds.by_name["ETH"]
    await fresh_market.use_dual_aggregator("ETH")
    await fresh_market.increase_time(60)
    yield fresh_market
    fresh_market.feeds.by_name["ETH"] = before
    fresh_market.dual.clear()


def topics(receipt: dict[str, Any]) -> list[str]:
    return [log["topics"][0] for log in receipt["logs"]]


async def seen(chain: Chain) -> int:
    """Return what the market sees, in dollars."""
    return (await chain.prices())["WETH"] // USD


async def standard(chain: Chain) -> int:
    """Return what a reader sees that is not the secondary proxy, in dollars."""
    answer = await chain.rpc.call(chain.feeds.by_name["ETH"].aggregator, "latestAnswer()(int256)")
    return int(answer) // USD


async def now(chain: Chain) -> int:
    block = await chain.rpc.request("eth_getBlockByNumber", "latest", False)
    return int(block["timestamp"], 16)


async def at_second(chain: Chain, second: int) -> None:
    await chain.rpc.request("evm_setNextBlockTimestamp", hex(second))
    await chain.mine()


async def test_a_primary_answer_is_seen_in_the_eleventh_second(dual: Chain) -> None:
    receipt = await dual.transmit_primary("ETH", 2_900 * USD)
    assert topics(receipt) == STORED
    recorded = await now(dual)
    assert (await seen(dual), await standard(dual)) == (3_000, 2_900)
    await at_second(dual, recorded + 10)
    assert await seen(dual) == 3_000
    await at_second(dual, recorded + 11)
    assert await seen(dual) == 2_900


async def test_a_secondary_answer_is_seen_at_once_and_holds_newer_primaries_back(dual: Chain) -> None:
    receipt = await dual.transmit_secondary("ETH", 2_800 * USD)
    assert topics(receipt) == [SECONDARY, *STORED]
    recorded = await now(dual)
    # Within its own second, the secondary route's report is not there for anybody else.
    assert (await seen(dual), await standard(dual)) == (2_800, 3_000)
    await at_second(dual, recorded + 1)
    assert await standard(dual) == 2_800
    await dual.transmit_primary("ETH", 2_700 * USD)
    newer = await now(dual)
    await at_second(dual, newer + 10)
    assert await seen(dual) == 2_800
    await at_second(dual, newer + 11)
    assert await seen(dual) == 2_700


async def test_a_known_report_is_only_pointed_at(dual: Chain) -> None:
    await dual.transmit_primary("ETH", 2_900 * USD)
    latest, secondary = await dual.rounds("ETH")
    assert (latest, secondary) == (2, 1)
    receipt = await dual.transmit_secondary("ETH", known_round=latest)
    assert topics(receipt) == [SECONDARY]
    assert await seen(dual) == 2_900
    assert await dual.rounds("ETH") == (2, 2)
    with pytest.raises(TransactionReverted, match="StaleReport"):
        await dual.transmit_secondary("ETH", known_round=latest)


async def test_the_primary_route_unlocks_what_the_secondary_brought(dual: Chain) -> None:
    await dual.transmit_secondary("ETH", 2_800 * USD)
    receipt = await dual.unlock_primary("ETH")
    assert topics(receipt) == [UNLOCKED]
    assert int(receipt["logs"][0]["topics"][1], 16) == 2
    with pytest.raises(TransactionReverted, match="StaleReport"):
        await dual.unlock_primary("ETH")


async def test_the_search_ends_after_so_many_rounds(dual: Chain) -> None:
    receipt = await dual.set_max_sync_iterations("ETH", 2)
    assert topics(receipt) == [topic("MaxSyncIterationsSet(uint32)")]
    await dual.transmit_primary("ETH", 2_900 * USD)
    await dual.increase_time(20)
    assert await seen(dual) == 2_900
    for answer in (2_800, 2_700):
        await dual.transmit_primary("ETH", answer * USD)
    assert await seen(dual) == 3_000
    await dual.increase_time(20)
    assert await seen(dual) == 2_700


async def test_the_cutoff_can_change(dual: Chain) -> None:
    await dual.transmit_primary("ETH", 2_900 * USD)
    await dual.increase_time(5)
    assert await seen(dual) == 3_000
    receipt = await dual.set_cutoff_time("ETH", 3)
    assert topics(receipt) == [topic("CutoffTimeSet(uint32)")]
    assert await seen(dual) == 2_900


async def test_its_storage_is_where_the_originals_is(dual: Chain) -> None:
    await dual.transmit_primary("ETH", 2_900 * USD)
    aggregator = dual.feeds.by_name["ETH"].aggregator
    recorded = await now(dual)

    async def word(slot: int | str) -> int:
        place = hex(slot) if isinstance(slot, int) else slot
        return int(await dual.rpc.request("eth_getStorageAt", aggregator, place, "latest"), 16)

    hot = await word(HOT_VARS_SLOT)
    assert (hot >> 8 & 0xFFFFFFFFFF, hot >> 48 & 0xFFFFFFFF, hot >> 80 & 0xFFFFFFFF, hot >> 240) == (2, 2, 1, 0)
    from_slot = topic_of(function("x(uint32,uint256)").encode([2, 17]))
    assert await word(from_slot) == recorded << 224 | recorded << 192 | 2_900 * USD
    assert await word(CUTOFF_SLOT) == 20 << 32 | 10
    assert await dual.rpc.call(aggregator, "typeAndVersion()(string)") == "DualAggregator 1.0.0"


def topic_of(call: str) -> str:
    """Return the hash of a call's arguments."""
    return "0x" + keccak(bytes.fromhex(call[10:])).hex()


async def test_only_dual_feeds_have_two_routes(fresh_market: Chain) -> None:
    with pytest.raises(ValueError, match="BTC does not stand on a DualAggregator"):
        await fresh_market.transmit_primary("BTC", 1)


async def test_the_scenario_moves_prices_with_and_without_an_event() -> None:
    async with live_chain(borrowers=150, seed=3, dual_feeds=VOLATILE) as chain:
        first = await chain.rpc.block_number()
        truth = chain.truth(first)
        following = asyncio.create_task(truth.run())
        report = await Scenario(chain, ScenarioOptions("svr", 18, speed=1, seed=2)).run()
        assert report.steps == 18
        assert (await chain.prices())["WETH"] == 3_000 * USD * 88 // 100
        last = await chain.rpc.block_number() - 1
        by_clock, silent = await changes(chain, first, last)
        assert by_clock
        assert silent > 0
        following.cancel()
        fallen = await truth.finish(last)
        assert {run.first_block for run in fallen} & by_clock


async def changes(chain: Chain, first: int, last: int) -> tuple[set[int], int]:
    """Return blocks in which a price moved that no event of the block explains, and count known rounds pointed at.

    Only a secondary event can move what the market sees in its own block.
    """
    aggregators = {chain.feeds.by_name[name].aggregator: name for name in VOLATILE}
    wanted = {"fromBlock": hex(first), "toBlock": hex(last), "address": list(aggregators)}
    logs = await chain.rpc.request("eth_getLogs", wanted)
    secondary = [log for log in logs if log["topics"][0] == SECONDARY]
    spoken = {log["transactionHash"] for log in logs if log["topics"][0] == ANSWER_UPDATED}
    silent = sum(log["transactionHash"] not in spoken for log in secondary)
    explained = {(int(log["blockNumber"], 16), aggregators[Address(log["address"])]) for log in secondary}
    rows = [await chain.prices(block) for block in range(first, last + 1)]
    moved = {
        (first + at, feed)
        for feed, symbol in zip(VOLATILE, ("WETH", "cbBTC", "AAVE"), strict=True)
        for at in range(1, len(rows))
        if rows[at][symbol] != rows[at - 1][symbol]
    }
    return {block for block, _ in moved - explained}, silent
