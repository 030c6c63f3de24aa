from __future__ import annotations

import pytest

from core.domain.market import Market, Revision, compounded_interest
from core.domain.units import RAY, Address, BaseUsd, Ray
from tests.unit.domain.builders import NOW, USDC, WETH, market, reserve

FIVE_PERCENT = 5 * 10**25


@pytest.mark.parametrize(
    ("seconds", "compounded", "linear"),
    [
        (1, 1000000001585489600445117960, 1000000001585489599188229325),
        (2, 1000000003170979203404013194, 1000000003170979198376458650),
        (3_600, 1000005707778846385321333984, 1000005707762557077625570776),
        (86_400, 1000136995684421674802557900, 1000136986301369863013698630),
        (31_536_000, 1051270833333333333333333333, 1050000000000000000000000000),
    ],
)
def test_interest_of_five_percent(seconds: int, compounded: int, linear: int) -> None:
    assert compounded_interest(FIVE_PERCENT, seconds) == compounded
    lent = reserve(WETH, liquidity_rate=FIVE_PERCENT, variable_borrow_rate=FIVE_PERCENT)
    assert lent.normalized_debt(NOW + seconds) == compounded
    assert lent.normalized_income(NOW + seconds) == linear


def test_indexes_stand_still_within_the_second_of_their_update() -> None:
    lent = reserve(WETH, liquidity_index=Ray(RAY + 7), variable_borrow_index=Ray(RAY + 9), liquidity_rate=FIVE_PERCENT)
    assert lent.normalized_income(NOW) == RAY + 7
    assert lent.normalized_debt(NOW) == RAY + 9


def test_no_interest_over_no_time() -> None:
    assert compounded_interest(FIVE_PERCENT, 0) == RAY


@pytest.mark.parametrize(("number", "revision"), [(10, Revision.V3_6), (11, Revision.V3_7), (9, None), (99, None)])
def test_only_revisions_with_known_rules_have_a_name(number: int, revision: Revision | None) -> None:
    assert Revision.of(number) is revision


def test_configuration_bits() -> None:
    data = 7_500 | 8_000 << 16 | 10_500 << 32 | 6 << 48 | 1 << 56 | 1 << 58 | 1 << 60 | 1_000 << 152 | 7 << 116
    decoded = reserve(WETH, frozen=True).with_configuration(data)
    assert (decoded.ltv, decoded.liquidation_threshold, decoded.liquidation_bonus) == (7_500, 8_000, 10_500)
    assert (decoded.decimals, decoded.unit, decoded.liquidation_protocol_fee) == (6, 10**6, 1_000)
    assert (decoded.active, decoded.frozen, decoded.paused) == (True, False, True)


def test_every_flag_has_its_own_bit() -> None:
    for bit, name in ((56, "active"), (57, "frozen"), (60, "paused")):
        decoded = reserve(WETH).with_configuration(1 << bit)
        assert [flag for flag in ("active", "frozen", "paused") if getattr(decoded, flag)] == [name]


def test_a_reserve_is_found_by_its_asset() -> None:
    weth = reserve(WETH)
    filled = Market(revision=Revision.V3_7, reserves={WETH: weth})
    assert filled.reserve_of(weth.asset) is weth
    assert filled.reserve_of(Address("0x" + "99" * 20)) is None


def test_a_price_that_the_oracle_would_not_pass_on_is_refused() -> None:
    with pytest.raises(ValueError, match="reserve 1 must be positive, not 0"):
        market().set_price(USDC, BaseUsd(0))


def test_updates_replace_and_never_touch_what_was_handed_out() -> None:
    subject = market()
    prices, reserves = subject.prices, subject.reserves
    subject.set_price(WETH, BaseUsd(1))
    subject.set_reserve(reserve(WETH, symbol="NEW"))
    subject.set_head(7, NOW + 1)
    assert prices[WETH] == 2_000 * 10**8
    assert reserves[WETH].symbol == "T0"
    assert (subject.prices[WETH], subject.reserves[WETH].symbol) == (1, "NEW")
    assert (subject.block, subject.timestamp) == (7, NOW + 1)


def test_the_valuation_is_kept_until_something_changes() -> None:
    subject = market()
    first = subject.valuation(NOW)
    assert subject.valuation(NOW) is first
    assert subject.valuation(NOW + 1) is not first
    again = subject.valuation(NOW)
    subject.set_price(WETH, BaseUsd(5))
    assert subject.valuation(NOW) is not again
    assert subject.valuation(NOW).assets[WETH].price == 5
    assert again.collaterals(1)[WETH][1] == 2_000 * 10**8


def test_repricing_rounds_down_and_leaves_the_rest() -> None:
    subject = market()
    subject.set_price(WETH, BaseUsd(99_999))
    changed = subject.repriced({WETH: 9_900})
    assert changed.prices[WETH] == 98_999
    assert changed.prices[USDC] == subject.prices[USDC]
    assert subject.prices[WETH] == 99_999
