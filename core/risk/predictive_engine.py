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
from core.risk.rate_index_tracker import RateIndexTracker, Rates

NEAR_LINE = 1e-6
SAME = 1e-9

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

    def evaluate(self, exposures: Exposures, now: float, limit: float = 0.0) -> list[PredictiveCandidate]:
        """Return every account and scenario projected below 1 + buffer, or at most `limit` if that is higher.

        Accounts that owe nothing, or are below 1 already, are not predicted. O(accounts * reserves).
        """
        ahead = self._ahead(exposures, now)
        reach = max(self.outlook.line, limit)
        found: list[PredictiveCandidate] = []
        for scenario in self.outlook.scenarios:
            projected = _shocked(ahead, exposures.drivers, SHOCKS[scenario])
            wanted = (ahead.current >= 1.0) & (projected <= reach)
            eta = self._eta(ahead, projected)
            for row in np.flatnonzero(wanted).tolist():
                seconds = float(eta[row])
                if scenario is Scenario.BASELINE and ahead.on_the_line[row]:
                    seconds = self._exact(exposures.users[row], now, seconds)
                found.append(
                    PredictiveCandidate(
                        exposures.users[row],
                        scenario,
                        float(ahead.current[row]),
                        float(projected[row]),
                        seconds if np.isfinite(seconds) else None,
                    )
                )
        return found

    def _ahead(self, exposures: Exposures, now: float) -> _Ahead:
        horizon = self.outlook.horizon
        start, end = int(now), int(now + horizon)
        growth = [self.rates.growth_between(reserve_id, start, end) for reserve_id in exposures.reserves]
        income = np.array([each.liquidity for each in growth])
        debt = np.array([each.borrow for each in growth])
        prices = np.array([self._price_factor(reserve_id, now) for reserve_id in exposures.reserves])
        idle = _ratio(exposures.weighted @ income, exposures.owed @ debt)
        weighted, owed = exposures.weighted * (income * prices), exposures.owed * (debt * prices)
        current = _ratio(exposures.weighted.sum(axis=1), exposures.owed.sum(axis=1))
        baseline = _ratio(weighted.sum(axis=1), owed.sum(axis=1))
        near = idle < 1.0 + NEAR_LINE
        near[near] = np.abs(baseline[near] - idle[near]) <= SAME * idle[near]  # nothing but interest moves it
        return _Ahead(weighted, owed, current, near)

    def _price_factor(self, reserve_id: int, now: float) -> float:
        window, horizon = self.windows.get(reserve_id), self.outlook.horizon
        return float(np.exp(window.trend(now, horizon) * horizon)) if window else 1.0

    def _eta(self, ahead: _Ahead, projected: Floats) -> Floats:
        """Return the seconds until each crosses 1; infinite for one that does not fall."""
        eta = np.full(len(projected), np.inf)
        falling = (projected < ahead.current) & (ahead.current >= 1.0)
        now, then = np.log(ahead.current[falling]), np.log(np.maximum(projected[falling], 1e-300))
        eta[falling] = self.outlook.horizon * now / (now - then)
        return eta

    def _exact(self, user: Address, now: float, estimate: float) -> float:
        """Return the seconds to the exact crossing by interest, where somebody can tell it."""
        if self.crossing_second is None:
            return estimate
        second = self.crossing_second(user)
        return float("inf") if second is None else max(0.0, second - now)


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
