"""Wait out trouble aloud: say once that something is away, again every minute, and once that it is back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import StoreUnavailable

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_SAY_EVERY = 60.0


class Patience:
    """Keep one loop's patience with one thing it needs."""

    def __init__(self, what: str, logger: logging.Logger) -> None:
        self._what = what
        self._logger = logger
        self._pause = 0.0
        self._said = -_SAY_EVERY

    def complain(self, reason: object) -> None:
        """Log that it is away, at most once a minute."""
        if time.monotonic() - self._said >= _SAY_EVERY:
            self._said = time.monotonic()
            self._logger.warning("[bot] %s: %s; trying again", self._what, reason)

    async def wait(self, reason: object, at_least: float = 0.0) -> None:
        """Log, and wait longer each time."""
        self.complain(reason)
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
        await asyncio.sleep(max(self._pause, at_least))

    def relax(self) -> None:
        """Log that it is back, if it was away."""
        if self._pause:
            self._logger.info("[bot] %s: back again", self._what)
        self._pause = 0.0
        self._said = -_SAY_EVERY

    async def insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Return what `act` returns, trying again for as long as the store is away."""
        while True:
            try:
                result = await act()
            except StoreUnavailable as error:
                await self.wait(error)
            else:
                self.relax()
                return result
