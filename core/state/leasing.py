"""Take a lease, hold it, and notice when it is lost: the same for the worker and the bot's poller."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from core.errors import StoreUnavailable
from core.state.ports import Lease

logger = logging.getLogger(__name__)

TTL_SECONDS = 10.0
RENEW_SECONDS = 3.0
COMPLAIN_SECONDS = 60.0


class LeaseLost(Exception):
    """Say that another process holds the lease, or that it could not be renewed before it ran out."""


async def take(lease: Lease, name: str, holder: str, waiting: Callable[[], None]) -> int:
    """Wait until the lease is ours and return its fencing token; call `waiting` once when another has it."""
    said = False
    complained_at = -COMPLAIN_SECONDS
    while True:
        try:
            token = await lease.acquire(name, holder, TTL_SECONDS, time.time())
        except StoreUnavailable as error:
            if time.monotonic() - complained_at >= COMPLAIN_SECONDS:
                complained_at = time.monotonic()
                logger.warning("[lease] %s cannot be taken now, trying on: %s", name, error)
        else:
            if token is not None:
                return token
            if not said:
                waiting()
                said = True
        await asyncio.sleep(RENEW_SECONDS / 3)


async def hold(lease: Lease, name: str, holder: str) -> None:
    """Renew the lease for ever; raise LeaseLost when that is not possible any more."""
    good_until = time.monotonic() + TTL_SECONDS
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        asked_at = time.monotonic()
        try:
            token = await lease.acquire(name, holder, TTL_SECONDS, time.time())
        except StoreUnavailable as error:
            logger.warning("[lease] %s cannot be renewed now: %s", name, error)
            token = 0 if time.monotonic() < good_until - RENEW_SECONDS else None
        if token is None:
            raise LeaseLost(name)
        if token:
            good_until = asked_at + TTL_SECONDS
