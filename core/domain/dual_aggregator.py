"""Chainlink's DualAggregator: what its readers see of its rounds, and at which second that changes.

A report comes by one of two routes, or by both. Readers through the secondary proxy (Aave's, on Base) see a round of
the secondary route at once, and one of the primary route only when it is older than the cutoff; then nothing but the
clock makes it visible. All other readers see the newest round, except that one which came by the secondary route alone
is hidden from them within its own second. Source: DualAggregator 1.0.0, _getLatestRound and _getSyncPrimaryRound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from core.domain.events import (
    AnswerUpdated,
    CutoffTimeSet,
    MaxSyncIterationsSet,
    PrimaryFeedUnlocked,
    SecondaryRoundIdUpdated,
)

DualEvent = AnswerUpdated | SecondaryRoundIdUpdated | PrimaryFeedUnlocked | CutoffTimeSet | MaxSyncIterationsSet

ROUNDS_KEPT_BEYOND = 16
"""Rounds kept below those that the search can reach, for a search depth that is raised later."""


class Transmission(NamedTuple):
    """Hold a round's answer and when it was recorded, unix seconds."""

    answer: int
    recorded: int


NOTHING = Transmission(0, 0)
"""What the contract's storage answers for a round that never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DualAggregator:
    """Hold the state that its answers depend on; `expected` is a secondary round whose answer comes with the next log.

    `latest` and `secondary` are rounds; `cutoff` is in seconds, `search_depth` (maxSyncIterations) in rounds.
    """

    latest: int
    secondary: int
    latest_is_secondary: bool
    cutoff: int
    search_depth: int
    transmissions: Mapping[int, Transmission] = field(default_factory=dict)
    expected: int | None = None

    def answer(self, now: int, *, through_secondary: bool) -> int:
        """Return what a reader is answered in a block of timestamp `now`, unix seconds."""
        return self._sent(self._seen_secondary(now) if through_secondary else self._seen_primary(now)).answer

    def next_change(self, now: int, *, through_secondary: bool) -> int | None:
        """Return the first second after `now` whose answer is another one without any event; None if there is none."""
        present = self.answer(now, through_secondary=through_secondary)
        for second in self._turning_points(now, through_secondary):
            if self.answer(second, through_secondary=through_secondary) != present:
                return second
        return None

    def after(self, event: DualEvent) -> DualAggregator:
        """Return the aggregator after one of its events; a round that is known already changes nothing."""
        match event:
            case AnswerUpdated():
                return self._stored(event)
            case SecondaryRoundIdUpdated(round=round_):
                if round_ in self.transmissions:
                    return replace(self, secondary=max(self.secondary, round_))
                return replace(self, expected=round_)
            case PrimaryFeedUnlocked():
                return replace(self, latest_is_secondary=False)
            case CutoffTimeSet(seconds=seconds):
                return replace(self, cutoff=seconds)
            case MaxSyncIterationsSet(rounds=rounds):
                return replace(self, search_depth=rounds)

    def _stored(self, event: AnswerUpdated) -> DualAggregator:
        if event.round <= self.latest:
            return self
        secondary = event.round if self.expected == event.round else self.secondary
        oldest = event.round - self.search_depth - ROUNDS_KEPT_BEYOND
        kept = {id_: sent for id_, sent in self.transmissions.items() if id_ >= oldest or id_ == secondary}
        return replace(
            self,
            latest=event.round,
            secondary=secondary,
            latest_is_secondary=secondary == event.round,
            transmissions={**kept, event.round: Transmission(event.answer, event.at)},
            expected=None,
        )

    def _sent(self, round_: int) -> Transmission:
        return self.transmissions.get(round_, NOTHING)

    def _matured(self, round_: int, now: int) -> bool:
        return self._sent(round_).recorded + self.cutoff < now

    def _seen_secondary(self, now: int) -> int:
        if not self._matured(self.secondary, now):
            return self.secondary
        for round_ in range(self.latest, max(0, self.latest - self.search_depth), -1):
            if round_ == self.secondary or self._matured(round_, now):
                return round_
        return self.secondary

    def _seen_primary(self, now: int) -> int:
        hidden = self.latest == self.secondary and self.latest_is_secondary
        return self.latest - 1 if hidden and self._sent(self.latest).recorded == now else self.latest

    def _turning_points(self, now: int, through_secondary: bool) -> list[int]:
        """Return the seconds after `now` at which something matures, or stops being hidden, soonest first."""
        if not through_secondary:
            return [now + 1] if self._sent(self.latest).recorded == now else []
        matured = {sent.recorded + self.cutoff + 1 for sent in self.transmissions.values()}
        return sorted(second for second in matured if second > now)
