"""Aave's units and Aave's roundings, one named function each; integers in, integers out.

The types are labels for values that are kept and passed around; arithmetic gives plain `int`. Every rounding follows
WadRayMath, PercentageMath and MathUtils of aave-v3-origin 3.6 and 3.7, where they are identical. Operands are never
negative; a zero divisor raises ZeroDivisionError where the contracts revert.
"""

from __future__ import annotations

from typing import NewType

Address = NewType("Address", str)
"""An account or contract, as a lower-case 0x string."""
Wad = NewType("Wad", int)
"""A number with 18 decimals, such as a health factor."""
Ray = NewType("Ray", int)
"""A number with 27 decimals, such as an index or a yearly rate."""
Bps = NewType("Bps", int)
"""A ratio in hundredths of a percent: 10000 is 100 %."""
BaseUsd = NewType("BaseUsd", int)
"""An amount of the oracle's base currency, US dollars with 8 decimals."""
TokenAmount = NewType("TokenAmount", int)
"""An amount of a token in its own smallest unit, interest included."""
ScaledAmount = NewType("ScaledAmount", int)
"""A token balance divided by its reserve's index: what the token contract stores."""

WAD = 10**18
RAY = 10**27
PERCENTAGE_FACTOR = 10_000
SECONDS_PER_YEAR = 31_536_000
UINT256_MAX = 2**256 - 1

_HALF_RAY = RAY // 2
_HALF_PERCENTAGE_FACTOR = PERCENTAGE_FACTOR // 2


def mul_div_ceil(a: int, b: int, c: int) -> int:
    """Return a·b / c rounded up (MathUtils.mulDivCeil)."""
    return -(a * b // -c)


def ray_mul_half_up(a: int, b: int) -> int:
    """Return the product of two rays, a half rounded up (WadRayMath.rayMul)."""
    return (a * b + _HALF_RAY) // RAY


def ray_mul_floor(a: int, b: int) -> int:
    """Return the product of two rays rounded down (WadRayMath.rayMulFloor)."""
    return a * b // RAY


def ray_mul_ceil(a: int, b: int) -> int:
    """Return the product of two rays rounded up (WadRayMath.rayMulCeil)."""
    return -(a * b // -RAY)


def ray_div_half_up(a: int, b: int) -> int:
    """Return the quotient of two rays, a half rounded up (WadRayMath.rayDiv)."""
    return (a * RAY + b // 2) // b


def ray_div_floor(a: int, b: int) -> int:
    """Return the quotient of two rays rounded down (WadRayMath.rayDivFloor)."""
    return a * RAY // b


def ray_div_ceil(a: int, b: int) -> int:
    """Return the quotient of two rays rounded up (WadRayMath.rayDivCeil)."""
    return -(a * RAY // -b)


def wad_div(a: int, b: int) -> int:
    """Return the quotient of two wads, a half rounded up (WadRayMath.wadDiv)."""
    return (a * WAD + b // 2) // b


def percent_mul_half_up(value: int, percentage: int) -> int:
    """Return `percentage` bps of `value`, a half rounded up (PercentageMath.percentMul)."""
    return (value * percentage + _HALF_PERCENTAGE_FACTOR) // PERCENTAGE_FACTOR


def percent_mul_floor(value: int, percentage: int) -> int:
    """Return `percentage` bps of `value` rounded down (PercentageMath.percentMulFloor)."""
    return value * percentage // PERCENTAGE_FACTOR


def percent_mul_ceil(value: int, percentage: int) -> int:
    """Return `percentage` bps of `value` rounded up (PercentageMath.percentMulCeil)."""
    return -(value * percentage // -PERCENTAGE_FACTOR)


def percent_div_half_up(value: int, percentage: int) -> int:
    """Return what `value` is `percentage` bps of, a half rounded up (PercentageMath.percentDiv)."""
    return (value * PERCENTAGE_FACTOR + percentage // 2) // percentage


def percent_div_floor(value: int, percentage: int) -> int:
    """Return what `value` is `percentage` bps of, rounded down (PercentageMath.percentDivFloor, since 3.7)."""
    return value * PERCENTAGE_FACTOR // percentage


def percent_div_ceil(value: int, percentage: int) -> int:
    """Return what `value` is `percentage` bps of, rounded up (PercentageMath.percentDivCeil)."""
    return -(value * PERCENTAGE_FACTOR // -percentage)
