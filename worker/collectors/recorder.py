"""Recording what the worker hears: heads, logs, and the node's answers, as compressed JSON lines in parts.

Every line is an object with `k` (its kind) and `t` (seconds since the recording began). A recording goes on in FILE.2,
FILE.3 and so on when a part is full, and when FILE is there already: nothing is ever written over.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from core.domain.units import Address
from core.errors import (
    ChainError,
    ConfigError,
    RpcRejected,
    RpcThrottled,
    RpcUnavailable,
    WrongChain,
)
from worker.chain.delivery import FeedSink
from worker.chain.jsonrpc import BlockNotThere
from worker.chain.logs import Head, Log
from worker.chain.rpc import Rpc

logger = logging.getLogger(__name__)

VERSION = 1
PART_BYTES = 64 * 1024 * 1024
FLUSH_SECONDS = 1.0
"""What a killed worker may lose of its recording."""

Entry = dict[str, Any]

_PLAIN_ERRORS: dict[str, type[ChainError]] = {
    each.__name__: each for each in (RpcUnavailable, BlockNotThere, WrongChain)
}


class Tape:
    """Write entries, each part at most about `part_bytes` on the disk.

    Opening raises ConfigError when the file cannot be made. A write that fails later ends the recording, loudly, and
    never the worker.
    """

    def __init__(self, path: Path, part_bytes: int = PART_BYTES) -> None:
        self._path = path
        self._part_bytes = part_bytes
        self._began = self._flushed = time.monotonic()
        self._file: TextIO | None = None
        self._part = path
        try:
            self._next_part()
        except OSError as error:
            raise ConfigError(f"--record {path}: cannot be written: {error.strerror or error}") from error

    def write(self, kind: str, **fields: Any) -> None:
        """Add an entry; values are what JSON knows."""
        if self._file is None:
            return
        now = time.monotonic()
        line = json.dumps({"k": kind, "t": round(now - self._began, 4), **fields}, separators=(",", ":"))
        try:
            self._file.write(line + "\n")
        except OSError as error:
            self._end(error)
        if now - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Put everything so far on the disk, and begin another part when this one is full."""
        self._flushed = time.monotonic()
        if self._file is None:
            return
        try:
            self._file.flush()
            if self._part.stat().st_size >= self._part_bytes:
                self._file.close()
                self._next_part()
        except OSError as error:
            self._end(error)

    def close(self) -> None:
        """End the recording."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                logger.error("[recorder] the end of %s could not be written: %s", self._part, error)  # noqa: TRY400

    def _end(self, error: OSError) -> None:
        self._file = None
        logger.error("[recorder] the recording ends here, %s cannot be written: %s", self._part, error)

    def _next_part(self) -> None:
        self._part = next(part for part in _parts(self._path) if not part.exists())
        self._file = gzip.open(self._part, "xt", compresslevel=1, encoding="utf-8")  # noqa: SIM115  # closed by close
        self.write("part", v=VERSION)


def read_tape(path: Path) -> Iterator[Entry]:
    """Yield the entries of every part; a part that ends in the middle, as a killed worker leaves it, is said.

    Raise ConfigError when there is no such file, it is no recording, or one of another version.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such recording")
    for part in _parts(path):
        if not part.exists():
            return
        yield from _read_part(part)


def _read_part(part: Path) -> Iterator[Entry]:
    number = 0
    try:
        with gzip.open(part, "rt", encoding="utf-8") as file:
            for line in file:
                number += 1
                entry = json.loads(line)
                if entry["k"] != "part":
                    yield entry
                elif entry["v"] != VERSION:
                    raise ConfigError(f"{part}: a recording of version {entry['v']}; this program reads {VERSION}")
    except (EOFError, zlib.error) as error:
        logger.warning("[recorder] %s ends in the middle, after line %d: %s", part, number, error)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{part}: line {number} is not of a recording: {error}") from error


def _parts(path: Path) -> Iterator[Path]:
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.name}.{number}")
        number += 1


