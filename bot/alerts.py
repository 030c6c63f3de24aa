"""Decide what the chats should show of opportunities: one alert per episode, or one board for a storm of them.

While few come, each episode has a message of its own that is edited through its states. When more than 8 alerts would
be opened within 20 s, the new ones share one board message instead; each stays on the board that it began on. Singles
come back when fewer than 3 were opened within 20 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bot.alert_views import board_html, opportunity_buttons, opportunity_html
from bot.auth import Chats
from bot.cards import Card
from core.domain.opportunity import Opportunity
from core.state.ports import Alert, Deliveries, Delivery, Lane

WINDOW_SECONDS = 20.0
MOST_SINGLES = 8
CALM_BELOW = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """Hold what one batch of events changes: alerts to save and messages to send or change."""

    alerts: tuple[Alert, ...]
    deliveries: tuple[Delivery, ...]


class Alerts:
    """Turn opportunities into alerts for every alert chat."""

    def __init__(self, deliveries: Deliveries, chats: Chats, chain_id: int) -> None:
        self._deliveries = deliveries
        self._chats = chats
        self._chain_id = chain_id

    async def show(self, opportunities: Sequence[Opportunity], sequence: int, now: float) -> Shown:
        """Return what changes; `sequence` is the number of the batch's first event and names a board opened by it."""
        latest = _latest(opportunities)
        known = {key: await self._deliveries.alert(key) for key in latest}
        opened = [latest[key] for key, alert in known.items() if alert is None]
        board = await self._board(len(opened), sequence, now)
        changed = [Alert(item.episode_key, now, item, board) for item in opened]
        for key, alert in known.items():
            if alert is not None and latest[key].id >= alert.opportunity.id:
                changed.append(replace(alert, opportunity=latest[key]))
        return Shown(tuple(changed), tuple(await self._deliver(changed)))

    async def _board(self, opened: int, sequence: int, now: float) -> str:
        if not opened:
            return ""
        recent = await self._deliveries.alerts(since=now - WINDOW_SECONDS)
        current = next((alert.board for alert in reversed(recent) if alert.board), "")
        count = len(recent) + opened
        if current and count >= CALM_BELOW:
            return current
        return f"board:{sequence}" if count > MOST_SINGLES else ""

    async def _deliver(self, changed: Sequence[Alert]) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for alert in changed:
            if not alert.board:
                item = alert.opportunity
                card = Card(opportunity_html(item, self._chain_id), opportunity_buttons(item, self._chain_id))
                deliveries += await self._to_all(f"alert:{alert.episode_key}", card)
        for board in dict.fromkeys(alert.board for alert in changed if alert.board):
            members = {alert.episode_key: alert for alert in await self._deliveries.alerts(board=board)}
            members |= {alert.episode_key: alert for alert in changed if alert.board == board}
            card = Card(board_html(list(members.values()), self._chain_id))
            deliveries += await self._to_all(board, card)
        return deliveries

    async def _to_all(self, key: str, card: Card) -> list[Delivery]:
        content = card.encode()
        return [
            Delivery(key, chat, await lane_of(self._deliveries, key, chat, Lane.ALERT), content)
            for chat in self._chats.alerted()
        ]


async def lane_of(deliveries: Deliveries, key: str, chat_id: int, first: Lane) -> Lane:
    """Return EDIT for a message that the chat has already, else `first`."""
    existing = await deliveries.get(key, chat_id)
    return Lane.EDIT if existing is not None and existing.message_id is not None else first


def _latest(opportunities: Iterable[Opportunity]) -> dict[str, Opportunity]:
    latest: dict[str, Opportunity] = {}
    for item in opportunities:
        before = latest.get(item.episode_key)
        if before is None or item.id >= before.id:
            latest[item.episode_key] = item
    return latest
