"""The local chain is the real protocol, in Base's shape, and repeats itself from a seed."""

from __future__ import annotations

from devnet import addresses as at
from devnet.chain import Chain
from devnet.listing import E_MODES, RESERVES

WAD = 10**18


async def test_market_stands_at_bases_addresses(market_chain: Chain) -> None:
    rpc = market_chain.rpc
    assert int(await rpc.request("eth_chainId"), 16) == 31337
    assert await rpc.call(at.PROVIDER, "getPool()(address)") == at.POOL
    assert await rpc.call(at.POOL, "POOL_REVISION()(uint256)") == 10
    listed = await rpc.call(at.POOL, "getReservesList()(address[])")
    assert list(listed) == [one.address for one in RESERVES]


async def test_every_reserve_and_category_has_its_parameters(market_chain: Chain) -> None:
    rpc = market_chain.rpc
    for spec in RESERVES:
        text = "getReserveConfigurationData(address)(uint256,uint256,uint256,uint256,uint256,bool,bool,bool,bool,bool)"
        decimals, ltv, threshold, bonus, *_ = await rpc.call(at.DATA_PROVIDER, text, spec.address)
        assert (decimals, ltv, threshold, bonus) == (spec.decimals, spec.ltv, spec.threshold, spec.bonus)
    for mode in E_MODES:
        assert await rpc.call(at.POOL, "getEModeCategoryCollateralBitmap(uint8)(uint128)", mode.id) == mode.collateral
        assert await rpc.call(at.POOL, "getEModeCategoryBorrowableBitmap(uint8)(uint128)", mode.id) == mode.borrowable


async def test_borrowers_are_healthy_varied_and_owe_something(market_chain: Chain) -> None:
    figures = await market_chain.lens.accounts(market_chain.borrowers)
    assert len(set(market_chain.borrowers)) == len(figures) == 200
    assert all(one.health_factor >= WAD and one.total_debt_base > 0 for one in figures)
    debts = [one.total_debt_base // 10**8 for one in figures]
    assert min(debts) < 50
    assert max(debts) > 50_000
    assert any(50 < debt < 2000 for debt in debts)


async def test_one_eth_answer_moves_every_ether_reserve(fresh_market: Chain) -> None:
    before = await fresh_market.prices()
    await fresh_market.set_price("ETH", factor="0.9")
    after = await fresh_market.prices()
    moved = {symbol for symbol in before if after[symbol] != before[symbol]}
    assert moved == {"WETH", "cbETH", "wstETH", "weETH", "ezETH", "wrsETH"}
    assert after["WETH"] == before["WETH"] * 9 // 10
