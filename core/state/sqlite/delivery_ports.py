"""What the bot remembers of the chats: alerts, deliveries and how far the outbox was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.errors import StoreError
from core.state.codec import pack_opportunity, unpack_opportunity
from core.state.ports import Alert, Delivery, DeliveryState, Lane
from core.state.sqlite.database import Database

_COLUMNS = "key, chat_id, lane, content, state, message_id, revision, attempts, not_before, note"
_LAST_PLACE = "(SELECT ifnull(max(place), 0) + 1 FROM delivery)"
_STAGE = f"""
INSERT INTO delivery ({_COLUMNS}, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {_LAST_PLACE})
ON CONFLICT (key, chat_id) DO UPDATE SET
    lane = excluded.lane,
    content = excluded.content,
    revision = revision + 1,
    place = CASE state WHEN 'sent' THEN excluded.place ELSE place END,
    state = CASE state WHEN 'sent' THEN 'queued' ELSE state END
"""  # noqa: S608  (made of constants)
_SETTLE = f"""
UPDATE delivery SET
    message_id = :message_id,
    not_before = :not_before,
    note = :note,
    place = CASE WHEN :state = 'sent' AND revision > :revision THEN {_LAST_PLACE} ELSE place END,
    state = CASE WHEN :state = 'sent' AND revision > :revision THEN 'queued' ELSE :state END
WHERE key = :key AND chat_id = :chat_id
"""  # noqa: S608  (made of constants)


class SqliteDeliveries:
    """Keep what each chat should show beside what it shows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cursor(self) -> int:
        """Return the number of the last event turned into deliveries; see Deliveries."""
        row = await self._database.row("SELECT n FROM outbox_cursor")
        return row[0] if row else 0

    async def stage(self, cursor: int, alerts: Sequence[Alert], deliveries: Sequence[Delivery]) -> None:
        """Save alerts and deliveries and move the cursor; see Deliveries."""
        async with self._database.write() as connection:
            await connection.executemany(
                "INSERT INTO alert (episode_key, opened_at, board, body) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (episode_key) DO UPDATE SET "
                "opened_at = excluded.opened_at, board = excluded.board, body = excluded.body",
                [(one.episode_key, one.opened_at, one.board, pack_opportunity(one.opportunity)) for one in alerts],
            )
            await connection.executemany(_STAGE, [_values(delivery) for delivery in deliveries])
            await connection.execute(
                "INSERT INTO outbox_cursor (one, n) VALUES (1, ?) "
                "ON CONFLICT (one) DO UPDATE SET n = max(n, excluded.n)",
                (cursor,),
            )

    async def due(self, now: float, limit: int = 100) -> list[Delivery]:
        """Return deliveries whose time has come; see Deliveries."""
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM delivery WHERE state IN ('queued', 'unknown') AND not_before <= ? "  # noqa: S608
            "ORDER BY lane, place LIMIT ?",
            (now, limit),
        )
        return [_delivery(row) for row in rows]

    async def get(self, key: str, chat_id: int) -> Delivery | None:
        """Return one delivery; see Deliveries."""
        row = await self._database.row(
            f"SELECT {_COLUMNS} FROM delivery WHERE key = ? AND chat_id = ?",  # noqa: S608
            (key, chat_id),
        )
        return _delivery(row) if row else None

    async def sending(self, delivery: Delivery) -> None:
        """Save that the HTTP call begins; see Deliveries."""
        await self._update(
            "UPDATE delivery SET state = 'sending', attempts = attempts + 1 WHERE key = :key AND chat_id = :chat_id",
            delivery,
        )

    async def settle(self, delivery: Delivery) -> None:
        """Save how the HTTP call ended; see Deliveries."""
        await self._update(_SETTLE, delivery)

    async def recover(self) -> int:
        """Turn every SENDING into UNKNOWN; see Deliveries."""
        async with self._database.write() as connection:
            cursor = await connection.execute("UPDATE delivery SET state = 'unknown' WHERE state = 'sending'")
            return cursor.rowcount

    async def alert(self, episode_key: str) -> Alert | None:
        """Return one alert; see Deliveries."""
        found = await self._alerts("episode_key = ?", episode_key)
        return found[0] if found else None

    async def alerts(self, *, board: str | None = None, since: float = 0.0) -> list[Alert]:
        """Return alerts, oldest first; see Deliveries."""
        if board is None:
            return await self._alerts("opened_at >= ?", since)
        return await self._alerts("board = ? AND opened_at >= ?", board, since)

    async def _alerts(self, condition: str, *parameters: str | float) -> list[Alert]:
        rows = await self._database.rows(
            f"SELECT episode_key, opened_at, body, board FROM alert WHERE {condition} ORDER BY opened_at, n",  # noqa: S608
            parameters,
        )
        return [Alert(key, opened_at, unpack_opportunity(body), board) for key, opened_at, body, board in rows]

    async def _update(self, sql: str, delivery: Delivery) -> None:
        values = {
            "key": delivery.key,
            "chat_id": delivery.chat_id,
            "state": delivery.state,
            "message_id": delivery.message_id,
            "revision": delivery.revision,
            "not_before": delivery.not_before,
            "note": delivery.note,
        }
        async with self._database.write() as connection:
            cursor = await connection.execute(sql, values)
            if not cursor.rowcount:
                raise StoreError(f"delivery {delivery.key} to chat {delivery.chat_id} was never staged")


def _values(one: Delivery) -> tuple[Any, ...]:
    return (
        one.key,
        one.chat_id,
        one.lane,
        one.content,
        one.state,
        one.message_id,
        one.revision,
        one.attempts,
        one.not_before,
        one.note,
    )


def _delivery(row: tuple[Any, ...]) -> Delivery:
    key, chat_id, lane, content, state, *rest = row
    return Delivery(key, chat_id, Lane(lane), content, DeliveryState(state), *rest)
