"""The record of who was below 1, and when, is the chain's own, block by block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from core.domain.units import UINT256_MAX, WAD, Address
from devnet import addresses as at
from devnet.abi import function
from devnet.chain import Chain, ChainOptions
from devnet.scenario import Scenario, ScenarioOptions
from devnet.truth import SubOneRun, Truth, TruthLost
from tests.devnet_fixtures import live_chain

ALICE = Address("0x" + "a11ce".rjust(40, "0"))


@pytest_asyncio.fixture(loop_scope="session")
async def small_chain() -> AsyncIterator[Chain]:
    """Run a chain of its own for one test: 30 borrowers, a block per transaction."""
    async with Chain.running(ChainOptions(borrowers=30, seed=5, block_time=None)) as chain:
        yield chain


async def open_thin_position(chain: Chain) -> Truth:
    """Let Alice stand just above 1 on WETH against USDC and begin a record of her alone."""
    await chain.supply(ALICE, "WETH", 10 * WAD)
    await chain.borrow(ALICE, "USDC", 23_500 * 10**6)
    return Truth(chain.rpc, chain.lens, [ALICE], await chain.rpc.block_number())


async def test_rows_of_blocks_begin_and_end_exactly(small_chain: Chain) -> None:
    truth = await open_thin_position(small_chain)
    down = await small_chain.set_price("ETH", factor="0.9")
    await small_chain.mine(3)
    up = await small_chain.set_price("ETH", answer=3_000 * 10**8)
    again = await small_chain.set_price("ETH", factor="0.9")
    last = await small_chain.mine(2)
    runs = await truth.finish(last)
    assert [(run.first_block, run.last_block) for run in runs] == [(down, up - 1), (again, None)]
    assert all(run.user == ALICE and not run.liquidated for run in runs)
    assert runs[0].max_debt_base >= 23_400 * 10**8


async def test_a_liquidation_ends_the_row_it_belongs_to(small_chain: Chain) -> None:
    truth = await open_thin_position(small_chain)
    down = await small_chain.set_price("ETH", factor="0.9")
    receipt = await small_chain.liquidate(ALICE, "WETH", "USDC")
    block = int(receipt["blockNumber"], 16)
    runs = await truth.finish(await small_chain.mine(2))
    assert runs == [SubOneRun(ALICE, down, block - 1, runs[0].max_debt_base, liquidated=True)]
    assert [one.block for one in truth.liquidations] == [block]
    assert truth.inside_one_block == []


async def test_who_falls_and_is_liquidated_inside_one_block_is_counted_apart(small_chain: Chain) -> None:
    truth = await open_thin_position(small_chain)
    await small_chain.mint("USDC", at.RIVAL, 10**12)
    await small_chain.approve("USDC", at.RIVAL)
    rpc = small_chain.rpc
    await rpc.request("evm_setAutomine", False)
    price = await small_chain.post_price("ETH", factor="0.9")
    text = "liquidationCall(address,address,address,uint256,bool)"
    arguments = [small_chain.asset("WETH"), small_chain.asset("USDC"), ALICE, UINT256_MAX, False]
    order = await rpc.post(at.RIVAL, at.POOL, function(text).encode(arguments))
    last = await small_chain.mine()
    await rpc.request("evm_setAutomine", True)
    assert int((await rpc.settle("transmit", price))["blockNumber"], 16) == last
    assert int((await rpc.settle("liquidationCall", order))["blockNumber"], 16) == last
    assert await truth.finish(last) == []
    assert [(one.user, one.block) for one in truth.inside_one_block] == [(ALICE, last)]


async def test_only_blocks_that_change_nothing_are_passed_over(small_chain: Chain) -> None:
    truth = small_chain.truth(await small_chain.mine())
    now = int((await small_chain.rpc.request("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    for later in (100, 100, 100, 101):
        await small_chain.rpc.request("evm_setNextBlockTimestamp", hex(now + later))
        last = await small_chain.mine()
    await truth.finish(last)
    assert (truth.stats.sampled, truth.stats.skipped) == (3, 2)


async def test_a_block_that_the_node_forgot_is_an_error(small_chain: Chain) -> None:
    first = await small_chain.mine()
    truth = small_chain.truth(first)
    last = await small_chain.mine(300)
    with pytest.raises(TruthLost, match=f"block {first} was not read in time"):
        await truth.finish(last)


async def below_one(chain: Chain, users: Sequence[Address], block: int) -> set[Address]:
    """Ask the pool itself, one account at a time."""
    text = "getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)"
    found = set()
    for user in users:
        if (await chain.rpc.call(at.POOL, text, user, block=block))[5] < WAD:
            found.add(user)
    return found


async def test_the_record_of_a_live_crash_is_the_chains_own() -> None:
    async with live_chain(borrowers=120, seed=11) as chain:
        first = await chain.rpc.block_number()
        truth = chain.truth(first)
        following = asyncio.create_task(truth.run())
        await Scenario(chain, ScenarioOptions("crash", seconds=16, speed=4, seed=2, rival=0.3)).run()
        last = await chain.rpc.block_number()
        runs = await truth.finish(last)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        assert truth.stats.sampled + truth.stats.skipped >= last - first + 1
        assert len(runs) > 15
        for block in (first, (first + last) // 2, last - 3, last):
            said = {run.user for run in runs if run.first_block <= block and (run.last_block or last) >= block}
            assert said == await below_one(chain, chain.borrowers, block)
        assert any(run.liquidated for run in runs)
