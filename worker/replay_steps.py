"""What lets a recording lead a pipeline step by step: a node, a detector and a journal that wait their turn."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from core.domain.messages import Event, Unknown
from core.domain.opportunity import Opportunity, State
from core.domain.units import Address
from core.errors import ChainError, LiquidbotError
from core.state.codec import unpack_controls
from core.state.ports import Journal, Outbox
from worker.chain.logs import Log
from worker.collectors.recorder import Entry, call_key, error_of
from worker.detection.looking import Detector, Look, Work
from worker.pipeline import Shared

PATIENCE_SECONDS = 5.0
"""The longest that the pipeline may take for a step of the recording; what it retries pauses for less."""

YIELDS = 100


class ReplayDiverged(LiquidbotError):
    """Say that the pipeline goes another way than the recorded one, so that the recording cannot answer it."""


class ReplayRpc:
    """Answer from a recording; while `gated`, each question waits until its answer is released."""

    name = "the recording"

    def __init__(self) -> None:
        self.gated = False
        self.asked: Counter[str] = Counter()
        self._held: list[Entry] = []
        self._ready: defaultdict[str, deque[Entry]] = defaultdict(deque)
        self._pending: defaultdict[str, deque[asyncio.Future[Entry]]] = defaultdict(deque)

    @property
    def waiting(self) -> bool:
        """Tell whether a question has no answer yet."""
        return any(self._pending.values())

    async def call(self, method: str, params: list[Any], within: float = 10.0) -> Any:
        """Return or raise what was answered then; raise ReplayDiverged for what was not asked at the start."""
        key = call_key(method, params)
        self.asked[key] += 1
        if self._ready[key]:
            return _result(self._ready[key].popleft())
        if not self.gated:
            raise ReplayDiverged(f"the start asks {method} with other words than were recorded")
        future = asyncio.get_running_loop().create_future()
        self._pending[key].append(future)
        return _result(await future)

    def hold(self, answer: Entry) -> None:
        """Keep an answer until it is released."""
        self._held.append(answer)

    def release(self) -> None:
        """Give the held answers to who asked, or keep them for who will."""
        held, self._held = self._held, []
        for answer in held:
            pending = self._pending[answer["key"]]
            if pending:
                pending.popleft().set_result(answer)
            else:
                self._ready[answer["key"]].append(answer)


def _result(answer: Entry) -> Any:
    if "error" in answer:
        raise error_of(answer["error"])
    return answer["result"]


class Gate:
    """Hold the pipeline back at the end of a look, and behind its journal until the next one."""

    def __init__(self) -> None:
        self.looks = 0
        self.ended = 0
        self.journal = asyncio.Event()
        self._end: asyncio.Future[Entry] | None = None

    @property
    def at_end(self) -> bool:
        """Tell whether a look is done and waits to be ended."""
        return self._end is not None

    async def end(self) -> Entry:
        """Wait until the recording ends this look too; return its mark."""
        self._end = asyncio.get_running_loop().create_future()
        try:
            return await self._end
        finally:
            self._end = None
            self.ended += 1

    def let_end(self, mark: Entry) -> None:
        """End the look that waits."""
        if self._end is not None:
            self.journal.clear()
            self._end.set_result(mark)


class LedDetector:
    """Look as the detector does, and see at the end what was beside it then: head's age, gas price, controls."""

    def __init__(self, detector: Detector, shared: Shared, gate: Gate) -> None:
        self._detector = detector
        self._shared = shared
        self._gate = gate

    def hear(self, log: Log) -> None:
        """Take in one log."""
        self._detector.hear(log)

    def take_back(self, floor: int) -> None:
        """Take in that the chain may be another one above a block."""
        self._detector.take_back(floor)

    async def look(self, work: Work, open_users: Collection[Address]) -> Look:
        """Look, and return when the recorded look did; raise what it raised."""
        self._gate.looks += 1
        try:
            look = await self._detector.look(work, open_users)
        except ChainError:
            self._take_over(await self._gate.end())
            raise
        self._take_over(await self._gate.end())
        return look

    def _take_over(self, mark: Entry) -> None:
        shared = self._shared
        shared.gas_price = mark["gas"]
        shared.controls = unpack_controls(mark["controls"])
        shared.quarantined, shared.halted = frozenset(mark.get("quarantined", ())), mark.get("halted", False)
        if shared.head is not None:
            shared.head = replace(shared.head, heard_at=time.monotonic() - mark["age"])


