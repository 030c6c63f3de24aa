"""Queue what the bot has yet to hear: sequential ids, confirmation by offset, one consumer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from devnet.botapi.errors import OTHER_POLLER, conflict
from devnet.botapi.model import Json

_DEFAULT_KINDS = ("message", "edited_message", "callback_query", "my_chat_member")
_CONFLICT_PAUSE = 3.0
_GLANCE = 0.2


class UpdateQueue:
    """Keep updates until the bot confirms them by asking for a higher offset."""

    def __init__(self, first_id: int) -> None:
        self.pending: list[Json] = []
        self.confirmed = 0
        self.filtered = 0
        self.allowed: list[str] = []
        self._next_id = first_id
        self._bell = asyncio.Event()
        self._poller: object | None = None
        self._next_conflict = 0.0

    def add(self, kind: str, payload: Json) -> int:
        """Queue an update and return its id, or 0 where the bot's `allowed_updates` leave this kind out."""
        if kind not in (self.allowed or _DEFAULT_KINDS):
            self.filtered += 1
            return 0
        update_id = self._next_id
        self._next_id += 1
        self.pending.append({"update_id": update_id, kind: payload})
        self._ring()
        return update_id

    def drop_pending(self) -> None:
        """Forget everything unconfirmed, as `drop_pending_updates` asks."""
        self.pending.clear()

    async def poll(self, offset: int, limit: int, seconds: float, is_gone: Callable[[], bool]) -> list[Json]:
        """Return up to `limit` updates from `offset`, waiting that many `seconds` for the first.

        Everything below a positive offset is confirmed and forgotten; a negative one counts from the end. As at
        Telegram it is the waiting request that loses with 409 when another one comes to wait.
        """
        self._confirm(offset)
        if self.pending or seconds <= 0:
            return self.pending[:limit]
        self._poller = me = object()
        self._ring()
        deadline = time.monotonic() + seconds
        while not self.pending and time.monotonic() < deadline and not is_gone():
            bell = self._bell
            try:
                await asyncio.wait_for(bell.wait(), min(_GLANCE, max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                continue
            if self._poller is not me:
                await self._pause_between_conflicts()
                raise conflict(OTHER_POLLER)
        if self._poller is me:
            self._poller = None
        return [] if is_gone() else self.pending[:limit]

    def interrupt(self) -> None:
        """Wake whoever waits, as a new webhook does; the waiting request loses with 409."""
        self._poller = None
        self._ring()

    def _confirm(self, offset: int) -> None:
        before = len(self.pending)
        if offset < 0:
            self.pending = self.pending[offset:]
        elif offset > 0:
            self.pending = [update for update in self.pending if update["update_id"] >= offset]
        self.confirmed += before - len(self.pending)

    def _ring(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()

    async def _pause_between_conflicts(self) -> None:
        """Answer one conflict in three seconds at once and the others late, as Telegram damps two fighting pollers."""
        moment = time.monotonic()
        if moment < self._next_conflict:
            await asyncio.sleep(_CONFLICT_PAUSE)
        else:
            self._next_conflict = moment + _CONFLICT_PAUSE
