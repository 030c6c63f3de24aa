"""What answering needs: questions to the worker with a deadline, its last sign of life, and the bot's own facts."""

from __future__ import annotations

import asyncio
import time

from bot.codes import Codes
from bot.views import BotFacts
from core.domain.messages import Answer, Question, Unknown
from core.state.ports import Presence, Store

DEADLINE_SECONDS = 2.0
_GLANCE = 0.02
_COUNTED = 1000


class Desk:
    """Ask on behalf of the commands."""

    def __init__(self, store: Store, version: str) -> None:
        self.store = store
        self.codes = Codes(store)
        self._version = version
        self._began = time.monotonic()

    async def ask(self, question: Question) -> Answer | Unknown | None:
        """Return the worker's answer, or None when there is none within two seconds."""
        now = time.time()
        number = await self.store.queries.ask(question, now + DEADLINE_SECONDS, now)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            answer = await self.store.queries.answer_to(number)
            if answer is not None:
                return answer
            await asyncio.sleep(_GLANCE)
        return None

    async def worker(self) -> Presence | None:
        """Return the worker's last sign of life."""
        return await self.store.presences.presence("worker")

    async def facts(self) -> BotFacts:
        """Return what the bot knows of itself; it counts at most 1,000 waiting messages."""
        waiting = len(await self.store.deliveries.due(time.time(), _COUNTED))
        return BotFacts(self._version, time.monotonic() - self._began, waiting)
