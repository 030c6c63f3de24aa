"""Know at every moment whether the poller's lease is still ours, by the monotonic clock."""

from __future__ import annotations

import logging
import time

from bot.patience import Patience
from core.errors import StoreUnavailable
from core.ops.metrics import BotMetrics
from core.state.ports import Lease

logger = logging.getLogger(__name__)

LEASE = "poller"
_MARGIN_SECONDS = 1.0


class Term:
    """Be the lease, and remember until when it lasts: a process that was paused knows before it sends or polls."""

    def __init__(self, lease: Lease, metrics: BotMetrics) -> None:
        self._lease = lease
        self._metrics = metrics
        self._until = 0.0
        self._patience = Patience("store", logger)

    def held(self) -> bool:
        """Tell whether this process may act now."""
        return time.monotonic() < self._until

    def role(self) -> str:
        """Return "active" or "standby"."""
        return "active" if self.held() else "standby"

    async def acquire(self, name: str, holder: str, ttl: float, now: float) -> int | None:
        """Take or renew the lease; see Lease."""
        began = time.monotonic()
        try:
            token = await self._lease.acquire(name, holder, ttl, now)
        except StoreUnavailable as error:
            self._patience.complain(error)
            raise
        self._patience.relax()
        self._until = 0.0 if token is None else began + ttl - _MARGIN_SECONDS
        self._metrics.lease(name, held=token is not None)
        return token

    async def release(self, name: str, holder: str) -> None:
        """Give the lease back, so that the next bot need not wait for it to run out."""
        self._until = 0.0
        self._metrics.lease(name, held=False)
        try:
            await self._lease.release(name, holder)
        except StoreUnavailable as error:
            logger.warning("[bot] the lease could not be given back, it runs out by itself: %s", error)
