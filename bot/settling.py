"""Decide what an outcome means for a delivery. Pure: the sender asks, saves and obeys.

Whether a message was sent can be unknown (the answer was lost). Such a row is probed before its chat gets anything
else: an edit with the same content answers "message is not modified" if, and only if, the lost message is ours. Found,
it is adopted; not found, it is sent again, silently and marked as a possible repeat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bot import outcomes
from bot.outcomes import Outcome, Refusal
from core.state.ports import Delivery, DeliveryState

_NOTE = re.compile(r"(?:after=(?P<after>\d+))?(?P<repeat> repeat)?(?P<plain> plain)?")
GIVE_UP_PROBING = 5
"""After so many attempts with unknown outcomes a row is no longer probed, so that it cannot hold up its chat."""


@dataclass(frozen=True, slots=True)
class Memo:
    """Hold what a delivery's note says.

    `after` is the highest message id known in the chat before the first sending, so the lost message, if it exists,
    came later. `repeat`: it is shown as a possible repeat. `plain`: Telegram did not understand its HTML.
    """

    after: int | None = None
    repeat: bool = False
    plain: bool = False

    @classmethod
    def read(cls, note: str) -> Memo:
        """Return what the note says; a note in other words says nothing."""
        match = _NOTE.fullmatch(note)
        if match is None:
            return cls()
        after = match["after"]
        return cls(int(after) if after else None, bool(match["repeat"]), bool(match["plain"]))

    def write(self) -> str:
        """Return the note."""
        after = f"after={self.after}" if self.after is not None else ""
        return f"{after}{' repeat' if self.repeat else ''}{' plain' if self.plain else ''}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the row to save, how long the chat and all chats must wait, and the word for the metrics."""

    row: Delivery
    result: str
    hold_chat: float = 0.0
    hold_all: float = 0.0
    moved_to: int | None = None
    unreachable: bool = False


def judge(row: Delivery, outcome: Outcome, now: float, backoff: float) -> Verdict:
    """Return what becomes of `row`; `now` is unix seconds, `backoff` how long to wait after trouble."""
    match outcome:
        case outcomes.Sent(message_id):
            verdict = Verdict(_sent(row, row.message_id or message_id), "sent")
        case outcomes.Unchanged():
            verdict = Verdict(_sent(row, row.message_id), "sent")
        case outcomes.NotSent():
            verdict = Verdict(_again(row), "not_sent", hold_all=backoff)
        case outcomes.Unauthorised():
            verdict = Verdict(_again(row), "not_sent", hold_all=max(backoff, 5.0))
        case outcomes.MaybeSent():
            verdict = Verdict(_lost(row, now, backoff), "ambiguous", hold_chat=backoff)
        case outcomes.Throttled(seconds):
            verdict = Verdict(replace(_again(row), not_before=now + seconds), "throttled", hold_chat=seconds)
        case outcomes.Migrated(chat_id):
            verdict = Verdict(_dead(row, f"moved to {chat_id}"), "moved", moved_to=chat_id)
        case outcomes.Blocked(reason):
            verdict = Verdict(_dead(row, reason), "dead", unreachable=True)
        case outcomes.Rejected(kind, reason):
            verdict = _rejected(row, kind, reason)
    return verdict


def _sent(row: Delivery, message_id: int | None) -> Delivery:
    return replace(row, state=DeliveryState.SENT, message_id=message_id, not_before=0.0)


def _again(row: Delivery) -> Delivery:
    unresolved = row.state is DeliveryState.UNKNOWN and row.message_id is None
    return replace(row, state=DeliveryState.UNKNOWN if unresolved else DeliveryState.QUEUED)


def _lost(row: Delivery, now: float, backoff: float) -> Delivery:
    if row.message_id is not None:
        return replace(row, state=DeliveryState.QUEUED)  # an edit may be repeated
    if row.attempts + 1 < GIVE_UP_PROBING:
        return replace(row, state=DeliveryState.UNKNOWN)
    note = replace(Memo.read(row.note), after=None).write()
    return replace(row, state=DeliveryState.UNKNOWN, note=note, not_before=now + 2 * backoff)


def _dead(row: Delivery, reason: str) -> Delivery:
    return replace(row, state=DeliveryState.DEAD, note=reason[:200])


def _rejected(row: Delivery, kind: Refusal, reason: str) -> Verdict:
    memo = Memo.read(row.note)
    if kind is Refusal.PARSE and not memo.plain:
        return Verdict(replace(_again(row), note=replace(memo, plain=True).write()), "plain")
    return Verdict(_dead(row, reason), "dead", unreachable=kind is Refusal.CHAT)
