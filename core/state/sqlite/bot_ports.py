"""What the bot writes: commands, questions, Telegram's updates and confirmations."""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.messages import Answer, Command, Event, Question, Unknown, encode
from core.state.codec import unpack_answer, unpack_command, unpack_question
from core.state.ports import QUESTION_KEPT_SECONDS, Confirmation
from core.state.sqlite.database import Database
from core.state.sqlite.worker_ports import append_events, mark_handled


class SqliteMailbox:
    """Keep commands in a table, each once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def post(self, command: Command, now: float) -> bool:
        """Store a command; see Mailbox."""
        async with self._database.write() as connection:
            cursor = await connection.execute(
                "INSERT INTO command (id, body, stored_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (command.id, encode(command), now),
            )
            return cursor.rowcount == 1

    async def unhandled(self) -> list[tuple[Command, float]]:
        """Return commands that wait; see Mailbox."""
        rows = await self._database.rows("SELECT body, stored_at FROM command WHERE handled_at IS NULL ORDER BY n")
        return [(command, at) for body, at in rows if (command := unpack_command(body))]

    async def refuse(self, event: Event, handled: str, now: float) -> None:
        """Mark a command and say why nothing changed; see Mailbox."""
        async with self._database.write() as connection:
            await mark_handled(connection, handled, now)
            await append_events(connection, [event], now)


class SqliteQueries:
    """Keep questions and their answers in one table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, question: Question, deadline: float, now: float) -> int:
        """Store a question; see Queries."""
        async with self._database.write() as connection:
            await connection.execute("DELETE FROM question WHERE deadline < ?", (now - QUESTION_KEPT_SECONDS,))
            cursor = await connection.execute(
                "INSERT INTO question (body, deadline) VALUES (?, ?)", (encode(question), deadline)
            )
            return int(cursor.lastrowid or 0)

    async def answer_to(self, number: int) -> Answer | Unknown | None:
        """Return the answer; see Queries."""
        row = await self._database.row("SELECT answer FROM question WHERE n = ?", (number,))
        return unpack_answer(row[0]) if row and row[0] is not None else None

    async def open(self, now: float) -> list[tuple[int, Question]]:
        """Return questions that wait; see Queries."""
        rows = await self._database.rows(
            "SELECT n, body FROM question WHERE answer IS NULL AND deadline >= ? ORDER BY n", (now,)
        )
        return [(number, question) for number, body in rows if (question := unpack_question(body))]

    async def answer(self, number: int, answer: Answer, now: float) -> None:
        """Store the answer; see Queries."""
        async with self._database.write() as connection:
            await connection.execute(
                "UPDATE question SET answer = ? WHERE n = ? AND answer IS NULL AND deadline >= ?",
                (encode(answer), number, now),
            )


class SqliteInbox:
    """Keep Telegram's updates in a table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, updates: Sequence[tuple[int, str]], now: float) -> None:
        """Store updates; see Inbox."""
        async with self._database.write() as connection:
            await connection.executemany(
                "INSERT INTO telegram_update (id, body, stored_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
                [(update_id, body, now) for update_id, body in updates],
            )

    async def pending(self, limit: int = 100) -> list[tuple[int, str]]:
        """Return updates that wait; see Inbox."""
        rows = await self._database.rows(
            "SELECT id, body FROM telegram_update WHERE done_at IS NULL ORDER BY n LIMIT ?", (limit,)
        )
        return [(update_id, body) for update_id, body in rows]

    async def done(self, update_id: int, now: float) -> None:
        """Mark an update; see Inbox."""
        async with self._database.write() as connection:
            await connection.execute(
                "UPDATE telegram_update SET done_at = ? WHERE id = ? AND done_at IS NULL", (now, update_id)
            )


class SqliteConfirmations:
    """Keep at most one waiting command for each person in each chat."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, confirmation: Confirmation) -> None:
        """Save it; see Confirmations."""
        async with self._database.write() as connection:
            await connection.execute(
                "INSERT OR REPLACE INTO confirmation (user_id, chat_id, code, command, expires_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    confirmation.user_id,
                    confirmation.chat_id,
                    confirmation.code,
                    encode(confirmation.command),
                    confirmation.expires_at,
                ),
            )

    async def take(self, user_id: int, chat_id: int, now: float) -> Confirmation | None:
        """Return and remove it; see Confirmations."""
        async with self._database.write() as connection:
            rows = list(
                await connection.execute_fetchall(
                    "SELECT code, command, expires_at FROM confirmation WHERE user_id = ? AND chat_id = ?",
                    (user_id, chat_id),
                )
            )
            await connection.execute("DELETE FROM confirmation WHERE user_id = ? AND chat_id = ?", (user_id, chat_id))
        for code, body, expires_at in rows:
            command = unpack_command(body)
            if command and now <= expires_at:
                return Confirmation(code, user_id, chat_id, command, expires_at)
        return None
