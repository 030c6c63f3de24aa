"""The rules of v3.7, patched into the installed v3.6: figures and liquidations equal ours to the wei."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from core.domain.health_factor import HFCalculator
from core.domain.liquidation import quote
from core.domain.market import Revision
from core.domain.position import Position
from core.domain.units import UINT256_MAX
from devnet import addresses as at
from devnet.build import Artifacts
from devnet.chain import Chain, ChainOptions
from devnet.rpc import TransactionReverted
from tests.golden.bench import Bench, Order
from tests.golden.second_opinion import SecondOpinion
from tests.golden.test_health_factor import disagreements
from tests.golden.test_liquidation import orders, pairs

ETHER = 10**18
MONTH = 30 * 86_400


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crowd_11(built: Artifacts) -> AsyncIterator[Chain]:
    """Run a v3.7 chain with enough borrowers that hundreds fall below one, where the rival has every token."""
    async with Chain.running(ChainOptions(borrowers=1_000, block_time=None, flavour="3.7")) as chain:
        for symbol in chain.reserves:
            await chain.mint(symbol, at.RIVAL, 10**32)
            await chain.approve(symbol, at.RIVAL)
        await chain.increase_time(MONTH)
        yield chain


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def positions_11(crowd_11: Chain) -> list[Position]:
    """Read the crowd's scaled balances once: neither prices nor time move them."""
    return SecondOpinion(crowd_11).positions(crowd_11.borrowers)


@pytest_asyncio.fixture(loop_scope="session")
async def bench_11(crowd_11: Chain, positions_11: list[Position]) -> AsyncIterator[Bench]:
    """Lend the crowd to one test and put its state back afterwards."""
    snapshot = await crowd_11.snapshot()
    yield Bench(crowd_11, positions_11)
    await crowd_11.revert(snapshot)


async def test_all_figures_of_all_accounts(bench_11: Bench) -> None:
    chain = bench_11.chain
    assert SecondOpinion(chain).market().revision is Revision.V3_7
    assert disagreements(chain) == []
    await chain.set_price("ETH", factor="0.87")
    await chain.set_price("BTC", factor="1.03")
    await chain.increase_time(86_400)
    ann, ben, *_ = chain.borrowers
    await chain.supply(ann, "WETH", 3 * ETHER + 1)
    await chain.supply(ben, "cbETH", ETHER + 1)
    await chain.withdraw(ben, "cbETH", 1)
    assert disagreements(chain) == []


async def test_an_isolated_category(bench_11: Bench) -> None:
    chain = bench_11.chain
    await chain.set_e_mode_isolated(7, True)
    market = SecondOpinion(chain).market()
    assert await chain.rpc.call(chain.pool, "getIsEModeCategoryIsolated(uint8)(bool)", 7) is True
    market.set_e_mode(replace(market.e_modes[7], isolated=True))
    inside = [one for one in bench_11.positions if one.e_mode == 7]
    ours = HFCalculator().batch(market, inside, market.timestamp)
    assert [tuple(one) for one in ours] == SecondOpinion(chain).figures([one.user for one in inside])
    outside = [
        one
        for one in inside
        if any(
            one.uses_as_collateral(reserve) and reserve != chain.reserves["weETH"].id for reserve, _ in one.collateral
        )
    ]
    assert outside
    newcomer = chain.suppliers[0]
    await chain.supply(newcomer, "AAVE", ETHER)
    with pytest.raises(TransactionReverted, match="InvalidCollateralInEmode"):
        await chain.set_e_mode(newcomer, 7)


@pytest.mark.parametrize(
    ("factors", "accounts", "must_see"),
    [
        pytest.param(
            {"ETH": "0.92", "BTC": "0.93"}, 60, {"close factor 5000": 15, "close factor 10000": 15}, id="mild"
        ),
        pytest.param(
            {"ETH": "0.85", "BTC": "0.85", "AAVE": "0.8"},
            50,
            {"close factor 10000": 20, "all of a collateral": 10, "several debts": 10, "several collaterals": 10},
            id="crash",
        ),
        pytest.param(
            {"ETH": "0.5", "BTC": "0.45", "AAVE": "0.4"},
            50,
            {"deficit": 15, "deficit in several reserves": 3, "protocol fee": 20},
            id="bad debt",
        ),
    ],
)
async def test_quotes_equal_liquidations(
    bench_11: Bench, factors: dict[str, str], accounts: int, must_see: dict[str, int]
) -> None:
    await bench_11.move_prices(factors)
    chosen = bench_11.under_water()[:accounts]
    for number, position in enumerate(chosen):
        for order in dict.fromkeys(orders(bench_11.market, position, share=10 + 17 * number % 90)):
            await bench_11.try_order(order)
    assert bench_11.seen["liquidated"] >= 100
    assert {what: bench_11.seen[what] for what, least in must_see.items() if bench_11.seen[what] < least} == {}


@pytest.mark.parametrize(("fee", "bonus"), [(0, 10_500), (10_000, 10_333), (3_333, 10_001)])
async def test_other_fees_and_bonuses(bench_11: Bench, fee: int, bonus: int) -> None:
    ids = {bench_11.chain.reserves[symbol].id for symbol in ("WETH", "wstETH")}
    for symbol in ("WETH", "wstETH"):
        await bench_11.chain.set_protocol_fee(symbol, fee)
        await bench_11.chain.set_collateral_parameters(symbol, 5_000, 7_000, bonus)
    await bench_11.move_prices({})
    chosen = [one for one in bench_11.under_water() if {collateral for collateral, _ in pairs(one)} & ids][:10]
    for position in chosen:
        for collateral, debt in pairs(position):
            await bench_11.try_order(Order(position, collateral, debt, UINT256_MAX))
            await bench_11.try_order(Order(position, collateral, debt, 123_456_789_012_345))
    assert bench_11.seen["liquidated"] >= 10


async def test_revision_10_would_have_been_wrong(bench_11: Bench) -> None:
    await bench_11.move_prices({"ETH": "0.85", "BTC": "0.85"})
    older = SecondOpinion(bench_11.chain).market()
    older.revision = Revision.V3_6
    chosen = [(one, *pairs(one)[0]) for one in bench_11.under_water()[:100]]
    differ = sum(quote(bench_11.market, *row, bench_11.now) != quote(older, *row, bench_11.now) for row in chosen)
    assert differ > 50


async def test_what_the_sentinel_said_is_not_heard(bench_11: Bench) -> None:
    chain = bench_11.chain
    await chain.rpc.send(at.EXECUTOR, at.PROVIDER, "setPriceOracleSentinel(address)", chain.multicall3)
    await chain.borrow(chain.suppliers[0], "USDC", 10**6)
    assert (await chain.lens.accounts([chain.suppliers[0]]))[0].total_debt_base > 0
