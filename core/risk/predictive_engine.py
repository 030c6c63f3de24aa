"""Where health factors will be a horizon from now, in a few scenarios: floats that point at accounts, never decide.

Baseline: each price goes on as its trend says (`PriceWindow.trend`), each index grows at its present rate. Adverse and
extreme: the baseline, and 1 % or 2 % against each account. Prices that move together cannot do so against a borrower
who owes what he supplies; so for each driver (ETH, BTC, a dollar) in which an account's weighted collateral is worth
more than its debt, both fall by the shock. Where collateral and debt have no driver in common that is the plain
"collateral falls by 1 %": the health factor times 0.99. A staked token against what it is made of does not move.

Between now and the horizon the health factor goes geometrically, so the seconds until it crosses 1 are
horizon * ln(now) / ln(now / projected). Where nothing but interest moves an account, the exact second is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.domain.units import Address
from core.risk.columns import Floats
from core.risk.exposures import Exposures
from core.risk.price_window import PriceWindow
from core.risk.rate_index_tracker import Growth, RateIndexTracker, Rates

NEAR_LINE = 1e-6
SAME = 1e-9
LARGEST_FALL = 1.0 - 2.0**-53
STILL = Growth(1.0, 1.0)

CrossingSecond = Callable[[Address], int | None]
"""Returns the unix second at which interest alone takes an account below 1, at present rates; None for never."""


class Scenario(StrEnum):
    """Name what is assumed of the prices."""

    BASELINE = "baseline"
    ADVERSE = "adverse"
    EXTREME = "extreme"


SHOCKS: Mapping[Scenario, float] = {Scenario.BASELINE: 0.0, Scenario.ADVERSE: 0.01, Scenario.EXTREME: 0.02}


class PredictiveCandidate(NamedTuple):
    """Hold one account's way in one scenario.

    `hf_projected` is the health factor at the horizon; `eta_sec` the seconds until it falls below 1, which may lie
    beyond the horizon, and None where it does not fall.
    """

    address: Address
    scenario: Scenario
    hf_current: float
    hf_projected: float
    eta_sec: float | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """Say how far to look and in which scenarios: `horizon` in seconds, `buffer` added to a health factor of 1."""

    horizon: float = 180.0
    buffer: float = 0.004
    scenarios: Sequence[Scenario] = tuple(Scenario)

    @property
    def line(self) -> float:
        """Return the projected health factor below which an account is a candidate."""
        return 1.0 + self.buffer


class Forecast(NamedTuple):
    """Hold what is expected of each reserve from second `now` to the horizon, as factors; 1 for reserves not named."""

    now: float
    growth: Mapping[int, Growth]
    prices: Mapping[int, float]

    def worst(self) -> float:
        """Return a factor below which no account's health factor falls, whatever it holds and owes."""
        held = min((self.prices[id_] * each.liquidity for id_, each in self.growth.items()), default=1.0)
        owed = max((self.prices[id_] * each.borrow for id_, each in self.growth.items()), default=1.0)
        return min(held, 1.0) / max(owed, 1.0)


