"""What may become of a call to Telegram, as values: the sender decides by them, nothing is raised."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Sent:
    """Tell that the chat shows the message, under this id."""

    message_id: int


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Tell that the message looks like this already ("message is not modified")."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Tell that the request did not reach Telegram: safe to try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class MaybeSent:
    """Tell that nobody knows whether Telegram did it: the answer was lost."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """Tell that Telegram wants patience (429), in seconds."""

    seconds: float


class Refusal(StrEnum):
    """Name why Telegram refuses a request for good."""

    PARSE = "cannot parse entities"
    MISSING = "message to edit not found"
    FOREIGN = "message can't be edited"
    CHAT = "chat not found"
    OTHER = "bad request"


@dataclass(frozen=True, slots=True)
class Rejected:
    """Tell that Telegram refuses this request for good (400)."""

    kind: Refusal
    reason: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """Tell that the bot may not write there (403)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """Tell that the group has become a supergroup with another id."""

    chat_id: int


@dataclass(frozen=True, slots=True)
class Unauthorised:
    """Tell that Telegram does not know the token (401)."""


Outcome: TypeAlias = Sent | Unchanged | NotSent | MaybeSent | Throttled | Rejected | Blocked | Migrated | Unauthorised
