"""Near-threshold tracking: who is just above the line, and on the way down."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from core.domain.units import Address, Wad

WAD_PER_BPS = 10**14


class Observed(NamedTuple):
    """Tell what one observation says of an account.

    `near`: in the band, and lower than before. `crosses`: at or above the threshold now, but one more step like the
    last takes it below.
    """

    near: bool
    crosses: bool


NOTHING = Observed(near=False, crosses=False)


class NearThreshold:
    """Keep the accounts whose health factor is in [threshold, threshold + band] and falling.

    `band_bps` is NEAR_THRESHOLD_BAND_BPS: 30 means a health factor up to 0.0030 above the threshold. What was last seen
    of at most `cap` accounts is remembered; the one that was not observed for longest is forgotten first, and counted.
    """

    def __init__(self, threshold: Wad, band_bps: int, cap: int) -> None:
        self._threshold = threshold
        self.top = Wad(threshold + band_bps * WAD_PER_BPS)
        self._cap = cap
        self._last: dict[Address, Wad] = {}
        self._near: dict[Address, Wad] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._near)

    @property
    def users(self) -> Mapping[Address, Wad]:
        """Return the accounts that are near and were falling when they last moved, with their health factors."""
        return MappingProxyType(self._near)

    def observe(self, user: Address, health_factor: Wad) -> Observed:
        """Take an account's health factor; O(1). One that did not move says nothing new, and changes nothing."""
        before = self._last.pop(user, None)
        self._last[user] = health_factor
        if before is None or before == health_factor:
            self._bound()
            return NOTHING
        falls = health_factor < before
        near = falls and self._threshold <= health_factor <= self.top
        if near:
            self._near[user] = health_factor
        else:
            self._near.pop(user, None)
        crosses = falls and 2 * health_factor - before < self._threshold <= health_factor
        return Observed(near, crosses)

    def discard(self, user: Address) -> None:
        """Forget an account, as one that repaid everything."""
        self._last.pop(user, None)
        self._near.pop(user, None)

    def worst(self, limit: int) -> list[Address]:
        """Return the accounts that are near, lowest health factor first, at most `limit`."""
        return sorted(self._near, key=lambda user: (self._near[user], user))[:limit]

    def _bound(self) -> None:
        if len(self._last) > self._cap:
            oldest = next(iter(self._last))
            self.discard(oldest)
            self.forgotten += 1
