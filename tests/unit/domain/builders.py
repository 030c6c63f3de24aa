"""Small markets and accounts for tests of the pure domain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.domain.market import EModeCategory, Market, Reserve, Revision
from core.domain.position import Position, holdings
from core.domain.units import Address, BaseUsd, Bps, TokenAmount

WETH, USDC, CBETH, GHO = range(4)
NOW = 1_700_000_000
USER = Address("0x" + "11" * 20)


def reserve(reserve_id: int, **changes: Any) -> Reserve:
    """Return an active reserve with 18 decimals, LT 80 %, LTV 75 %, bonus 5 %, fee 10 %, indexes of one."""
    base = Reserve(
        id=reserve_id,
        asset=Address(f"0x{reserve_id:040x}"),
        symbol=f"T{reserve_id}",
        a_token=Address(f"0xa{reserve_id:039x}"),
        variable_debt_token=Address(f"0xd{reserve_id:039x}"),
        price_source=Address(f"0xf{reserve_id:039x}"),
        decimals=18,
        ltv=Bps(7_500),
        liquidation_threshold=Bps(8_000),
        liquidation_bonus=Bps(10_500),
        liquidation_protocol_fee=Bps(1_000),
        active=True,
        last_update=NOW,
        virtual_underlying_balance=TokenAmount(10**40),
    )
    return replace(base, **changes)


def market(revision: Revision | None = Revision.V3_7) -> Market:
    """Return WETH at 2000 USD, USDC (6 decimals) at 1, cbETH at 2200 and GHO (no collateral) at 1; e-mode 1 of ETHs."""
    result = Market(revision=revision, block=1, timestamp=NOW)
    result.set_reserve(reserve(WETH, liquidation_threshold=Bps(8_300)))
    result.set_reserve(reserve(USDC, decimals=6, liquidation_threshold=Bps(7_800)))
    result.set_reserve(reserve(CBETH, liquidation_threshold=Bps(7_900), liquidation_bonus=Bps(10_750)))
    result.set_reserve(reserve(GHO, ltv=Bps(0), liquidation_threshold=Bps(0), liquidation_bonus=Bps(0)))
    for reserve_id, dollars in ((WETH, 2_000), (USDC, 1), (CBETH, 2_200), (GHO, 1)):
        result.set_price(reserve_id, BaseUsd(dollars * 10**8))
    category = EModeCategory(
        id=1,
        label="ETH correlated",
        ltv=Bps(9_000),
        liquidation_threshold=Bps(9_300),
        liquidation_bonus=Bps(10_200),
        collateral_bitmap=1 << WETH | 1 << CBETH,
        borrowable_bitmap=1 << WETH,
    )
    result.set_e_mode(category)
    return result


def position(collateral: dict[int, int], debt: dict[int, int], e_mode: int = 0) -> Position:
    """Return an account with scaled balances by reserve id, all its aTokens used as collateral."""
    flags = sum(1 << reserve_id for reserve_id in collateral)
    return Position(USER, e_mode, holdings(collateral), holdings(debt), flags)
