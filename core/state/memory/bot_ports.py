"""What the bot writes: commands, questions, Telegram's updates and confirmations."""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.messages import Answer, Command, Event, Question, Unknown, encode
from core.state.codec import unpack_answer, unpack_command, unpack_question
from core.state.memory.disk import Asked, Code, Posted, Session, Update
from core.state.ports import QUESTION_KEPT_SECONDS, Confirmation


class MemoryMailbox:
    """Keep commands by their id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def post(self, command: Command, now: float) -> bool:
        """Store a command; see Mailbox."""
        disk = self._session.disk
        if command.id in disk.commands:
            return False
        disk.commands[command.id] = Posted(encode(command), now)
        self._session.changed()
        return True

    async def unhandled(self) -> list[tuple[Command, float]]:
        """Return commands that wait; see Mailbox."""
        waiting = [posted for posted in self._session.disk.commands.values() if not posted.handled]
        return [(command, one.stored_at) for one in waiting if (command := unpack_command(one.body))]

    async def refuse(self, event: Event, handled: str, now: float) -> None:
        """Mark a command and say why nothing changed; see Mailbox."""
        posted = self._session.waiting(handled)
        self._session.disk.outbox.append(encode(event))
        posted.handled = True
        self._session.changed()


class MemoryQueries:
    """Keep questions and their answers by number."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ask(self, question: Question, deadline: float, now: float) -> int:
        """Store a question; see Queries."""
        disk = self._session.disk
        body = encode(question)
        for number in [n for n, asked in disk.questions.items() if asked.deadline < now - QUESTION_KEPT_SECONDS]:
            del disk.questions[number]
        disk.asked += 1
        disk.questions[disk.asked] = Asked(body, deadline)
        self._session.changed()
        return disk.asked

    async def answer_to(self, number: int) -> Answer | Unknown | None:
        """Return the answer; see Queries."""
        asked = self._session.disk.questions.get(number)
        return unpack_answer(asked.answer) if asked and asked.answer is not None else None

    async def open(self, now: float) -> list[tuple[int, Question]]:
        """Return questions that wait; see Queries."""
        waiting = [
            (number, asked.body)
            for number, asked in self._session.disk.questions.items()
            if asked.answer is None and asked.deadline >= now
        ]
        return [(number, question) for number, body in waiting if (question := unpack_question(body))]

    async def answer(self, number: int, answer: Answer, now: float) -> None:
        """Store the answer; see Queries."""
        asked = self._session.disk.questions.get(number)
        if asked and asked.answer is None and asked.deadline >= now:
            asked.answer = encode(answer)
            self._session.changed()


class MemoryInbox:
    """Keep Telegram's updates by their id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def store(self, updates: Sequence[tuple[int, str]], now: float) -> None:
        """Store updates; see Inbox."""
        for update_id, body in updates:
            self._session.disk.updates.setdefault(update_id, Update(body))
        self._session.changed()

    async def pending(self, limit: int = 100) -> list[tuple[int, str]]:
        """Return updates that wait; see Inbox."""
        updates = self._session.disk.updates.items()
        return [(number, update.body) for number, update in updates if not update.done][:limit]

    async def done(self, update_id: int, now: float) -> None:
        """Mark an update; see Inbox."""
        update = self._session.disk.updates.get(update_id)
        if update:
            update.done = True
            self._session.changed()


class MemoryConfirmations:
    """Keep at most one waiting command for each person in each chat."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def put(self, confirmation: Confirmation) -> None:
        """Save it; see Confirmations."""
        code = Code(confirmation.code, encode(confirmation.command), confirmation.expires_at)
        self._session.disk.confirmations[confirmation.user_id, confirmation.chat_id] = code
        self._session.changed()

    async def take(self, user_id: int, chat_id: int, now: float) -> Confirmation | None:
        """Return and remove it; see Confirmations."""
        code = self._session.disk.confirmations.pop((user_id, chat_id), None)
        if code is None:
            return None
        self._session.changed()
        command = unpack_command(code.command)
        if command is None or now > code.expires_at:
            return None
        return Confirmation(code.code, user_id, chat_id, command, code.expires_at)