class GatedJournal:
    """Record, then wait for the recording's next look."""

    def __init__(self, journal: Journal, gate: Gate, take: Callable[[Sequence[Opportunity]], None]) -> None:
        self._journal = journal
        self._gate = gate
        self._take = take

    async def record(self, opportunities: Sequence[Opportunity], now: float) -> None:
        """Save and tell; see Journal."""
        self._take(opportunities)
        await self._journal.record(opportunities, now)
        await self._gate.journal.wait()

    async def last_ids(self) -> tuple[int, int]:
        """Return the highest id and the highest episode number; see Journal."""
        return await self._journal.last_ids()

    async def open_opportunities(self) -> list[Opportunity]:
        """Return those that are not over; see Journal."""
        return await self._journal.open_opportunities()

    async def opportunities(self, after_id: int = 0, limit: int = 1000) -> list[Opportunity]:
        """Return a page of them; see Journal."""
        return await self._journal.opportunities(after_id, limit)

    async def counts(self, since: float) -> dict[State, int]:
        """Count by state; see Journal."""
        return await self._journal.counts(since)


class GatedOutbox:
    """Append, then wait for the recording's next look."""

    def __init__(self, outbox: Outbox, gate: Gate) -> None:
        self._outbox = outbox
        self._gate = gate

    async def append(self, events: Sequence[Event], now: float) -> None:
        """Append events; see Outbox."""
        await self._outbox.append(events, now)
        await self._gate.journal.wait()

    async def read(self, after: int, limit: int = 500) -> list[tuple[int, Event | Unknown]]:
        """Return events in order; see Outbox."""
        return await self._outbox.read(after, limit)


class Steps:
    """Take the pipeline to each mark of the recording, and see that it gets there."""

    def __init__(self, rpc: ReplayRpc, gate: Gate, walk: asyncio.Task[None]) -> None:
        self._rpc = rpc
        self._gate = gate
        self._walk = walk
        self._asked: Counter[str] = Counter(rpc.asked)
        self._looks = 0
        self._ended = 0

    async def step(self, kind: str, entry: Entry) -> None:
        """Go to a mark; raise ReplayDiverged when the pipeline does not, and what ended it when it failed."""
        self._rpc.release()
        if kind == "look":
            self._looks += 1
            self._gate.journal.set()
            await self._until(lambda: self._gate.looks >= self._looks, lambda: False, entry)
        elif kind == "ask":
            key = entry["key"]
            self._asked[key] += 1
            await self._until(lambda: self._rpc.asked[key] >= self._asked[key], lambda: self._gate.at_end, entry)
        elif kind == "looked":
            self._ended += 1
            await self._until(lambda: self._gate.at_end, lambda: self._rpc.waiting, entry)
            self._gate.let_end(entry)
            await self._until(lambda: self._gate.ended >= self._ended, lambda: False, entry)

    async def _until(self, there: Callable[[], bool], elsewhere: Callable[[], bool], entry: Entry) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for tries in range(1 << 30):
            if there():
                return
            if self._walk.done():
                await self._walk
            if (tries > YIELDS and elsewhere()) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0 if tries < 2 * YIELDS else 0.001)
        what = {"look": "look", "ask": f"ask {entry.get('method')}", "looked": "end its look"}[entry["k"]]
        at = f"{entry['t']:.3f} s into the recording, look {self._looks}"
        raise ReplayDiverged(f"the pipeline does not {what} where it did then ({at}): it decides by other rules now")
