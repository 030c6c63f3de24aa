"""Spells: which accounts are below the threshold now, one opportunity for each, in episodes that share an alert."""

from __future__ import annotations

from collections.abc import Iterable, KeysView

from core.domain.health_factor import UserAccountData
from core.domain.opportunity import OVER, Opportunity, State, Trigger
from core.domain.units import Address

SAME_EPISODE_SECONDS = 300
"""An account that falls again so soon after it recovered goes on in its episode: one alert, not a flicker of them."""


class Spells:
    """Number opportunities and episodes, and remember the open ones."""

    def __init__(self, last_id: int, last_episode: int, known: Iterable[Opportunity], now: float) -> None:
        self._last_id = last_id
        self._last_episode = last_episode
        self._open: dict[Address, Opportunity] = {}
        self._recovered: dict[Address, tuple[int, float]] = {}
        for opportunity in sorted(known, key=lambda o: o.id):  # an earlier spell must not close a later one
            self.settle(opportunity, now)

    @property
    def users(self) -> KeysView[Address]:
        """Return the accounts whose spell is open."""
        return self._open.keys()

    def of(self, user: Address) -> Opportunity:
        """Return the open opportunity of an account."""
        return self._open[user]

    def begin(
        self, user: Address, account: UserAccountData, trigger: Trigger, block: int, seen_at: float
    ) -> Opportunity:
        """Return a new, confirmed opportunity; `seen_at` is unix seconds."""
        episode, recovered_at = self._recovered.pop(user, (0, 0.0))
        if not episode or seen_at - recovered_at > SAME_EPISODE_SECONDS:
            self._last_episode += 1
            episode = self._last_episode
        self._last_id += 1
        detected = Opportunity(self._last_id, user, episode, State.DETECTED, trigger, block, seen_at, account)
        return detected.to(State.CONFIRMED).as_of(block, account)

    def end(self, user: Address, account: UserAccountData, block: int, taken_by: Address | None) -> Opportunity:
        """Return the open opportunity of an account that is not below any more, as recovered or taken by a rival."""
        state = State.TAKEN if taken_by else State.RECOVERED
        return self._open[user].to(state, note=taken_by or "").as_of(block, account)

    def settle(self, opportunity: Opportunity, now: float) -> None:
        """Remember the state that an opportunity was journaled in."""
        if opportunity.state not in OVER:
            self._open[opportunity.user] = opportunity
            return
        self._open.pop(opportunity.user, None)
        if opportunity.state is State.RECOVERED:
            self._recovered[opportunity.user] = (opportunity.episode, now)
        self._forget(now)

    def _forget(self, now: float) -> None:
        for user in [u for u, (_, at) in self._recovered.items() if now - at > SAME_EPISODE_SECONDS]:
            del self._recovered[user]
