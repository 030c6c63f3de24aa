"""One account's position: scaled balances, collateral flags and e-mode, and how token events move them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.domain.units import (
    Address,
    ScaledAmount,
    ray_div_ceil,
    ray_div_floor,
    ray_mul_ceil,
    ray_mul_floor,
)

Holdings = tuple[tuple[int, ScaledAmount], ...]
"""Scaled balances as (reserve id, amount), by ascending id, none of them zero."""


@dataclass(frozen=True, slots=True)
class Position:
    """Hold what one account has in the pool.

    `collateral` are its aTokens; one that is not used as collateral may be in it or not, for it changes no figure, and
    `fold` drops it. Bit i of `collateral_enabled` says that reserve id i is used as collateral. A borrow flag needs no
    place of its own: one without debt changes no figure.
    """

    user: Address
    e_mode: int = 0
    collateral: Holdings = ()
    debt: Holdings = ()
    collateral_enabled: int = 0

    @property
    def has_debt(self) -> bool:
        """Tell whether the account owes anything."""
        return bool(self.debt)

    def collateral_of(self, reserve_id: int) -> ScaledAmount:
        """Return the scaled aToken balance in a reserve."""
        return _amount(self.collateral, reserve_id)

    def debt_of(self, reserve_id: int) -> ScaledAmount:
        """Return the scaled variable debt in a reserve."""
        return _amount(self.debt, reserve_id)

    def uses_as_collateral(self, reserve_id: int) -> bool:
        """Tell whether the reserve's collateral flag is set."""
        return bool(self.collateral_enabled >> reserve_id & 1)

    def with_collateral(self, reserve_id: int, scaled: ScaledAmount) -> Position:
        """Return the position with another aToken balance in a reserve."""
        return replace(self, collateral=_with(self.collateral, reserve_id, scaled))

    def with_debt(self, reserve_id: int, scaled: ScaledAmount) -> Position:
        """Return the position with another debt in a reserve."""
        return replace(self, debt=_with(self.debt, reserve_id, scaled))

    def with_collateral_flag(self, reserve_id: int, enabled: bool) -> Position:
        """Return the position with the reserve's collateral flag set or cleared."""
        bit = 1 << reserve_id
        flags = self.collateral_enabled | bit if enabled else self.collateral_enabled & ~bit
        return replace(self, collateral_enabled=flags)

    def with_e_mode(self, category: int) -> Position:
        """Return the position in another e-mode category; 0 is none."""
        return replace(self, e_mode=category)


def holdings(balances: Mapping[int, int]) -> Holdings:
    """Return scaled balances by reserve id in the form that a position keeps."""
    return tuple(
        (reserve_id, ScaledAmount(balances[reserve_id])) for reserve_id in sorted(balances) if balances[reserve_id]
    )


def collateral_flags(configuration: int) -> int:
    """Return the reserves used as collateral, bit i for id i, from UserConfigurationMap.data (its bits 2i + 1)."""
    return _every_other_bit(configuration >> 1)


def borrow_flags(configuration: int) -> int:
    """Return the borrowed reserves, bit i for id i, from UserConfigurationMap.data (its bits 2i)."""
    return _every_other_bit(configuration)


def atoken_after_mint(scaled: int, value: int, balance_increase: int, index: int) -> ScaledAmount:
    """Return the scaled aToken balance after Mint(value, balanceIncrease, index); exact since v3.5 (TokenMath)."""
    return ScaledAmount(ray_div_ceil(ray_mul_floor(scaled, index) + value - balance_increase, index))


def atoken_after_burn(scaled: int, value: int, balance_increase: int, index: int) -> ScaledAmount:
    """Return the scaled aToken balance after Burn(value, balanceIncrease, index); exact since v3.5 (TokenMath)."""
    return ScaledAmount(ray_div_ceil(ray_mul_floor(scaled, index) - value - balance_increase, index))


def vtoken_after_mint(scaled: int, value: int, balance_increase: int, index: int) -> ScaledAmount:
    """Return the scaled debt after the debt token's Mint(value, balanceIncrease, index); exact since v3.5."""
    return ScaledAmount(ray_div_floor(ray_mul_ceil(scaled, index) + value - balance_increase, index))


def vtoken_after_burn(scaled: int, value: int, balance_increase: int, index: int) -> ScaledAmount:
    """Return the scaled debt after the debt token's Burn(value, balanceIncrease, index); exact since v3.5."""
    return ScaledAmount(ray_div_floor(ray_mul_ceil(scaled, index) - value - balance_increase, index))


def _amount(balances: Holdings, reserve_id: int) -> ScaledAmount:
    return next((scaled for id_, scaled in balances if id_ == reserve_id), ScaledAmount(0))


def _with(balances: Holdings, reserve_id: int, scaled: ScaledAmount) -> Holdings:
    return holdings({**dict(balances), reserve_id: scaled})


def _every_other_bit(data: int) -> int:
    flags, reserve_id = 0, 0
    while data:
        flags |= (data & 1) << reserve_id
        data >>= 2
        reserve_id += 1
    return flags
