"""Pending-block polling (USE_FLASHBLOCKS): a hint that the node has moved on, before its head was heard."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from core.config import Settings
from core.errors import ChainError, RpcUnavailable
from worker.chain.rpc import Rpc

logger = logging.getLogger(__name__)

BASE = 8453
SHOWN = ("number", "stateRoot", "transactionsRoot", "gasUsed", "logsBloom")

Hint = Callable[[int, float], None]
"""Called with the node's newest block and the monotonic time of the answer."""


class PendingPoller:
    """Ask for the pending block every `tick_ms`, and pass on the number of its parent whenever it changed.

    It asks without transactions, so that an answer is small. A node that does not know "pending" is said once, and
    asked on.
    """

    def __init__(self, rpc: Rpc, tick_ms: int, hint: Hint) -> None:
        self._rpc = rpc
        self._tick_ms = tick_ms
        self._hint = hint
        self._last: object = None
        self._silent = False

    async def run(self) -> None:
        """Poll for ever."""
        logger.info("[realtime-hf] Starting pending block polling (tick=%dms)", self._tick_ms)
        while True:
            started = time.monotonic()
            await self.poll()
            await asyncio.sleep(max(0.0, self._tick_ms / 1000 - (time.monotonic() - started)))

    async def poll(self) -> None:
        """Ask once."""
        try:
            block = await self._rpc.call("eth_getBlockByNumber", ["pending", False])
            number = self._number_of(block)
        except ChainError as error:
            if not self._silent:
                logger.warning("[realtime-hf] no pending block, asking on: %s", error)
            self._silent = True
            return
        self._silent = False
        shape = [block.get(name) for name in SHOWN], len(block.get("transactions") or ())
        if shape != self._last:
            self._last = shape
            self._hint(number - 1, time.monotonic())

    def _number_of(self, block: Any) -> int:
        try:
            return int(block["number"], 16)
        except (KeyError, TypeError, ValueError):
            text = str(block)[:40]
            raise RpcUnavailable(f"{self._rpc.name} answered with a pending block that is none: {text!r}") from None


def pending_poller(settings: Settings, rpc: Rpc, hint: Hint) -> PendingPoller | None:
    """Return the poller that USE_FLASHBLOCKS asks for; None without it, and on Base, which retired Flashblocks."""
    detection = settings.detection
    if not detection.use_flashblocks:
        return None
    if settings.chain.chain_id == BASE:
        logger.warning("USE_FLASHBLOCKS=true: Base retired Flashblocks on 2026-11-05; a head comes every 200 ms")
        return None
    return PendingPoller(rpc, detection.flashblocks_tick_ms, hint)
