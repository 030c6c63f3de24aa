"""What the worker writes: journal, outbox, controls and borrowers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from core.domain.controls import Controls
from core.domain.messages import Event, Unknown, encode
from core.domain.opportunity import OVER, Opportunity, State
from core.domain.units import Address
from core.errors import Superseded
from core.state.codec import pack_controls, pack_opportunity, unpack_controls, unpack_event, unpack_opportunity
from core.state.memory.disk import Session, Spell


class MemoryJournal:
    """Keep the journal in a dictionary."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def last_ids(self) -> tuple[int, int]:
        """Return the highest id and the highest episode number; see Journal."""
        spells = self._session.disk.opportunities
        return max(spells, default=0), max((spell.episode for spell in spells.values()), default=0)

    async def record(self, opportunities: Sequence[Opportunity], now: float) -> None:
        """Save and tell; see Journal."""
        disk = self._session.disk
        spells: dict[int, Spell] = {}
        bodies = [pack_opportunity(opportunity) for opportunity in opportunities]
        for one, body in zip(opportunities, bodies, strict=True):
            known = spells.get(one.id) or disk.opportunities.get(one.id)
            if known and (known.user, known.episode) != (one.user, one.episode):
                raise Superseded("another worker gave one of these opportunity ids to another account")
            spells[one.id] = Spell(one.user, one.episode, one.state in OVER, body)
        if bodies:
            disk.opportunities.update(spells)
            disk.outbox.extend(bodies)
            self._session.changed()

    async def open_opportunities(self) -> list[Opportunity]:
        """Return those that are not over; see Journal."""
        spells = sorted(self._session.disk.opportunities.items())
        return [unpack_opportunity(spell.body) for _, spell in spells if not spell.over]

    async def opportunities(self, after_id: int = 0, limit: int = 1000) -> list[Opportunity]:
        """Return a page of them; see Journal."""
        spells = [spell for number, spell in sorted(self._session.disk.opportunities.items()) if number > after_id]
        return [unpack_opportunity(spell.body) for spell in spells[:limit]]

    async def counts(self, since: float) -> dict[State, int]:
        """Count by state; see Journal."""
        found = (unpack_opportunity(spell.body) for spell in self._session.disk.opportunities.values())
        return dict(Counter(one.state for one in found if one.seen_at >= since))


class MemoryOutbox:
    """Keep events in a list; an event's number is its place, counted from 1."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def append(self, events: Sequence[Event], now: float) -> None:
        """Append events; see Outbox."""
        bodies = [encode(event) for event in events]
        if bodies:
            self._session.disk.outbox.extend(bodies)
            self._session.changed()

    async def read(self, after: int, limit: int = 500) -> list[tuple[int, Event | Unknown]]:
        """Return events in order; see Outbox."""
        bodies = self._session.disk.outbox[after : after + limit]
        return [(number, unpack_event(body)) for number, body in enumerate(bodies, after + 1)]


class MemoryControls:
    """Keep the controls."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def load(self) -> Controls:
        """Return the current controls; see ControlStore."""
        raw = self._session.disk.controls
        return Controls() if raw is None else unpack_controls(raw)

    async def save(self, controls: Controls, event: Event, handled: str, now: float) -> None:
        """Save controls with their event and mark the command; see ControlStore."""
        disk = self._session.disk
        stored = (await self.load()).version
        if controls.version != stored + 1:
            raise Superseded(f"controls version {controls.version} cannot follow version {stored}")
        posted = self._session.waiting(handled) if handled else None
        body = encode(event)
        disk.controls = pack_controls(controls)
        disk.outbox.append(body)
        if posted:
            posted.handled = True
        self._session.changed()


class MemoryBorrowers:
    """Keep borrowers in the order of their discovery."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def discovered_to(self) -> int | None:
        """Return the mark; see Borrowers."""
        return self._session.disk.discovered_to

    async def add(self, borrowers: Sequence[Address], to_block: int) -> None:
        """Add addresses and move the mark; see Borrowers."""
        disk = self._session.disk
        for user in borrowers:
            disk.borrowers.setdefault(user)
        disk.discovered_to = to_block
        self._session.changed()

    async def all(self) -> list[Address]:
        """Return every borrower; see Borrowers."""
        return list(self._session.disk.borrowers)


class MemorySnapshots:
    """Keep the last snapshot as it was given."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def save(self, block: int, body: bytes) -> None:
        """Keep a snapshot; see Snapshots."""
        self._session.disk.snapshot = (block, body)
        self._session.changed()

    async def latest(self) -> tuple[int, bytes] | None:
        """Return the last snapshot; see Snapshots."""
        return self._session.disk.snapshot
