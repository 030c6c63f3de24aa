"""What the two processes share, as the questions they ask of it. SQLite, memory and Redis answer them alike.

Each table has one writer, named below. A method that needs the time is given it, in unix seconds; durations are in
seconds too. Every method raises StoreUnavailable when the store cannot answer now, and nothing was changed then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.domain.controls import Controls
from core.domain.messages import Answer, Command, Event, Question, Unknown
from core.domain.opportunity import Opportunity, State
from core.domain.units import Address, ScaledAmount

# Written by the worker


class Journal(Protocol):
    """Remember every opportunity, and tell the bot of it in the same transaction."""

    async def last_ids(self) -> tuple[int, int]:
        """Return the highest opportunity id and the highest episode number so far (0, 0 when there are none)."""
        ...

    async def record(self, opportunities: Sequence[Opportunity], now: float) -> None:
        """Save the opportunities (new ones, or their next state) and append an OpportunityUpdated for each.

        One transaction. Raise Superseded when an id belongs to another account or episode: another worker gave it.
        """
        ...

    async def open_opportunities(self) -> list[Opportunity]:
        """Return those whose state is not one of `opportunity.OVER`, oldest first."""
        ...

    async def opportunities(self, after_id: int = 0, limit: int = 1000) -> list[Opportunity]:
        """Return those with an id above `after_id`, oldest first, at most `limit`."""
        ...

    async def counts(self, since: float) -> dict[State, int]:
        """Count those first seen at or after a time (unix seconds), by their state now; no zeros."""
        ...


class Outbox(Protocol):
    """Pass events from the worker to the bot, in order, none lost."""

    async def append(self, events: Sequence[Event], now: float) -> None:
        """Append events and ring the bell."""
        ...

    async def read(self, after: int, limit: int = 500) -> list[tuple[int, Event | Unknown]]:
        """Return (sequence number, event) pairs with a number above `after`, in order."""
        ...


class ControlStore(Protocol):
    """Keep the operators' controls, versioned."""

    async def load(self) -> Controls:
        """Return the current controls; a fresh store answers `Controls()`."""
        ...

    async def save(self, controls: Controls, event: Event, handled: str, now: float) -> None:
        """Save controls whose version is one above the stored one, with their event, and mark command `handled`.

        One transaction. `handled` may be "" for the worker's own change. Raise Superseded for any other version, and
        for a command that does not wait any more, so that a replayed command never has its effect twice.
        """
        ...


class Borrowers(Protocol):
    """Remember every address that ever borrowed, and up to which block the logs were read."""

    async def discovered_to(self) -> int | None:
        """Return the last block whose logs are in, or None before the first chunk."""
        ...

    async def add(self, borrowers: Sequence[Address], to_block: int) -> None:
        """Add addresses (known ones are ignored) and set the mark to `to_block`, in one transaction."""
        ...

    async def all(self) -> list[Address]:
        """Return every known borrower, in the order of discovery."""
        ...


class Snapshots(Protocol):
    """Keep the mirror's last snapshot, so that a restart need not read every account again."""

    async def save(self, block: int, body: bytes) -> None:
        """Keep this snapshot instead of the last; written in pieces, so that nobody waits long for the store."""
        ...

    async def latest(self) -> tuple[int, bytes] | None:
        """Return the last complete snapshot and its block, or None."""
        ...


DebtKey = tuple[Address, Address]
"""A reserve's asset and an account that owes in it."""


class BorrowersIndexStore(Protocol):
    """Remember who owes how much in each reserve, and up to which block the logs are in it."""

    async def indexed_to(self) -> int | None:
        """Return the block of the last save, or None before the first."""
        ...

    async def save(self, changes: Mapping[DebtKey, ScaledAmount], to_block: int) -> None:
        """Set scaled debts (0 takes one out) and the mark to `to_block`, in one transaction."""
        ...

    async def load(self) -> dict[DebtKey, ScaledAmount]:
        """Return all debts, in no order."""
        ...


