from __future__ import annotations

from dataclasses import replace

import pytest

from core.domain.health_factor import HFCalculator, UserAccountData
from core.domain.market import EModeCategory, Revision
from core.domain.position import Position
from core.domain.units import RAY, UINT256_MAX, WAD, BaseUsd, Bps, Ray, ScaledAmount
from tests.unit.domain.builders import CBETH, NOW, USDC, USER, WETH, market, position, reserve

ETHER = 10**18
DOLLAR = 10**8
calculate = HFCalculator().calculate


def test_one_collateral_and_one_debt() -> None:
    account = calculate(market(), position({WETH: ETHER}, {USDC: 1_000 * 10**6}), NOW)
    assert account == (2_000 * DOLLAR, 1_000 * DOLLAR, 500 * DOLLAR, 8_300, 7_500, 166 * WAD // 100)


def test_an_account_without_debt_has_the_largest_health_factor() -> None:
    account = calculate(market(), position({WETH: ETHER}, {}), NOW)
    assert account == (2_000 * DOLLAR, 0, 1_500 * DOLLAR, 8_300, 7_500, UINT256_MAX)


def test_an_empty_account() -> None:
    assert calculate(market(), Position(USER), NOW) == (0, 0, 0, 0, 0, UINT256_MAX)


def test_debt_without_collateral_has_a_health_factor_of_zero() -> None:
    assert calculate(market(), position({}, {USDC: 10**6}), NOW) == (0, DOLLAR, 0, 0, 0, 0)


def test_averages_are_truncated_but_the_health_factor_is_not_built_from_them() -> None:
    account = calculate(market(), position({WETH: ETHER, CBETH: ETHER}, {USDC: 3_000 * 10**6}), NOW)
    weighted = 2_000 * 8_300 + 2_200 * 7_900
    assert account.current_liquidation_threshold == weighted // 4_200 == 8_090
    assert account.health_factor == (weighted * DOLLAR * WAD + 1_500 * DOLLAR) // (3_000 * DOLLAR) // 10_000
    assert account.health_factor != 4_200 * 8_090 * WAD // 3_000 // 10_000


def test_what_is_not_used_as_collateral_does_not_count() -> None:
    both = position({WETH: ETHER, CBETH: ETHER}, {USDC: 10**6})
    account = calculate(market(), both.with_collateral_flag(CBETH, False), NOW)
    assert account.total_collateral_base == 2_000 * DOLLAR


def test_balances_round_for_the_protocol() -> None:
    subject = market()
    subject.set_reserve(reserve(WETH, liquidity_index=Ray(RAY + RAY // 3)))
    subject.set_reserve(reserve(USDC, decimals=6, variable_borrow_index=Ray(RAY + RAY // 3)))
    subject.set_price(WETH, BaseUsd(10**18 - 1))
    subject.set_price(USDC, BaseUsd(1))
    account = calculate(subject, position({WETH: 2}, {USDC: 2}), NOW)
    assert account.total_collateral_base == 1  # 2 x 1.33 = 2.67, so 2; 2 x 0.99.. = 1.99.., so 1
    assert account.total_debt_base == 1  # 2.67, so 3; 0.000003, so 1


def test_e_mode_replaces_threshold_and_ltv_of_its_collaterals_only() -> None:
    account = calculate(market(), position({WETH: ETHER, USDC: 2_000 * 10**6}, {USDC: 10**6}, e_mode=1), NOW)
    assert account.current_liquidation_threshold == (9_300 + 7_800) // 2
    assert account.ltv == (9_000 + 7_500) // 2


def test_a_collateral_with_ltv_zero_keeps_its_threshold() -> None:
    subject = market()
    subject.set_e_mode(replace(subject.e_modes[1], ltvzero_bitmap=1 << WETH))
    account = calculate(subject, position({WETH: ETHER}, {USDC: 10**6}, e_mode=1), NOW)
    assert (account.current_liquidation_threshold, account.ltv, account.available_borrows_base) == (9_300, 0, 0)


def test_an_isolated_category_takes_the_ltv_of_what_is_outside() -> None:
    subject = market()
    subject.set_e_mode(replace(subject.e_modes[1], isolated=True))
    account = calculate(subject, position({USDC: 10**6}, {WETH: 1}, e_mode=1), NOW)
    assert (account.current_liquidation_threshold, account.ltv) == (7_800, 0)


def test_an_asset_may_be_collateral_in_its_category_alone() -> None:
    subject = market()
    subject.set_reserve(reserve(CBETH, liquidation_threshold=Bps(0), ltv=Bps(0)))
    outside = calculate(subject, position({CBETH: ETHER}, {USDC: 10**6}), NOW)
    inside = calculate(subject, position({CBETH: ETHER}, {USDC: 10**6}, e_mode=1), NOW)
    assert (outside.total_collateral_base, outside.health_factor) == (2_200 * DOLLAR, 0)
    assert inside.health_factor == 2_200 * 9_300 * WAD // 10_000


@pytest.mark.parametrize("revision", [Revision.V3_6, Revision.V3_7, None])
def test_both_revisions_share_one_formula(revision: Revision | None) -> None:
    account = calculate(market(revision), position({WETH: ETHER + 1}, {USDC: 1_234_567_891}), NOW + 5)
    assert account.health_factor == (2_000 * DOLLAR * 8_300 * WAD + 123_456_789_100 // 2) // 123_456_789_100 // 10_000


def test_the_batch_keeps_the_order() -> None:
    accounts = [position({WETH: n * ETHER}, {USDC: 10**6}) for n in range(1, 5)]
    assert HFCalculator().batch(market(), accounts, NOW) == [calculate(market(), account, NOW) for account in accounts]


def test_a_projection_changes_only_the_price_that_it_names() -> None:
    subject, account = market(), position({WETH: ETHER}, {USDC: 1_660 * 10**6})
    assert calculate(subject, account, NOW).health_factor == WAD
    assert HFCalculator().project(subject, account, NOW, {WETH: 9_900}).health_factor == 99 * WAD // 100
    assert HFCalculator().project(subject, account, NOW, {CBETH: 1}).health_factor == WAD
    assert calculate(subject, account, NOW).health_factor == WAD


def test_interest_alone_moves_an_account_below_one() -> None:
    subject = market()
    subject.set_reserve(reserve(USDC, decimals=6, variable_borrow_rate=Ray(5 * 10**25)))
    account = position({WETH: ETHER}, {USDC: 1_660 * 10**6})
    assert calculate(subject, account, NOW).health_factor == WAD
    assert calculate(subject, account, NOW + 1).health_factor < WAD


def test_a_missing_price_and_an_unknown_category_are_loud() -> None:
    subject = market()
    subject.set_reserve(reserve(9))
    with pytest.raises(LookupError):
        calculate(subject, position({9: 1}, {}), NOW)
    with pytest.raises(LookupError):
        calculate(subject, position({WETH: 1}, {}, e_mode=7), NOW)
    with pytest.raises(LookupError):
        calculate(subject, Position(USER, 0, (), ((8, ScaledAmount(1)),), 0), NOW)


def test_an_unset_category_is_not_the_same_as_none() -> None:
    subject = market()
    subject.set_e_mode(EModeCategory(id=2))
    account = calculate(subject, position({WETH: ETHER}, {USDC: 10**6}, e_mode=2), NOW)
    assert account.current_liquidation_threshold == 8_300


def test_the_figures_compare_with_the_chains_tuple() -> None:
    assert UserAccountData(BaseUsd(1), BaseUsd(2), BaseUsd(3), Bps(4), Bps(5), WAD) == (1, 2, 3, 4, 5, WAD)  # type: ignore[arg-type]
