from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import units
from core.domain.units import PERCENTAGE_FACTOR, RAY, WAD

AMOUNTS = st.integers(0, 2**128)
DIVISORS = st.integers(1, 2**128)
Rounding = Callable[[Fraction], int]


@pytest.mark.parametrize(
    ("function", "one", "rounding"),
    [
        (units.ray_mul_floor, RAY, floor),
        (units.ray_mul_ceil, RAY, ceil),
        (units.ray_mul_half_up, RAY, lambda exact: floor(exact + Fraction(1, 2))),
        (units.percent_mul_floor, PERCENTAGE_FACTOR, floor),
        (units.percent_mul_ceil, PERCENTAGE_FACTOR, ceil),
        (units.percent_mul_half_up, PERCENTAGE_FACTOR, lambda exact: floor(exact + Fraction(1, 2))),
    ],
)
@given(a=AMOUNTS, b=AMOUNTS)
def test_products(function: Callable[[int, int], int], one: int, rounding: Rounding, a: int, b: int) -> None:
    assert function(a, b) == rounding(Fraction(a * b, one))


@pytest.mark.parametrize(
    ("function", "one", "rounding"),
    [
        (units.ray_div_floor, RAY, floor),
        (units.ray_div_ceil, RAY, ceil),
        (units.percent_div_floor, PERCENTAGE_FACTOR, floor),
        (units.percent_div_ceil, PERCENTAGE_FACTOR, ceil),
    ],
)
@given(a=AMOUNTS, b=DIVISORS)
def test_quotients(function: Callable[[int, int], int], one: int, rounding: Rounding, a: int, b: int) -> None:
    assert function(a, b) == rounding(Fraction(a * one, b))


@pytest.mark.parametrize(
    ("function", "one"),
    [(units.ray_div_half_up, RAY), (units.wad_div, WAD), (units.percent_div_half_up, PERCENTAGE_FACTOR)],
)
@given(a=AMOUNTS, b=DIVISORS)
def test_half_up_quotients_add_half_of_the_divisor_rounded_down(
    function: Callable[[int, int], int], one: int, a: int, b: int
) -> None:
    assert function(a, b) == floor(Fraction(a * one, b) + Fraction(b // 2, b))


@given(a=AMOUNTS, b=AMOUNTS, c=DIVISORS)
def test_mul_div_ceil(a: int, b: int, c: int) -> None:
    assert units.mul_div_ceil(a, b, c) == ceil(Fraction(a * b, c))
