"""How fast each reserve's indexes grow: announced by ReserveDataUpdated, and observed between them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Set
from typing import NamedTuple

from core.domain.market import compounded_interest
from core.domain.units import RAY, SECONDS_PER_YEAR, Ray, ray_mul_half_up

UPDATES = 60


class Rates(NamedTuple):
    """Hold what ReserveDataUpdated says: yearly rates and indexes in rays, as of `at` (unix seconds)."""

    at: int
    liquidity_rate: Ray
    variable_borrow_rate: Ray
    liquidity_index: Ray
    variable_borrow_index: Ray


class Growth(NamedTuple):
    """Hold what a supply and a debt do: relative growth, as factors or per second."""

    liquidity: float
    borrow: float


class RateIndexTracker:
    """Keep the last `updates` updates of each reserve, and project its indexes ahead."""

    def __init__(self, updates: int = UPDATES) -> None:
        self._updates = updates
        self._known: dict[int, deque[Rates]] = {}

    @property
    def reserves(self) -> Set[int]:
        """Return the reserves of which anything is known."""
        return self._known.keys()

    def update(self, reserve_id: int, rates: Rates) -> bool:
        """Take an update; return False, and keep nothing, for one older than the newest.

        Several of one second count as one, the last of them.
        """
        known = self._known.setdefault(reserve_id, deque(maxlen=self._updates))
        if known and rates.at < known[-1].at:
            return False
        if known and rates.at == known[-1].at:
            known.pop()
        known.append(rates)
        return True

    def project(self, reserve_id: int, at: int) -> tuple[Ray, Ray] | None:
        """Return liquidity and borrow index at a second not before the last update, if the rates stay.

        Exact, as ReserveLogic.getNormalizedIncome and getNormalizedDebt compute them; None for an unknown reserve.
        """
        known = self._known.get(reserve_id)
        if not known:
            return None
        last = known[-1]
        seconds = max(0, at - last.at)
        linear = RAY + last.liquidity_rate * seconds // SECONDS_PER_YEAR
        compounded = compounded_interest(last.variable_borrow_rate, seconds)
        return (
            Ray(ray_mul_half_up(linear, last.liquidity_index)),
            Ray(ray_mul_half_up(compounded, last.variable_borrow_index)),
        )

    def growth_between(self, reserve_id: int, start: int, end: int) -> Growth:
        """Return by what factors the indexes grow from one second to another at present rates; 1 if unknown."""
        first, last = self.project(reserve_id, start), self.project(reserve_id, end)
        if first is None or last is None:
            return Growth(1.0, 1.0)
        return Growth(last[0] / first[0], last[1] / first[1])

    def growth_per_second(self, reserve_id: int) -> Growth | None:
        """Return how fast the indexes grew between the oldest and the newest update kept; None below two updates.

        The logarithm of the ratio over the seconds, so that it averages all rates that held in between.
        """
        known = self._known.get(reserve_id)
        if known is None or len(known) < 2:
            return None
        first, last = known[0], known[-1]
        seconds = last.at - first.at
        return Growth(
            math.log(last.liquidity_index / first.liquidity_index) / seconds,
            math.log(last.variable_borrow_index / first.variable_borrow_index) / seconds,
        )
