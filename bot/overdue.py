"""Keep replies from waiting for ever: for a worker that does not take a command, or for a code that ran out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from bot.cards import compose, decode_card
from bot.desk import Desk
from bot.dryrun import title
from bot.patience import Patience
from bot.replies import answer, reply_of
from bot.views import because, silence
from core.domain.controls import STALE_AFTER_SECONDS
from core.domain.messages import Command
from core.state.ports import Delivery

logger = logging.getLogger(__name__)

ACKNOWLEDGED_WITHIN_SECONDS = 5.0
_LOOK_SECONDS = 1.0


class Overdue:
    """Watch the commands that the worker has not marked, and the codes that nobody typed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._patience = Patience("store", logger)

    async def run(self, ring: Callable[[], None]) -> None:
        """Watch until cancelled; `ring` is called when a reply changes."""
        while True:
            if await self._patience.insist(self._step):
                ring()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _step(self) -> bool:
        now = time.time()
        late = [
            delivery
            for command, stored_at in await self._desk.store.mailbox.unhandled()
            if now - stored_at > ACKNOWLEDGED_WITHIN_SECONDS and (delivery := await self._late(command, now))
        ]
        if late:
            await self._desk.store.deliveries.stage(0, [], late)
        expired = await self._desk.codes.sweep(now)
        return bool(late) or expired

    async def _late(self, command: Command, now: float) -> Delivery | None:
        place = reply_of(command.id)
        row = await self._desk.store.deliveries.get(*place) if place else None
        card = decode_card(row.content) if row else None
        if row is None or card is None or not card.command or card.facts.get("late"):
            return None
        when = (
            "it is applied as soon as the worker is back"
            if command.enabled
            else f"the worker refuses it when it is older than {STALE_AFTER_SECONDS} s"
        )
        html = (
            f"⏳ {title(enabled=command.enabled)}: stored, not confirmed: {silence(await self._desk.worker(), now)}"
            f"\n{when}"
        )
        html = compose([html, because(command.reason)])
        return answer(row.key, row.chat_id, replace(card, html=html, facts=card.facts | {"late": "yes"}))
