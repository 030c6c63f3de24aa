from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.domain.health_factor import HFCalculator
from core.domain.liquidation import CloseFactorMode, LiquidationQuote, QuoteRefusal, best_quote, quote
from core.domain.market import Market, Revision
from core.domain.units import RAY, UINT256_MAX, WAD, BaseUsd, Bps, Ray, TokenAmount
from tests.unit.domain.builders import CBETH, GHO, NOW, USDC, USER, WETH, market, position, reserve

ETHER = 10**18
USD = 10**6
DOLLAR = 10**8
BOTH = pytest.mark.parametrize("revision", [Revision.V3_6, Revision.V3_7])


def quoted(result: LiquidationQuote | QuoteRefusal) -> LiquidationQuote:
    assert isinstance(result, LiquidationQuote), result
    return result


def changed(revision: Revision | None, reserve_id: int, **changes: Any) -> Market:
    subject = market(revision)
    subject.set_reserve(replace(subject.reserves[reserve_id], **changes))
    return subject


@BOTH
def test_below_0_95_the_whole_debt_can_be_repaid(revision: Revision) -> None:
    account = position({WETH: 10 * ETHER}, {USDC: 17_500 * USD})
    assert HFCalculator().calculate(market(revision), account, NOW).health_factor < 95 * WAD // 100
    result = quoted(quote(market(revision), account, WETH, USDC, NOW))
    assert (result.close_factor, result.debt_to_cover, result.max_debt_to_cover) == (10_000, 17_500 * USD, 17_500 * USD)
    seized = 17_500 * ETHER // 2_000 * 105 // 100
    bonus = seized - seized * 100 // 105
    assert result.protocol_fee == pytest.approx(bonus // 10, abs=1)
    assert result.collateral_seized + result.protocol_fee == seized
    assert (result.user, result.liquidation_bonus, result.call_amount) == (USER, 10_500, UINT256_MAX)
    assert result.debt_base == 17_500 * DOLLAR
    assert result.gross_profit_base == result.collateral_base - result.debt_base > 0
    assert not result.creates_deficit
    assert not result.collateral_disabled


@BOTH
def test_above_0_95_half_of_all_debt_can_be_repaid(revision: Revision) -> None:
    account = position({WETH: 10 * ETHER}, {USDC: 17_000 * USD})
    result = quoted(quote(market(revision), account, WETH, USDC, NOW))
    assert (result.close_factor, result.debt_to_cover) == (5_000, 8_500 * USD)


@BOTH
def test_at_exactly_0_95_the_whole_debt_can_be_repaid(revision: Revision) -> None:
    account = position({WETH: 95 * ETHER}, {USDC: 166_000 * USD})
    assert HFCalculator().calculate(market(revision), account, NOW).health_factor == 95 * WAD // 100
    assert quoted(quote(market(revision), account, WETH, USDC, NOW)).debt_to_cover == 166_000 * USD


@BOTH
def test_a_debt_under_half_of_the_total_can_be_closed_in_full(revision: Revision) -> None:
    account = position({WETH: 10 * ETHER}, {USDC: 7_000 * USD, GHO: 10_000 * ETHER})
    smaller = quoted(quote(market(revision), account, WETH, USDC, NOW))
    larger = quoted(quote(market(revision), account, WETH, GHO, NOW))
    assert (smaller.close_factor, smaller.debt_to_cover) == (10_000, 7_000 * USD)
    assert (larger.close_factor, larger.debt_to_cover) == (5_000, 8_500 * ETHER)


@BOTH
@pytest.mark.parametrize(("collateral", "debt"), [(ETHER - ETHER // 2000, 1_700 * USD), (2 * ETHER // 2, 1_999 * USD)])
def test_positions_under_2000_usd_can_be_closed_in_full(revision: Revision, collateral: int, debt: int) -> None:
    account = position({WETH: collateral}, {USDC: debt})
    assert quoted(quote(market(revision), account, WETH, USDC, NOW)).close_factor == 10_000


@BOTH
def test_more_debt_than_collateral_is_a_deficit(revision: Revision) -> None:
    account = position({WETH: ETHER}, {USDC: 2_100 * USD, GHO: 100 * ETHER})
    result = quoted(quote(market(revision), account, WETH, USDC, NOW))
    needed = -(-2_000 * USD * 100 // 105)
    assert result.debt_to_cover == needed
    assert result.collateral_seized + result.protocol_fee == ETHER
    assert result.collateral_disabled
    assert result.deficits == ((USDC, 2_100 * USD - needed), (GHO, 100 * ETHER))
    assert result.creates_deficit


@BOTH
def test_debts_in_inactive_reserves_are_not_written_off(revision: Revision) -> None:
    account = position({WETH: ETHER}, {USDC: 2_100 * USD, GHO: 100 * ETHER})
    result = quoted(quote(changed(revision, GHO, active=False), account, WETH, USDC, NOW))
    assert [reserve_id for reserve_id, _ in result.deficits] == [USDC]


@BOTH
def test_with_another_collateral_left_there_is_no_deficit(revision: Revision) -> None:
    account = position({WETH: ETHER, CBETH: ETHER}, {USDC: 4_000 * USD})
    result = quoted(quote(market(revision), account, WETH, USDC, NOW))
    assert result.collateral_disabled
    assert not result.creates_deficit


@BOTH
def test_the_category_gives_the_bonus_of_its_own_collaterals(revision: Revision) -> None:
    subject = market(revision)
    subject.set_price(WETH, BaseUsd(2_400 * DOLLAR))
    account = position({CBETH: 10 * ETHER, USDC: 10 * USD}, {WETH: 9 * ETHER}, e_mode=1)
    assert quoted(quote(subject, account, CBETH, WETH, NOW)).liquidation_bonus == 10_200
    assert quoted(quote(subject, account, USDC, WETH, NOW)).liquidation_bonus == 10_500


def test_revision_10_rounds_half_up_and_revision_11_for_the_protocol() -> None:
    # 1 USDC at 1 USD buys 10^18 // 2999 = 333444481493831 wei at 2999 USD
    base = 333_444_481_493_831
    expected = {}
    for revision in (Revision.V3_6, Revision.V3_7):
        subject = market(revision)
        subject.set_price(WETH, BaseUsd(2_999 * DOLLAR))
        account = position({WETH: ETHER}, {USDC: 2_800 * USD})
        result = quoted(quote(subject, account, WETH, USDC, NOW, debt_to_cover=1_000_000))
        expected[revision] = (result.collateral_seized, result.protocol_fee)
    half_up_seized = (base * 10_500 + 5_000) // 10_000
    half_up_fee = ((half_up_seized - (half_up_seized * 10_000 + 5_250) // 10_500) * 1_000 + 5_000) // 10_000
    floor_seized = base * 10_500 // 10_000
    ceil_fee = -((floor_seized - floor_seized * 10_000 // 10_500) * 1_000 // -10_000)
    assert expected[Revision.V3_6] == (half_up_seized - half_up_fee, half_up_fee)
    assert expected[Revision.V3_7] == (floor_seized - ceil_fee, ceil_fee)
    assert expected[Revision.V3_6] != expected[Revision.V3_7]


def test_the_fee_is_capped_at_what_taking_the_collateral_leaves() -> None:
    subject = changed(Revision.V3_7, WETH, liquidity_index=Ray(RAY * 3 // 2 + 1))
    account = position({WETH: ETHER // 2 + 1}, {USDC: 2_000 * USD})
    result = quoted(quote(subject, account, WETH, USDC, NOW))
    balance = (ETHER // 2 + 1) * subject.reserves[WETH].liquidity_index // RAY
    nominal = balance - result.collateral_seized
    assert result.protocol_fee == nominal - 1


def test_scaled_balances_decide_in_revision_11_whether_anything_is_left() -> None:
    results = {}
    for revision in (Revision.V3_6, Revision.V3_7):
        subject = changed(revision, WETH, liquidity_index=Ray(3 * RAY), decimals=0)
        subject.set_reserve(reserve(USDC, decimals=0, liquidation_bonus=Bps(10_500)))
        subject.set_price(WETH, BaseUsd(DOLLAR))
        account = position({WETH: 40}, {USDC: 113})
        results[revision] = quoted(quote(subject, account, WETH, USDC, NOW))
    # 113 x 1.05 = 118.65: half-up takes 119 of 120 and floor 118; in scaled units, rounded up, both are all 40
    assert results[Revision.V3_6].collateral_disabled is False
    assert results[Revision.V3_7].collateral_disabled is True


def test_no_fee_without_a_fee_rate() -> None:
    result = quoted(
        quote(
            changed(Revision.V3_7, WETH, liquidation_protocol_fee=Bps(0)),
            position({WETH: ETHER}, {USDC: 1_700 * USD}),
            WETH,
            USDC,
            NOW,
        )
    )
    assert result.protocol_fee == 0


@BOTH
@pytest.mark.parametrize(
    ("reserve_id", "changes", "refusal"),
    [
        (WETH, {"active": False}, QuoteRefusal.RESERVE_INACTIVE),
        (USDC, {"active": False}, QuoteRefusal.RESERVE_INACTIVE),
        (WETH, {"paused": True}, QuoteRefusal.RESERVE_PAUSED),
        (USDC, {"paused": True}, QuoteRefusal.RESERVE_PAUSED),
        (WETH, {"grace_period_until": NOW}, QuoteRefusal.GRACE_PERIOD),
        (USDC, {"grace_period_until": NOW + 60}, QuoteRefusal.GRACE_PERIOD),
        (WETH, {"virtual_underlying_balance": TokenAmount(1)}, QuoteRefusal.NOT_ENOUGH_LIQUIDITY),
        (WETH, {"liquidation_bonus": Bps(0)}, QuoteRefusal.AMOUNT_TOO_SMALL),
    ],
)
def test_reserves_that_refuse(
    revision: Revision, reserve_id: int, changes: dict[str, Any], refusal: QuoteRefusal
) -> None:
    account = position({WETH: ETHER}, {USDC: 1_700 * USD})
    assert quote(changed(revision, reserve_id, **changes), account, WETH, USDC, NOW) is refusal


@BOTH
def test_frozen_reserves_and_past_grace_periods_do_not_refuse(revision: Revision) -> None:
    account = position({WETH: ETHER}, {USDC: 1_700 * USD})
    subject = changed(revision, WETH, frozen=True, grace_period_until=NOW - 1)
    assert quoted(quote(subject, account, WETH, USDC, NOW)).debt_to_cover == 1_700 * USD


@BOTH
def test_accounts_that_refuse(revision: Revision) -> None:
    subject = market(revision)
    healthy = position({WETH: ETHER}, {USDC: 1_660 * USD})
    below = position({WETH: ETHER}, {USDC: 1_661 * USD})
    assert quote(subject, healthy, WETH, USDC, NOW) is QuoteRefusal.HEALTH_FACTOR_NOT_BELOW_THRESHOLD
    assert quote(subject, below, CBETH, USDC, NOW) is QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED
    assert quote(subject, below, WETH, GHO, NOW) is QuoteRefusal.NOT_BORROWED
    unused = position({WETH: ETHER, CBETH: 1}, {USDC: 1_700 * USD}).with_collateral_flag(CBETH, False)
    assert quote(subject, unused, CBETH, USDC, NOW) is QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED
    assert quote(subject, below, WETH, USDC, NOW, debt_to_cover=0) is QuoteRefusal.AMOUNT_TOO_SMALL


def test_no_quote_by_unknown_rules() -> None:
    account = position({WETH: ETHER}, {USDC: 1_700 * USD})
    assert quote(market(None), account, WETH, USDC, NOW) is QuoteRefusal.UNKNOWN_REVISION
    assert best_quote(market(None), account, NOW) is QuoteRefusal.UNKNOWN_REVISION


@BOTH
def test_dust_may_not_be_left_on_either_side(revision: Revision) -> None:
    account = position({WETH: ETHER}, {USDC: 1_900 * USD})
    assert quoted(quote(market(revision), account, WETH, USDC, NOW, 900 * USD)).debt_to_cover == 900 * USD
    assert quote(market(revision), account, WETH, USDC, NOW, 900 * USD + 1) is QuoteRefusal.MUST_NOT_LEAVE_DUST
    assert quote(market(revision), account, WETH, USDC, NOW, 1_800 * USD) is QuoteRefusal.MUST_NOT_LEAVE_DUST
    richer = position({WETH: 2 * ETHER}, {USDC: 3_400 * USD})
    assert quoted(quote(market(revision), richer, WETH, USDC, NOW)).debt_to_cover == 1_700 * USD


@BOTH
def test_where_the_maximum_leaves_dust_the_best_quote_takes_less(revision: Revision) -> None:
    account = position({WETH: 2 * ETHER}, {USDC: 2_050 * USD, GHO: 1_350 * ETHER})
    subject = changed(revision, GHO, paused=True)
    assert quote(subject, account, WETH, USDC, NOW) is QuoteRefusal.MUST_NOT_LEAVE_DUST
    best = quoted(best_quote(subject, account, NOW))
    assert best.call_amount == best.debt_to_cover < best.max_debt_to_cover == 1_700 * USD
    left = 2_050 * USD - best.debt_to_cover
    assert (left - 1) * 100 < 1_000 * DOLLAR <= left * 100
    assert quote(subject, account, WETH, USDC, NOW, best.call_amount) == best
    assert quote(subject, account, WETH, USDC, NOW, best.call_amount + 1) is QuoteRefusal.MUST_NOT_LEAVE_DUST


@BOTH
def test_the_best_quote_leaves_enough_collateral_too(revision: Revision) -> None:
    account = position({WETH: ETHER + ETHER // 100, CBETH: 10 * ETHER}, {USDC: 19_200 * USD})
    subject = changed(revision, CBETH, paused=True)
    assert quote(subject, account, WETH, USDC, NOW, 1_200 * USD) is QuoteRefusal.MUST_NOT_LEAVE_DUST
    assert quoted(best_quote(subject, account, NOW)).collateral_disabled
    some = quoted(quote(subject, account, WETH, USDC, NOW, 900 * USD))
    assert (some.call_amount, some.debt_to_cover) == (900 * USD, 900 * USD)


@BOTH
def test_the_best_quote_keeps_within_the_reserves_liquidity(revision: Revision) -> None:
    account = position({WETH: 10 * ETHER}, {USDC: 17_500 * USD})
    subject = changed(revision, WETH, virtual_underlying_balance=TokenAmount(3 * ETHER))
    assert quote(subject, account, WETH, USDC, NOW) is QuoteRefusal.NOT_ENOUGH_LIQUIDITY
    best = quoted(best_quote(subject, account, NOW))
    assert 3 * ETHER - 10**10 < best.collateral_seized <= 3 * ETHER
    more = quote(subject, account, WETH, USDC, NOW, best.call_amount + 1)
    assert more is QuoteRefusal.NOT_ENOUGH_LIQUIDITY
    nothing = changed(revision, WETH, virtual_underlying_balance=TokenAmount(0))
    assert best_quote(nothing, account, NOW) is QuoteRefusal.NOT_ENOUGH_LIQUIDITY


@BOTH
def test_the_best_quote_is_that_of_the_most_profitable_pair(revision: Revision) -> None:
    account = position({WETH: 10 * ETHER, CBETH: 10 * ETHER}, {USDC: 20_000 * USD, GHO: 17_000 * ETHER})
    best = quoted(best_quote(market(revision), account, NOW))
    profits = {
        (collateral, debt): quoted(quote(market(revision), account, collateral, debt, NOW)).gross_profit_base
        for collateral in (WETH, CBETH)
        for debt in (USDC, GHO)
    }
    assert (best.collateral, best.debt) == max(profits, key=lambda pair: profits[pair]) == (CBETH, USDC)
    assert best.gross_profit_base == max(profits.values())


@BOTH
def test_the_best_quote_of_the_healthy_and_of_the_bare(revision: Revision) -> None:
    subject = market(revision)
    healthy = position({WETH: ETHER}, {USDC: USD})
    assert best_quote(subject, healthy, NOW) is QuoteRefusal.HEALTH_FACTOR_NOT_BELOW_THRESHOLD
    bare = position({}, {USDC: USD})
    assert best_quote(subject, bare, NOW) is QuoteRefusal.COLLATERAL_CANNOT_BE_LIQUIDATED
    paused = changed(revision, USDC, paused=True)
    assert best_quote(paused, position({WETH: ETHER}, {USDC: 1_700 * USD}), NOW) is QuoteRefusal.RESERVE_PAUSED


@BOTH
def test_the_fixed_half_asks_for_half_of_each_debt(revision: Revision) -> None:
    account = position({WETH: 10 * ETHER}, {USDC: 17_500 * USD})
    half = quoted(best_quote(market(revision), account, NOW, CloseFactorMode.FIXED50))
    assert (half.close_factor, half.debt_to_cover, half.call_amount) == (5_000, 8_750 * USD, 8_750 * USD)
    assert half.max_debt_to_cover == 17_500 * USD


@BOTH
def test_interest_counts_in_a_quote(revision: Revision) -> None:
    subject = changed(revision, USDC, variable_borrow_rate=Ray(5 * 10**25))
    account = position({WETH: ETHER}, {USDC: 1_660 * USD})
    assert quote(subject, account, WETH, USDC, NOW) is QuoteRefusal.HEALTH_FACTOR_NOT_BELOW_THRESHOLD
    later = quoted(quote(subject, account, WETH, USDC, NOW + 86_400))
    assert later.debt_to_cover == -(1_660 * USD * 1000136995684421674802557900 // -RAY)
