"""Every prediction is marked when its horizon ends, so that the engine's word can be weighed.

A prediction says: this account falls below 1 within the horizon, in about `eta_sec`. It came true if the account was
seen below 1 inside the horizon; `early` if it was so in less than half the time told. If not, one more horizon tells
whether it was `late` or `false`. A crossing is foretold if a prediction for it was open; recall is the share of those.
The probability of a scenario is the share of its predictions that came true so far, as if it began with one of each
kind (Laplace's rule); the Brier score is the mean of (probability told - outcome) ** 2: 0 is perfect, 0.25 a coin.
Everything is counted since the card was made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from core.domain.messages import PredictionReport, PredictionScore
from core.domain.units import Address
from core.risk.predictive_engine import PredictiveCandidate, Scenario

SECONDS_OF_GRACE = 2.0


class Verdict(StrEnum):
    """Name what became of a prediction: `true` and `early` came true, `late` and `false` did not."""

    TRUE = "true"
    EARLY = "early"
    LATE = "late"
    FALSE = "false"


@dataclass(slots=True, eq=False)
class Prediction:
    """Hold what was said at second `at`, and when the account was seen below 1."""

    user: Address
    scenario: Scenario
    at: float
    eta_sec: float
    probability: float
    crossed_at: float | None = None


class Marked(NamedTuple):
    """Hold a prediction and its verdict."""

    prediction: Prediction
    verdict: Verdict


@dataclass(slots=True)
class _Tally:
    """Count one scenario; the half-and-half start of `probability` is not in these."""

    scored: int = 0
    came_true: int = 0
    early: int = 0
    late: int = 0
    false: int = 0
    foretold: int = 0
    squares: float = 0.0

    @property
    def probability(self) -> float:
        return (self.came_true + 1) / (self.scored + 2)


class ReportCard:
    """Keep the open predictions, one an account and scenario, and mark them. Times are unix seconds of the chain."""

    def __init__(self, horizon: float, scenarios: Sequence[Scenario] = tuple(Scenario)) -> None:
        self._horizon = horizon
        self._tallies = {scenario: _Tally() for scenario in scenarios}
        self._open: dict[tuple[Address, Scenario], Prediction] = {}
        self._running: deque[Prediction] = deque()
        self._overdue: deque[Prediction] = deque()
        self._overdue_of: dict[Address, list[Prediction]] = {}
        self._crossings = 0
        self._foretold = 0

    def predict(self, candidates: Iterable[PredictiveCandidate], now: float) -> list[Prediction]:
        """Open a prediction for each candidate due within the horizon that has none; return the new ones."""
        new = []
        for candidate in candidates:
            key, eta = (candidate.address, candidate.scenario), candidate.eta_sec
            if eta is not None and eta <= self._horizon and key not in self._open:
                prediction = Prediction(*key, now, eta, self.probability(candidate.scenario))
                self._open[key] = prediction
                self._running.append(prediction)
                new.append(prediction)
        return new

    def crossed(self, user: Address, at: float) -> tuple[Scenario, ...]:
        """Take that an account was seen below 1 at a second; return the scenarios that had foretold it."""
        foretold = []
        for scenario in self._tallies:
            prediction = self._open.pop((user, scenario), None)
            if prediction is not None and at <= prediction.at + self._horizon:
                foretold.append(scenario)
                self._tallies[scenario].foretold += 1
            if prediction is not None:
                prediction.crossed_at = at
        for prediction in self._overdue_of.get(user, ()):
            if prediction.crossed_at is None:
                prediction.crossed_at = at
        self._crossings += 1
        self._foretold += bool(foretold)
        return tuple(foretold)

    def settle(self, now: float) -> list[Marked]:
        """Mark what is due: at the end of the horizon what came true, one horizon later what did not."""
        marked = []
        while self._running and self._running[0].at + self._horizon < now:
            prediction = self._running.popleft()
            key = (prediction.user, prediction.scenario)
            if self._open.get(key) is prediction:
                del self._open[key]
            if self._score(prediction):
                marked.append(Marked(prediction, self._early(prediction)))
            else:
                self._overdue.append(prediction)
                self._overdue_of.setdefault(prediction.user, []).append(prediction)
        while self._overdue and self._overdue[0].at + 2 * self._horizon < now:
            marked.append(self._give_up(self._overdue.popleft()))
        return marked

    def probability(self, scenario: Scenario) -> float:
        """Return how likely a prediction of that scenario comes true, by those that were scored."""
        return self._tallies[scenario].probability

    def report(self) -> PredictionReport:
        """Return the card as the status tells it."""
        scores = [
            PredictionScore(
                scenario.value,
                tally.scored,
                tally.came_true,
                tally.early,
                tally.late,
                tally.false,
                tally.foretold,
                tally.squares / tally.scored if tally.scored else 0.0,
            )
            for scenario, tally in self._tallies.items()
        ]
        return PredictionReport(self._crossings, self._foretold, len(self._open), tuple(scores))

    def _score(self, prediction: Prediction) -> bool:
        end = prediction.at + self._horizon
        hit = prediction.crossed_at is not None and prediction.crossed_at <= end
        tally = self._tallies[prediction.scenario]
        tally.scored += 1
        tally.came_true += hit
        tally.squares += (prediction.probability - hit) ** 2
        return hit

    def _early(self, prediction: Prediction) -> Verdict:
        took = (prediction.crossed_at or prediction.at) - prediction.at
        if prediction.eta_sec - took <= max(prediction.eta_sec / 2, SECONDS_OF_GRACE):
            return Verdict.TRUE
        self._tallies[prediction.scenario].early += 1
        return Verdict.EARLY

    def _give_up(self, prediction: Prediction) -> Marked:
        waiting = self._overdue_of[prediction.user]
        waiting.remove(prediction)
        if not waiting:
            del self._overdue_of[prediction.user]
        at, tally = prediction.crossed_at, self._tallies[prediction.scenario]
        if at is None or at > prediction.at + 2 * self._horizon:
            tally.false += 1
            return Marked(prediction, Verdict.FALSE)
        tally.late += 1
        return Marked(prediction, Verdict.LATE)
