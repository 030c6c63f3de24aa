"""Name replies and the commands that they tell of: one update, one reply, one command at most."""

from __future__ import annotations

import re
import secrets

from bot.cards import Card, Handle
from core.state.ports import Delivery, Lane

_COMMAND_ID = re.compile(r"u(\d+)@(-?\d+)")


def reply_key(update_id: int) -> str:
    """Return the delivery key of the reply to an update; handling it twice changes one message."""
    return f"reply:{update_id}"


def command_id(update_id: int, chat_id: int) -> str:
    """Return the id of the command that an update asks for; it leads back to the reply."""
    return f"u{update_id}@{chat_id}"


def reply_of(command: str) -> tuple[str, int] | None:
    """Return the key and chat of the reply that tells of a command, or None when no chat asked for it."""
    match = _COMMAND_ID.fullmatch(command)
    return (reply_key(int(match[1])), int(match[2])) if match else None


def new_handle(key: str) -> Handle:
    """Return a handle with a fresh secret for the buttons of a new message."""
    return Handle(key, secrets.token_hex(4))


def answer(key: str, chat_id: int, card: Card) -> Delivery:
    """Return the delivery of an answer to a person, ahead of everything else."""
    return Delivery(key, chat_id, Lane.ANSWER, card.encode())
