"""Write down every call and every act of a person, with its outcome: the ground truth of tests."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Entry:
    """One call of the bot, or one act of a person (`person` is set).

    `at` and `done_at` are monotonic seconds. `outcome` is "ok", "refused" (Telegram's error), "open" (in progress) or
    "fault:<kind>"; `applied` says whether the call took effect, which after a fault only the transcript knows.
    """

    seq: int
    at: float
    method: str
    params: dict[str, Any]
    person: int | None = None
    done_at: float | None = None
    status: int | None = None
    outcome: str = "open"
    description: str = ""
    applied: bool = False
    chat_id: int | None = None
    message_id: int | None = None

    def json(self) -> dict[str, Any]:
        """Return the entry for the control API."""
        return asdict(self)


@dataclass(slots=True)
class Transcript:
    """The entries in the order of their arrival."""

    entries: list[Entry] = field(default_factory=list)

    def begin(self, method: str, params: dict[str, Any], person: int | None = None) -> Entry:
        """Add an entry as soon as a call arrives."""
        entry = Entry(len(self.entries) + 1, time.monotonic(), method, params, person)
        self.entries.append(entry)
        return entry

    def end(self, entry: Entry, outcome: str, status: int, description: str = "") -> None:
        """Complete an entry with what the client was told (status 0: nothing, the connection was cut)."""
        entry.done_at = time.monotonic()
        entry.outcome, entry.status, entry.description = outcome, status, description

    def calls(self, *methods: str) -> list[Entry]:
        """Return the bot's calls, of the named methods only when any is named."""
        wanted = {name.lower() for name in methods}
        return [item for item in self.entries if item.person is None and (not wanted or item.method.lower() in wanted)]

    def applied(self, *methods: str) -> list[Entry]:
        """Return the bot's calls that took effect, whatever the client was told."""
        return [item for item in self.calls(*methods) if item.applied]
