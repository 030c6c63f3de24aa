"""The fast lane: who gets a single check before anybody else is looked at again.

It listens to what the mirror was settled at and to what touched a reserve, and asks the micro-verifier. Everybody in it
is at or above the line by our own figures; who is below is confirmed without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from core.config import DetectionSettings
from core.domain.events import Event, ReserveUpdated
from core.domain.health_factor import UserAccountData
from core.domain.market import Market
from core.domain.units import Address, BaseUsd, Wad
from core.ops.metrics import WorkerMetrics
from core.risk.borrowers_index import BorrowersIndex
from core.risk.near_threshold import NearThreshold
from worker.detection.micro_verify import MicroTrigger, MicroVerifier

logger = logging.getLogger(__name__)

NEAR_CRITICAL = Wad(102 * 10**16)

Recheck = Callable[[Sequence[Address], str], None]
"""Takes a reserve's largest borrowers, who are to be compared with the chain when there is time, and the words why."""


class Mirror(Protocol):
    """Know our own figures."""

    market: Market

    def below(self, health_factor: Wad, min_debt: BaseUsd) -> dict[Address, UserAccountData | None]:
        """Return the accounts below a health factor, lowest first; None where it cannot be computed."""
        ...


class FastLane:
    """Watch the accounts below 1.02, and send those that matter now to the micro-verifier.

    Block numbers are the newest that the mirror holds; `now` is the monotonic time of what was heard.
    """

    def __init__(
        self,
        settings: DetectionSettings,
        mirror: Mirror,
        index: BorrowersIndex,
        verifier: MicroVerifier,
        metrics: WorkerMetrics,
        recheck: Recheck | None = None,
    ) -> None:
        self._settings = settings
        self._mirror = mirror
        self._index = index
        self._verifier = verifier
        self._metrics = metrics
        self._recheck = recheck
        self._critical: dict[Address, Wad] = {}
        self.near = NearThreshold(
            settings.hf_threshold_wad, settings.near_threshold_band_bps, settings.riskset_max_users
        )

    def on_settled(self, block: int, now: float) -> None:
        """Take the figures of a mirror that was just judged: projection, near-threshold and head-critical checks."""
        line = self._settings.hf_threshold_wad
        below = self._mirror.below(NEAR_CRITICAL, self._settings.min_debt_base)
        self._critical = {
            user: mine.health_factor for user, mine in below.items() if mine is not None and mine.health_factor >= line
        }
        crossing, near = self._observe()
        self._verifier.want(crossing, MicroTrigger.PROJECTION, block, now)
        self._verifier.want(near, MicroTrigger.NEAR_THRESHOLD, block, now)
        self._check_heads(self._in_band(), MicroTrigger.HEAD_CRITICAL, block, now)

    def on_pending(self, block: int, now: float) -> None:
        """Take a hint that the node has more than it told: `block` is its newest one."""
        self._check_heads(self._in_band(), MicroTrigger.PENDING, block, now)

    def on_event(self, event: Event, block: int, now: float) -> None:
        """Take what was folded into the mirror: a reserve's event moves all who owe in it."""
        if isinstance(event, ReserveUpdated):
            self.on_reserve(event.reserve, "reserve", block, now)

    def on_prices(self, reserves: Iterable[int], block: int, now: float) -> None:
        """Take the reserves whose price moved."""
        for reserve in reserves:
            self.on_reserve(reserve, "price", block, now)

    def on_reserve(self, reserve: int, source: str, block: int, now: float) -> None:
        """Check the reserve's near-critical borrowers alone, worst first, then offer its largest ones for a recheck."""
        known = self._mirror.market.reserves.get(reserve)
        if known is None:  # listed a moment ago: the mirror reads it before anybody can owe in it
            return
        owing = self._index.users(reserve)
        subset = [user for user in self._critical if user in owing]
        self._metrics.subset_intersection.labels(source).observe(len(subset))
        chosen = subset[: self._settings.reserve_fast_subset_max]
        admitted = self._verifier.want(chosen, MicroTrigger.RESERVE_FAST, block, now, known.symbol)
        if admitted.scheduled:
            self._metrics.reserve_fast_subset.labels(known.symbol).inc(admitted.scheduled)
            line = "[fast-lane] [reserve-fast-subset] asset=%s size=%d via micro-verify (source=%s)"
            logger.info(line, known.symbol, admitted.scheduled, source)
        self._offer(reserve, known.symbol, source)

    def forget(self, user: Address) -> None:
        """Forget an account that owes nothing any more."""
        self.near.discard(user)
        self._critical.pop(user, None)

    def _observe(self) -> tuple[list[Address], list[Address]]:
        crossing: list[Address] = []
        near: list[Address] = []
        for user, health_factor in self._critical.items():
            observed = self.near.observe(user, health_factor)
            if observed.crosses:
                crossing.append(user)
            elif observed.near:
                near.append(user)
        return crossing, near

    def _in_band(self) -> list[Address]:
        """Return the head-critical slice: the worst of the watched accounts that are in the band above the line."""
        top = self.near.top
        worst = list(self._critical.items())[: self._settings.head_critical_batch_size]
        return [user for user, health_factor in worst if health_factor <= top]

    def _check_heads(self, users: Sequence[Address], trigger: MicroTrigger, block: int, now: float) -> None:
        admitted = self._verifier.want(users, trigger, block, now)
        if admitted.scheduled:
            logger.debug("[realtime-hf] head-critical micro-verify starting: %d candidates", admitted.scheduled)

    def _offer(self, reserve: int, symbol: str, source: str) -> None:
        if self._recheck is None:
            return
        largest = self._index.borrowers(reserve, self._settings.reserve_recheck_top_n)
        if not largest:
            return
        self._metrics.reserve_rechecks.labels(symbol, source).inc(len(largest))
        total = len(self._index.users(reserve))
        line = "[reserve-recheck] Checking %d/%d borrowers for reserve %s (source=%s)"
        logger.debug(line, len(largest), total, symbol, source)
        self._recheck(largest, f"{symbol} {source}")
