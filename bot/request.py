"""One authorised request, typed or pressed, as commands see it."""

from __future__ import annotations

from dataclasses import dataclass

from bot.cards import Handle
from bot.updates import Person, Place
from core.config import Role
from core.domain.messages import Operator


@dataclass(frozen=True, slots=True)
class Request:
    """Hold who asks for what, where and when; `date` is unix seconds when it was typed, by Telegram's clock."""

    update_id: int
    person: Person
    role: Role
    place: Place
    date: float
    args: tuple[str, ...]
    handle: Handle

    @property
    def operator(self) -> Operator:
        """Return the asker as the worker knows them."""
        return Operator(self.person.id, self.person.name)
