"""Replay: lead the same pipeline through the steps of a recording, without a chain, and compare what it decides.

The recording says in which order things happened. Logs and heads are delivered as they stand there, and an answer lets
the pipeline go on when it went on then: just before it asked again, or ended its look. After each look the journal
holds it back until everything is delivered that its next look had before it.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from prometheus_client import CollectorRegistry

from core.config import Settings
from core.domain.controls import Controls
from core.domain.liquidation import CloseFactorMode
from core.domain.opportunity import Opportunity
from core.domain.units import Address
from core.errors import ChainError, ConfigError, StoreError
from core.ops.metrics import WorkerMetrics
from core.state.codec import unpack_opportunity
from core.state.memory import MemoryStore
from core.state.ports import Store
from worker.collectors.recorder import Entry, head_of, log_of
from worker.composition import make_pipeline
from worker.pipeline import Pipeline, Shared
from worker.recording import settings_of
from worker.replay_steps import Gate, GatedJournal, GatedOutbox, LedDetector, ReplayRpc, Steps
from worker.startup import Scene, set_scene


class Verdict(StrEnum):
    """Name how a replayed decision stands to the recording; the last look of a killed worker may be UNRECORDED."""

    SAME = "same"
    DIFFERENT = "different"
    UNRECORDED = "unrecorded"


HEARD = frozenset({"log", "head", "reorganisation", "check", "state"})

Decided = Callable[[Opportunity, Verdict], None]
"""Called with each decision, in order."""


@dataclass(slots=True)
class Replayed:
    """Count what was replayed; `recorded` are the recording's decisions, `same` those that were made again."""

    terms: int = 0
    heads: int = 0
    logs: int = 0
    looks: int = 0
    answers: int = 0
    decisions: int = 0
    recorded: int = 0
    same: int = 0
    different: int = 0
    seconds: float = 0.0

    @property
    def faithful(self) -> bool:
        """Tell whether every recorded decision was made again, and no other one."""
        return self.same == self.recorded and not self.different


async def replay(entries: Iterable[Entry], decided: Decided, speed: float | None = None) -> Replayed:
    """Replay every start of a recording, `speed` times as fast as it was, or as fast as it goes.

    Raise ReplayDiverged when the pipeline goes a way for which the recording has no answers, and ConfigError for
    entries that are no recording.
    """
    began = time.monotonic()
    result = Replayed()
    rows = iter(entries)
    entry = next(rows, None)
    while entry is not None:
        if entry["k"] != "term":
            raise ConfigError(f"the recording begins with {entry['k']!r}, not with a start of the worker")
        entry = await _Term(result, decided, speed).play(entry, rows)
    result.seconds = round(time.monotonic() - began, 3)
    return result


def comparable(opportunity: Opportunity) -> Opportunity:
    """Return what of an opportunity does not depend on the wall clock: neither its times nor its episode."""
    return replace(opportunity, seen_at=0.0, latency_ms=0.0, episode=0)


