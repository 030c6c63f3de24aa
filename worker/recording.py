"""What a recording holds beside heads, logs and answers: how each start began, and where each look began and ended.

With these marks the same pipeline can be led through the same steps later, without a chain: see `worker.replaying`.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Collection, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from core.config import SECTIONS, Settings
from core.domain.opportunity import Opportunity, State
from core.domain.units import Address
from core.state.codec import pack_controls, pack_opportunity
from core.state.ports import Journal, Store
from worker.chain.delivery import FeedSink
from worker.chain.logs import Log
from worker.chain.rpc import Rpc
from worker.collectors.borrowers import read_borrowers_file
from worker.collectors.recorder import Entry, RecordingCheck, RecordingRpc, RecordingSink, Tape, head_fields
from worker.composition import known_opportunities
from worker.detection.looking import Detector, Look, Work
from worker.foresight import Check
from worker.pipeline import Shared
from worker.startup import Scene

RECORDED_SECTIONS = ("chain", "detection", "predictive", "execution")
NEVER = 1 << 62
"""A block that no discovery reaches: the borrowers of a file are all there are."""

_LOOKING: ContextVar[bool] = ContextVar("_LOOKING", default=False)


class Recording:
    """Wrap the parts of one worker so that they are recorded; with no tape, hand them back as they are."""

    def __init__(self, tape: Tape | None = None) -> None:
        self._tape = tape
        self._starting = False

    @classmethod
    def to(cls, path: str | None) -> Recording:
        """Return a recording to a file, or none; raise ConfigError when the file cannot be made."""
        return cls(Tape(Path(path)) if path else None)

    def close(self) -> None:
        """End the recording."""
        if self._tape:
            self._tape.close()

    async def begin_term(self, settings: Settings, store: Store) -> None:
        """Write down what a start stands on: settings without secrets and addresses, and what the store holds."""
        if self._tape:
            self._starting = True
            borrowers = settings.chain.borrowers_file
            state = await store_fields(store, read_borrowers_file(borrowers) if borrowers else None)
            self._tape.write("term", settings=settings_fields(settings), store=state)

    def rpc(self, rpc: Rpc) -> Rpc:
        """Record what the start asks, and later what a look asks; other questions decide nothing."""
        return RecordingRpc(rpc, self._tape, lambda: self._starting or _LOOKING.get()) if self._tape else rpc

    def begin(self, scene: Scene, shared: Shared) -> None:
        """Mark the end of the start: from now on the feed's logs and heads come."""
        if self._tape:
            self._starting = False
            self._tape.write("begin", stale_after=shared.stale_after, head=head_fields(scene.head))

    def sink(self, sink: FeedSink) -> FeedSink:
        """Record what the feed delivers."""
        return RecordingSink(sink, self._tape) if self._tape else sink

    def check(self, check: Check) -> Check:
        """Record which single checks were hits."""
        return RecordingCheck(check, self._tape) if self._tape else check

    def detector(self, detector: Detector, shared: Shared) -> Detector:
        """Record where each look begins and ends."""
        return _MarkedDetector(detector, shared, self._tape) if self._tape else detector

    def store(self, store: Store) -> Store:
        """Record what is journaled."""
        if self._tape is None:
            return store
        recorded = copy.copy(store)
        recorded.journal = _RecordedJournal(store.journal, self._tape)
        return recorded


def settings_fields(settings: Settings) -> Entry:
    """Return the settings that decide something, without secrets and addresses of nodes."""
    fields: Entry = {}
    for section in RECORDED_SECTIONS:
        values = getattr(settings, section).model_dump(mode="json")
        plain = {name: value for name, value in values.items() if not _private(getattr(settings, section), name)}
        fields[section] = plain
    return fields


def _private(section: Any, name: str) -> bool:
    value = getattr(section, name)
    parts = value if isinstance(value, tuple) else (value,)
    return any(isinstance(part, SecretStr) or (isinstance(part, str) and "://" in part) for part in parts)


def settings_of(fields: Entry) -> Settings:
    """Return recorded settings over today's defaults; what a newer version called otherwise is left out."""
    sections: dict[str, Any] = {name: kind.model_validate(fields.get(name, {})) for name, kind in SECTIONS.items()}
    sections["chain"] = sections["chain"].model_copy(update={"borrowers_file": ""})  # its content is in the recording
    return Settings(**sections, sources={})


async def store_fields(store: Store, borrowers: list[Address] | None) -> Entry:
    """Return what a start reads from the store; `borrowers` are those of a file instead."""
    snapshot = await store.snapshots.latest()
    return {
        "borrowers": await store.borrowers.all() if borrowers is None else borrowers,
        "discovered_to": await store.borrowers.discovered_to() if borrowers is None else NEVER,
        "snapshot": [snapshot[0], base64.b64encode(snapshot[1]).decode()] if snapshot else None,
        "opportunities": [pack_opportunity(each) for each in await known_opportunities(store.journal)],
    }


class _MarkedDetector:
    """Mark each look, with what decides beside it: the head's age, the gas price, the controls and whom we distrust."""

    def __init__(self, detector: Detector, shared: Shared, tape: Tape) -> None:
        self._detector = detector
        self._shared = shared
        self._tape = tape

    def hear(self, log: Log) -> None:
        self._detector.hear(log)

    def take_back(self, floor: int) -> None:
        self._detector.take_back(floor)

    async def look(self, work: Work, open_users: Collection[Address]) -> Look:
        self._tape.write("look", block=work.block)
        token = _LOOKING.set(True)
        try:
            return await self._detector.look(work, open_users)
        finally:
            _LOOKING.reset(token)
            shared = self._shared
            controls = pack_controls(shared.controls)
            age = round(min(shared.head_age(), NEVER), 3)
            distrust = {"quarantined": sorted(shared.quarantined), "halted": shared.halted}
            self._tape.write("looked", age=age, gas=shared.gas_price, controls=controls, **distrust)


class _RecordedJournal:
    """Write down what is decided once it is saved."""

    def __init__(self, journal: Journal, tape: Tape) -> None:
        self._journal = journal
        self._tape = tape

    async def record(self, opportunities: Sequence[Opportunity], now: float) -> None:
        await self._journal.record(opportunities, now)
        self._tape.write("told", opportunities=[pack_opportunity(each) for each in opportunities])
        self._tape.flush()  # what was decided outlives a kill

    async def last_ids(self) -> tuple[int, int]:
        return await self._journal.last_ids()

    async def open_opportunities(self) -> list[Opportunity]:
        return await self._journal.open_opportunities()

    async def opportunities(self, after_id: int = 0, limit: int = 1000) -> list[Opportunity]:
        return await self._journal.opportunities(after_id, limit)

    async def counts(self, since: float) -> dict[State, int]:
        return await self._journal.counts(since)
