"""The local chain is the real protocol, in Base's shape, and does what people ask of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from core.domain.units import RAY, WAD, Address
from devnet import addresses as at
from devnet.abi import to_address, topic
from devnet.anvil import Anvil, AnvilFailed
from devnet.chain import Chain, ChainOptions
from devnet.listing import E_MODES, RESERVES
from devnet.progress import silent
from devnet.rpc import TransactionReverted

ROOT = Path(__file__).parents[2]
ALICE = Address("0x" + "a11ce".rjust(40, "0"))
NEW_TRANSMISSION = "0xc797025feeeaf2cd924c99e9205acb8ec04d5cad21c41ce637a38fb6dee6016a"
ANSWER_UPDATED = "0x0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f"
LIQUIDATION_CALL = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"


async def health_factor(chain: Chain, user: Address) -> int:
    return (await chain.lens.accounts([user]))[0].health_factor


async def logs_of(chain: Chain, block: int) -> list[dict[str, Any]]:
    found = await chain.rpc.request("eth_getLogs", {"fromBlock": hex(block), "toBlock": hex(block)})
    return list(found)


async def test_market_stands_at_bases_addresses(market_chain: Chain) -> None:
    rpc = market_chain.rpc
    assert int(await rpc.request("eth_chainId"), 16) == 31337
    assert await rpc.call(at.PROVIDER, "getPool()(address)") == at.POOL
    assert await rpc.call(at.PROVIDER, "getPriceOracle()(address)") == at.ORACLE
    assert await rpc.call(at.POOL, "POOL_REVISION()(uint256)") == 10
    listed = await rpc.call(at.POOL, "getReservesList()(address[])")
    assert list(listed) == [one.address for one in RESERVES]
    assert await rpc.call(at.MULTICALL3, "getChainId()(uint256)") == 31337


async def test_every_reserve_and_category_has_its_parameters(market_chain: Chain) -> None:
    rpc = market_chain.rpc
    for spec in RESERVES:
        text = "getReserveConfigurationData(address)(uint256,uint256,uint256,uint256,uint256,bool,bool,bool,bool,bool)"
        decimals, ltv, threshold, bonus, *_ = await rpc.call(at.DATA_PROVIDER, text, spec.address)
        assert (decimals, ltv, threshold, bonus) == (spec.decimals, spec.ltv, spec.threshold, spec.bonus)
    for mode in E_MODES:
        assert await rpc.call(at.POOL, "getEModeCategoryCollateralBitmap(uint8)(uint128)", mode.id) == mode.collateral
        assert await rpc.call(at.POOL, "getEModeCategoryBorrowableBitmap(uint8)(uint128)", mode.id) == mode.borrowable
        ltv, threshold, bonus = await rpc.call(
            at.POOL, "getEModeCategoryCollateralConfig(uint8)(uint16,uint16,uint16)", mode.id
        )
        assert (ltv, threshold, bonus) == (mode.ltv, mode.threshold, mode.bonus)


async def test_borrowers_are_healthy_and_varied(market_chain: Chain) -> None:
    figures = await market_chain.lens.accounts(market_chain.borrowers)
    assert len(set(market_chain.borrowers)) == len(figures) == 200
    assert all(one.health_factor >= WAD and one.total_debt_base > 0 for one in figures)
    debts = [one.total_debt_base // 10**8 for one in figures]
    assert min(debts) < 50
    assert max(debts) > 50_000
    assert any(50 < debt < 2000 for debt in debts)
    modes = {
        await market_chain.rpc.call(at.POOL, "getUserEMode(address)(uint256)", user) for user in market_chain.borrowers
    }
    assert 0 in modes
    assert len(modes) > 6


async def test_the_lens_says_what_the_pool_says(market_chain: Chain) -> None:
    users = market_chain.borrowers[:25]
    text = "getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)"
    for user, seen in zip(users, await market_chain.lens.accounts(users), strict=True):
        said = await market_chain.rpc.call(at.POOL, text, user)
        assert said == (
            seen.total_collateral_base,
            seen.total_debt_base,
            seen.available_borrows_base,
            seen.current_liquidation_threshold,
            seen.ltv,
            seen.health_factor,
        )


async def test_the_same_seed_gives_the_same_crowd() -> None:
    crowds = []
    for seed in (7, 7, 8):
        async with Chain.running(ChainOptions(borrowers=25, seed=seed, block_time=None)) as chain:
            crowds.append(chain.borrowers)
    assert crowds[0] == crowds[1]
    assert not set(crowds[0]) & set(crowds[2])


async def test_one_eth_answer_moves_every_ether_reserve_and_speaks_from_the_aggregator(fresh_market: Chain) -> None:
    before = await fresh_market.prices()
    block = await fresh_market.set_price("ETH", factor="0.9")
    after = await fresh_market.prices()
    moved = {symbol for symbol in before if after[symbol] != before[symbol]}
    assert moved == {"WETH", "cbETH", "wstETH", "weETH", "ezETH", "wrsETH"}
    assert after["WETH"] == before["WETH"] * 9 // 10
    logs = await logs_of(fresh_market, block)
    aggregator = fresh_market.feeds.by_name["ETH"].aggregator
    assert {to_address(str(log["address"])) for log in logs} == {aggregator}
    topics = [log["topics"] for log in logs]
    assert [one[0] for one in topics] == [NEW_TRANSMISSION, topic("NewRound(uint256,address,uint256)"), ANSWER_UPDATED]
    assert int(topics[2][1], 16) == after["WETH"]


async def test_prices_are_named_by_feed_or_reserve(fresh_market: Chain) -> None:
    before = await fresh_market.prices()
    await fresh_market.set_price("tBTC", answer=50_000_00000000)
    await fresh_market.set_price("LBTC", factor="0.5")
    after = await fresh_market.prices()
    assert after["cbBTC"] == after["tBTC"] == 50_000_00000000
    assert after["LBTC"] < before["LBTC"] * 3 // 10
    with pytest.raises(ValueError, match="GHO has no feed"):
        await fresh_market.set_price("GHO", factor=1)
    with pytest.raises(ValueError, match="either a factor or an answer"):
        await fresh_market.set_price("ETH")


async def test_a_rate_without_a_feed_changes_without_a_log(fresh_market: Chain) -> None:
    block = await fresh_market.set_price("LBTC", factor="0.99")
    assert await logs_of(fresh_market, block) == []


async def test_a_capped_ratio_grows_by_the_clock_alone(fresh_market: Chain) -> None:
    adapter = fresh_market.reserves["wstETH"].source
    await fresh_market.set_price("wstETH", factor="1.5")
    capped = (await fresh_market.prices())["wstETH"]
    assert await fresh_market.rpc.call(adapter, "isCapped()(bool)") is True
    await fresh_market.increase_time(86_400)
    grown = (await fresh_market.prices())["wstETH"]
    # 9.68 % a year of the snapshot's ratio.
    assert 24 <= (grown - capped) * 100_000 // capped <= 27
    rpc = fresh_market.rpc
    snapshot = await rpc.call(adapter, "getSnapshotRatio()(uint256)")
    scaled = await rpc.call(adapter, "getMaxRatioGrowthPerSecondScaled()(uint256)")
    assert scaled == snapshot * 968 * 10**6 // 10**4 // 31_536_000
    base = await rpc.call(adapter, "BASE_TO_USD_AGGREGATOR()(address)")
    assert base == fresh_market.feeds.by_name["ETH"].proxy


async def test_a_feed_can_move_to_another_aggregator(fresh_market: Chain) -> None:
    feed = fresh_market.feeds.by_name["BTC"]
    phase = await fresh_market.rpc.call(feed.proxy, "phaseId()(uint16)")
    try:
        fresh = await fresh_market.add_aggregator("BTC")
        assert await fresh_market.rpc.call(feed.proxy, "aggregator()(address)") == fresh != feed.aggregator
        assert await fresh_market.rpc.call(feed.proxy, "phaseId()(uint16)") == phase + 1
        block = await fresh_market.set_price("BTC", factor="1.01")
        assert {to_address(str(log["address"])) for log in await logs_of(fresh_market, block)} == {fresh}
    finally:
        fresh_market.feeds.by_name["BTC"] = feed


async def test_people_supply_borrow_repay_and_leave(fresh_market: Chain) -> None:
    chain = fresh_market
    await chain.supply(ALICE, "WETH", 10 * WAD)
    await chain.borrow(ALICE, "USDC", 5_000 * 10**6)
    owing = await health_factor(chain, ALICE)
    assert WAD < owing < 10 * WAD
    await chain.repay(ALICE, "USDC", 1_000 * 10**6)
    assert await health_factor(chain, ALICE) > owing
    await chain.transfer_a_token(ALICE, "WETH", at.RIVAL, WAD)
    await chain.repay(ALICE, "USDC")
    await chain.set_collateral(ALICE, "WETH", False)
    await chain.set_e_mode(ALICE, 1)
    await chain.withdraw(ALICE, "WETH")
    assert (await chain.lens.accounts([ALICE]))[0].total_collateral_base == 0
    assert await chain.balance("WETH", ALICE) >= 9 * WAD - 5


async def test_a_refusal_carries_the_protocols_own_word(fresh_market: Chain) -> None:
    await fresh_market.supply(ALICE, "WETH", WAD)
    with pytest.raises(TransactionReverted) as refused:
        await fresh_market.borrow(ALICE, "USDC", 100_000 * 10**6)
    assert refused.value.reason in {"CollateralCannotCoverNewBorrow", "HealthFactorLowerThanLiquidationThreshold"}
    with pytest.raises(TransactionReverted, match="HealthFactorNotBelowThreshold"):
        await fresh_market.liquidate(fresh_market.borrowers[0], "WETH", "USDC")


async def open_thin_position(chain: Chain) -> None:
    await chain.supply(ALICE, "WETH", 10 * WAD)
    await chain.borrow(ALICE, "USDC", 23_000 * 10**6)


async def test_a_fallen_account_is_liquidated_by_the_real_rules(fresh_market: Chain) -> None:
    await open_thin_position(fresh_market)
    await fresh_market.set_price("ETH", factor="0.9")
    assert await health_factor(fresh_market, ALICE) < WAD
    receipt = await fresh_market.liquidate(ALICE, "WETH", "USDC")
    assert receipt["logs"][-1]["topics"][0] == LIQUIDATION_CALL
    assert await health_factor(fresh_market, ALICE) > WAD
    assert await fresh_market.balance("WETH", at.RIVAL) > 0


async def test_governance_can_push_an_account_down_and_shield_it(fresh_market: Chain) -> None:
    await open_thin_position(fresh_market)
    await fresh_market.set_collateral_parameters("WETH", 7000, 7500, 10500)
    assert await health_factor(fresh_market, ALICE) < WAD
    await fresh_market.set_paused("WETH", True)
    with pytest.raises(TransactionReverted, match="ReservePaused"):
        await fresh_market.liquidate(ALICE, "WETH", "USDC")
    await fresh_market.set_paused("WETH", False, grace_seconds=3600)
    with pytest.raises(TransactionReverted, match="LiquidationGraceSentinelCheckFailed"):
        await fresh_market.liquidate(ALICE, "WETH", "USDC")
    await fresh_market.end_grace_period("WETH")
    await fresh_market.liquidate(ALICE, "WETH", "USDC", receive_a_token=True)


async def test_a_category_change_reaches_its_members(fresh_market: Chain) -> None:
    await fresh_market.supply(ALICE, "weETH", 10 * WAD)
    await fresh_market.set_e_mode(ALICE, 7)
    await fresh_market.borrow(ALICE, "WETH", 9 * WAD)
    before = await health_factor(fresh_market, ALICE)
    await fresh_market.set_e_mode_category(7, 7000, 7500, 10125, "weETH/WETH")
    after = await health_factor(fresh_market, ALICE)
    assert after * 95 // 75 == pytest.approx(before, rel=1e-6)


async def test_the_pool_can_become_something_unknown(fresh_market: Chain) -> None:
    before = await fresh_market.lens.accounts(fresh_market.borrowers[:5])
    await fresh_market.upgrade_pool_to_unknown_revision()
    assert await fresh_market.rpc.call(at.POOL, "POOL_REVISION()(uint256)") == 99
    after = await fresh_market.lens.accounts(fresh_market.borrowers[:5])
    assert [one.ltv for one in after] == [one.ltv for one in before]


async def test_interest_accrues_with_the_clock(fresh_market: Chain) -> None:
    text = "getReserveNormalizedVariableDebt(address)(uint256)"
    usdc = fresh_market.asset("USDC")
    before = await fresh_market.rpc.call(at.POOL, text, usdc)
    await fresh_market.increase_time(30 * 86_400)
    assert RAY <= before < await fresh_market.rpc.call(at.POOL, text, usdc)


async def test_pools_follow_the_oracle_and_the_router_trades_there(fresh_market: Chain) -> None:
    chain = fresh_market
    await chain.set_price("ETH", factor="0.8")
    await chain.set_price("BTC", factor="0.9")
    prices = await chain.prices()
    assert max(await chain.uniswap.deviations(prices)) > 0.05
    trade = await chain.uniswap.align(prices)
    assert trade is not None
    await chain.rpc.settle("align", trade)
    assert max(await chain.uniswap.deviations(prices)) < 0.005
    assert await chain.uniswap.align(prices) is None
    await chain.mint("WETH", ALICE, WAD)
    await chain.approve("WETH", ALICE, at.SWAP_ROUTER_02)
    text = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"
    order = (chain.asset("WETH"), chain.asset("USDC"), 500, ALICE, WAD, 0, 0)
    await chain.rpc.send(ALICE, at.SWAP_ROUTER_02, text, order)
    received = await chain.balance("USDC", ALICE)
    assert received == pytest.approx(prices["WETH"] * 10**6 / prices["USDC"], rel=0.002)


async def test_a_taken_port_is_said_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(AnvilFailed, match="is taken"):
            await Anvil.start(taken.getsockname()[1])


async def test_blocks_come_at_a_beat_and_share_whole_seconds() -> None:
    async with Chain.running(ChainOptions(borrowers=10, block_time=0.1), silent) as chain:
        first = await chain.rpc.block_number()
        await asyncio.sleep(2.0)
        last = await chain.rpc.block_number()
        # A busy machine may miss beats; it never makes more of them.
        assert 8 <= last - first <= 22
        blocks = [await chain.rpc.request("eth_getBlockByNumber", hex(one), False) for one in range(first, last + 1)]
        assert len({one["timestamp"] for one in blocks}) <= 4


async def run_devnet(*words: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "devnet", *words)
    return await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )


async def test_the_command_line_explains_itself() -> None:
    process = await run_devnet("--help")
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"crash" in output
    refused = await run_devnet("chain", "--borrowers", "0")
    _, words = await refused.communicate()
    assert refused.returncode == 2
    assert b"0 is not between 1 and 20000" in words


async def test_the_command_line_runs_a_scenario_to_its_end() -> None:
    process = await run_devnet(
        "chain", "--borrowers", "20", "--scenario", "crash", "--seconds", "3", "--speed", "3", "--once", "--json"
    )
    output, words = await process.communicate()
    assert process.returncode == 0, words
    ready, over = (json.loads(line) for line in output.splitlines())
    assert ready["borrowers"] == 20
    assert over["answers"] == {"ETH": 3, "BTC": 3, "AAVE": 3}


async def test_ctrl_c_ends_the_chain_and_its_node() -> None:
    process = await run_devnet("chain", "--borrowers", "10", "--json")
    assert process.stdout is not None
    ready = json.loads(await process.stdout.readline())
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(ready["RPC_URL"].rsplit(":", 1)[1]))) != 0