class _Term:
    """Play one start of the worker and what followed, until its end or the next start."""

    def __init__(self, result: Replayed, decided: Decided, speed: float | None) -> None:
        self._result = result
        self._decided = decided
        self._speed = speed
        self._rpc = ReplayRpc()
        self._gate = Gate()
        self._made: deque[Opportunity] = deque()
        self._heard: list[Entry] = []

    async def play(self, term: Entry, rows: Iterator[Entry]) -> Entry | None:
        """Return the entry of the next start, or None at the end."""
        for entry in rows:
            if entry["k"] == "term":  # this start never came to anything
                return entry
            if entry["k"] == "begin":
                return await self._walk(term, entry, rows)
            if entry["k"] == "answer":
                self._rpc.hold(entry)
        return None

    async def _walk(self, term: Entry, begin: Entry, rows: Iterator[Entry]) -> Entry | None:
        self._result.terms += 1
        self._rpc.release()
        pipeline = await self._compose(term, begin)
        self._rpc.gated = True
        walk = asyncio.create_task(pipeline.run(), name="pipeline")
        try:
            return await self._lead(pipeline, Steps(self._rpc, self._gate, walk), rows, begin["t"])
        finally:
            walk.cancel()
            await asyncio.wait([walk])

    async def _compose(self, term: Entry, begin: Entry) -> Pipeline:
        settings = settings_of(term["settings"])
        store = await _seeded(term["store"])
        scene = await self._scene(settings, store)
        mode = CloseFactorMode(settings.execution.close_factor_mode)
        shared = Shared(Controls(), mode, begin["stale_after"], head=scene.head)
        store.journal = GatedJournal(store.journal, self._gate, self._made.extend)
        store.outbox = GatedOutbox(store.outbox, self._gate)
        pipeline = await make_pipeline(
            settings,
            scene,
            store,
            shared,
            WorkerMetrics(CollectorRegistry()),
            lambda detector, shared: LedDetector(detector, shared, self._gate),
        )
        pipeline.begin_at(scene.head)
        return pipeline

    async def _scene(self, settings: Settings, store: Store) -> Scene:
        """Set the scene from recorded answers; attempts that failed then fail again, and end with their answers."""
        while True:
            try:
                return await set_scene(settings, self._rpc, store, lambda _stage, _done, _total: None)
            except ChainError:
                continue

    async def _lead(self, pipeline: Pipeline, steps: Steps, rows: Iterator[Entry], first: float) -> Entry | None:
        began = time.monotonic()
        for entry in rows:
            kind = entry["k"]
            if kind == "term":
                self._finish(pipeline)
                return entry
            if kind in HEARD:
                self._heard.append(entry)
            elif kind == "answer":
                self._result.answers += 1
                self._rpc.hold(entry)
            elif kind == "told":
                self._compare(entry["opportunities"])
            else:
                if self._speed is not None:
                    due = began + (entry["t"] - first) / self._speed
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                self._deliver(pipeline)
                if kind == "look":
                    self._result.looks += 1
                    self._settle(Verdict.DIFFERENT)
                await steps.step(kind, entry)
        self._finish(pipeline)
        return None

    def _finish(self, pipeline: Pipeline) -> None:
        self._deliver(pipeline)
        self._settle(Verdict.UNRECORDED)

    def _deliver(self, pipeline: Pipeline) -> None:
        """Deliver everything heard up to here in one go, as the pipeline had it before its next step."""
        heard, self._heard = self._heard, []
        now = time.monotonic()
        for entry in heard:
            if entry["k"] == "log":
                self._result.logs += 1
                pipeline.on_log(log_of(entry, now))
            elif entry["k"] == "head":
                self._result.heads += 1
                pipeline.on_head(head_of(entry, now))
            elif entry["k"] == "reorganisation":
                pipeline.on_reorganisation(entry["first"])
            elif entry["k"] == "check":
                pipeline.check(Address(entry["user"]), entry["words"], now)
            else:
                pipeline.on_state(entry["up"], entry["text"])

    def _compare(self, recorded: list[Any]) -> None:
        self._result.recorded += len(recorded)
        for fields in recorded:
            if self._made:
                mine = self._made.popleft()
                same = comparable(mine) == comparable(_opportunity(fields))
                self._tell(mine, Verdict.SAME if same else Verdict.DIFFERENT)

    def _settle(self, verdict: Verdict) -> None:
        """Tell of decisions that the recording does not have."""
        while self._made:
            self._tell(self._made.popleft(), verdict)

    def _tell(self, opportunity: Opportunity, verdict: Verdict) -> None:
        self._result.decisions += 1
        self._result.same += verdict is Verdict.SAME
        self._result.different += verdict is Verdict.DIFFERENT
        self._decided(opportunity, verdict)


async def _seeded(state: Entry) -> Store:
    """Return a store in memory that holds what the recorded start found in its own."""
    store: Store = MemoryStore()
    if state["discovered_to"] is not None:
        await store.borrowers.add([Address(user) for user in state["borrowers"]], state["discovered_to"])
    if state["snapshot"]:
        block, body = state["snapshot"]
        await store.snapshots.save(block, base64.b64decode(body))
    await store.journal.record([_opportunity(fields) for fields in state["opportunities"]], 0.0)
    return store


def _opportunity(fields: Any) -> Opportunity:
    try:
        return unpack_opportunity(fields)
    except StoreError as error:
        raise ConfigError(f"the recording has an opportunity that this version does not know: {error}") from error
