"""Numbers are shown exactly, or rounded the way their function's name says."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot.amounts import THIN, bonus_percent, exact, group, health_factor_floor, percent, span, usd_half_even
from core.domain.units import UINT256_MAX, WAD


@given(st.integers(-(2**200), 2**200), st.integers(0, 27))
def test_exact_loses_no_digit(amount: int, decimals: int) -> None:
    whole, _, fraction = exact(amount, decimals).replace(THIN, "").partition(".")
    assert int(whole + fraction.ljust(decimals, "0")) == amount
    assert not fraction.endswith("0")


@given(st.integers(-(10**24), 10**24))
def test_usd_rounds_half_to_even(base: int) -> None:
    cents = (Decimal(base) / 10**8).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    shown = usd_half_even(base).removesuffix(" USD").replace(THIN, "")
    assert Decimal(shown) == cents
    assert shown != "-0.00"


@given(st.integers(0, 10**24))
def test_health_factor_is_never_rounded_up(value: int) -> None:
    shown = Decimal(health_factor_floor(value).replace(THIN, ""))
    assert 0 <= Decimal(value) / WAD - shown < Decimal("0.0001")


def test_a_health_factor_just_below_one_does_not_read_one() -> None:
    assert health_factor_floor(WAD - 1) == "0.9999"
    assert health_factor_floor(WAD) == "1.0000"
    assert health_factor_floor(UINT256_MAX) == "∞"


def test_halves_go_to_the_even_cent() -> None:
    assert usd_half_even(500_000) == "0.00 USD"
    assert usd_half_even(1_500_000) == "0.02 USD"
    assert usd_half_even(2_500_000) == "0.02 USD"


def test_grouping_percent_and_spans() -> None:
    assert group(38_120_441) == f"38{THIN}120{THIN}441"
    assert exact(1_000_000_000, 6) == f"1{THIN}000"
    assert (percent(5_000), bonus_percent(10_825)) == ("50.00 %", "8.25 %")
    assert [span(s) for s in (0.9, 42, 185, 7_805, 352_900)] == ["0 s", "42 s", "3 min 5 s", "2 h 10 min", "4 d 2 h"]
