"""Write integers as people read them: exact decimals, digits grouped by a thin space, every rounding named."""

from __future__ import annotations

from datetime import UTC, datetime

from core.domain.units import UINT256_MAX, WAD

THIN = "\u202f"
"""Narrow no-break space: groups digits without letting a line break between them."""


def group(whole: int) -> str:
    """Return a whole number with its digits grouped by threes."""
    return f"{whole:,}".replace(",", THIN)


def exact(amount: int, decimals: int) -> str:
    """Return `amount` / 10**decimals with every digit that matters, none rounded, no trailing zeros."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 10**decimals)
    fraction = str(rest).rjust(decimals, "0").rstrip("0") if rest else ""
    return f"{sign}{group(whole)}{'.' + fraction if fraction else ''}"


def usd_half_even(base: int) -> str:
    """Return a sum in USD, given with 8 decimals, as "1 050.00 USD": 2 decimals, a half rounded to the even cent."""
    cents, rest = divmod(abs(base), 10**6)
    half = 5 * 10**5
    cents += rest > half or (rest == half and cents % 2 == 1)
    sign = "-" if base < 0 and cents else ""
    return f"{sign}{group(cents // 100)}.{cents % 100:02d} USD"


def health_factor_floor(value: int) -> str:
    """Return a health factor with 4 decimals, cut off and never rounded up: 0.99999 reads 0.9999. No debt reads ∞."""
    if value == UINT256_MAX:
        return "∞"
    whole, rest = divmod(value, WAD)
    return f"{group(whole)}.{rest // 10**14:04d}"


def percent(bps: int) -> str:
    """Return hundredths of a percent as "5.00 %", exact."""
    return f"{bps // 100}.{bps % 100:02d} %"


def bonus_percent(bps: int) -> str:
    """Return what a liquidation bonus such as 10500 gives above the debt: "5.00 %"."""
    return percent(bps - 10_000)


def span(seconds: float) -> str:
    """Return a duration as "42 s", "3 min 5 s", "2 h 10 min" or "4 d 2 h", cut off to whole units."""
    total = max(0, int(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    if total < 86_400:
        return f"{total // 3600} h {total % 3600 // 60} min"
    return f"{total // 86_400} d {total % 86_400 // 3600} h"


def short_seconds(seconds: float) -> str:
    """Return a measured time as "0.3 s", or "42 s" from ten seconds on."""
    return f"{seconds:.1f} s" if seconds < 10 else span(seconds)


def clock(at: float) -> str:
    """Return unix seconds as "13:24:07 UTC"."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")
