from __future__ import annotations

from collections.abc import Callable

import pytest

from core.domain import units
from core.domain.units import RAY, WAD


@pytest.mark.parametrize(
    ("function", "a", "b", "expected"),
    [
        (units.ray_mul_floor, 1, RAY - 1, 0),
        (units.ray_mul_ceil, 1, RAY - 1, 1),
        (units.ray_mul_half_up, 1, RAY // 2 - 1, 0),
        (units.ray_mul_half_up, 1, RAY // 2, 1),
        (units.ray_mul_ceil, 2, RAY, 2),
        (units.ray_mul_ceil, 0, RAY, 0),
        (units.ray_div_floor, 2, 3 * RAY, 0),
        (units.ray_div_ceil, 2, 3 * RAY, 1),
        (units.ray_div_half_up, 2, 3 * RAY, 1),
        (units.ray_div_half_up, 1, 3 * RAY, 0),
        (units.ray_div_ceil, 6, 3 * RAY, 2),
        (units.wad_div, 1, 3, WAD // 3),
        (units.wad_div, 2, 3, WAD * 2 // 3 + 1),
        (units.percent_mul_floor, 9_999, 1, 0),
        (units.percent_mul_ceil, 1, 1, 1),
        (units.percent_mul_ceil, 20_000, 5_000, 10_000),
        (units.percent_mul_half_up, 4_999, 1, 0),
        (units.percent_mul_half_up, 5_000, 1, 1),
        (units.percent_div_floor, 105, 10_500, 100),
        (units.percent_div_floor, 104, 10_500, 99),
        (units.percent_div_ceil, 104, 10_500, 100),
        (units.percent_div_half_up, 104, 10_500, 99),
        (units.percent_div_half_up, 1, 20_000, 1),
    ],
)
def test_rounding_at_its_edge(function: Callable[[int, int], int], a: int, b: int, expected: int) -> None:
    assert function(a, b) == expected


def test_mul_div_ceil_rounds_up_only_a_remainder() -> None:
    assert units.mul_div_ceil(10, 10, 10) == 10
    assert units.mul_div_ceil(10, 10, 99) == 2
    assert units.mul_div_ceil(0, 10, 99) == 0


@pytest.mark.parametrize(
    "function",
    [
        units.ray_div_half_up,
        units.ray_div_floor,
        units.ray_div_ceil,
        units.wad_div,
        units.percent_div_half_up,
        units.percent_div_floor,
        units.percent_div_ceil,
    ],
)
def test_division_by_zero_raises_where_the_contracts_revert(function: Callable[[int, int], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        function(1, 0)
