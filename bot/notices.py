"""Decide what the chats should show of the worker itself: starts, stops, warnings, controls, refused commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from bot import views
from bot.auth import Chats
from bot.cards import Card, decode_card
from bot.replies import answer, reply_of
from core.domain.messages import CommandRefused, ControlsChanged, WorkerStarted, WorkerStopped, WorkerWarned
from core.state.ports import Deliveries, Delivery, Lane

Notice: TypeAlias = ControlsChanged | CommandRefused | WorkerStarted | WorkerStopped | WorkerWarned


class Notices:
    """Turn the worker's own events into messages and into the ends of replies."""

    def __init__(self, deliveries: Deliveries, chats: Chats) -> None:
        self._deliveries = deliveries
        self._chats = chats
        self._warnings: dict[str, tuple[int, Card | None]] = {}

    def begin(self) -> None:
        """Forget what an earlier batch showed: whether it was saved, only the store knows."""
        self._warnings.clear()

    async def show(self, sequence: int, event: Notice, now: float) -> list[Delivery]:
        """Return the messages that change; `sequence` is the event's number and names a message opened by it."""
        match event:
            case ControlsChanged():
                return await self._changed(sequence, event)
            case CommandRefused():
                refused = await self._end_reply(event.command_id, views.refused_html(event))
                return [refused] if refused else []
            case WorkerStarted():
                return self._to(self._chats.alerted(), f"event:{sequence}", Card(views.started_html(event)))
            case WorkerStopped():
                return self._to(self._chats.alerted(), f"event:{sequence}", Card(views.stopped_html(event)))
            case WorkerWarned():
                return await self._warned(event, now)

    async def _changed(self, sequence: int, event: ControlsChanged) -> list[Delivery]:
        reply = await self._end_reply(event.command_id, views.applied_html(event))
        others = [chat for chat in self._chats.alerted() if reply is None or chat != reply.chat_id]
        notices = self._to(others, f"event:{sequence}", Card(views.changed_alone_html(event)))
        return [reply, *notices] if reply else notices

    async def _end_reply(self, command: str, html: str) -> Delivery | None:
        place = reply_of(command)
        existing = await self._deliveries.get(*place) if place else None
        if existing is None:
            return None
        card = replace(decode_card(existing.content), html=html, buttons=(), command="")
        return answer(existing.key, existing.chat_id, card)

    def _to(self, chats: Sequence[int], key: str, card: Card) -> list[Delivery]:
        return [Delivery(key, chat, Lane.OUTCOME, card.encode()) for chat in chats]

    async def _warned(self, event: WorkerWarned, now: float) -> list[Delivery]:
        number, card = await self._last_warning(event.code)
        over = card is None or card.facts["resolved"] == "yes"
        if over and event.resolved:
            return []  # its beginning was never told, so its end is no news
        if card is None or over:
            number, facts = number + 1, {"times": "0", "first": str(now), "resolved": ""}
        else:
            facts = card.facts
        times = int(facts["times"]) + (not event.resolved)
        facts = facts | {"times": str(times), "resolved": "yes" if event.resolved else ""}
        html = views.warned_html(event.text, times, float(facts["first"]), now, event.resolved)
        shown = Card(html, facts=facts)
        self._warnings[event.code] = (number, shown)
        return self._to(self._chats.alerted(), _warning_key(event.code, number), shown)

    async def _last_warning(self, code: str) -> tuple[int, Card | None]:
        if code not in self._warnings:
            number = await self._count_warnings(code)
            row = await self._warning(code, number) if number else None
            self._warnings[code] = (number, decode_card(row.content) if row else None)
        return self._warnings[code]

    async def _count_warnings(self, code: str) -> int:
        """Return how many messages this code has had: they are numbered from 1 without a gap."""
        high = 1
        while await self._warning(code, high):
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await self._warning(code, middle) else (low, middle)
        return low

    async def _warning(self, code: str, number: int) -> Delivery | None:
        chats = self._chats.alerted()
        return await self._deliveries.get(_warning_key(code, number), chats[0]) if chats else None


def _warning_key(code: str, number: int) -> str:
    return f"warn:{code[:60]}:{number}"
