"""The pipeline over a scene, put together the same way for a live chain and for a recording."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.config import Settings
from core.domain.opportunity import Opportunity
from core.ops.metrics import WorkerMetrics
from core.state.ports import Journal, Store
from worker.collectors.borrowers_index import BorrowersIndexService
from worker.detection.chain_sweep import ChainSweep
from worker.detection.looking import Detector, Limits
from worker.detection.realtime_hf import RealTimeHF
from worker.detection.spells import Spells
from worker.foresight import Check, Foresight
from worker.pipeline import Pipeline, Shared
from worker.startup import Scene

RECENT_OPPORTUNITIES = 1_000

Wrap = Callable[[Detector, Shared], Detector]


async def make_pipeline(
    settings: Settings, scene: Scene, store: Store, shared: Shared, metrics: WorkerMetrics, wrap: Wrap
) -> Pipeline:
    """Return a pipeline that goes on with the store's open opportunities; `wrap` may stand around its detector."""
    last_id, last_episode = await store.journal.last_ids()
    spells = Spells(last_id, last_episode, await known_opportunities(store.journal), time.time())
    detector = wrap(make_detector(settings, scene, metrics), shared)
    return Pipeline(detector, scene.mirror, spells, store, shared, metrics)


def make_foresight(
    settings: Settings, scene: Scene, store: Store, metrics: WorkerMetrics, pipeline: Pipeline, check: Check
) -> Foresight | None:
    """Return what looks ahead, told by the pipeline of every look; None for rules that are not known here."""
    if scene.mirror.market.revision is None:
        return None
    mirror = scene.mirror
    index = BorrowersIndexService(settings.predictive, mirror.market, mirror.positions, store.borrowers_index, metrics)
    foresight = Foresight(settings, scene, index, metrics, check, pipeline.distrust)
    pipeline.followers.append(foresight.follow)
    return foresight


def make_detector(settings: Settings, scene: Scene, metrics: WorkerMetrics) -> Detector:
    """Return the detector for the rules of the market: our own figures, or the chain's where we do not know them."""
    detection = settings.detection
    limits = Limits(detection.hf_threshold_wad, detection.min_debt_base)
    count = metrics.health_checks.inc
    if scene.mirror.market.revision is None:
        return ChainSweep(scene.reader, scene.watch_list, scene.borrowers, limits, count)
    return RealTimeHF(scene.mirror, scene.reader, limits, count)


async def known_opportunities(journal: Journal) -> list[Opportunity]:
    """Return those that are open, and the latest thousand, by which episodes go on."""
    last_id, _ = await journal.last_ids()
    recent = await journal.opportunities(after_id=max(0, last_id - RECENT_OPPORTUNITIES))
    known = {each.id: each for each in [*await journal.open_opportunities(), *recent]}
    return [known[id_] for id_ in sorted(known)]