@dataclass(slots=True)
class PredictiveEngine:
    """Follow prices and rates, and project accounts ahead. Times are unix seconds of the chain."""

    outlook: Outlook
    crossing_second: CrossingSecond | None = None
    windows: dict[int, PriceWindow] = field(default_factory=dict)
    rates: RateIndexTracker = field(default_factory=RateIndexTracker)

    def update_price(self, reserve_id: int, price: float, at: float, block: int = 0) -> bool:
        """Take a reserve's price; return False for one older than the newest; ValueError for one not positive."""
        window = self.windows.get(reserve_id)
        if window is None:
            window = self.windows[reserve_id] = PriceWindow(str(reserve_id))
        return window.add(price, at, block)

    def update_reserve(self, reserve_id: int, rates: Rates) -> bool:
        """Take a reserve's rates and indexes; return False for an update older than the newest."""
        return self.rates.update(reserve_id, rates)

    def forecast(self, now: float) -> Forecast:
        """Return what each reserve's price and indexes are expected to do within the horizon."""
        start, end = int(now), int(now + self.outlook.horizon)
        known = self.windows.keys() | self.rates.reserves
        growth = {reserve_id: self.rates.growth_between(reserve_id, start, end) for reserve_id in known}
        prices = {reserve_id: self._price_factor(reserve_id, now) for reserve_id in known}
        return Forecast(now, growth, prices)

    def reach(self, forecast: Forecast, limit: float = 0.0) -> float:
        """Return a health factor from which no scenario comes down to 1 + buffer, or to `limit` if that is higher."""
        shock = max((SHOCKS[scenario] for scenario in self.outlook.scenarios), default=0.0)
        return max(self.outlook.line, limit) / (forecast.worst() * (1 - shock)) * (1 + SAME)

    def evaluate(self, exposures: Exposures, forecast: Forecast, limit: float = 0.0) -> list[PredictiveCandidate]:
        """Return every account and scenario projected below 1 + buffer, or at most `limit` if that is higher.

        Accounts that owe nothing, or are below 1 already, are not predicted. O(accounts * reserves).
        """
        ahead = _ahead(exposures, forecast)
        line = max(self.outlook.line, limit)
        found: list[PredictiveCandidate] = []
        for scenario in self.outlook.scenarios:
            projected = _shocked(ahead, exposures.drivers, SHOCKS[scenario])
            rows = np.flatnonzero((ahead.current >= 1.0) & (projected <= line))
            eta = self._eta(ahead.current[rows], projected[rows])
            if scenario is Scenario.BASELINE:
                for spot in np.flatnonzero(ahead.on_the_line[rows]).tolist():
                    eta[spot] = self._exact(exposures.users[rows[spot]], forecast.now, float(eta[spot]))
            figures = (each.tolist() for each in (rows, ahead.current[rows], projected[rows], eta))
            found += [
                PredictiveCandidate(exposures.users[row], scenario, current, then, due if due < math.inf else None)
                for row, current, then, due in zip(*figures, strict=True)
            ]
        return found

    def _price_factor(self, reserve_id: int, now: float) -> float:
        window, horizon = self.windows.get(reserve_id), self.outlook.horizon
        return math.exp(window.trend(now, horizon) * horizon) if window else 1.0

    def _eta(self, current: Floats, projected: Floats) -> Floats:
        """Return the seconds until each crosses 1; infinite for one that does not fall."""
        eta = np.full(len(projected), np.inf)
        falling = projected < current
        start, end = current[falling], projected[falling]
        fall = np.minimum((start - end) / start, LARGEST_FALL)  # log1p sees falls that a ratio of logs would lose
        eta[falling] = self.outlook.horizon * np.log(start) / -np.log1p(-fall)
        return eta

    def _exact(self, user: Address, now: float, estimate: float) -> float:
        """Return the seconds to the exact crossing by interest, where somebody can tell it."""
        if self.crossing_second is None:
            return estimate
        second = self.crossing_second(user)
        return float("inf") if second is None else max(0.0, second - now)


def _ahead(exposures: Exposures, forecast: Forecast) -> _Ahead:
    growth = [forecast.growth.get(reserve_id, STILL) for reserve_id in exposures.reserves]
    income, debt = np.array([each.liquidity for each in growth]), np.array([each.borrow for each in growth])
    prices = np.array([forecast.prices.get(reserve_id, 1.0) for reserve_id in exposures.reserves])
    idle = _ratio(exposures.weighted @ income, exposures.owed @ debt)
    weighted, owed = exposures.weighted * (income * prices), exposures.owed * (debt * prices)
    current = _ratio(exposures.weighted.sum(axis=1), exposures.owed.sum(axis=1))
    baseline = _ratio(weighted.sum(axis=1), owed.sum(axis=1))
    near = idle < 1.0 + NEAR_LINE
    near[near] = np.abs(baseline[near] - idle[near]) <= SAME * idle[near]  # nothing but interest moves it
    return _Ahead(weighted, owed, current, near)


class _Ahead(NamedTuple):
    """Hold the values a horizon ahead by account and reserve, the present health factors, and which of them interest
    alone takes to the line."""

    weighted: Floats
    owed: Floats
    current: Floats
    on_the_line: NDArray[np.bool_]


def _shocked(ahead: _Ahead, drivers: Sequence[object], shock: float) -> Floats:
    """Return the health factors after each driver fell by `shock` for whoever has more in it than he owes."""
    weighted, owed = ahead.weighted.sum(axis=1), ahead.owed.sum(axis=1)
    if shock:
        for driver in dict.fromkeys(drivers):
            of_driver = [spot for spot, each in enumerate(drivers) if each == driver]
            has, owes = ahead.weighted[:, of_driver].sum(axis=1), ahead.owed[:, of_driver].sum(axis=1)
            falls = shock * (has > owes)
            weighted, owed = weighted - has * falls, owed - owes * falls
    return _ratio(weighted, owed)


def _ratio(weighted: Floats, owed: Floats) -> Floats:
    """Return weighted / owed; infinite where nothing is owed."""
    ratio: Floats = np.divide(weighted, owed, out=np.full(len(owed), np.inf), where=owed > 0)
    return ratio
