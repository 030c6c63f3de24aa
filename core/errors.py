"""Every error this project raises on purpose.

LiquidbotError
├── ConfigError              a setting is wrong; its text names the variable, the value and what is allowed
├── StoreError               the shared state cannot be used
│   ├── StoreUnavailable     for now: locked, unreachable, disk full; worth another try
│   ├── SchemaTooNew         written by a newer version of this program
│   ├── StoreMismatch        belongs to another chain or market
│   └── Superseded           somebody else wrote first, or holds the lease
└── ChainError               the node or the contracts cannot be used
    ├── RpcUnavailable       no usable answer: refused, cut, timed out, HTML, garbage; worth another try
    ├── RpcThrottled         the endpoint asks for patience (HTTP 429); worth another try
    ├── RpcRejected          the node understood and said no (JSON-RPC error object)
    └── WrongChain           another chain id, no contract at the address, or not the market that was asked for

Expected outcomes (a healthy account, a refused command) are values, never exceptions.
"""

from __future__ import annotations


class LiquidbotError(Exception):
    """Be the root of every error raised on purpose; its text is fit for an operator."""


class ConfigError(LiquidbotError):
    """Say which setting is wrong, what it holds and what is allowed."""


class StoreError(LiquidbotError):
    """Say why the shared state cannot be used."""


class StoreUnavailable(StoreError):
    """Say that the store does not answer now; trying again may help."""


class SchemaTooNew(StoreError):
    """Say that a newer version of this program wrote the store."""


class StoreMismatch(StoreError):
    """Say that the store belongs to another chain or market."""


class Superseded(StoreError):
    """Say that another writer was first: a stale version or a lost lease."""


class ChainError(LiquidbotError):
    """Say why the node or a contract cannot be used."""


class RpcUnavailable(ChainError):
    """Say that an endpoint gave no usable answer; trying again may help."""


class RpcThrottled(ChainError):
    """Say that an endpoint wants fewer requests; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RpcRejected(ChainError):
    """Carry a JSON-RPC error: its code, its message and its data (a revert's return data in hex, or "")."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.data = data


class WrongChain(ChainError):
    """Say that the node serves another chain, or an address holds no contract that fits."""