def call_key(method: str, params: list[Any]) -> str:
    """Return what stands for a question in a recording: short, and the same for the same question."""
    text = json.dumps([method, params], separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def head_fields(head: Head) -> Entry:
    """Return a head without the time of its arrival."""
    return {"number": head.number, "hash": head.hash, "parent": head.parent_hash, "at": head.timestamp}


def head_of(entry: Entry, heard_at: float) -> Head:
    """Return a recorded head as if it arrived at `heard_at` (monotonic seconds)."""
    return Head(entry["number"], entry["hash"], entry["parent"], entry["at"], heard_at)


def log_fields(log: Log) -> Entry:
    """Return a log without the time of its arrival."""
    return {
        "address": log.address, "topics": log.topics, "data": log.data, "block": log.block_number,
        "hash": log.block_hash, "tx": log.transaction_hash, "index": log.log_index, "removed": log.removed,
        "at": log.timestamp,
    }  # fmt: skip


def log_of(entry: Entry, heard_at: float) -> Log:
    """Return a recorded log as if it arrived at `heard_at` (monotonic seconds)."""
    return Log(
        Address(entry["address"]), tuple(entry["topics"]), entry["data"], entry["block"], entry["hash"],
        entry["tx"], entry["index"], entry["removed"], heard_at, entry["at"],
    )  # fmt: skip


def error_fields(error: ChainError) -> Entry:
    """Return an error so that `error_of` can raise it again."""
    fields: Entry = {"type": type(error).__name__, "text": str(error)}
    if isinstance(error, RpcThrottled):
        fields["retry_after"] = error.retry_after
    if isinstance(error, RpcRejected):
        fields |= {"text": str(error).removesuffix(f" (code {error.code})"), "code": error.code, "data": error.data}
    return fields


def error_of(fields: Entry) -> ChainError:
    """Return a recorded error."""
    if "code" in fields:
        return RpcRejected(fields["code"], fields["text"], fields["data"])
    if "retry_after" in fields:
        return RpcThrottled(fields["text"], fields["retry_after"])
    return _PLAIN_ERRORS.get(fields["type"], RpcUnavailable)(fields["text"])


class RecordingSink:
    """Write down what the feed delivers, then pass it on."""

    def __init__(self, sink: FeedSink, tape: Tape) -> None:
        self._sink = sink
        self._tape = tape

    def on_log(self, log: Log) -> None:
        """Receive a log."""
        self._tape.write("log", **log_fields(log))
        self._sink.on_log(log)

    def on_head(self, head: Head) -> None:
        """Receive a head."""
        self._tape.write("head", **head_fields(head))
        self._sink.on_head(head)

    def on_reorganisation(self, first: int) -> None:
        """Receive that the chain may be another one from a block on."""
        self._tape.write("reorganisation", first=first)
        self._sink.on_reorganisation(first)

    def on_state(self, up: bool, text: str) -> None:
        """Receive whether the connection stands."""
        self._tape.write("state", up=up, text=text)
        self._sink.on_state(up, text)


class RecordingCheck:
    """Write down which single check was a hit, then pass it on."""

    def __init__(self, check: Callable[[Address, str, float], None], tape: Tape) -> None:
        self._check = check
        self._tape = tape

    def __call__(self, user: Address, words: str, since: float) -> None:
        """Receive an account, the words for its check and the monotonic time of what caused it."""
        self._tape.write("check", user=user, words=words)
        self._check(user, words, since)


class RecordingRpc:
    """Write down what is asked and answered, while `wanted` says so, for a reader that stands on it."""

    def __init__(self, rpc: Rpc, tape: Tape, wanted: Callable[[], bool]) -> None:
        self._rpc = rpc
        self._tape = tape
        self._wanted = wanted

    @property
    def name(self) -> str:
        """Return the host (and port) asked."""
        return self._rpc.name

    async def call(self, method: str, params: list[Any], within: float = 10.0) -> Any:
        """Return the result; raise what the node's error is."""
        if not self._wanted():
            return await self._rpc.call(method, params, within)
        key = call_key(method, params)
        self._tape.write("ask", key=key, method=method)
        try:
            result = await self._rpc.call(method, params, within)
        except ChainError as error:
            self._tape.write("answer", key=key, error=error_fields(error))
            raise
        self._tape.write("answer", key=key, result=result)
        return result
