"""Decide who may do what: one gate for every kind of update, by numeric user id and chat, closed by default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.updates import Membership, Person, Place, Pressed, Typed
from core.config import OperatorEntry, Role

ANONYMOUS_ADMIN = 1087968824
"""Telegram's id for every anonymous group admin: one id, many people."""
FAKE_CHANNEL = 136817688
"""Telegram's id for everybody who writes in the name of a channel."""


class Denial(StrEnum):
    """Name why somebody is not heard."""

    STRANGER = "stranger"
    ANONYMOUS = "anonymous"
    CHANNEL = "channel"
    FOREIGN_CHAT = "foreign_chat"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Tell who is asking, in which role."""

    person: Person
    role: Role


class Chats:
    """Know the chats that get alerts, also after a group has become a supergroup with another id."""

    def __init__(self, chat_ids: Iterable[int], operators: Iterable[OperatorEntry]) -> None:
        self._configured = tuple(dict.fromkeys(chat_ids))
        self._fallback = tuple(dict.fromkeys(entry.id for entry in operators))
        self._moved: dict[int, int] = {}

    def moved(self, old: int, new: int) -> None:
        """Remember that a group goes by another id now."""
        self._moved[old] = new

    def current(self, chat_id: int) -> int:
        """Return the id that a chat goes by now."""
        return self._moved.get(chat_id, chat_id)

    def alerted(self) -> list[int]:
        """Return the chats that get alerts: the configured ones, or the private chats of all operators."""
        return [self.current(chat) for chat in self._configured or self._fallback]

    def configured(self) -> tuple[int, ...]:
        """Return TELEGRAM_CHAT_IDS as it is set."""
        return self._configured

    def admits(self, chat_id: int) -> bool:
        """Tell whether operators are heard in this group."""
        return chat_id in {self.current(chat) for chat in self._configured}


class Gate:
    """Hold who may speak, and where. An empty list of operators lets nobody in."""

    def __init__(self, operators: Iterable[OperatorEntry], chats: Chats) -> None:
        self._roles: Mapping[int, Role] = {entry.id: entry.role for entry in operators}
        self._chats = chats

    def judge(self, update: Typed | Pressed | Membership) -> Allowed | Denial:
        """Return the asker's role, or why they are not heard."""
        person = update.person
        if update.place.kind == "channel" or (isinstance(update, Typed) and update.by_channel):
            return Denial.CHANNEL if person is None or person.id != ANONYMOUS_ADMIN else Denial.ANONYMOUS
        if person is None or person.is_bot or person.id in (ANONYMOUS_ADMIN, FAKE_CHANNEL):
            return Denial.ANONYMOUS
        role = self._roles.get(person.id)
        if role is None:
            return Denial.STRANGER
        if not self._heard_in(person, update.place):
            return Denial.FOREIGN_CHAT
        return Allowed(person, role)

    def admins(self) -> list[int]:
        """Return the user ids of all admins."""
        return [user for user, role in self._roles.items() if role is Role.ADMIN]

    def audience(self) -> dict[int, Role]:
        """Return each chat that gets a command list, with the role that it shows."""
        return {chat: Role.VIEWER for chat in self._chats.alerted() if chat < 0} | dict(self._roles)

    def _heard_in(self, person: Person, place: Place) -> bool:
        return place.id == person.id if place.kind == "private" else self._chats.admits(place.id)


@dataclass(slots=True)
class StrangerLimit:
    """Answer each stranger at most once in `per_person` seconds, and at most `per_hour` of them in an hour."""

    per_person: float = 600.0
    per_hour: int = 30
    _answered: dict[int, float] = field(default_factory=dict)

    def admits(self, user_id: int, now: float) -> bool:
        """Tell whether this stranger gets an answer now, and count it."""
        self._answered = {user: at for user, at in self._answered.items() if now - at < 3600}
        last = self._answered.get(user_id)
        if len(self._answered) >= self.per_hour or (last is not None and now - last < self.per_person):
            return False
        self._answered[user_id] = now
        return True
