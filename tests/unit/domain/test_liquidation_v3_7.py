"""The cases in which revision 11 differs from revision 10 by design.

Balances, indexes and outcomes are those of the regression tests that aave-v3-origin 3.7 has for its liquidation
rounding; the contracts themselves are not published as a package, so these stand in for them.
"""

from __future__ import annotations

from core.domain.liquidation import LiquidationQuote, quote
from core.domain.market import Market, Revision
from core.domain.position import Position
from core.domain.units import RAY, UINT256_MAX, BaseUsd, Bps, Ray
from tests.unit.domain.builders import NOW, position, reserve

USDX, WETH = 0, 1
DOLLAR = 10**8
HUGE = BaseUsd(10**17)
"""A price at which one millionth of a token is worth 1000 dollars, so that the dust rule lets single units be left."""


def usdx_market(revision: Revision, indexes: tuple[int, int], threshold: int, fee: int, price: int = DOLLAR) -> Market:
    """Return a market of USDX (6 decimals, bonus 5 %, indexes in tenths) and WETH at 1800 dollars."""
    income, debt = (Ray(tenths * RAY // 10) for tenths in indexes)
    market = Market(revision=revision, timestamp=NOW)
    market.set_reserve(
        reserve(
            USDX,
            decimals=6,
            liquidity_index=income,
            variable_borrow_index=debt,
            liquidation_threshold=Bps(threshold),
            liquidation_protocol_fee=Bps(fee),
        )
    )
    market.set_reserve(reserve(WETH, liquidation_threshold=Bps(8_500)))
    market.set_price(USDX, BaseUsd(price))
    market.set_price(WETH, BaseUsd(1_800 * DOLLAR))
    return market


def liquidated(market: Market, account: Position, debt_to_cover: int = UINT256_MAX) -> LiquidationQuote:
    result = quote(market, account, USDX, USDX, NOW, debt_to_cover)
    assert isinstance(result, LiquidationQuote), result
    return result


def test_rounding_that_takes_every_share_clears_the_flag() -> None:
    account = position({USDX: 3}, {USDX: 1})
    result = liquidated(usdx_market(Revision.V3_7, (15, 30), 5_000, 10_000), account)
    assert (result.debt_to_cover, result.collateral_seized, result.protocol_fee) == (3, 2, 1)
    assert result.collateral_disabled
    assert not result.creates_deficit
    assert not liquidated(usdx_market(Revision.V3_6, (15, 30), 5_000, 10_000), account).collateral_disabled


def test_rounding_that_takes_every_share_writes_off_what_is_owed() -> None:
    account = position({USDX: 3}, {USDX: 2})
    result = liquidated(usdx_market(Revision.V3_7, (15, 25), 8_500, 1_000, HUGE), account, 3)
    assert (result.debt_to_cover, result.collateral_seized, result.protocol_fee) == (3, 2, 1)
    assert result.collateral_disabled
    assert result.deficits == ((USDX, 2),)
    older = liquidated(usdx_market(Revision.V3_6, (15, 25), 8_500, 1_000, HUGE), account, 3)
    assert not older.creates_deficit


def test_two_roundings_can_ask_for_more_shares_than_there_are() -> None:
    account = position({USDX: 2}, {USDX: 1})
    result = liquidated(usdx_market(Revision.V3_7, (50, 90), 8_500, 1_000, HUGE), account, 9)
    assert (result.debt_to_cover, result.collateral_seized) == (9, 8)
    assert result.protocol_fee == 0  # one unit was due, but both shares went to the liquidator
    assert result.collateral_disabled
    assert not result.creates_deficit


def test_rounding_that_takes_every_share_writes_off_the_other_debts_too() -> None:
    account = position({USDX: 5}, {USDX: 3, WETH: 555_555_556})
    result = liquidated(usdx_market(Revision.V3_7, (13, 15), 5_000, 10_000), account)
    assert (result.debt_to_cover, result.collateral_seized, result.protocol_fee) == (5, 4, 1)
    assert result.collateral_disabled
    assert result.deficits == ((WETH, 555_555_556),)


def test_a_rest_without_value_counts_as_nothing() -> None:
    market = usdx_market(Revision.V3_7, (10, 25), 8_500, 1_000)
    account = position({WETH: 525 * 10**15 + 3}, {USDX: 360 * 10**6, WETH: 10**12})
    result = quote(market, account, WETH, USDX, NOW)
    assert isinstance(result, LiquidationQuote), result
    assert result.debt_to_cover == 900 * 10**6
    assert result.collateral_seized + result.protocol_fee == 525 * 10**15
    assert result.collateral_disabled
    assert result.deficits == ((WETH, 10**12),)
