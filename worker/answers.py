"""Answer the bot's questions from what the worker knows now."""

from __future__ import annotations

import asyncio
import time

from core.config import Settings, host_of
from core.domain.messages import (
    Answer,
    AskSettings,
    AskStatus,
    AskWatchlist,
    AskWhatIf,
    Question,
    SettingRow,
    SettingsReport,
    StatusReport,
    WatchedAccount,
    WatchlistPage,
    WhatIfReport,
)
from core.risk.what_if import QUOTING, WhatIf
from core.state.ports import Journal
from core.version import VERSION
from worker.foresight import Foresight
from worker.pipeline import Shared
from worker.startup import Scene

DAY_SECONDS = 86_400
SLICE_SECONDS = 0.005
WHAT_IF_SECONDS = 1.2
"""Whoever asks waits two seconds; what is not quoted by then is left out, and the answer says so."""
MOST_ROWS = 50


class Answers:
    """Know everything that may be asked of this worker."""

    def __init__(
        self, settings: Settings, shared: Shared, scene: Scene, journal: Journal, foresight: Foresight | None
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._scene = scene
        self._journal = journal
        self._foresight = foresight
        self._started = time.monotonic()

    def block(self) -> int:
        """Return the number of the last head."""
        return self._shared.head.number if self._shared.head else self._scene.head.number

    async def to(self, question: Question) -> Answer:
        """Return the answer to one question."""
        match question:
            case AskStatus():
                return await self._status()
            case AskWatchlist():
                return self._page(question)
            case AskSettings():
                rows = self._settings.rows()
                return SettingsReport(tuple(SettingRow(name, value, source) for name, value, source, _ in rows))
            case AskWhatIf():
                return await self._what_if(question)

    async def _status(self) -> StatusReport:
        counts = await self._journal.counts(since=time.time() - DAY_SECONDS)
        chain = self._settings.chain
        return StatusReport(
            role="active",
            version=VERSION,
            uptime_seconds=time.monotonic() - self._started,
            chain_id=chain.chain_id,
            revision=self._scene.reader.contracts.revision,
            execution=execution_word(self._settings),
            block=self.block(),
            head_age_seconds=self._shared.head_age(),
            borrowers=len(self._scene.mirror) or len(self._scene.borrowers),
            watched=len(self._scene.watch_list),
            bands=self._scene.watch_list.bands(),
            dry_run=self._shared.controls.dry_run,
            controls_version=self._shared.controls.version,
            endpoints=tuple(host_of(url) for url in (*chain.rpc_url, chain.ws_rpc_url) if url),
            latency=self._shared.latency(),
            day=tuple(sorted((state.value, count) for state, count in counts.items())),
            prediction=self._foresight.report() if self._foresight else None,
        )

    def _page(self, question: AskWatchlist) -> WatchlistPage:
        ranked = self._scene.watch_list.ranked()
        size = max(1, min(question.size, MOST_ROWS))
        pages = max(1, -(-len(ranked) // size))
        page = max(1, min(question.page, pages))
        rows = ranked[(page - 1) * size : page * size]
        mirrored = self._scene.mirror.market.revision is not None  # else the chain itself was asked, at the head
        return WatchlistPage(
            block=self._scene.mirror.block if mirrored else self.block(),
            page=page,
            pages=pages,
            total=len(ranked),
            rows=tuple(
                WatchedAccount(w.user, w.health_factor, w.total_debt_base, w.total_collateral_base) for w in rows
            ),
        )

    async def _what_if(self, question: AskWhatIf) -> WhatIfReport:
        """Walk a what-if in slices of a few milliseconds, so that detection does not wait for it."""
        mirror = self._scene.mirror
        if mirror.market.revision is None:
            return WhatIfReport(mirror.block, question.moves, refusal="the pool runs rules that are not known here")
        limits, now = self._settings.detection, mirror.market.timestamp
        try:
            what_if = WhatIf(
                mirror.market, mirror.positions, mirror.grid, question.moves, min_debt=limits.min_debt_base, now=now
            )
        except ValueError as error:
            return WhatIfReport(mirror.block, question.moves, refusal=str(error))
        started = pause = time.monotonic()
        for stage, _, _ in what_if.walk():
            if time.monotonic() - pause > SLICE_SECONDS:
                await asyncio.sleep(0)
                pause = time.monotonic()
            if stage == QUOTING and pause - started > WHAT_IF_SECONDS:
                break
        return what_if.report(max(1, min(question.top, MOST_ROWS)))


def execution_word(settings: Settings) -> str:
    """Return what the settings permit: off, dry (dry run is forced) or armable (an operator may switch it off)."""
    if not settings.execution.execution_enabled:
        return "off"
    return "dry" if settings.execution.dry_run_execution else "armable"
