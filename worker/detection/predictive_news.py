"""What is told of predicted accounts, each thing once, and again when more should be done or some time has passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from core.config import PredictiveSettings
from core.domain.units import Address
from core.risk.predictive_engine import Outlook, PredictiveCandidate, Scenario

REPEAT_SECONDS = 15.0
CANDIDATE, MICRO_VERIFY, PRESTAGE, FAST_PATH = 1, 2, 4, 8

Due = tuple[PredictiveCandidate, int]
"""A candidate, and a bit for each thing that should be done about it."""


class PredictiveScenario(NamedTuple):
    """Tell what may come of an account in one scenario, and what should be done ahead.

    `probability` is how often such predictions came true; `should_queue` follows PREDICTIVE_QUEUE_ENABLED;
    `should_micro_verify` says projected below 1 + buffer; `should_prestage` projected at or below PRESTAGE_HF_BPS;
    `fast_path` a crossing within the horizon, where PREDICTIVE_FASTPATH_ENABLED. `trace` names the run.
    """

    candidate: PredictiveCandidate
    block: int
    debt_usd: float
    probability: float
    should_queue: bool
    should_micro_verify: bool
    should_prestage: bool
    fast_path: bool
    trace: str


class _Told(NamedTuple):
    duties: int
    at: float


_UNTOLD = _Told(0, float("-inf"))


class News:
    """Remember what was said of each account and scenario, and leave out what was said less than 15 s ago.

    `prestage` is the health factor at or below which a plan is worth preparing.
    """

    def __init__(self, settings: PredictiveSettings, prestage: float, outlook: Outlook) -> None:
        self._queue = settings.predictive_queue_enabled
        self._below_line = CANDIDATE | (MICRO_VERIFY if settings.predictive_micro_verify_enabled else 0)
        self._in_time = FAST_PATH if settings.predictive_fastpath_enabled else 0
        self._prestage = prestage
        self._outlook = outlook
        self._told: dict[tuple[Address, Scenario], _Told] = {}

    def of(self, found: Iterable[PredictiveCandidate], clock: float) -> tuple[list[Due], Counter[Scenario]]:
        """Return what is new at a monotonic second, and how many became candidates; forget who is none any more."""
        said: dict[tuple[Address, Scenario], _Told] = {}
        new: list[Due] = []
        became: Counter[Scenario] = Counter()
        line, horizon = self._outlook.line, self._outlook.horizon
        for candidate in found:
            user, scenario, _, projected, eta = candidate
            duties = PRESTAGE if projected <= self._prestage else 0
            duties |= self._below_line if projected < line else 0
            duties |= self._in_time if eta is not None and eta <= horizon else 0
            before = self._told.get((user, scenario), _UNTOLD)
            if clock - before.at < REPEAT_SECONDS and not duties & ~before.duties:
                said[user, scenario] = before
                continue
            became[scenario] += bool(duties & ~before.duties & CANDIDATE)
            said[user, scenario] = _Told(duties, clock)
            new.append((candidate, duties))
        self._told = said
        return new, became

    def worded(
        self, new: Iterable[Due], block: int, debts_usd: Mapping[Address, float], odds: Mapping[Scenario, float]
    ) -> list[PredictiveScenario]:
        """Return the events for what is new."""
        trace = f"predictive-{block}"
        return [
            PredictiveScenario(
                candidate,
                block,
                debts_usd[candidate.address],
                odds[candidate.scenario],
                self._queue,
                bool(duties & MICRO_VERIFY),
                bool(duties & PRESTAGE),
                bool(duties & FAST_PATH),
                trace,
            )
            for candidate, duties in new
        ]
