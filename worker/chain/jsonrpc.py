"""JSON-RPC 2.0 as pure functions: requests out of values, values or errors out of replies.

Nothing here opens a socket or reads a clock; `rpc` is the skin around it. No error text carries a URL: a path or a
query of an endpoint is usually its key.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from core.errors import ChainError, RpcRejected, RpcThrottled, RpcUnavailable

BACKOFF_FIRST = 2.0
BACKOFF_LAST = 30.0

_NOT_THERE_YET = re.compile(
    r"header not found|unknown block|block not found|block .*height is|BlockOutOfRange|missing trie node", re.IGNORECASE
)
_THROTTLED = re.compile(r"rate.?limit|too many requests|compute units|request limit|capacity exceeded", re.IGNORECASE)
_NOT_NOW = re.compile(r"no backend|temporar|try again|overload|unavailable|bad gateway", re.IGNORECASE)
_TOO_MUCH = re.compile(
    r"out of gas|gas (required|limit|cap)|intrinsic gas|too (large|big|many|wide)|more than|exceed|range|timed? ?out",
    re.IGNORECASE,
)
_BUSY_CODES = frozenset({-32005, -32016, 429})
_INTERNAL = -32603


class BlockNotThere(RpcUnavailable):
    """Say that the node, healthy as it is, has not seen the block that was asked for, or keeps it no more."""


def endpoint_name(url: str) -> str:
    """Return an endpoint's host and port; user info, path and query are secrets and stay out."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "?", parts.port
    except ValueError:
        return "?"
    return f"{host}:{port}" if port else host


def request(number: int, method: str, params: list[Any]) -> str:
    """Encode one request."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}, separators=(",", ":"))


def parse(name: str, body: str | bytes) -> dict[str, Any]:
    """Decode one message from endpoint `name`; raise RpcUnavailable for what is not a JSON object."""
    try:
        message = json.loads(body)
    except ValueError:  # a UnicodeDecodeError is one, too
        raise RpcUnavailable(f"{name} answered {_kind_of(body)} where JSON was expected") from None
    if not isinstance(message, dict):
        raise RpcUnavailable(f"{name} answered a JSON {type(message).__name__} where an object was expected")
    return message


def result(name: str, message: Mapping[str, Any]) -> Any:
    """Return a reply's result; raise what its error object means."""
    error = message.get("error")
    if error is not None:
        raise error_of(name, error)
    if "result" not in message:
        raise RpcUnavailable(f"{name} answered neither a result nor an error")
    return message["result"]


def error_of(name: str, error: object) -> ChainError:
    """Classify an error object.

    A block that the node does not have is BlockNotThere (another endpoint, or a moment, may help); a request quota is
    RpcThrottled; the rest the node understood and refused: RpcRejected.
    """
    if not isinstance(error, dict):
        return RpcUnavailable(f"{name} answered an error that is no object: {str(error)[:80]}")
    text = f"{error.get('message', '')}"[:300]
    code = error.get("code")
    if not isinstance(code, int):
        return RpcUnavailable(f"{name} answered an error without a code: {text}")
    return _meaning(name, code, text) or RpcRejected(code, f"{name}: {text}", _revert_data(error.get("data")))


def _meaning(name: str, code: int, text: str) -> ChainError | None:
    """Read in the words what the codes, which every provider chooses for itself, leave open."""
    if _NOT_THERE_YET.search(text):
        return BlockNotThere(f"{name} does not have that block: {text}")
    if _THROTTLED.search(text) or (code in _BUSY_CODES and not _TOO_MUCH.search(text)):
        return RpcThrottled(f"{name} asks for fewer requests: {text}")
    if _NOT_NOW.search(text):
        return RpcUnavailable(f"{name} cannot answer now: {text}")
    if code == _INTERNAL and not _TOO_MUCH.search(text) and "revert" not in text:
        return RpcUnavailable(f"{name} failed inside: {text}")
    return None


def http_failure(name: str, status: int, headers: Mapping[str, str], body: bytes) -> ChainError | None:
    """Return what an HTTP answer means when it is not a JSON-RPC reply to look into; None when it is."""
    if status == 429:
        return RpcThrottled(f"{name} answered HTTP 429", retry_after(headers))
    if status == 413:
        return RpcRejected(status, f"{name}: the request is too large (HTTP 413)")
    if 300 <= status < 400:
        return RpcUnavailable(f"{name} redirects elsewhere (HTTP {status}); is its URL https, and complete?")
    if status < 400 or body.lstrip()[:1] == b"{":
        return None  # some nodes put a JSON-RPC error into an HTTP error
    if status == 503 and "Retry-After" in headers:
        return RpcThrottled(f"{name} answered HTTP 503", retry_after(headers))
    hint = "; is the key in its URL right?" if status in (401, 403, 404) else ""
    return RpcUnavailable(f"{name} answered HTTP {status}{hint}")


def retry_after(headers: Mapping[str, str], default: float = 1.0) -> float:
    """Return the Retry-After header in seconds, at least 0.1; a date or nonsense counts as `default`."""
    try:
        return max(0.1, float(headers.get("Retry-After", default)))
    except ValueError:
        return default


def retryable(exc: BaseException) -> bool:
    """Tell whether the same request may succeed later or elsewhere."""
    return isinstance(exc, (RpcUnavailable, RpcThrottled))


def too_much(exc: BaseException) -> bool:
    """Tell whether a smaller request of the same kind may succeed."""
    return isinstance(exc, RpcRejected) and bool(_TOO_MUCH.search(str(exc)))


def backoff(attempt: int, rng: random.Random, first: float = BACKOFF_FIRST) -> float:
    """Return seconds to wait before attempt 1, 2, 3 …: 2, 4, 8 … up to 30, later ones less up to a quarter by chance.

    Chance keeps many clients from returning in one wave.
    """
    seconds = min(BACKOFF_LAST, first * 2.0 ** min(attempt - 1, 8))
    return seconds if attempt <= 1 else seconds * (1 - rng.random() / 4)


def _revert_data(data: object) -> str:
    """Nodes put revert data into `data`, or into `data.data`."""
    if isinstance(data, dict):
        data = data.get("data")
    return data if isinstance(data, str) and data.startswith("0x") else ""


def _kind_of(body: str | bytes) -> str:
    head = (body if isinstance(body, bytes) else body.encode("utf-8", "replace")).lstrip()[:200].lower()
    if not head:
        return "nothing"
    if head.startswith((b"<!doctype", b"<html")):
        return "HTML"
    return "cut-off JSON" if head[:1] in b"{[" else "garbage"
