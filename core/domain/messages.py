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


@dataclass(frozen=True, slots=True)
class PriceMove:
    """Hold a change of one asset's price in bps: -800 is -8 %. ETH and BTC stand for all that is wrapped of them."""

    asset: str
    change_bps: int


@dataclass(frozen=True, slots=True)
class AskWhatIf:
    """Ask who would be liquidatable if prices moved; the answer names the `top` accounts that would pay most."""

    moves: tuple[PriceMove, ...]
    top: int = 10


Question: TypeAlias = AskStatus | AskWatchlist | AskSettings | AskWhatIf


@dataclass(frozen=True, slots=True)
class Latency:
    """Summarise times from the arrival of the causing frame to the outbox row, in milliseconds."""

    count: int
    p50: float
    p95: float
    worst: float


@dataclass(frozen=True, slots=True)
class PredictionScore:
    """Say how one scenario's predictions did: how many were scored at their horizon's end, and what became of them.

    `came_true` includes `early`; of the rest those not yet known to be `late` or `false` wait one more horizon.
    `foretold` counts crossings that it had predicted; `brier` is the mean squared error of its probability.
    """

    scenario: str
    scored: int
    came_true: int
    early: int
    late: int
    false: int
    foretold: int
    brier: float

    @property
    def precision(self) -> float:
        """Return the share of scored predictions that came true; 0 before the first."""
        return self.came_true / self.scored if self.scored else 0.0


@dataclass(frozen=True, slots=True)
class PredictionReport:
    """Hold the predictive report card: all crossings below 1, how many any scenario had foretold, and each scenario."""

    crossings: int
    foretold: int
    open: int
    scores: tuple[PredictionScore, ...] = ()

    @property
    def recall(self) -> float:
        """Return the share of crossings that were foretold; 0 before the first."""
        return self.foretold / self.crossings if self.crossings else 0.0

    @property
    def brier(self) -> float:
        """Return the mean squared error over all scenarios' predictions; 0 before the first."""
        scored = sum(score.scored for score in self.scores)
        return sum(score.brier * score.scored for score in self.scores) / scored if scored else 0.0


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Say how the worker is. `bands` counts watched accounts below each health factor; `day` counts the last 24 h.

    `prediction` is None where nothing is predicted.
    """

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
    prediction: PredictionReport | None = None


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


@dataclass(frozen=True, slots=True)
class WhatIfAccount:
    """Hold one account that would cross: its health factor now and then (Wad), its debt then, what it would pay."""

    user: Address
    health_factor_now: Wad
    health_factor_then: Wad
    total_debt_base: BaseUsd
    bonus_base: BaseUsd


@dataclass(frozen=True, slots=True)
class WhatIfStep:
    """Hold how many accounts would cross, and what they would owe, if all named prices moved by `change_bps`.

    A figure for a plot: in floats, where everything else in the report is exact.
    """

    change_bps: int
    accounts: int
    debt_base: BaseUsd


@dataclass(frozen=True, slots=True)
class WhatIfReport:
    """Say who would be liquidatable, as of `block`, if the prices of the reserves `moved` changed.

    `accounts` cross: they are not below 1 now and would be, owing at least `min_debt_base`. `bonus_base` is what the
    best liquidation of each pays before gas and swap, over the `quoted` ones with the largest debts. `already_below`
    are so without the move; `not_valued` lack a price. `refusal` says why there is no answer, or is empty.
    """

    block: int
    moves: tuple[PriceMove, ...]
    moved: tuple[str, ...] = ()
    min_debt_base: BaseUsd = BaseUsd(0)
    accounts: int = 0
    debt_base: BaseUsd = BaseUsd(0)
    bonus_base: BaseUsd = BaseUsd(0)
    quoted: int = 0
    already_below: int = 0
    not_valued: int = 0
    top: tuple[WhatIfAccount, ...] = ()
    ladder: tuple[WhatIfStep, ...] = ()
    refusal: str = ""


Answer: TypeAlias = StatusReport | WatchlistPage | SettingsReport | WhatIfReport


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
        AskWhatIf,
        StatusReport,
        WatchlistPage,
        SettingsReport,
        WhatIfReport,
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
