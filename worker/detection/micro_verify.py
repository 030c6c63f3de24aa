"""Micro-verification: ask the chain about single accounts that our own figures do not put below the line, but almost.

These checks are speculative and so are rationed. Accounts that our own figures do put below the line never come here:
they are confirmed at once, all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from core.config import DetectionSettings
from core.domain.health_factor import UserAccountData, health_factor_text
from core.domain.units import Address
from core.errors import ChainError
from core.ops.metrics import WorkerMetrics

logger = logging.getLogger(__name__)

Clock = Callable[[], float]


class MicroTrigger(StrEnum):
    """Name why an account is checked alone; the value is the metric's label."""

    PROJECTION = "projection"
    NEAR_THRESHOLD = "near_threshold"
    RESERVE_FAST = "reserve_fast"
    HEAD_CRITICAL = "head_critical"
    SPRINTER = "sprinter"
    PREDICTIVE = "predictive"
    PENDING = "pending_block"

    @property
    def word(self) -> str:
        """Return the name that logs and reasons use."""
        return "projection_cross" if self is MicroTrigger.PROJECTION else self.value


class Reader(Protocol):
    """Ask the chain itself."""

    async def account_data(self, users: Sequence[Address], block: int) -> list[UserAccountData | None]:
        """Return the users' figures at the block; raise ChainError when the node does not answer."""
        ...


class Wanted(NamedTuple):
    """Hold one check to be made: `since` is the monotonic time of what caused it, `asset` its reserve if any."""

    user: Address
    trigger: MicroTrigger
    since: float
    asset: str = ""


class Hit(NamedTuple):
    """Tell of an account that the chain puts below the line at `block`; `since` as in Wanted."""

    user: Address
    account: UserAccountData
    trigger: MicroTrigger
    block: int
    since: float

    @property
    def reason(self) -> str:
        """Return the words for a log and a trigger's detail."""
        return f"micro_verify_{self.trigger.word}"


class Admission(NamedTuple):
    """Tell how many checks were scheduled, and how many the cap of the block kept out."""

    scheduled: int
    capped: int


class Ration:
    """Decide which checks are made and when: a cap a block, a pause between runs, each account once a block.

    Pure: blocks and monotonic seconds are arguments. What waits when a block ends is checked in the next one, and
    counts there.
    """

    def __init__(self, max_per_block: int, interval_ms: int) -> None:
        self._max = max_per_block
        self._interval = interval_ms / 1000
        self._seen: set[Address] = set()
        self._waiting: list[Wanted] = []
        self._ran_at = float("-inf")
        self.block = 0

    def want(self, wanted: Iterable[Wanted], block: int) -> Admission:
        """Schedule checks in the order given; those of an account that had its check in this block are no news."""
        if block > self.block:
            self.block = block
            self._seen = {each.user for each in self._waiting}
        scheduled = capped = 0
        for each in wanted:
            if each.user in self._seen:
                continue
            if len(self._seen) >= self._max:
                capped += 1
                continue
            self._seen.add(each.user)
            self._waiting.append(each)
            scheduled += 1
        return Admission(scheduled, capped)

    def pause(self, now: float) -> float:
        """Return the seconds until the next run may start."""
        return max(0.0, self._ran_at + self._interval - now)

    def take(self, now: float) -> list[Wanted]:
        """Return all that wait, and count that as a run."""
        taken, self._waiting = self._waiting, []
        if taken:
            self._ran_at = now
        return taken


