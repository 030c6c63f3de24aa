"""Take in what people type and press: stored before Telegram may forget it, and handled once in effect."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from bot.patience import Patience
from bot.reception import Reception
from bot.telegram import POLL_FAILURES, Polled, Telegram
from core.errors import StoreUnavailable
from core.ops.metrics import BotMetrics
from core.state.ports import Inbox

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 1.0
_BATCH = 100


class Poller:
    """Ask Telegram for updates, and confirm them only once they are in the store."""

    def __init__(self, telegram: Telegram, inbox: Inbox, metrics: BotMetrics, poll_seconds: int = 30) -> None:
        self._telegram = telegram
        self._inbox = inbox
        self._metrics = metrics
        self._seconds = poll_seconds
        self._offset = 0
        self._store = Patience("store", logger)
        self._trouble = {kind: Patience("Telegram", logger) for kind in POLL_FAILURES}
        self.polled_at = 0.0

    async def run(self, ring: Callable[[], None], may_poll: Callable[[], bool]) -> None:
        """Poll until cancelled; `ring` is called when something new is in the store."""
        while True:
            if not may_poll():
                await asyncio.sleep(0.1)
                continue
            polled = await self._telegram.poll(self._offset, self._seconds)
            if not isinstance(polled, Polled):
                if polled.kind == "conflict":
                    self._metrics.conflicts.inc()
                await self._trouble[polled.kind].wait(polled.reason, polled.pause)
                continue
            self.polled_at = time.monotonic()
            for patience in self._trouble.values():
                patience.relax()
            if polled.updates:
                updates = polled.updates
                await self._store.insist(lambda: self._inbox.store(updates, time.time()))  # noqa: B023  (awaited here)
                self._offset = max(update_id for update_id, _ in updates) + 1
                ring()


class Intake:
    """Handle stored updates: those of one chat in order, different chats side by side, lowered risk at once."""

    def __init__(self, inbox: Inbox, reception: Reception) -> None:
        self._inbox = inbox
        self._reception = reception
        self._wake = asyncio.Event()
        self._patience = Patience("store", logger)
        self._underway: dict[int, asyncio.Task[None]] = {}
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()  # kept by those who wait in them
        self._stopping = False

    def ring(self) -> None:
        """Say that there may be new updates."""
        self._wake.set()

    async def run(self) -> None:
        """Handle updates until cancelled."""
        async with asyncio.TaskGroup() as handlers:
            while True:
                self._wake.clear()
                pending = await self._patience.insist(lambda: self._inbox.pending(_BATCH + len(self._underway)))
                for update_id, raw in pending:
                    if update_id not in self._underway and not self._stopping:
                        task = handlers.create_task(self._handle(update_id, raw), name=f"update {update_id}")
                        self._underway[update_id] = task
                await self._rest()

    async def drain(self, seconds: float) -> None:
        """Begin nothing new and wait for what is being handled, at most so long; the rest stays in the store."""
        self._stopping = True
        if self._underway:
            await asyncio.wait(self._underway.values(), timeout=seconds)

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_SECONDS):  # wait_for would lose a cancellation that comes with the ring
                await self._wake.wait()

    async def _handle(self, update_id: int, raw: str) -> None:
        try:
            update = self._reception.read(update_id, raw)
            if update is not None and not self._reception.is_urgent(update):
                turn = self._turns.setdefault(update.place.id, asyncio.Lock())
                async with turn:
                    await self._reception.receive(update)
            elif update is not None:
                await self._reception.receive(update)
            await self._inbox.done(update_id, time.time())
        except StoreUnavailable as error:
            await self._patience.wait(error)  # still pending, so it is handled when the store is back
            self._wake.set()
        finally:
            del self._underway[update_id]
