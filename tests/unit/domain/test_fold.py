"""Each event moves what it names, nothing else, and what cannot be folded says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from core.domain import events
from core.domain.events import Event
from core.domain.fold import Subjects, fold_market, fold_position, subjects
from core.domain.market import Market
from core.domain.position import Position, holdings
from core.domain.units import RAY, Address, Bps, Ray, ScaledAmount, TokenAmount
from tests.unit.domain.builders import CBETH, NOW, USDC, USER, WETH, market, position

OTHER = Address("0x" + "22" * 20)
KEEPER = Address("0x" + "cc" * 20)
LATER = NOW + 86_400
ABSENT = 99


def folded(event: Event) -> Market:
    result = market()
    assert fold_market(result, event)
    return result


def assert_only(result: Market, reserve_id: int, **changes: Any) -> None:
    before = market()
    expected = {**before.reserves, reserve_id: replace(before.reserves[reserve_id], **changes)}
    assert (result.reserves, result.e_modes, result.prices) == (expected, before.e_modes, before.prices)


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (
            events.ReserveUpdated(WETH, Ray(3), Ray(4), Ray(RAY + 5), Ray(RAY + 6), LATER),
            {
                "liquidity_rate": 3,
                "variable_borrow_rate": 4,
                "liquidity_index": RAY + 5,
                "variable_borrow_index": RAY + 6,
                "last_update": LATER,
            },
        ),
        (events.LiquidityMoved(WETH, USER, 7, "Supply"), {"virtual_underlying_balance": 10**40 + 7}),
        (events.LiquidityMoved(WETH, USER, -7, "Borrow"), {"virtual_underlying_balance": 10**40 - 7}),
        (
            events.CollateralConfigured(WETH, Bps(1), Bps(2), Bps(3)),
            {"ltv": 1, "liquidation_threshold": 2, "liquidation_bonus": 3},
        ),
        (events.LtvPending(WETH, Bps(9)), {}),
        (events.ReserveActiveSet(WETH, False), {"active": False}),
        (events.ReserveFrozenSet(WETH, True), {"frozen": True}),
        (events.ReservePausedSet(WETH, True), {"paused": True}),
        (events.ProtocolFeeSet(WETH, Bps(2_000)), {"liquidation_protocol_fee": 2_000}),
        (events.GracePeriodSet(WETH, LATER), {"grace_period_until": LATER}),
        (events.DeficitCreated(USER, WETH, TokenAmount(5)), {"deficit": 5}),
        (events.DeficitCovered(WETH, TokenAmount(5)), {"deficit": -5}),
    ],
)
def test_a_reserve(event: Event, changes: dict[str, Any]) -> None:
    assert_only(folded(event), WETH, **changes)


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (
            events.EModeCategorySet(1, Bps(1), Bps(2), Bps(3), "new name"),
            {"ltv": 1, "liquidation_threshold": 2, "liquidation_bonus": 3, "label": "new name"},
        ),
        (events.EModeCollateralSet(1, USDC, True), {"collateral_bitmap": 0b111}),
        (events.EModeCollateralSet(1, WETH, False), {"collateral_bitmap": 0b100}),
        (events.EModeCollateralSet(1, WETH, True), {"collateral_bitmap": 0b101}),
        (events.EModeBorrowableSet(1, CBETH, True), {"borrowable_bitmap": 0b101}),
        (events.EModeLtvZeroSet(1, CBETH, True), {"ltvzero_bitmap": 0b100}),
        (events.EModeLtvZeroSet(1, CBETH, False), {"ltvzero_bitmap": 0}),
        (events.EModeIsolationSet(1, True), {"isolated": True}),
    ],
)
def test_an_e_mode_category(event: Event, changes: dict[str, Any]) -> None:
    result, before = folded(event), market()
    assert result.e_modes == {1: replace(before.e_modes[1], **changes)}
    assert result.reserves == before.reserves


def liquidated(collateral: int, debt: int, *, receive_a_token: bool = False, at: int = LATER) -> events.Liquidated:
    return events.Liquidated(collateral, debt, USER, TokenAmount(30), TokenAmount(20), KEEPER, receive_a_token, at)


def test_a_liquidation_moves_liquidity_in_both_reserves() -> None:
    result = folded(liquidated(WETH, USDC))
    assert result.reserves[WETH].virtual_underlying_balance == 10**40 - 20
    assert result.reserves[USDC].virtual_underlying_balance == 10**40 + 30
    assert folded(liquidated(WETH, WETH)).reserves[WETH].virtual_underlying_balance == 10**40 + 10


def test_a_liquidation_for_a_tokens_accrues_its_reserve_without_a_log_of_that() -> None:
    result = market()
    before = replace(result.reserves[WETH], liquidity_rate=Ray(RAY // 50), variable_borrow_rate=Ray(RAY // 20))
    result.set_reserve(before)
    assert fold_market(result, liquidated(WETH, USDC, receive_a_token=True))
    after = result.reserves[WETH]
    assert after.liquidity_index == before.normalized_income(LATER) > before.liquidity_index
    assert after.variable_borrow_index == before.normalized_debt(LATER) > before.variable_borrow_index
    assert (after.last_update, after.virtual_underlying_balance) == (LATER, before.virtual_underlying_balance)


def test_whether_a_reserve_without_income_has_debt_has_to_be_read() -> None:
    result = market()
    result.set_reserve(replace(result.reserves[WETH], variable_borrow_rate=Ray(RAY // 20)))
    assert not fold_market(result, liquidated(WETH, USDC, receive_a_token=True))
    assert fold_market(result, liquidated(WETH, USDC, receive_a_token=True, at=NOW))


@pytest.mark.parametrize(
    "event",
    [
        events.ReserveUpdated(ABSENT, Ray(0), Ray(0), Ray(RAY), Ray(RAY), LATER),
        events.LiquidityMoved(ABSENT, USER, 1, "Supply"),
        events.DeficitCreated(USER, ABSENT, TokenAmount(1)),
        events.EModeCategorySet(7, Bps(1), Bps(2), Bps(3), ""),
        events.EModeCollateralSet(7, WETH, True),
        events.EModeCollateralSet(1, ABSENT, True),
        events.EModeIsolationSet(7, True),
        liquidated(ABSENT, USDC),
        liquidated(WETH, ABSENT),
        liquidated(ABSENT, USDC, receive_a_token=True),
        events.ReserveListed(OTHER),
        events.ContractReplaced(OTHER),
        events.SourceChanged(OTHER),
        events.SourceChanged(None),
        events.UnknownSubject(OTHER),
    ],
)
def test_what_is_not_known_has_to_be_read(event: Event) -> None:
    assert not fold_market(market(), event)


def test_positions_and_prices_leave_the_market_alone() -> None:
    for event in (
        events.ATokenMinted(WETH, USER, TokenAmount(1), TokenAmount(0), Ray(RAY)),
        events.EModeEntered(USER, 1),
        events.AnswerUpdated(OTHER, 1, 2, 3),
    ):
        result = market()
        assert fold_market(result, event)
        assert (result.reserves, result.e_modes) == (market().reserves, market().e_modes)


INDEX = Ray(RAY * 11 // 10)
ANN = position({WETH: 1_000}, {USDC: 500})


def amounts(value: int, increase: int = 0) -> tuple[TokenAmount, TokenAmount, Ray]:
    return TokenAmount(value), TokenAmount(increase), INDEX


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.ATokenMinted(WETH, USER, *amounts(110)), ANN.with_collateral(WETH, ScaledAmount(1_100))),
        (events.ATokenMinted(WETH, USER, *amounts(37, 37)), ANN),
        (events.ATokenBurned(WETH, USER, *amounts(1_100)), ANN.with_collateral(WETH, ScaledAmount(0))),
        (events.DebtMinted(USDC, USER, *amounts(11)), ANN.with_debt(USDC, ScaledAmount(510))),
        (events.DebtMinted(WETH, USER, *amounts(11)), ANN.with_debt(WETH, ScaledAmount(10))),
        (events.DebtBurned(USDC, USER, *amounts(550)), ANN.with_debt(USDC, ScaledAmount(0))),
        (events.EModeEntered(USER, 3), ANN.with_e_mode(3)),
        (
            events.ATokenTransferred(WETH, USER, OTHER, ScaledAmount(400), INDEX),
            ANN.with_collateral(WETH, ScaledAmount(600)),
        ),
        (
            events.ATokenTransferred(WETH, OTHER, USER, ScaledAmount(400), INDEX),
            ANN.with_collateral(WETH, ScaledAmount(1_400)),
        ),
        (events.ATokenTransferred(WETH, USER, USER, ScaledAmount(400), INDEX), ANN),
        (events.CollateralSwitched(WETH, USER, False), position({}, {USDC: 500})),
    ],
)
def test_a_position(event: events.PositionEvent, expected: Position) -> None:
    assert fold_position(ANN, event) == expected


@pytest.mark.parametrize(
    "event",
    [
        events.ATokenMinted(CBETH, USER, *amounts(110)),
        events.ATokenBurned(CBETH, USER, *amounts(110)),
        events.ATokenTransferred(CBETH, OTHER, USER, ScaledAmount(4), INDEX),
        events.ATokenTransferred(CBETH, USER, OTHER, ScaledAmount(4), INDEX),
    ],
)
def test_a_tokens_that_are_no_collateral_are_not_followed(event: events.PositionEvent) -> None:
    assert fold_position(ANN, event) == ANN
    all_read = replace(ANN, collateral=holdings({WETH: 1_000, CBETH: 70}))
    assert fold_position(all_read, event) == ANN


def test_switching_on_needs_the_chain() -> None:
    assert fold_position(ANN, events.CollateralSwitched(CBETH, USER, True)) is None


@pytest.mark.parametrize(
    "event",
    [
        events.ATokenBurned(WETH, USER, *amounts(1_102)),
        events.ATokenTransferred(WETH, USER, OTHER, ScaledAmount(1_001), INDEX),
        events.DebtBurned(USDC, USER, *amounts(552)),
    ],
)
def test_more_than_there_is_means_that_a_log_is_missing(event: events.PositionEvent) -> None:
    with pytest.raises(ValueError, match="a log is missing"):
        fold_position(ANN, event)


def test_subjects_name_accounts_reserves_and_categories() -> None:
    assert subjects(events.DebtMinted(USDC, USER, *amounts(1))) == Subjects((USER,), (USDC,))
    assert subjects(events.ATokenTransferred(WETH, USER, OTHER, ScaledAmount(1), INDEX)) == Subjects(
        (USER, OTHER), (WETH,)
    )
    assert subjects(events.ATokenTransferred(WETH, USER, USER, ScaledAmount(1), INDEX)) == Subjects((USER,), (WETH,))
    assert subjects(liquidated(WETH, USDC)) == Subjects((USER,), (WETH, USDC))
    assert subjects(liquidated(WETH, WETH)) == Subjects((USER,), (WETH,))
    assert subjects(events.EModeEntered(USER, 1)) == Subjects((USER,))
    assert subjects(events.ReservePausedSet(WETH, True)) == Subjects(reserves=(WETH,))
    assert subjects(events.EModeCollateralSet(1, WETH, True)) == Subjects(e_modes=(1,))
    assert subjects(events.AnswerUpdated(OTHER, 1, 2, 3)) == Subjects()
    assert subjects(events.ReserveListed(OTHER)) == Subjects(market=True, sources=True)
    assert subjects(events.ContractReplaced(OTHER)) == Subjects(market=True, sources=True, contracts=True)


def test_every_event_about_somebody_or_something_has_subjects() -> None:
    silent = set(get_args(events.PriceEvent))
    for kind in set(get_args(events.Event)) - silent:
        event = kind(**{name: _sample(name) for name in kind.__dataclass_fields__})
        assert subjects(event) != Subjects(), kind


def _sample(name: str) -> Any:
    return OTHER if name in ("user", "sender", "recipient", "liquidator", "asset", "address") else 1
