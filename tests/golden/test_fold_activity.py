"""What people do, folded from logs, leaves every position and every field of the market as the chain has it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from core.domain.position import Position
from core.domain.units import UINT256_MAX, WAD, Address
from devnet import addresses as at
from devnet.activity import Activity
from devnet.build import Artifacts
from devnet.chain import Chain, ChainOptions
from tests.golden.follower import NEWCOMER, Follower
from tests.golden.second_opinion import SecondOpinion

ETHER = 10**18
DAY = 86_400
RECEIVER = Address("0x" + "f1" * 20)
ANSWERS_TRUE = "0x60015f5260205ff3"
"""A flash loan's receiver: whatever it is asked, it answers true."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def market_11(built: Artifacts) -> AsyncIterator[Chain]:
    """Run a chain by the rules of v3.7."""
    async with Chain.running(ChainOptions(borrowers=100, block_time=None, flavour="3.7")) as chain:
        yield chain


@pytest_asyncio.fixture(params=["3.6", "3.7"], loop_scope="session")
async def market(request: pytest.FixtureRequest, market_chain: Chain, market_11: Chain) -> AsyncIterator[Chain]:
    """Lend a chain of each flavour to one test and put its state back afterwards."""
    chain = market_11 if request.param == "3.7" else market_chain
    snapshot = await chain.snapshot()
    yield chain
    await chain.revert(snapshot)


@pytest_asyncio.fixture(loop_scope="session")
async def follower(market: Chain) -> AsyncIterator[Follower]:
    followed = await Follower.start(market)
    yield followed
    await followed.close()


def second_opinion(chain: Chain, follower: Follower) -> None:
    """Compare with a reader that shares no code with the worker, and that reads every balance of every account."""
    opinion = SecondOpinion(chain)
    assert opinion.market().reserves == follower.market.reserves
    positions = opinion.positions(list(follower.positions))
    used = [
        replace(one, collateral=tuple(c for c in one.collateral if one.uses_as_collateral(c[0]))) for one in positions
    ]
    assert used == list(follower.positions.values())


async def test_random_activity(market: Chain, follower: Follower) -> None:
    rng = random.Random(12)
    activity = Activity(market, rng)
    for step in range(120):
        await activity.act()
        if step % 10 == 0:
            await _switch_off_and_on(market)
        if step % 6 == 0:
            await market.set_price(rng.choice(("ETH", "BTC", "EURC", "USDC")), factor=rng.choice(("0.99", "1.01")))
        if step % 9 == 0:
            await market.increase_time(rng.choice((1, 3_600, 7 * DAY)))
        await follower.follow()
    second_opinion(market, follower)
    kinds = {"ATokenMinted", "ATokenBurned", "ATokenTransferred", "DebtMinted", "DebtBurned", "CollateralSwitched"}
    assert kinds | {"EModeEntered", "ReserveUpdated", "LiquidityMoved", "AnswerUpdated"} <= follower.seen.keys()
    assert set(follower.read_again) == {"CollateralSwitched"}
    assert follower.read_again["CollateralSwitched"] < follower.seen["CollateralSwitched"]


async def _switch_off_and_on(chain: Chain) -> None:
    """Have somebody supply, switch that off as collateral, supply more, and switch it on again."""
    for use in (False, True):
        await chain.supply(NEWCOMER, "cbBTC", 12_345)
        await chain.set_collateral(NEWCOMER, "cbBTC", use)


async def test_liquidations_of_every_kind(market: Chain, follower: Follower) -> None:
    chain = market
    await chain.increase_time(20 * DAY)
    for feed in ("ETH", "BTC", "AAVE"):
        await chain.set_price(feed, factor="0.45")
    await follower.follow()
    symbols = {reserve.id: reserve.symbol for reserve in chain.reserves.values()}
    for number, position in enumerate(await _under_water(chain, follower)):
        held = max(position.collateral, key=lambda one: one[1])[0]
        await chain.liquidate(
            position.user, symbols[held], symbols[position.debt[0][0]], receive_a_token=number % 2 == 1
        )
        await chain.increase_time(600)
        await follower.follow()
    assert follower.seen["Liquidated"] == 16
    assert follower.seen["DeficitCreated"] > 0
    assert not follower.read_again.keys() - {"Liquidated"}


