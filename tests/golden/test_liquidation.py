"""Our quotes equal what real liquidations move, to the wei: each one is made on the chain, compared and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from core.domain.liquidation import LiquidationQuote, QuoteRefusal, best_quote, quote
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import UINT256_MAX, Address, ray_mul_ceil
from devnet.rpc import TransactionReverted
from tests.golden.bench import Bench, Order


def pairs(position: Position) -> list[tuple[int, int]]:
    used = [reserve_id for reserve_id, _ in position.collateral if position.uses_as_collateral(reserve_id)]
    return list(product(used, [reserve_id for reserve_id, _ in position.debt]))


def orders(market: Market, position: Position, share: int) -> Iterator[Order]:
    """Yield the best liquidation, up to two pairs in full, and a percentage of a debt, which may leave dust."""
    best = best_quote(market, position, market.timestamp)
    if isinstance(best, LiquidationQuote):
        yield Order(position, best.collateral, best.debt, best.call_amount)
        if best.call_amount != UINT256_MAX:
            yield Order(position, best.collateral, best.debt, best.call_amount * 1_001 // 1_000)
    for collateral, debt in pairs(position)[:2]:
        yield Order(position, collateral, debt, UINT256_MAX)
    collateral, debt = pairs(position)[-1]
    owed = ray_mul_ceil(position.debt_of(debt), market.reserves[debt].normalized_debt(market.timestamp))
    yield Order(position, collateral, debt, owed * share // 100)


@pytest.mark.parametrize(
    ("factors", "accounts", "must_see"),
    [
        pytest.param(
            {"ETH": "0.92", "BTC": "0.93"},
            70,
            {"close factor 5000": 20, "close factor 10000": 20, "e-mode": 10, QuoteRefusal.MUST_NOT_LEAVE_DUST: 5},
            id="mild",
        ),
        pytest.param(
            {"ETH": "0.85", "BTC": "0.85", "AAVE": "0.8"},
            60,
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
    bench: Bench, factors: dict[str, str], accounts: int, must_see: dict[str, int]
) -> None:
    await bench.move_prices(factors)
    chosen = bench.under_water()[:accounts]
    for number, position in enumerate(chosen):
        for order in dict.fromkeys(orders(bench.market, position, share=10 + 17 * number % 90)):
            await bench.try_order(order)
    assert len(bench.users) == len(chosen) == accounts
    assert {what: bench.seen[what] for what, least in must_see.items() if bench.seen[what] < least} == {}


async def test_refusals_equal_reverts(bench: Bench) -> None:
    await bench.move_prices({"ETH": "0.9"})
    below = next(p for p in bench.under_water() if len(pairs(p)) == 1 and p.e_mode == 0)
    ((collateral, debt),) = pairs(below)
    healthy = next(p for p in bench.positions if p not in bench.under_water())
    stranger = next(reserve_id for reserve_id in bench.market.reserves if reserve_id not in (collateral, debt))
    await bench.try_order(Order(healthy, *pairs(healthy)[0], UINT256_MAX))
    await bench.try_order(Order(below, stranger, debt, UINT256_MAX))
    await bench.try_order(Order(below, collateral, stranger, UINT256_MAX))
    await bench.try_order(Order(below, collateral, debt, 0))
    order, symbol = Order(below, collateral, debt, UINT256_MAX), bench.market.reserves[debt].symbol
    await bench.chain.set_paused(symbol, True)
    bench.look_again()
    await bench.try_order(order)
    await bench.chain.set_paused(symbol, False, grace_seconds=3_600)
    bench.look_again()
    await bench.try_order(order)
    assert set(bench.seen) == {
        QuoteRefusal.HEALTH_FACTOR_NOT_BELOW_THRESHOLD,
        QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED,
        QuoteRefusal.NOT_BORROWED,
        QuoteRefusal.AMOUNT_TOO_SMALL,
        QuoteRefusal.RESERVE_PAUSED,
        QuoteRefusal.GRACE_PERIOD,
    }
    await bench.chain.increase_time(3_700)
    bench.look_again()
    await bench.try_order(order)
    assert bench.seen["liquidated"] == 1


@pytest.mark.parametrize(("fee", "bonus"), [(0, 10_500), (10_000, 10_333), (3_333, 10_001)])
async def test_other_fees_and_bonuses(bench: Bench, fee: int, bonus: int) -> None:
    for symbol in ("WETH", "wstETH"):
        await bench.chain.set_protocol_fee(symbol, fee)
        await bench.chain.set_collateral_parameters(symbol, 5_000, 7_000, bonus)
    await bench.move_prices({})
    chosen = [
        position
        for position in bench.under_water()
        if {collateral for collateral, _ in pairs(position)}
        & {bench.chain.reserves["WETH"].id, bench.chain.reserves["wstETH"].id}
    ][:12]
    for position in chosen:
        for collateral, debt in pairs(position):
            await bench.try_order(Order(position, collateral, debt, UINT256_MAX))
    assert len(bench.users) == 12


async def test_a_reserve_that_was_lent_out_cannot_pay(bench: Bench) -> None:
    await bench.move_prices({"ETH": "0.9"})
    weth = bench.chain.reserves["WETH"].id
    rich = max(bench.under_water(), key=lambda one: one.collateral_of(weth) if one.uses_as_collateral(weth) else 0)
    debt = rich.debt[0][0]
    whale = Address("0x" + "77" * 20)
    await bench.chain.supply(whale, "cbBTC", 10**5 * 10**8)
    left = bench.market.reserves[weth].virtual_underlying_balance
    await bench.chain.borrow(whale, "WETH", left - rich.collateral_of(weth) // 4)
    bench.look_again()
    assert quote(bench.market, rich, weth, debt, bench.now + 1) is QuoteRefusal.NOT_ENOUGH_LIQUIDITY
    with pytest.raises(TransactionReverted, match="underflow"):
        await bench.send(Order(rich, weth, debt, UINT256_MAX))
    best = best_quote(bench.market, rich, bench.now)
    assert isinstance(best, LiquidationQuote)
    await bench.try_order(Order(rich, best.collateral, best.debt, best.call_amount))
    assert bench.seen["liquidated"] == 1
