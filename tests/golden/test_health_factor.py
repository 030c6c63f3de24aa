"""Our six figures equal the pool's, to the wei, for every borrower, whatever has happened."""

from __future__ import annotations

import pytest

from core.domain.health_factor import HFCalculator
from core.domain.market import Revision
from core.domain.units import BaseUsd
from devnet.chain import Chain
from tests.golden.second_opinion import SecondOpinion

ETHER = 10**18
DAY = 86_400


def disagreements(chain: Chain) -> list[object]:
    """Read market, accounts and figures at the head, and return every account whose figures differ from ours."""
    opinion = SecondOpinion(chain)
    market, positions = opinion.market(), opinion.positions(chain.borrowers)
    ours = HFCalculator().batch(market, positions, market.timestamp)
    theirs = opinion.figures(chain.borrowers)
    assert len(theirs) == len(chain.borrowers) > 100
    return [(p.user, a, b) for p, a, b in zip(positions, ours, theirs, strict=True) if tuple(a) != b]


async def test_as_the_market_was_opened(fresh_market: Chain) -> None:
    assert SecondOpinion(fresh_market).market().revision is Revision.V3_6
    assert disagreements(fresh_market) == []


@pytest.mark.parametrize("seconds", [1, 3_600, DAY, 365 * DAY])
async def test_interest_needs_no_reading(fresh_market: Chain, seconds: int) -> None:
    opinion = SecondOpinion(fresh_market)
    market, positions = opinion.market(), opinion.positions(fresh_market.borrowers)
    await fresh_market.increase_time(seconds)
    now = opinion.timestamp()
    assert now >= market.timestamp + seconds
    ours = HFCalculator().batch(market, positions, now)
    assert [tuple(figures) for figures in ours] == opinion.figures(fresh_market.borrowers)
    incomes = {reserve.id: reserve.normalized_income(now) for reserve in market.reserves.values()}
    for reserve in market.reserves.values():
        asset = opinion.web3.to_checksum_address(reserve.asset)
        assert opinion.pool.functions.getReserveNormalizedIncome(asset).call() == incomes[reserve.id]
        assert opinion.pool.functions.getReserveNormalizedVariableDebt(asset).call() == reserve.normalized_debt(now)


@pytest.mark.parametrize("factors", [{"ETH": "0.93"}, {"ETH": "0.7", "BTC": "1.21"}, {"BTC": "0.5", "EURC": "0.97"}])
async def test_a_price_is_all_that_a_price_changes(fresh_market: Chain, factors: dict[str, str]) -> None:
    opinion = SecondOpinion(fresh_market)
    market, positions = opinion.market(), opinion.positions(fresh_market.borrowers)
    for symbol, factor in factors.items():
        await fresh_market.set_price(symbol, factor=factor)
    for symbol, price in (await fresh_market.prices()).items():
        market.set_price(fresh_market.reserves[symbol].id, BaseUsd(price))
    ours = HFCalculator().batch(market, positions, opinion.timestamp())
    assert [tuple(figures) for figures in ours] == opinion.figures(fresh_market.borrowers)


async def test_after_users_acted(fresh_market: Chain) -> None:
    chain, (ann, ben, cid, dan, *_) = fresh_market, fresh_market.borrowers
    newcomer = chain.suppliers[0]
    await chain.supply(ann, "WETH", 3 * ETHER + 1)
    await chain.increase_time(DAY)
    await chain.supply(ben, "USDC", 12_345_678_901)
    await chain.set_collateral(ben, "USDC", False)
    await chain.borrow(ann, "USDC", 1_000_001)
    await chain.supply(cid, "WETH", ETHER)
    await chain.transfer_a_token(cid, "WETH", ben, ETHER // 3)
    await chain.supply(newcomer, "cbETH", 5 * ETHER)
    await chain.set_e_mode(newcomer, 1)
    await chain.borrow(newcomer, "WETH", ETHER)
    await chain.increase_time(30 * DAY)
    await chain.withdraw(cid, "WETH", ETHER // 10)
    await chain.repay(ann, "USDC", 500_000)
    await chain.supply(dan, "AAVE", 10 * ETHER)
    chain.borrowers.append(newcomer)
    try:
        assert disagreements(chain) == []
    finally:
        chain.borrowers.pop()


async def test_after_governance_acted(fresh_market: Chain) -> None:
    chain = fresh_market
    await chain.set_collateral_parameters("WETH", 7_000, 7_555, 10_600)
    await chain.set_collateral_parameters("cbBTC", 0, 7_001, 10_600)
    await chain.set_e_mode_category(8, 8_900, 9_111, 10_150, "wstETH/WETH")
    await chain.set_e_mode_collateral("weETH", 7, False)
    await chain.set_e_mode_collateral("WETH", 1, False)
    await chain.set_paused("USDC", True)
    await chain.set_frozen("EURC", True)
    assert disagreements(chain) == []
    await chain.increase_time(DAY)
    assert disagreements(chain) == []


async def test_every_kind_of_account_was_there(market_chain: Chain) -> None:
    positions = SecondOpinion(market_chain).positions(market_chain.borrowers)
    assert sum(position.e_mode > 0 for position in positions) > 30
    assert sum(len(position.debt) > 1 for position in positions) > 20
    assert sum(len(position.collateral) > 1 for position in positions) > 40
