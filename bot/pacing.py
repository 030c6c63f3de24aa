"""Keep within Telegram's limits: one bucket per chat and one for all, on the monotonic clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Let `burst` requests through at once and `rate` a second after that."""

    rate: float
    burst: float
    tokens: float
    at: float

    def wait(self, now: float) -> float:
        """Return how many seconds until the next request may go; 0 when it may go now."""
        tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        return max(0.0, (1.0 - tokens) / self.rate)

    def spend(self, now: float) -> None:
        """Count one request."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate) - 1.0
        self.at = now


class Pace:
    """Say when each chat may be written to next.

    Private chats: 1 a second, 3 at once. Groups: 15 a minute and 3 at once, so never more than 18 in any minute. All
    chats together: 25 a second. A chat that Telegram throttled, and all of them while Telegram is away, wait longer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._overall = Bucket(25.0, 5.0, 5.0, clock())
        self._chats: dict[int, Bucket] = {}
        self._held: dict[int, float] = {}
        self._held_all = 0.0

    def wait(self, chat_id: int) -> float:
        """Return how many seconds until this chat may be written to."""
        now = self._clock()
        held = max(self._held.get(chat_id, 0.0), self._held_all) - now
        return max(0.0, held, self._bucket(chat_id, now).wait(now), self._overall.wait(now))

    async def turn(self, chat_id: int) -> None:
        """Wait until this chat may be written to."""
        while True:
            seconds = self.wait(chat_id)
            if seconds <= 0:
                return
            await asyncio.sleep(seconds)

    def spend(self, chat_id: int) -> None:
        """Count one request to this chat."""
        now = self._clock()
        self._bucket(chat_id, now).spend(now)
        self._overall.spend(now)

    def hold(self, chat_id: int, seconds: float) -> None:
        """Write nothing to this chat for so long."""
        self._held[chat_id] = max(self._held.get(chat_id, 0.0), self._clock() + seconds)

    def hold_all(self, seconds: float) -> None:
        """Write nothing to anybody for so long."""
        self._held_all = max(self._held_all, self._clock() + seconds)

    def _bucket(self, chat_id: int, now: float) -> Bucket:
        found = self._chats.get(chat_id)
        if found is None:
            rate = 1.0 if chat_id > 0 else 0.25
            found = self._chats[chat_id] = Bucket(rate, 3.0, 3.0, now)
        return found
