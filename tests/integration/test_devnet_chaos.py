"""Random actions are of all kinds, follow from their seed, and leave a chain that still stands."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from devnet import addresses as at
from devnet.abi import to_address, topic
from devnet.build import Artifacts
from devnet.chain import Chain, ChainOptions
from devnet.chaos import RandomProtocol, Step
from devnet.listing import RESERVES
from devnet.new_reserve import list_reserve
from devnet.rpc import TransactionReverted

FLASH_LOAN = topic("FlashLoan(address,address,address,uint256,uint8,uint256,uint16)")
LIQUIDATION_CALL = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")
DEFICIT_COVERED = topic("DeficitCovered(address,address,uint256)")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def newer(built: Artifacts) -> AsyncIterator[Chain]:
    """Run a v3.7 chain for this module."""
    async with Chain.running(ChainOptions(borrowers=60, seed=5, block_time=None, flavour="3.7")) as chain:
        yield chain


async def run(chain: Chain, seed: int, steps: int) -> tuple[list[Step], RandomProtocol]:
    snapshot = await chain.snapshot()
    protocol = RandomProtocol(chain, seed)
    await protocol.prepare()
    try:
        return [await protocol.step() for _ in range(steps)], protocol
    finally:
        await protocol.finish()
        await chain.revert(snapshot)


async def test_every_kind_comes_and_refusals_are_counted(newer: Chain) -> None:
    taken, protocol = await run(newer, 11, 600)
    assert {one.kind for one in taken} == set(protocol.kinds)
    done = {one.kind for one in taken if one.refused is None}
    assert len(done) >= len(protocol.kinds) - 4
    assert protocol.refused.total() == sum(one.refused not in (None, "nothing to do") for one in taken) > 30
    assert protocol.done["liquidate"] >= 10
    assert protocol.done["reorg"] >= 5
    assert any(one.first_block <= one.last_block - 2 for one in taken if one.kind == "reorg")
    # Everything is as it was, also in the chain object.
    assert list(newer.reserves) == [one.symbol for one in RESERVES]
    assert newer.dual == {}


async def test_the_same_seed_takes_the_same_actions(newer: Chain) -> None:
    first, _ = await run(newer, 4, 120)
    again, _ = await run(newer, 4, 120)
    other, _ = await run(newer, 5, 120)
    assert [(one.kind, one.refused) for one in first] == [(one.kind, one.refused) for one in again]
    assert [one.kind for one in first] != [one.kind for one in other]


async def test_the_chain_still_answers_for_every_account(newer: Chain) -> None:
    protocol = RandomProtocol(newer, 9, without=frozenset({"reorg"}))
    assert "reorg" not in protocol.kinds
    snapshot = await newer.snapshot()
    await protocol.prepare()
    first = await newer.rpc.block_number() + 1
    for _ in range(150):
        await protocol.step()
    for kind in ("flash loan", "liquidate"):
        for _ in range(30):
            if (await protocol.step(kind)).refused is None:
                break
    figures = await newer.lens.accounts(protocol.accounts)
    assert len(figures) == len(protocol.accounts) > 60 + len(newer.suppliers)
    wanted = {"fromBlock": hex(first), "toBlock": "latest", "address": at.POOL}
    seen = {log["topics"][0] for log in await newer.rpc.request("eth_getLogs", wanted)}
    assert seen >= {FLASH_LOAN, LIQUIDATION_CALL}
    await protocol.finish()
    await newer.revert(snapshot)


async def test_a_reserve_can_be_listed_while_the_market_runs(fresh_market: Chain) -> None:
    chain, user = fresh_market, fresh_market.suppliers[0]
    try:
        listed = await list_reserve(chain, "TWO4", 24, 5 * 10**8)
        assert (listed.id, listed.decimals) == (len(RESERVES), 24)
        assert (await chain.prices())["TWO4"] == 5 * 10**8
        before = (await chain.lens.accounts([user]))[0].total_collateral_base
        await chain.supply(user, "TWO4", 100 * 10**24)
        assert (await chain.lens.accounts([user]))[0].total_collateral_base == before + 500 * 10**8
        block = await chain.set_price("TWO4", factor="0.5")
        logs = await chain.rpc.request("eth_getLogs", {"fromBlock": hex(block), "toBlock": hex(block)})
        assert {to_address(log["address"]) for log in logs} == {chain.feeds.by_name["TWO4"].aggregator}
        assert (await chain.prices())["TWO4"] == 25 * 10**7
        with pytest.raises(TransactionReverted, match="InvalidDecimals"):
            await list_reserve(chain, "NONE", 0, 10**8)
    finally:
        for symbol in ("TWO4", "NONE"):
            chain.reserves.pop(symbol, None)
            chain.feeds.by_name.pop(symbol, None)


async def test_bad_debt_can_be_covered(fresh_market: Chain) -> None:
    chain, payer = fresh_market, fresh_market.suppliers[3]
    for feed in ("ETH", "BTC", "AAVE"):
        await chain.set_price(feed, factor="0.3")
    covered = 0
    for user in chain.borrowers[:120]:
        holdings = await chain.lens.position(user, [one.asset for one in chain.reserves.values()])
        position = dict(zip(chain.reserves, holdings, strict=True))
        held = [symbol for symbol, one in position.items() if one.supplied and one.collateral]
        owed = [symbol for symbol, one in position.items() if one.owed]
        if len(held) == len(owed) == 1:
            try:
                await chain.liquidate(user, held[0], owed[0])
            except TransactionReverted as error:
                assert error.reason in {"HealthFactorNotBelowThreshold", "MustNotLeaveDust"}
                continue
            deficit = await chain.rpc.call(at.POOL, "getReserveDeficit(address)(uint256)", chain.asset(owed[0]))
            if deficit:
                await chain.supply(payer, owed[0], deficit + 2)
                receipt = await chain.cover_deficit(owed[0], payer, deficit)
                covered += DEFICIT_COVERED in [log["topics"][0] for log in receipt["logs"]]
    assert covered >= 3