# Written by the bot


class Mailbox(Protocol):
    """Pass commands from the bot to the worker: at least once, idempotent by their id."""

    async def post(self, command: Command, now: float) -> bool:
        """Store a command and ring the bell; return False when its id is known already."""
        ...

    async def unhandled(self) -> list[tuple[Command, float]]:
        """Return commands that the worker has not marked, oldest first, each with the time it was stored.

        One of a kind that only a newer version knows stays stored, with a warning in the log.
        """
        ...

    async def refuse(self, event: Event, handled: str, now: float) -> None:
        """Mark a command as handled and append the event that says why nothing changed (called by the worker).

        One transaction. Raise Superseded for a command that does not wait any more.
        """
        ...


QUESTION_KEPT_SECONDS = 3600.0
"""How long after its deadline a question and its answer are kept."""


class Queries(Protocol):
    """Ask the worker something with a deadline."""

    async def ask(self, question: Question, deadline: float, now: float) -> int:
        """Store a question that is void after `deadline`; ring the bell; return its number."""
        ...

    async def answer_to(self, number: int) -> Answer | Unknown | None:
        """Return the answer, or None while there is none."""
        ...

    async def open(self, now: float) -> list[tuple[int, Question]]:
        """Return questions that are neither answered nor void, oldest first (called by the worker).

        One of a kind that only a newer version knows is left out, with a warning in the log.
        """
        ...

    async def answer(self, number: int, answer: Answer, now: float) -> None:
        """Store the answer and ring the bell (called by the worker); a void or answered question stays as it is."""
        ...


class Inbox(Protocol):
    """Keep Telegram's updates from before they are acknowledged until they are handled."""

    async def store(self, updates: Sequence[tuple[int, str]], now: float) -> None:
        """Store (update id, JSON) pairs; known ids are ignored."""
        ...

    async def pending(self, limit: int = 100) -> list[tuple[int, str]]:
        """Return updates not yet handled, oldest first."""
        ...

    async def done(self, update_id: int, now: float) -> None:
        """Mark an update as handled."""
        ...


class DeliveryState(StrEnum):
    """Name each state of a delivery.

    QUEUED: what the chat shows is not what it should show. SENDING: saved before the HTTP call. SENT: the chat shows
    `content`. UNKNOWN: the process died or the answer was lost while sending. DEAD: Telegram refuses it for good.
    """

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    DEAD = "dead"


