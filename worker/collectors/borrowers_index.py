"""BorrowersIndexService: keep the index of who owes in each reserve filled, and saved where that was asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from core.config import DetectionSettings, PredictiveSettings
from core.domain.events import DebtBurned, DebtMinted, Event
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import Address
from core.ops.metrics import WorkerMetrics
from core.risk.borrowers_index import BorrowersIndex
from core.state.ports import BorrowersIndexStore
from worker.chain.decode import Decoder
from worker.chain.events import BURN, MINT
from worker.chain.logs import Log, LogFilter, LogWalk, addresses_of
from worker.chain.rpc import Rpc
from worker.collectors.borrowers import Progress, next_chunk

logger = logging.getLogger(__name__)

STAGE = "filling the borrowers index"


class BorrowersIndexService:
    """Fill the index from exact positions and from debt-token logs, and keep it up by both.

    `positions` are the mirror's, exact by account; an account that it does not follow is folded from its logs alone.
    With BORROWERS_INDEX_MODE=sqlite the index is saved in the worker's own store, else it is kept in memory.
    """

    def __init__(
        self,
        settings: PredictiveSettings,
        market: Market,
        positions: Mapping[Address, Position],
        store: BorrowersIndexStore,
        metrics: WorkerMetrics,
    ) -> None:
        self.index = BorrowersIndex(settings.borrowers_index_max_users_per_reserve)
        self._settings = settings
        self._market = market
        self._positions = positions
        self._store = store if settings.borrowers_index_mode == "sqlite" else None
        self._metrics = metrics
        if settings.borrowers_index_mode == "redis":
            logger.warning(
                "[borrowers-index] Redis connection failed, falling back to memory mode "
                "(this version keeps the index in memory or SQLite only)"
            )

    async def restore(self) -> int | None:
        """Put in what was saved; return the block up to which the logs are in it, or None for nothing."""
        if self._store is None:
            return None
        by_asset = {reserve.asset: id_ for id_, reserve in self._market.reserves.items()}
        for (asset, user), debt in (await self._store.load()).items():
            if asset in by_asset:
                self.index.put(by_asset[asset], user, debt)
        self.index.drain()
        return await self._store.indexed_to()

    async def backfill(
        self, rpc: Rpc, detection: DetectionSettings, start_block: int, to_block: int, progress: Progress
    ) -> int:
        """Fold the debt tokens' logs up to `to_block`, going on after what was saved; return how many there were.

        It begins at `start_block` (START_BLOCK), or BORROWERS_INDEX_BACKFILL_BLOCKS before `to_block` where that is
        set. Each chunk is saved with its mark. A node that is away is waited for.
        """
        done_to = await self.restore()
        back = self._settings.borrowers_index_backfill_blocks
        first = max(start_block, to_block - back + 1) if back else start_block
        first = first if done_to is None else done_to + 1
        tokens = addresses_of(reserve.variable_debt_token for reserve in self._market.reserves.values())
        chosen = LogFilter(tokens, ((MINT, BURN),))
        walk = LogWalk(rpc, chosen, first, to_block, detection.borrowers_index_chunk_blocks)
        decoder = Decoder(self._market.reserves)
        seen = 0
        while not walk.finished:
            to, logs = await next_chunk(walk)
            seen += len(logs)
            for log in logs:
                self._fold(decoder.decode(log, 0))
            await self.save(to)
            progress(STAGE, to - first + 1, to_block - first + 1)
        return seen

    async def start(self, block: int) -> None:
        """Take every position that is known exactly, as of `block`, and say so."""
        for position in self._positions.values():
            self.index.take(position)
        await self.save(block)
        logger.info("[borrowers-index] Initialized with %d reserves", len(self.index))

    def hear(self, event: Event, log: Log) -> None:
        """Take one event that the mirror heard and folded; a removed log says nothing that can be taken back here."""
        if log.removed or not isinstance(event, DebtMinted | DebtBurned):
            return
        position = self._positions.get(event.user)
        if position is None:
            self._fold(event)
        else:
            self.index.put(event.reserve, event.user, position.debt_of(event.reserve))

    async def save(self, block: int) -> None:
        """Save what changed, with everything up to `block` in it; raise StoreUnavailable, and keep it, when that fails.

        In memory there is nothing to save; the figures are shown either way.
        """
        changed = self.index.drain()
        for id_, reserve in self._market.reserves.items():
            self._metrics.borrowers_index.labels(reserve.symbol).set(len(self.index.users(id_)))
        if self._store is None:
            return
        known = self._market.reserves
        try:
            await self._store.save(
                {(known[id_].asset, user): debt for (id_, user), debt in changed.items() if id_ in known}, block
            )
        except BaseException:
            self.index.give_back(changed)
            raise

    def _fold(self, event: Any) -> None:
        if isinstance(event, DebtMinted | DebtBurned):
            self.index.apply(event)
