"""Read the worker's outbox in order and turn each event into what the chats should show, none lost, none twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from bot.alerts import Alerts
from bot.auth import Chats
from bot.notices import Notices
from bot.patience import Patience
from core.domain.messages import Event, OpportunityUpdated, Unknown
from core.ops.metrics import BotMetrics
from core.state.ports import Bell, Delivery, Store

logger = logging.getLogger(__name__)

_BATCH = 500
_GLANCE_SECONDS = 1.0


class Tail:
    """Follow the outbox from where the last batch was staged: events and cursor are saved in one transaction."""

    def __init__(self, store: Store, chats: Chats, chain_id: int, metrics: BotMetrics) -> None:
        self._outbox = store.outbox
        self._deliveries = store.deliveries
        self._bell: Bell = store.bell()
        self._alerts = Alerts(store.deliveries, chats, chain_id)
        self._notices = Notices(store.deliveries, chats)
        self._metrics = metrics
        self._patience = Patience("store", logger)

    async def run(self, ring: Callable[[], None]) -> None:
        """Follow until cancelled; `ring` is called when something is to be sent."""
        while True:
            if await self._patience.insist(self.step):
                ring()
            else:
                await self._patience.insist(lambda: self._bell.wait(_GLANCE_SECONDS))

    async def step(self) -> bool:
        """Stage the next batch; return False when there is none."""
        events = await self._outbox.read(await self._deliveries.cursor(), _BATCH)
        if not events:
            return False
        now = time.time()
        found = [event.opportunity for _, event in events if isinstance(event, OpportunityUpdated)]
        shown = await self._alerts.show(found, events[0][0], now)
        notices = await self._notice(events, now)
        await self._deliveries.stage(events[-1][0], shown.alerts, [*shown.deliveries, *notices])
        return True

    async def _notice(self, events: Sequence[tuple[int, Event | Unknown]], now: float) -> list[Delivery]:
        self._notices.begin()
        deliveries: list[Delivery] = []
        for sequence, event in events:
            if isinstance(event, Unknown):
                logger.warning("event %d is of a kind that this version does not know: %s", sequence, event.kind[:40])
                self._metrics.dropped.labels(reason="unknown_kind").inc()
            elif not isinstance(event, OpportunityUpdated):
                deliveries += await self._notices.show(sequence, event, now)
        return deliveries
