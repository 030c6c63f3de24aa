"""A local Telegram: the Bot API as a bot meets it, and a chat page for people; in memory, on 127.0.0.1 only."""

from __future__ import annotations

from devnet.botapi.api import BotApi, BotApiOptions, Chat
from devnet.botapi.faults import Fault, FaultKind, Faults
from devnet.botapi.limits import FloodOptions
from devnet.botapi.model import Message
from devnet.botapi.transcript import Entry, Transcript

__all__ = [
    "BotApi",
    "BotApiOptions",
    "Chat",
    "Entry",
    "Fault",
    "FaultKind",
    "Faults",
    "FloodOptions",
    "Message",
    "Transcript",
]
