"""What governance changes, folded from logs, leaves every field of the market as the chain has it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from devnet import addresses as at
from devnet.build import Artifacts
from devnet.chain import Chain, ChainOptions
from tests.golden.follower import Follower

HOUR = 3_600


@pytest.fixture
async def follower(fresh_market: Chain) -> AsyncIterator[Follower]:
    followed = await Follower.start(fresh_market, accounts=False)
    yield followed
    await followed.close()


async def test_reserve_parameters(fresh_market: Chain, follower: Follower) -> None:
    chain = fresh_market
    await chain.set_collateral_parameters("WETH", 7_000, 7_700, 10_600)
    await chain.set_protocol_fee("cbBTC", 2_000)
    await chain.set_frozen("WETH", True)
    await chain.set_collateral_parameters("WETH", 6_500, 7_600, 10_700)
    await chain.set_frozen("WETH", False)
    await chain.rpc.send(at.EXECUTOR, at.CONFIGURATOR, "setReserveLtvzero(address,bool)", chain.asset("WETH"), False)
    await chain.rpc.send(at.EXECUTOR, at.CONFIGURATOR, "setReserveLtvzero(address,bool)", chain.asset("AAVE"), True)
    await chain.set_paused("AAVE", True)
    await chain.set_paused("AAVE", False, HOUR)
    await chain.end_grace_period("AAVE")
    await chain.set_reserve_factor("USDC", 1_700)
    await chain.rpc.send(at.EXECUTOR, at.CONFIGURATOR, "setPoolPause(bool,uint40)", True, 0)
    await chain.rpc.send(at.EXECUTOR, at.CONFIGURATOR, "setPoolPause(bool,uint40)", False, HOUR)
    await chain.rpc.send(at.EXECUTOR, at.CONFIGURATOR, "setReserveActive(address,bool)", chain.asset("USDC"), True)
    await follower.follow()
    names = {"CollateralConfigured", "ProtocolFeeSet", "ReserveFrozenSet", "ReservePausedSet", "GracePeriodSet"}
    assert names | {"LtvPending", "ReserveActiveSet", "EModeLtvZeroSet"} <= follower.seen.keys()
    assert not follower.read_again
    weth = follower.market.reserves[chain.reserves["WETH"].id]
    assert (weth.ltv, weth.liquidation_threshold, weth.frozen) == (6_500, 7_600, False)


async def test_e_modes(fresh_market: Chain, follower: Follower) -> None:
    chain = fresh_market
    await chain.set_e_mode_category(1, 8_800, 9_200, 10_150, "ETH, a little less")
    await chain.set_e_mode_collateral("ezETH", 1, True)
    await chain.set_e_mode_borrowable("wstETH", 1, True)
    await chain.set_e_mode_ltv_zero("WETH", 1, True)
    await chain.set_e_mode_ltv_zero("WETH", 1, False)
    await chain.set_e_mode_ltv_zero("weETH", 1, True)
    await chain.set_e_mode_collateral("weETH", 1, False)
    await chain.set_e_mode_borrowable("wstETH", 1, False)
    await follower.follow()
    assert follower.seen["EModeLtvZeroSet"] == 4
    assert not follower.read_again
    assert follower.market.e_modes[1].label == "ETH, a little less"


async def test_a_category_that_is_new_is_read(fresh_market: Chain, follower: Follower) -> None:
    chain = fresh_market
    await chain.set_e_mode_collateral("AAVE", 77, True)
    await chain.set_e_mode_category(77, 5_000, 6_000, 11_000, "late")
    await chain.set_e_mode_borrowable("GHO", 77, True)
    await follower.follow()
    assert follower.read_again == {"EModeCollateralSet": 1, "EModeCategorySet": 1}
    aave, gho = chain.reserves["AAVE"].id, chain.reserves["GHO"].id
    category = follower.market.e_modes[77]
    assert (category.collateral_bitmap, category.borrowable_bitmap) == (1 << aave, 1 << gho)


async def test_a_price_source_that_changes_is_walked_again(fresh_market: Chain, follower: Follower) -> None:
    chain = fresh_market
    await chain.set_price_source("AAVE", chain.reserves["cbETH"].source)
    await chain.set_price("cbETH/ETH", factor="0.97")
    await follower.follow()
    aave, cbeth = chain.reserves["AAVE"].id, chain.reserves["cbETH"].id
    now = follower.market.timestamp
    assert follower.book.price(aave, now) == follower.book.price(cbeth, now) is not None


async def test_an_isolated_category_of_v3_7(built: Artifacts) -> None:
    async with Chain.running(ChainOptions(borrowers=20, block_time=None, flavour="3.7")) as chain:
        follower = await Follower.start(chain)
        await chain.set_e_mode_isolated(2, True)
        await chain.set_e_mode_isolated(3, True)
        await chain.set_e_mode_isolated(3, False)
        await follower.follow()
        assert follower.seen["EModeIsolationSet"] == 3
        assert (follower.market.e_modes[2].isolated, follower.market.e_modes[3].isolated) == (True, False)
        await follower.close()
