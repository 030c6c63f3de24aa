"""The last prices of one asset, at whatever times they came: level, volatility and drift. Floats: they screen only."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POINTS = 60
RECENT = 20
LEAST_SHARE = 0.25

Floats = NDArray[np.float64]


class PricePoint(NamedTuple):
    """Hold one price, the unix second it is of, and its block."""

    price: float
    at: float
    block: int


class PriceWindow:
    """Keep the last `size` prices of one asset in a ring; times may be apart by anything.

    Several prices of one second count as one, the last of them.
    """

    def __init__(self, asset: str, size: int = POINTS) -> None:
        if size < 2:
            raise ValueError(f"a window needs room for two prices, not {size}")
        self.asset = asset
        self._prices: Floats = np.zeros(size)
        self._times: Floats = np.zeros(size)
        self._blocks = [0] * size
        self._newest = -1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def latest(self) -> PricePoint | None:
        """Return the newest price, or None before the first."""
        if not self._count:
            return None
        spot = self._newest
        return PricePoint(float(self._prices[spot]), float(self._times[spot]), self._blocks[spot])

    def add(self, price: float, at: float, block: int = 0) -> bool:
        """Take a price of the second `at`; return False, and keep nothing, for one older than the newest.

        Raise ValueError for a price that is not a positive number.
        """
        if not (math.isfinite(price) and price > 0):
            raise ValueError(f"price of {self.asset} must be positive, not {price}")
        newest = self.latest
        if newest is not None and at < newest.at:
            return False
        if newest is None or at > newest.at:
            self._newest = (self._newest + 1) % len(self._prices)
            self._count = min(self._count + 1, len(self._prices))
        self._prices[self._newest], self._times[self._newest], self._blocks[self._newest] = price, at, block
        return True

    def ema(self, n: int = RECENT) -> float | None:
        """Return the exponential moving average over all prices kept, or None before the first.

        A step of the mean spacing weighs as in the usual average of span `n` (alpha = 2 / (n + 1)); a longer one counts
        for as many steps as it is long: alpha = 1 - (1 - 2 / (n + 1)) ** (step / mean step).
        """
        if not self._count:
            return None
        prices, times = self._ordered(self._count)
        if self._count == 1:
            return float(prices[0])
        keep = 1 - 2 / (n + 1)
        mean = (times[-1] - times[0]) / (self._count - 1)
        weights = keep ** ((times[-1] - times) / mean)
        weights[1:] *= 1 - keep ** (np.diff(times) / mean)
        return float(weights @ prices)

    def volatility(self, n: int = RECENT) -> float:
        """Return the standard deviation of the log price over one second, from the last `n` prices; 0 below three.

        The unbiased estimate for a random walk with drift seen at irregular times, so that spacing makes no difference:
        the sum of (return - drift * step) ** 2 / step, over one less than the number of steps.
        """
        prices, times = self._ordered(n)
        if len(prices) < 3:
            return 0.0
        returns, steps = np.diff(np.log(prices)), np.diff(times)
        drift = returns.sum() / steps.sum()
        return math.sqrt(float(((returns - drift * steps) ** 2 / steps).sum()) / (len(returns) - 1))

    def drift(self, now: float, least: float = 0.0, n: int = RECENT) -> float:
        """Return by how much the log price moves a second, from the oldest of the last `n` prices to `now`.

        The time since the newest price counts: a feed that is silent says that the price stands still. What happened
        in less than `least` seconds is spread over them.
        """
        prices, times = self._ordered(n)
        span = max(now - times[0], least) if len(prices) > 1 else 0.0
        return math.log(float(prices[-1] / prices[0])) / float(span) if span > 0 else 0.0

    def trend(self, now: float, least: float = 0.0, n: int = RECENT) -> float:
        """Return the drift where there is evidence for one, else 0.

        Evidence is a move larger than a random walk of this volatility makes in that time, of which each half of the
        time has at least a quarter, with the newest price on the same side of the moving average. A single jump is
        none, a fall that turned neither.
        """
        if self._count < 3:
            return 0.0
        prices, times = self._ordered(n)
        end = max(now, float(times[-1]))
        halfway = np.searchsorted(times, (times[0] + end) / 2, side="right") - 1  # a price stands until the next one
        move = math.log(float(prices[-1] / prices[0]))
        first_half = math.log(float(prices[halfway] / prices[0]))
        if not move or not LEAST_SHARE <= first_half / move <= 1 - LEAST_SHARE:
            return 0.0
        above = float(prices[-1]) - (self.ema(n) or 0.0)
        stands_out = abs(move) > self.volatility(n) * math.sqrt(end - float(times[0]))
        return self.drift(now, least, n) if stands_out and move * above > 0 else 0.0

    def _ordered(self, n: int) -> tuple[Floats, Floats]:
        """Return the last `n` prices and their times, oldest first."""
        spots = (self._newest + 1 - np.arange(min(n, self._count), 0, -1)) % len(self._prices)
        return self._prices[spots], self._times[spots]
