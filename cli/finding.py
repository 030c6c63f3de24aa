"""What a check of the doctor found, and what to do about each kind of trouble."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import (
    LiquidbotError,
    RpcRejected,
    RpcThrottled,
    RpcUnavailable,
    SchemaTooNew,
    StoreError,
    StoreMismatch,
    StoreUnavailable,
    WrongChain,
)

MARKET = "POOL_ADDRESSES_PROVIDER"

_ADVICE: tuple[tuple[type[LiquidbotError], str], ...] = (
    (RpcThrottled, "wait, or use an endpoint (or a plan) that allows more requests"),
    (RpcUnavailable, "check the address and the network; if both are right, use another endpoint"),
    (RpcRejected, "this node does not offer what is needed: use another endpoint"),
    (WrongChain, "set CHAIN_ID to the chain that you want, and use an endpoint of that chain"),
    (StoreUnavailable, "see which program holds the file and whether the disk is full, then try again"),
    (SchemaTooNew, "run the newer version of liquidbot, or set STATE_DB to another file"),
    (StoreMismatch, "set STATE_DB to another file, or CHAIN_ID and POOL_ADDRESSES_PROVIDER to that market"),
    (StoreError, "set STATE_DB to a file of liquidbot's own, in a directory that exists and may be written to"),
)
"""The first kind that fits decides; a base class stands below what derives from it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what one check found; `advice` says what to do, and is empty when all is well."""

    check: str
    found: str
    advice: str = ""

    @property
    def well(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self.advice


def advice_for(check: str, error: LiquidbotError) -> str:
    """Return what to do about an error that ended a check."""
    if check == MARKET and isinstance(error, WrongChain):
        return "check CHAIN_ID, POOL_ADDRESSES_PROVIDER, AAVE_POOL and MULTICALL3_ADDRESS: all four name one market"
    return next((words for kind, words in _ADVICE if isinstance(error, kind)), "see docs/operator.md")
