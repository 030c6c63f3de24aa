"""What the bot remembers of the chats: alerts, deliveries and how far the outbox was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.errors import StoreError
from core.state.codec import pack_opportunity, unpack_opportunity
from core.state.memory.disk import Session, Told
from core.state.ports import Alert, Delivery, DeliveryState


class MemoryDeliveries:
    """Keep what each chat should show beside what it shows."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def cursor(self) -> int:
        """Return the number of the last event turned into deliveries; see Deliveries."""
        return self._session.disk.cursor

    async def stage(self, cursor: int, alerts: Sequence[Alert], deliveries: Sequence[Delivery]) -> None:
        """Save alerts and deliveries and move the cursor; see Deliveries."""
        disk = self._session.disk
        told = {one.episode_key: Told(one.opened_at, one.board, pack_opportunity(one.opportunity)) for one in alerts}
        disk.alerts.update(told)
        for delivery in deliveries:
            self._stage(delivery)
        disk.cursor = max(disk.cursor, cursor)
        self._session.changed()

    def _stage(self, wanted: Delivery) -> None:
        known = self._session.disk.deliveries.get((wanted.key, wanted.chat_id))
        if known is None:
            self._put(wanted, moved=True)
            return
        sent = known.state is DeliveryState.SENT
        state = DeliveryState.QUEUED if sent else known.state
        changed = replace(known, lane=wanted.lane, content=wanted.content, revision=known.revision + 1, state=state)
        self._put(changed, moved=sent)

    async def due(self, now: float, limit: int = 100) -> list[Delivery]:
        """Return deliveries whose time has come; see Deliveries."""
        disk = self._session.disk
        waiting = [
            delivery
            for delivery in disk.deliveries.values()
            if delivery.state in (DeliveryState.QUEUED, DeliveryState.UNKNOWN) and delivery.not_before <= now
        ]
        return sorted(waiting, key=lambda one: (one.lane, disk.places[one.key, one.chat_id]))[:limit]

    async def get(self, key: str, chat_id: int) -> Delivery | None:
        """Return one delivery; see Deliveries."""
        return self._session.disk.deliveries.get((key, chat_id))

    async def sending(self, delivery: Delivery) -> None:
        """Save that the HTTP call begins; see Deliveries."""
        known = self._staged(delivery)
        self._put(replace(known, state=DeliveryState.SENDING, attempts=known.attempts + 1))
        self._session.changed()

    async def settle(self, delivery: Delivery) -> None:
        """Save how the HTTP call ended; see Deliveries."""
        known = self._staged(delivery)
        stale = delivery.state is DeliveryState.SENT and known.revision > delivery.revision
        settled = replace(
            known,
            state=DeliveryState.QUEUED if stale else delivery.state,
            message_id=delivery.message_id,
            not_before=delivery.not_before,
            note=delivery.note,
        )
        self._put(settled, moved=stale)
        self._session.changed()

    async def recover(self) -> int:
        """Turn every SENDING into UNKNOWN; see Deliveries."""
        sending = [one for one in self._session.disk.deliveries.values() if one.state is DeliveryState.SENDING]
        for one in sending:
            self._put(replace(one, state=DeliveryState.UNKNOWN))
        self._session.changed()
        return len(sending)

    async def alert(self, episode_key: str) -> Alert | None:
        """Return one alert; see Deliveries."""
        told = self._session.disk.alerts.get(episode_key)
        return _alert(episode_key, told) if told else None

    async def alerts(self, *, board: str | None = None, since: float = 0.0) -> list[Alert]:
        """Return alerts, oldest first; see Deliveries."""
        found = [
            (key, told)
            for key, told in self._session.disk.alerts.items()
            if board in (None, told.board) and told.opened_at >= since
        ]
        return [_alert(key, told) for key, told in sorted(found, key=lambda pair: pair[1].opened_at)]

    def _staged(self, delivery: Delivery) -> Delivery:
        known = self._session.disk.deliveries.get((delivery.key, delivery.chat_id))
        if known is None:
            raise StoreError(f"delivery {delivery.key} to chat {delivery.chat_id} was never staged")
        return known

    def _put(self, delivery: Delivery, *, moved: bool = False) -> None:
        """Keep a delivery; `moved` sends it to the end of those that wait."""
        disk = self._session.disk
        where = (delivery.key, delivery.chat_id)
        disk.deliveries[where] = delivery
        if moved:
            disk.last_place += 1
            disk.places[where] = disk.last_place


def _alert(key: str, told: Told) -> Alert:
    return Alert(key, told.opened_at, unpack_opportunity(told.body), told.board)
