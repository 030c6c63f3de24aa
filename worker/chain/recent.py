"""What was heard lately: so that nothing is delivered twice, and what the chain takes back can be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from core.domain.units import Address
from worker.chain.logs import Head, Log

DEPTH = 64
"""Blocks that are remembered; a reorganisation deeper than this is not undone log by log."""


class Recent:
    """Remember the logs and heads of the last blocks that were delivered."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self._hashes: dict[int, str] = {}
        self._logs: dict[tuple[str, int], Log] = {}

    def is_new(self, log: Log) -> bool:
        """Tell whether a log is to be delivered, and remember it; a removal counts once, and only of what was heard."""
        if log.removed:
            return self._logs.pop(log.key, None) is not None
        if log.key in self._logs:
            return False
        self._logs[log.key] = log
        return True

    def contradicts(self, head: Head) -> bool:
        """Tell whether another block was heard at that height; a height never heard contradicts nothing."""
        return self._hashes.get(head.number, head.hash) != head.hash

    def taken_back(self, canonical: Iterable[Log], first: int, last: int, watched: frozenset[Address]) -> list[Log]:
        """Return what was delivered from blocks `first` to `last` and is not on the chain any more, latest first.

        `canonical` are the chain's logs of those blocks from the `watched` addresses.
        """
        keys = {log.key for log in canonical}
        gone = [
            log
            for key, log in self._logs.items()
            if first <= log.block_number <= last and log.address in watched and key not in keys
        ]
        gone.sort(key=lambda log: (log.block_number, log.log_index), reverse=True)
        return [replace(log, removed=True) for log in gone]

    def move_to(self, head: Head) -> None:
        """Take a head as the latest one, and forget what is out of reach or above it."""
        self.head = head
        self._hashes[head.number] = head.hash
        for number in [n for n in self._hashes if not head.number - DEPTH <= n <= head.number]:
            del self._hashes[number]
        self.forget_before(head.number - DEPTH)

    def forget_before(self, block: int) -> None:
        """Forget logs of earlier blocks."""
        for key in [key for key, log in self._logs.items() if log.block_number < block]:
            del self._logs[key]
