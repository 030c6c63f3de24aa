"""What the two processes say to each other: commands go down, events come up, questions are asked and answered.

Every message is frozen and travels as `{"v": 1, "kind": class name, "body": {...}}`. A kind that this version does
not know is kept as `Unknown`, so that two versions can meet during a deploy and nothing is lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from core.domain.opportunity import Opportunity
from core.domain.units import Address, BaseUsd, Wad

VERSION = 1


@dataclass(frozen=True, slots=True)
class Operator:
    """Name the person behind a command, by Telegram's numeric user id."""

    id: int
    name: str


# Commands: what an operator wants. `id` is unique and makes them idempotent; `at` is unix seconds when it was typed.

MAX_REASON = 200
"""How many characters of an operator's reason are kept."""


@dataclass(frozen=True, slots=True)
class SetDryRun:
    """Ask for dry run to be on (nothing is sent) or off (live); `reason` is the operator's own words, or ""."""

    id: str
    operator: Operator
    at: float
    enabled: bool
    reason: str = ""


Command: TypeAlias = SetDryRun


# Events: what happened in the worker. They reach the bot through the outbox, in order.


@dataclass(frozen=True, slots=True)
class OpportunityUpdated:
    """Tell that an opportunity was recorded or entered another state."""

    opportunity: Opportunity


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one value that changed, as people read it."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ControlsChanged:
    """Tell that the worker saved new controls and its executor reads them from now on.

    `block` is the last head processed; `command_id` and `operator` are empty for the worker's own doing (a cold
    start); `seconds` is the time from the command's arrival in the store to now.
    """

    version: int
    changes: tuple[Change, ...]
    command_id: str
    operator: Operator | None
    block: int
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """Tell that the worker did not apply a command, and why."""

    command_id: str
    operator: Operator
    reason: str
    block: int


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """Tell that a worker began to work: what it watches and in which mode."""

    version: str
    chain_id: int
    revision: int
    block: int
    watched: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class WorkerStopped:
    """Tell that a worker stopped on purpose."""

    reason: str
    block: int


@dataclass(frozen=True, slots=True)
class WorkerWarned:
    """Tell of trouble, or of its end, that an operator should know; `code` groups repeats of the same trouble."""

    code: str
    text: str
    resolved: bool = False


Event: TypeAlias = OpportunityUpdated | ControlsChanged | CommandRefused | WorkerStarted | WorkerStopped | WorkerWarned


# Questions: asked with a deadline, answered by the worker that holds the lease, or not at all.


@dataclass(frozen=True, slots=True)
class AskStatus:
    """Ask how the worker is."""


@dataclass(frozen=True, slots=True)
class AskWatchlist:
    """Ask for one page of the watch list, lowest health factor first; pages count from 1."""

    page: int
    size: int = 10


@dataclass(frozen=True, slots=True)
class AskSettings:
    """Ask for the worker's effective settings."""


Question: TypeAlias = AskStatus | AskWatchlist | AskSettings


@dataclass(frozen=True, slots=True)
class Latency:
    """Summarise times from the arrival of the causing frame to the outbox row, in milliseconds."""

    count: int
    p50: float
    p95: float
    worst: float


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Say how the worker is. `bands` counts watched accounts below each health factor; `day` counts the last 24 h."""

    role: str
    version: str
    uptime_seconds: float
    chain_id: int
    revision: int
    execution: str
    block: int
    head_age_seconds: float
    borrowers: int
    watched: int
    bands: tuple[tuple[str, int], ...]
    dry_run: bool
    controls_version: int
    endpoints: tuple[str, ...]
    latency: Latency
    day: tuple[tuple[str, int], ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchedAccount:
    """Hold one row of the watch list; the health factor is a Wad, the sums are USD with 8 decimals."""

    user: Address
    health_factor: Wad
    total_debt_base: BaseUsd
    total_collateral_base: BaseUsd


@dataclass(frozen=True, slots=True)
class WatchlistPage:
    """Hold one page of the watch list as of `block`; `pages` is at least 1."""

    block: int
    page: int
    pages: int
    total: int
    rows: tuple[WatchedAccount, ...]


@dataclass(frozen=True, slots=True)
class SettingRow:
    """Hold one effective setting as people read it; `source` is environment or default; secrets are masked."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class SettingsReport:
    """Hold the worker's effective settings."""

    rows: tuple[SettingRow, ...]


Answer: TypeAlias = StatusReport | WatchlistPage | SettingsReport


@dataclass(frozen=True, slots=True)
class Unknown:
    """Keep a message of a kind that this version does not know, exactly as it came."""

    kind: str
    raw: str


Message: TypeAlias = Command | Event | Question | Answer

_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        SetDryRun,
        OpportunityUpdated,
        ControlsChanged,
        CommandRefused,
        WorkerStarted,
        WorkerStopped,
        WorkerWarned,
        AskStatus,
        AskWatchlist,
        AskSettings,
        StatusReport,
        WatchlistPage,
        SettingsReport,
    )
}


def encode(message: Message) -> str:
    """Return the message as JSON text; whole numbers of any size stay exact."""
    kind = type(message).__name__
    body = _ADAPTERS[kind].dump_python(message, mode="json")
    return json.dumps({"v": VERSION, "kind": kind, "body": body}, separators=(",", ":"))


def decode(raw: str) -> Message | Unknown:
    """Return the message in `raw`; raise ValueError when the text is not a message at all.

    A body that does not fit its kind is Unknown too: a newer version may have added a state or a reason, and one such
    row must not keep the rows behind it from being read.
    """
    envelope = json.loads(raw)
    if not isinstance(envelope, dict) or not {"v", "kind", "body"} <= envelope.keys():
        raise ValueError(f"not a message: {raw[:80]!r}")
    kind, version = envelope["kind"], envelope["v"]
    if not isinstance(kind, str) or not isinstance(version, int):
        raise ValueError(f"not a message: {raw[:80]!r}")  # noqa: TRY004  (the text is wrong, not its type)
    adapter = _ADAPTERS.get(kind)
    if adapter is None or version > VERSION:
        return Unknown(kind, raw)
    try:
        message: Message = adapter.validate_python(envelope["body"])
    except ValidationError:
        return Unknown(kind, raw)
    return message
