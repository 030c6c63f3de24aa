"""One event's way through the worker: hear, judge, verify, act, tell.

Logs and heads arrive on the sink and are merged into one piece of work; nothing in it is ever dropped, it only
coalesces. One walker takes it all, looks at its newest block, and journals what it found before it takes the next.
While it waits for the node, the next piece gathers.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from core.domain.controls import Controls
from core.domain.health_factor import health_factor_text
from core.domain.liquidation import CloseFactorMode
from core.domain.messages import Latency, WorkerWarned
from core.domain.opportunity import Opportunity, SkipReason, State, Trigger
from core.domain.position import Position
from core.domain.units import Address
from core.errors import ChainError, StoreUnavailable
from core.ops.metrics import WorkerMetrics
from core.state.ports import Store
from worker.chain.events import touched
from worker.chain.feed import Head, Log
from worker.chain.jsonrpc import backoff, retryable
from worker.detection.looking import Detector, Look, Work
from worker.detection.mirror import Mirror
from worker.detection.spells import Spells
from worker.execution.rehearsal import decide, rehearse

logger = logging.getLogger(__name__)

LATENCIES_KEPT = 10_000
RETRY_FIRST = 0.05
ACTED = frozenset({State.REHEARSED, State.SKIPPED})


@dataclass(slots=True)
class Shared:
    """Hold what other parts of the worker set, and the walk reads at its next step.

    `quarantined` are accounts whose figures drift from the chain's; `halted` says that so many do that none is trusted.
    """

    controls: Controls
    close_factor_mode: CloseFactorMode
    stale_after: float
    gas_price: int = 0
    head: Head | None = None
    replaced: asyncio.Event = field(default_factory=asyncio.Event)
    sources: asyncio.Event = field(default_factory=asyncio.Event)
    quarantined: frozenset[Address] = frozenset()
    halted: bool = False
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    def head_age(self) -> float:
        """Return the seconds since the newest head arrived; infinite before the first."""
        return time.monotonic() - self.head.heard_at if self.head else float("inf")

    def latency(self) -> Latency:
        """Summarise the latencies that are kept."""
        values = sorted(self.latencies)
        if not values:
            return Latency(0, 0.0, 0.0, 0.0)
        return Latency(len(values), _quantile(values, 0.5), _quantile(values, 0.95), values[-1])


class Pipeline:
    """Be the sink of the feed and the walker behind it."""

    def __init__(
        self, detector: Detector, mirror: Mirror, spells: Spells, store: Store, shared: Shared, metrics: WorkerMetrics
    ) -> None:
        self._detector = detector
        self._mirror = mirror
        self._spells = spells
        self._store = store
        self._shared = shared
        self._metrics = metrics
        self._work: Work | None = None
        self._at = mirror.market.block, mirror.market.timestamp
        self._arrived = asyncio.Event()
        self._trace = itertools.count(1)
        self._diverged: frozenset[Address] = frozenset()
        self._rng = random.Random()  # noqa: S311  # spreads retries, guards nothing
        self.followers: list[Callable[[Work, Look], None]] = []

    def begin_at(self, head: Head) -> None:
        """Take in the start itself: who fell, or came back, while nobody looked is to be told of at once."""
        self._work = Work(time.monotonic(), head.number, head.timestamp, scan=True)
        self._arrived.set()

    def on_log(self, log: Log) -> None:
        """Take in one log, also one that a reorganisation removed."""
        self._metrics.logs.inc()
        try:
            effect = touched(log, self._mirror.market)
            self._detector.hear(log)
        except ValueError as error:
            self._metrics.dropped.labels(reason="undecodable").inc()
            logger.warning("[realtime-hf] a log cannot be decoded and is left out: %s", error)
            return
        if effect is None:
            return
        if effect.price:
            self._metrics.prices.inc()
        if effect.verify:
            self._shared.replaced.set()
        work = self._open_work(log.heard_at)
        work.add(effect)
        if not log.removed:
            work.at(log.block_number, log.timestamp or 0)
        self._arrived.set()

    def check(self, user: Address, words: str, since: float) -> None:
        """Take in that a single check put an account below the line: the chain is asked about it at the next look."""
        self._open_work(since).asked[user] = words
        self._arrived.set()

    async def distrust(self, quarantined: frozenset[Address], halted: bool, warnings: list[WorkerWarned]) -> None:
        """Take in whose figures drift from the chain's; return when the warnings are saved."""
        self._shared.quarantined, self._shared.halted = quarantined, halted
        for warning in warnings:
            await self.warn(warning)

    async def warn(self, warning: WorkerWarned) -> None:
        """Tell the operator; return when that is saved."""
        await self._persist(lambda: self._store.outbox.append([warning], time.time()))

    def look_again(self) -> None:
        """Look though nothing was heard: something is to be read again."""
        self._open_work(time.monotonic())
        self._arrived.set()

    def on_reorganisation(self, first: int) -> None:
        """Take in that the chain may be another one from a block on."""
        self._detector.take_back(first - 1)

    def on_state(self, up: bool, text: str) -> None:
        """Take in whether the connection stands."""
        (logger.info if up else logger.warning)("[realtime-hf] %s", text)

    def on_head(self, head: Head) -> None:
        """Take in one head; only a new second changes what accounts owe, so only that, or a way back, makes work."""
        self._metrics.head(head.number, head.timestamp)
        before, self._shared.head = self._shared.head, head
        back = before is not None and head.number <= before.number
        if head.timestamp == self._mirror.market.timestamp and self._work is None and not back:
            return
        self._open_work(head.heard_at).at(head.number, head.timestamp, back=back)
        self._arrived.set()

    async def run(self) -> None:
        """Walk forever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            work, self._work = self._work, None
            if work is not None:
                self._at = work.block, work.timestamp
                await self._walk(work)

    async def _walk(self, work: Work) -> None:
        look = await self._look(work)
        if work.configuration:  # reserves or price sources may be others now
            self._shared.sources.set()
        seen_at = time.time() - (time.monotonic() - work.heard_at)
        newly_diverged = self._note_divergence(look)
        told = [self._begin(look, work, user, seen_at) for user in look.below]
        told += [self._requote(look, user) for user in look.changed]
        told += [
            self._spells.end(user, account, look.block, work.taken.get(user)) for user, account in look.over.items()
        ]
        if told:
            await self._journal(told, work)
        if newly_diverged:
            await self._tell_divergence(newly_diverged, look.block)
        self._lead_on(work, look)

    def _lead_on(self, work: Work, look: Look) -> None:
        """Call who follows; what goes wrong there is logged and counted, and detection goes on without it."""
        for follow in self.followers:
            try:
                follow(work, look)
            except Exception:
                self._metrics.dropped.labels(reason="follower").inc()
                logger.exception("[realtime-hf] what follows a look failed at block %d", look.block)

    async def _look(self, work: Work) -> Look:
        """Return the detector's look; while the node does not answer, keep asking, and for the newest block."""
        attempt = 0
        while True:
            try:
                return await self._detector.look(work, self._spells.users)
            except ChainError as error:
                attempt += 1
                log = logger.warning if retryable(error) else logger.error
                log("[realtime-hf] block %d could not be looked at (attempt %d): %s", work.block, attempt, error)
                await asyncio.sleep(backoff(attempt, self._rng, RETRY_FIRST))
                if self._work is not None:
                    work.absorb(self._work)
                    self._at, self._work = (work.block, work.timestamp), None

    def _begin(self, look: Look, work: Work, user: Address, seen_at: float) -> Opportunity:
        kind, detail = work.cause_of(user)
        trigger = Trigger(kind, detail, f"{kind}-{look.block}-{next(self._trace)}")
        opportunity = self._spells.begin(user, look.below[user], trigger, look.block, seen_at)
        hf = health_factor_text(opportunity.account.health_factor)
        line = "[realtime-hf] emit liquidatable user=%s hf=%s reason=%s block=%d"
        logger.info(line, user, hf, kind, look.block, extra={"trace": trigger.trace})
        self._metrics.opportunities.labels(trigger=kind).inc()
        return self._act(opportunity)

    def _act(self, confirmed: Opportunity) -> Opportunity:
        market = self._mirror.market
        if market.revision is None:
            decided = confirmed.to(State.SKIPPED, reason=SkipReason.UNKNOWN_REVISION)
        else:
            position = self._mirror.positions.get(confirmed.user) or Position(confirmed.user)
            quoted = rehearse(confirmed, market, position, self._shared.close_factor_mode, self._shared.gas_price)
            decided = decide(quoted, self._shared.controls.dry_run, self._preflight(confirmed.user))
        if decided.reason is not None:
            self._metrics.skips.labels(reason=decided.reason).inc()
        return decided

    def _preflight(self, user: Address) -> SkipReason | None:
        if user in self._diverged or user in self._shared.quarantined or self._shared.halted:
            return SkipReason.DIVERGED
        return SkipReason.STALE_HEAD if self._shared.head_age() > self._shared.stale_after else None

    def _requote(self, look: Look, user: Address) -> Opportunity:
        """Return an open opportunity with today's figures: its account was touched, and is still below."""
        before = self._spells.of(user)
        again = replace(before, state=State.CONFIRMED, reason=None, note="").as_of(look.block, look.changed[user])
        return self._act(again) if before.state in (State.REHEARSED, State.SKIPPED) else before

    async def _journal(self, told: list[Opportunity], work: Work) -> None:
        """Save what happened, and only then remember it; a store that does not answer is asked until it does."""
        stamped = [o if o.latency_ms else replace(o, latency_ms=self._since(work) * 1000) for o in told]
        await self._persist(lambda: self._store.journal.record(stamped, time.time()))
        for opportunity in stamped:
            self._spells.settle(opportunity, time.time())
        if any(o.state in ACTED for o in stamped):
            self._shared.latencies.append(self._since(work) * 1000)
            self._metrics.detection_latency.observe(self._since(work))

    def _note_divergence(self, look: Look) -> frozenset[Address]:
        """Take over who diverges now, before anything is decided; who was compared and agrees is free again."""
        compared = look.below.keys() | look.changed.keys() | look.over.keys()
        new = look.diverged - self._diverged
        self._diverged = (self._diverged - compared) | look.diverged
        return new

    async def _tell_divergence(self, users: frozenset[Address], block: int) -> None:
        self._metrics.divergence.inc(len(users))
        names = ", ".join(sorted(users))
        text = f"Our figures differ from the chain's at block {block} for {names}: not acting on them."
        await self.warn(WorkerWarned("divergence", text))

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        attempt = 0
        while True:
            try:
                return await write()
            except StoreUnavailable as error:
                attempt += 1
                logger.warning("[store] cannot write now (attempt %d): %s", attempt, error)
                await asyncio.sleep(backoff(attempt, self._rng, RETRY_FIRST))

    def _open_work(self, heard_at: float) -> Work:
        if self._work is None:
            self._work = Work(heard_at, *self._at)  # a look at that block may still be under way
        return self._work

    @staticmethod
    def _since(work: Work) -> float:
        return time.monotonic() - work.heard_at


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