class Lane(StrEnum):
    """Order deliveries by what an operator waits for: answers before outcomes before alerts before edits."""

    ANSWER = "0-answer"
    OUTCOME = "1-outcome"
    ALERT = "2-alert"
    EDIT = "3-edit"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Hold one message as it should look in one chat; (key, chat_id) is unique.

    `content` is JSON that only the bot reads. `revision` counts changes of content, so that a change which arrives
    while the previous one is being sent is not lost. `not_before` holds a sending back (flood control).
    """

    key: str
    chat_id: int
    lane: Lane
    content: str
    state: DeliveryState = DeliveryState.QUEUED
    message_id: int | None = None
    revision: int = 1
    attempts: int = 0
    not_before: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """Hold what one alert tells of: the latest opportunity of an episode, and the group message it is in, if any."""

    episode_key: str
    opened_at: float
    opportunity: Opportunity
    board: str = ""


class Deliveries(Protocol):
    """Keep what was said, what is to be said, and how far the outbox was read."""

    async def cursor(self) -> int:
        """Return the number of the last outbox event that was turned into deliveries."""
        ...

    async def stage(self, cursor: int, alerts: Sequence[Alert], deliveries: Sequence[Delivery]) -> None:
        """Save alerts, put or change deliveries, and move the cursor, in one transaction; a lower cursor is kept.

        A delivery whose (key, chat_id) exists gets the new content and lane and revision + 1; SENT becomes QUEUED, and
        every other state stays: of one that is SENDING it is not known yet what the chat shows. The rest stays too.
        """
        ...

    async def due(self, now: float, limit: int = 100) -> list[Delivery]:
        """Return QUEUED and UNKNOWN deliveries whose time has come, by lane, then those that have waited longest."""
        ...

    async def get(self, key: str, chat_id: int) -> Delivery | None:
        """Return one delivery."""
        ...

    async def sending(self, delivery: Delivery) -> None:
        """Save state SENDING with attempts + 1, before the HTTP call; raise StoreError when it was never staged."""
        ...

    async def settle(self, delivery: Delivery) -> None:
        """Save the outcome: state, message id, not_before and note.

        SENT becomes QUEUED in the same step when the stored revision is newer than `delivery.revision`. Raise
        StoreError when it was never staged.
        """
        ...

    async def recover(self) -> int:
        """Turn every SENDING into UNKNOWN (called once at start) and return how many there were."""
        ...

    async def alert(self, episode_key: str) -> Alert | None:
        """Return one alert."""
        ...

    async def alerts(self, *, board: str | None = None, since: float = 0.0) -> list[Alert]:
        """Return alerts of a group message, or all opened since a time, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Hold a command that waits for its code; bound to one person in one chat and void after `expires_at`."""

    code: str
    user_id: int
    chat_id: int
    command: Command
    expires_at: float


class Confirmations(Protocol):
    """Keep commands that wait for a typed code."""

    async def put(self, confirmation: Confirmation) -> None:
        """Save it; an earlier one of the same person in the same chat is replaced."""
        ...

    async def take(self, user_id: int, chat_id: int, now: float) -> Confirmation | None:
        """Return and remove what waits for this person in this chat; None when there is nothing, or it is void."""
        ...


# Written by both, each its own rows


@dataclass(frozen=True, slots=True)
class Presence:
    """Tell that a process lives: `body` is JSON for /status, `at` is unix seconds."""

    process: str
    instance: str
    version: str
    at: float
    body: str = "{}"


class Presences(Protocol):
    """Let each process see whether the other one lives."""

    async def beat(self, presence: Presence) -> None:
        """Save this process's sign of life."""
        ...

    async def presence(self, process: str) -> Presence | None:
        """Return the latest sign of life of "worker" or "bot"."""
        ...


class Lease(Protocol):
    """Let one process of a kind act while the others stand by."""

    async def acquire(self, name: str, holder: str, ttl: float, now: float) -> int | None:
        """Take or renew the lease; return its fencing token, which grows with each new holder; None: another has it.

        It is free `ttl` seconds after the last renewal. A holder that is late keeps its token if nobody came between.
        """
        ...

    async def release(self, name: str, holder: str) -> None:
        """Give the lease back if `holder` has it."""
        ...


class Bell(Protocol):
    """Wake the other process when something was written; one's own writes do not ring."""

    async def wait(self, seconds: float) -> bool:
        """Return True as soon as anybody else wrote since the last wait, or False after `seconds`."""
        ...


class Store(Protocol):
    """Hold all ports over one place of storage."""

    journal: Journal
    outbox: Outbox
    controls: ControlStore
    borrowers: Borrowers
    borrowers_index: BorrowersIndexStore
    snapshots: Snapshots
    mailbox: Mailbox
    queries: Queries
    inbox: Inbox
    deliveries: Deliveries
    confirmations: Confirmations
    presences: Presences
    lease: Lease

    @property
    def epoch(self) -> str:
        """Return the random name that this store got when it was made; a lost and remade store has another."""
        ...

    def bell(self) -> Bell:
        """Return a new bell; each waiting task has its own."""
        ...

    async def bind(self, market: str) -> None:
        """Tie the store to a market ("8453:0xe20f…"); raise StoreMismatch when it is tied to another."""
        ...

    async def close(self) -> None:
        """Finish what is being written and let go."""
        ...