async def _under_water(chain: Chain, follower: Follower) -> list[Position]:
    figures = await chain.lens.health(chain.borrowers)
    fallen = [user for user, (_, factor) in zip(chain.borrowers, figures, strict=True) if factor < WAD]
    return [follower.positions[user] for user in fallen[:16]]


@pytest.mark.parametrize("receive_a_token", [False, True])
async def test_a_liquidation_inside_one_reserve(market: Chain, follower: Follower, receive_a_token: bool) -> None:
    chain = market
    await chain.supply(NEWCOMER, "WETH", 900 * ETHER)
    await chain.borrow(NEWCOMER, "WETH", 500 * ETHER)
    await chain.increase_time(30 * DAY)
    await chain.set_collateral_parameters("WETH", 1_000, 1_100, 10_500)
    await chain.liquidate(NEWCOMER, "WETH", "WETH", 5 * ETHER, receive_a_token=receive_a_token)
    await follower.follow()
    assert follower.seen["Liquidated"] == 1
    assert "Liquidated" not in follower.read_again


async def test_what_moves_no_position(market: Chain, follower: Follower) -> None:
    chain = market
    await chain.increase_time(30 * DAY)
    assets = [reserve.asset for reserve in chain.reserves.values()]
    await chain.rpc.send(at.TRADER, at.POOL, "mintToTreasury(address[])", assets)
    await chain.set_reserve_factor("USDC", 2_500)
    await follower.follow()
    assert follower.positions[at.COLLECTOR].debt == ()


async def test_flash_loans_and_repayments_with_a_tokens(market: Chain, follower: Follower) -> None:
    chain, ann = market, market.borrowers[0]
    usdc = chain.reserves["USDC"].asset
    await chain.rpc.request("anvil_setCode", RECEIVER, ANSWERS_TRUE)
    await chain.mint("USDC", RECEIVER, 10**12)
    await chain.approve("USDC", RECEIVER)
    await chain.increase_time(DAY)
    text = "flashLoanSimple(address,address,uint256,bytes,uint16)"
    await chain.rpc.send(at.TRADER, at.POOL, text, RECEIVER, usdc, 10**9 + 7, b"", 0)
    await chain.supply(ann, "WETH", 10 * ETHER)
    text = "flashLoan(address,address[],uint256[],uint256[],address,bytes,uint16)"
    await chain.rpc.send(ann, at.POOL, text, RECEIVER, [usdc], [10**8], [2], ann, b"", 0)
    await chain.rpc.send(ann, at.POOL, text, RECEIVER, [usdc], [10**8], [0], ann, b"", 0)
    await chain.supply(ann, "USDC", 10**9)
    await chain.increase_time(DAY)
    repay = "repayWithATokens(address,uint256,uint256)"
    await chain.rpc.send(ann, at.POOL, repay, usdc, 10**7, 2)
    await chain.rpc.send(ann, at.POOL, repay, usdc, UINT256_MAX, 2)
    await follower.follow()
    assert follower.seen["LiquidityMoved"] == 8


async def test_deficits_are_covered(market: Chain, follower: Follower) -> None:
    chain = market
    for feed in ("ETH", "BTC", "AAVE", "EURC"):
        await chain.set_price(feed, factor="0.02")
    symbols = {reserve.id: reserve.symbol for reserve in chain.reserves.values()}
    await chain.rpc.send(
        at.EXECUTOR, at.PROVIDER, "setAddress(bytes32,address)", b"UMBRELLA".ljust(32, b"\0"), at.EXECUTOR
    )
    for position in await _under_water(chain, follower):
        await chain.liquidate(position.user, symbols[position.collateral[0][0]], symbols[position.debt[0][0]])
    await follower.follow()
    for reserve in [one for one in follower.market.reserves.values() if one.deficit]:
        await chain.supply(at.EXECUTOR, reserve.symbol, reserve.deficit * 2)
        cover = "eliminateReserveDeficit(address,uint256)"
        await chain.rpc.send(at.EXECUTOR, at.POOL, cover, reserve.asset, reserve.deficit // 3 + 1)
        await follower.follow()
    assert follower.seen["DeficitCovered"] > 0
    assert any(reserve.deficit for reserve in follower.market.reserves.values())
