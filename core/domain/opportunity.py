"""An opportunity's life: what was seen, what it is worth, and the one table of states it may pass through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from core.domain.health_factor import UserAccountData
from core.domain.units import Address, BaseUsd, Bps, TokenAmount


class State(StrEnum):
    """Name each state of an opportunity."""

    DETECTED = "detected"
    CONFIRMED = "confirmed"
    QUOTED = "quoted"
    SIMULATED = "simulated"
    REHEARSED = "rehearsed"
    SUBMITTED = "submitted"
    LIQUIDATED = "liquidated"
    REVERTED = "reverted"
    RACED = "raced"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    RECOVERED = "recovered"
    TAKEN = "taken"


class SkipReason(StrEnum):
    """Name why an opportunity was not acted upon; the first four are the operators' familiar ones."""

    HF_NOT_BELOW_THRESHOLD = "hf_not_below_threshold"
    USER_NOT_LIQUIDATABLE = "user_not_liquidatable"
    STALE_HEAD = "stale_head"
    DEBT_ZERO = "debt_zero"
    NO_EXECUTOR = "no_executor"
    NO_LIQUIDATION = "no_liquidation"
    UNKNOWN_REVISION = "unknown_revision"
    DIVERGED = "diverged"


_S = State
_ENDS = frozenset({_S.SKIPPED, _S.RECOVERED, _S.TAKEN})

TRANSITIONS: Mapping[State, frozenset[State]] = {
    _S.DETECTED: frozenset({_S.CONFIRMED, _S.QUOTED}) | _ENDS,  # QUOTED: optimistic dispatch needs no confirmation
    _S.CONFIRMED: frozenset({_S.QUOTED}) | _ENDS,
    _S.QUOTED: frozenset({_S.SIMULATED, _S.REHEARSED, _S.SUBMITTED}) | _ENDS,  # REHEARSED: nothing to simulate with
    _S.SIMULATED: frozenset({_S.REHEARSED, _S.SUBMITTED}) | _ENDS,
    _S.REHEARSED: frozenset({_S.RECOVERED, _S.TAKEN}),
    _S.SUBMITTED: frozenset({_S.LIQUIDATED, _S.REVERTED, _S.RACED, _S.EXPIRED}),
    _S.LIQUIDATED: frozenset({_S.SUBMITTED}),  # a reorg took the block back
    _S.REVERTED: frozenset({_S.RECOVERED, _S.TAKEN}),
    _S.RACED: frozenset(),
    _S.EXPIRED: frozenset({_S.LIQUIDATED}) | _ENDS,  # late inclusion
    _S.SKIPPED: frozenset({_S.RECOVERED, _S.TAKEN}),
    _S.RECOVERED: frozenset(),
    _S.TAKEN: frozenset(),
}

OVER = frozenset({_S.LIQUIDATED, _S.RACED, _S.RECOVERED, _S.TAKEN})
"""States in which the account is no longer below a health factor of 1, as far as we know."""


class TriggerKind(StrEnum):
    """Name what made the worker look."""

    EVENT = "event"
    HEAD = "head"
    PRICE = "price"
    SCAN = "scan"


@dataclass(frozen=True, slots=True)
class Trigger:
    """Tell what made the worker look: its kind, words for people ("Aave Borrow", "ETH -1.2 %"), and its trace."""

    kind: TriggerKind
    detail: str
    trace: str


@dataclass(frozen=True, slots=True)
class Leg:
    """Hold one token side of a quote: `amount` in the token's own units, `base` its value in USD with 8 decimals."""

    symbol: str
    asset: Address
    decimals: int
    amount: TokenAmount
    base: BaseUsd


@dataclass(frozen=True, slots=True)
class QuotedLiquidation:
    """Describe the best liquidation for people: exact amounts, and an estimate of what stays after gas.

    `collateral` is what the liquidator receives, net of the protocol's fee. `profit_base` is collateral minus debt
    minus `gas_base`; swap costs are not in it.
    """

    debt: Leg
    collateral: Leg
    protocol_fee: TokenAmount
    liquidation_bonus: Bps
    close_factor: Bps
    gas_base: BaseUsd
    profit_base: BaseUsd
    creates_deficit: bool


@dataclass(frozen=True, slots=True)
class Opportunity:
    """Record one spell of an account below a health factor of 1.

    `id` is the journal's sequence number (people see #A17). `episode` groups the spells of one account that belong to
    one alert: an account that recovers and falls again soon stays in its episode. `block` is the block at which the
    chain first confirmed it; `last_block` is the one that `account`, the quote and the state are of. `seen_at` is unix
    seconds at the arrival of the frame that caused it; `latency_ms` is the time from there until it was handed
    to the journal, on the monotonic clock.
    """

    id: int
    user: Address
    episode: int
    state: State
    trigger: Trigger
    block: int
    seen_at: float
    account: UserAccountData
    quote: QuotedLiquidation | None = None
    reason: SkipReason | None = None
    note: str = ""
    latency_ms: float = 0.0
    last_block: int = 0

    @property
    def label(self) -> str:
        """Return the short name that people use: #A17."""
        return f"#A{self.id}"

    @property
    def episode_key(self) -> str:
        """Return the key shared by all opportunities that one alert tells of."""
        return f"{self.user}:{self.episode}"

    def to(self, state: State, *, reason: SkipReason | None = None, note: str = "") -> Opportunity:
        """Return the opportunity in its next state; raise ValueError for a step that the table does not know."""
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"opportunity {self.label} cannot go from {self.state} to {state}")
        return replace(self, state=state, reason=reason, note=note)

    def as_of(self, block: int, account: UserAccountData) -> Opportunity:
        """Return the opportunity with the chain's figures of a later block."""
        return replace(self, last_block=block, account=account)
