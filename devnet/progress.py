"""How long work says how far it is."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Protocol, TextIO


class Progress(Protocol):
    """Be told that `done` of `total` steps of a stage are behind us."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def silent(stage: str, done: int, total: int) -> None:
    """Say nothing."""


class Bar:
    """Draw one line per stage: redrawn on a terminal, at most one line every two seconds elsewhere."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._live = self._out.isatty()
        self._stage = ""
        self._started = self._said = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show the stage's share; a stage that is over within two seconds shows only its end."""
        now = monotonic()
        if stage != self._stage:
            self._stage, self._started, self._said = stage, now, now
        ended = done >= total
        if not ended and now - self._said < (0.1 if self._live else 2.0):
            return
        self._said = now
        filled = "#" * (20 * done // max(total, 1))
        line = f"{stage:<12} [{filled:<20}] {done}/{total}  {now - self._started:.1f} s"
        self._out.write(f"\r{line}\x1b[K" + ("\n" if ended else "") if self._live else f"{line}\n")
        self._out.flush()
        if ended:
            self._stage = ""