class MicroVerifier:
    """Make the checks that the ration allows, one request for all that wait, and hand hits to `on_hit`.

    `on_hit` is called synchronously and leads where confirmed suspects go. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        settings: DetectionSettings,
        reader: Reader,
        metrics: WorkerMetrics,
        on_hit: Callable[[Hit], None],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._metrics = metrics
        self._on_hit = on_hit
        self._clock = clock
        self._ration = Ration(settings.micro_verify_max_per_block, settings.micro_verify_interval_ms)
        self._wanted = asyncio.Event()
        self._capped_in = -1

    def want(
        self, users: Iterable[Address], trigger: MicroTrigger, block: int, since: float, asset: str = ""
    ) -> Admission:
        """Ask for accounts to be checked at `block` or the newest one told since; `since` is monotonic seconds.

        Return what the ration allows; with MICRO_VERIFY_ENABLED=false that is nothing.
        """
        if not self._settings.micro_verify_enabled:
            return Admission(0, 0)
        admitted = self._ration.want([Wanted(user, trigger, since, asset) for user in users], block)
        if admitted.scheduled:
            self._wanted.set()
        if admitted.capped:
            self._metrics.micro_verify.labels("cap", trigger).inc(admitted.capped)
            self._say_capped(admitted.capped, trigger)
        return admitted

    async def run(self) -> None:
        """Make checks as they are wanted, for ever."""
        while True:
            await self._wanted.wait()
            pause = self._ration.pause(self._clock())
            if pause:
                await asyncio.sleep(pause)
            self._wanted.clear()
            await self._check(self._ration.take(self._clock()), self._ration.block)

    async def _check(self, wanted: Sequence[Wanted], block: int) -> None:
        if not wanted:
            return
        try:
            answers = await self._reader.account_data([each.user for each in wanted], block)
        except ChainError as error:
            logger.warning("[realtime-hf] %d micro-verify checks failed at block %d: %s", len(wanted), block, error)
            answers = [None] * len(wanted)
        now = self._clock()
        self._metrics.health_checks.inc(len(wanted))
        for each, account in zip(wanted, answers, strict=True):
            self._judge(each, account, block, (now - each.since) * 1000)
        self._tell_reserves(wanted, now)

    def _judge(self, wanted: Wanted, account: UserAccountData | None, block: int, latency_ms: float) -> None:
        self._metrics.micro_verify.labels(self._result(account), wanted.trigger).inc()
        if account is None:
            return
        self._metrics.micro_verify_latency.observe(latency_ms)
        hit = self._is_below(account)
        hf = health_factor_text(account.health_factor)
        level = logging.INFO if hit else logging.DEBUG
        if hit and wanted.trigger is MicroTrigger.HEAD_CRITICAL:
            line = "[realtime-hf] head-critical hit user=%s hf=%s latency=%.0fms"
            logger.log(level, line, wanted.user, hf, latency_ms)
        else:
            line = "[realtime-hf] micro-verify user=%s hf=%s trigger=%s latency=%.0fms"
            logger.log(level, line, wanted.user, hf, wanted.trigger.word, latency_ms)
        if hit:
            self._on_hit(Hit(wanted.user, account, wanted.trigger, block, wanted.since))

    def _result(self, account: UserAccountData | None) -> str:
        if account is None:
            return "error"
        return "hit" if self._is_below(account) else "miss"

    def _is_below(self, account: UserAccountData) -> bool:
        low = account.health_factor < self._settings.hf_threshold_wad
        return low and account.total_debt_base >= self._settings.min_debt_base

    def _tell_reserves(self, wanted: Sequence[Wanted], now: float) -> None:
        """Time each reserve's event to its first answer: all of a fast subset is in one run."""
        for asset in dict.fromkeys(each.asset for each in wanted if each.asset):
            verified_ms = (now - min(each.since for each in wanted if each.asset == asset)) * 1000
            self._metrics.reserve_first_check.labels(asset).observe(verified_ms)
            logger.info("[fast-lane] [reserve-fast-subset] asset=%s verifiedMs=%.0f", asset, verified_ms)

    def _say_capped(self, count: int, trigger: MicroTrigger) -> None:
        """Say once a block that the cap keeps checks out; the metric counts them all."""
        if self._capped_in != self._ration.block:
            self._capped_in = self._ration.block
            words = "[realtime-hf] micro-verify-skip (cap reached) block=%d trigger=%s skipped=%d"
            logger.info(words, self._ration.block, trigger.word, count)
