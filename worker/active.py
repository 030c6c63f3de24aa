"""The worker while it holds the lease: set the scene, then run every task together until one of them ends all."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.config import Settings
from core.domain.controls import Controls, Limits, cold_start
from core.domain.liquidation import CloseFactorMode
from core.domain.messages import ControlsChanged, WorkerStarted, WorkerStopped, WorkerWarned
from core.errors import ChainError, StoreUnavailable
from core.ops.http import Check
from core.ops.metrics import WorkerMetrics
from core.state.leasing import hold
from core.state.ports import Presence, Store
from core.state.snapshot import pack
from core.version import VERSION
from worker.answers import Answers
from worker.chain.feed import Feed, FeedOptions
from worker.chain.oracles import walk, watched_addresses
from worker.chain.rpc import HttpRpc
from worker.collectors.commands import CommandDesk, changes
from worker.composition import make_foresight, make_pipeline
from worker.detection.bootstrap_scan import Progress
from worker.foresight import Foresight
from worker.pipeline import Pipeline, Shared
from worker.recording import Recording
from worker.startup import Scene, patiently, set_scene, watched

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2
GAS_PRICE_SECONDS = 10
SOURCES_SECONDS = 60
SNAPSHOT_SECONDS = 30
MISFIRE_SECONDS = 30
PROGRESS_SECONDS = 2.0
STOP_SECONDS = 2.0


class ContractsReplaced(Exception):
    """End the term: a contract of the market was replaced, so everything about it has to be found again."""


class ActiveWorker:
    """Compose the parts for one term of the lease, and keep what outlives a term."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        rpc: HttpRpc,
        metrics: WorkerMetrics,
        instance: str,
        recording: Recording,
    ) -> None:
        self.role = "starting"
        self._recording = recording
        self._settings = settings
        self._store = store
        self._rpc = rpc
        self._metrics = metrics
        self._instance = instance
        self._shared: Shared | None = None
        self._scene: Scene | None = None
        self._pipeline_at_work: Pipeline | None = None
        self._foresight: Foresight | None = None

    def checks(self) -> Mapping[str, Check]:
        """Return what /ready asks; a stand-by needs its store only."""
        return {"store": self._check_store, "head": self._check_head}

    async def work(self, lease: str) -> None:
        """Work until a task ends with an error; raise it in an ExceptionGroup."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(hold(self._store.lease, lease, self._instance), name="lease")
                group.create_task(self._work(group), name="start")
        except asyncio.CancelledError:  # asked to stop; whoever lost the lease has nothing to say any more
            if self.role == "active":
                await self._say_goodbye()
            raise

    async def _work(self, group: asyncio.TaskGroup) -> None:
        progress = log_progress()
        recording = self._recording
        await patiently("the store", lambda: recording.begin_term(self._settings, self._store))
        rpc = recording.rpc(self._rpc)
        scene = await patiently("the chain", lambda: set_scene(self._settings, rpc, self._store, progress))
        self._scene = scene
        shared = self._shared = await patiently("the store", lambda: self._begin(scene))
        freeze()
        pipeline = await patiently("the store", lambda: self._pipeline(scene, shared))
        foresight = self._foresight = await self._look_ahead(scene, pipeline)
        recording.begin(scene, shared)
        self._pipeline_at_work = pipeline
        pipeline.begin_at(scene.head)
        feed = self._feed(scene)
        answers = Answers(self._settings, shared, scene, self._store.journal, foresight)
        desk = CommandDesk(self._store, self._limits(), self._take_over, answers.block, answers.to)
        scheduler = self._schedule(scene, shared, feed)
        self.role = "active"
        group.create_task(feed.run(recording.sink(pipeline), scene.head), name="feed")
        group.create_task(pipeline.run(), name="pipeline")
        if foresight is not None:
            foresight.start(group, self._rpc)
        group.create_task(desk.run(), name="commands")
        group.create_task(self._until_replaced(shared), name="replaced")
        group.create_task(self._follow_sources(scene, shared), name="sources")
        try:
            await asyncio.Event().wait()
        finally:
            scheduler.shutdown(wait=False)

    async def _begin(self, scene: Scene) -> Shared:
        """Start in dry run, whatever was before, and tell the bot that we work."""
        before = await self._store.controls.load()
        controls = cold_start(before, time.time())
        if controls is not before:
            event = ControlsChanged(
                controls.version, changes(before, controls), "", None, scene.head.number, 0.0, "a start is a dry run"
            )
            await self._store.controls.save(controls, event, "", time.time())
        self._metrics.dry_run.set(controls.dry_run)
        self._metrics.controls(controls.version)
        revision = scene.reader.contracts.revision
        started = WorkerStarted(
            VERSION, self._settings.chain.chain_id, revision, scene.head.number, len(scene.watch_list), controls.dry_run
        )
        await self._store.outbox.append([started, *self._revision_warning(scene)], time.time())
        return Shared(
            controls,
            CloseFactorMode(self._settings.execution.close_factor_mode),
            self._stale_after(),
            head=scene.head,
        )

    def _revision_warning(self, scene: Scene) -> list[WorkerWarned]:
        known = scene.mirror.market.revision is not None
        text = (
            f"The pool is at revision {scene.reader.contracts.revision}, whose rules this version does not know: "
            "nothing will be executed; detection goes on with the chain's own figures."
        )
        if not known:
            logger.error("[worker] %s", text)
        return [] if known else [WorkerWarned("revision", text)]

    async def _pipeline(self, scene: Scene, shared: Shared) -> Pipeline:
        recording = self._recording
        store = recording.store(self._store)
        return await make_pipeline(self._settings, scene, store, shared, self._metrics, recording.detector)

    async def _look_ahead(self, scene: Scene, pipeline: Pipeline) -> Foresight | None:
        check = self._recording.check(pipeline.check)
        foresight = make_foresight(self._settings, scene, self._store, self._metrics, pipeline, check)
        if foresight is not None:
            await patiently("the store", lambda: foresight.fill(self._rpc, scene.head.number, log_progress()))
        return foresight

    def _feed(self, scene: Scene) -> Feed:
        chain, detection = self._settings.chain, self._settings.detection
        if not self._live():
            logger.warning(
                "[realtime-hf] %s: polling over HTTP every %g s",
                "WS_RPC_URL is not set" if detection.use_realtime_hf else "USE_REALTIME_HF=false",
                chain.poll_interval_sec,
            )
        feed = Feed(
            chain.ws_rpc_url if self._live() else None,
            self._rpc,
            options=FeedOptions(
                chain.chain_id, chain.poll_interval_sec, chunk_blocks=detection.borrowers_index_chunk_blocks
            ),
            observe=self._metrics.rpc_request,
        )
        mirror = scene.mirror

        def listen() -> None:
            feed.watch(watched_addresses(scene.reader.contracts, mirror.market, mirror.sources))

        mirror.on_sources = listen
        listen()
        return feed

    async def _find_sources(self, scene: Scene) -> None:
        """Look whether the price sources are still the ones that we listen to."""
        mirror = scene.mirror
        if mirror.market.revision is not None:
            if await mirror.check_sources() and self._pipeline_at_work:
                self._pipeline_at_work.look_again()
            return
        mirror.sources = await walk(scene.reader.multicall, mirror.market, feeds=self._settings.chain.chainlink_feeds)
        mirror.on_sources()

    async def _follow_sources(self, scene: Scene, shared: Shared) -> None:
        """Listen to new tokens and sources as soon as the market's configuration changed."""
        while True:
            await shared.sources.wait()
            shared.sources.clear()
            await patiently("the chain", lambda: self._find_sources(scene))

    def _schedule(self, scene: Scene, shared: Shared, feed: Feed) -> AsyncIOScheduler:
        """Start what is done by the clock; a job that fails is logged by the scheduler and done again next time."""
        scheduler = AsyncIOScheduler(
            job_defaults={"misfire_grace_time": MISFIRE_SECONDS, "coalesce": True, "max_instances": 1}
        )
        at_once = datetime.now(UTC)
        scheduler.add_job(
            self._beat, "interval", seconds=BEAT_SECONDS, args=[scene, shared, feed], next_run_time=at_once
        )
        scheduler.add_job(
            self._ask_gas_price, "interval", seconds=GAS_PRICE_SECONDS, args=[shared], next_run_time=at_once
        )
        scheduler.add_job(self._find_sources, "interval", seconds=SOURCES_SECONDS, args=[scene])
        scheduler.add_job(self._save_snapshot, "interval", seconds=SNAPSHOT_SECONDS, args=[scene, shared])
        scheduler.start()
        return scheduler

    async def _save_snapshot(self, scene: Scene, shared: Shared) -> None:
        """Keep the positions as of the last head, and with them how far borrowers were discovered."""
        at, mirror = shared.head, scene.mirror
        if at is None or mirror.market.revision is None:
            return
        snapshot, newcomers = mirror.snapshot(at.number, at.hash), list(mirror.newcomers)
        await self._store.borrowers.add(newcomers, at.number)
        mirror.newcomers.difference_update(newcomers)
        await self._store.snapshots.save(at.number, await pack(snapshot))
        if self._foresight is not None:
            await self._foresight.save(at.number)

    async def _beat(self, scene: Scene, shared: Shared, feed: Feed) -> None:
        """Say that we live, and rank the watch list anew."""
        detection = self._settings.detection
        if scene.mirror.market.revision is not None:
            near = scene.mirror.below(detection.hf_threshold_start_wad, detection.min_debt_base)
            scene.watch_list.replace_all(watched(user, account) for user, account in near.items() if account)
        self._metrics.heartbeat()
        self._metrics.feed(feed.stats.reconnects, feed.stats.gaps)
        self._metrics.candidates.set(len(scene.watch_list))
        self._metrics.watched(dict(scene.watch_list.bands()))
        body = json.dumps({"role": self.role, "block": shared.head.number if shared.head else 0})
        try:
            await self._store.presences.beat(Presence("worker", self._instance, VERSION, time.time(), body))
        except StoreUnavailable as error:
            logger.warning("[worker] the bot cannot see that we live: %s", error)

    async def _ask_gas_price(self, shared: Shared) -> None:
        try:
            shared.gas_price = int(await self._rpc.call("eth_gasPrice", []), 16)
        except ChainError as error:
            logger.warning("[worker] the gas price stays as it was: %s", error)

    async def _until_replaced(self, shared: Shared) -> None:
        await shared.replaced.wait()
        raise ContractsReplaced

    async def _say_goodbye(self) -> None:
        head = self._shared.head if self._shared else None
        block = head.number if head else 0
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._store.outbox.append([WorkerStopped("asked to stop", block)], time.time())
                if self._scene and self._shared:
                    await self._save_snapshot(self._scene, self._shared)
        except (StoreUnavailable, TimeoutError) as error:
            logger.warning("[worker] could not tell the bot that we stop, or save all: %s", error)

    def _stale_after(self) -> float:
        """Return STALE_HEAD_SEC; where heads come by polling, no less than two polls."""
        chain, stale = self._settings.chain, self._settings.detection.stale_head_sec
        return stale if self._live() else max(stale, 2 * chain.poll_interval_sec)

    def _live(self) -> bool:
        return self._settings.detection.use_realtime_hf and bool(self._settings.chain.ws_rpc_url)

    def _limits(self) -> Limits:
        execution = self._settings.execution
        return Limits(execution.execution_enabled, execution.dry_run_execution)

    def _take_over(self, controls: Controls) -> None:
        if self._shared is not None:
            self._shared.controls = controls
        self._metrics.dry_run.set(controls.dry_run)
        self._metrics.controls(controls.version)

    async def _check_store(self) -> str:
        await self._store.controls.load()
        return ""

    async def _check_head(self) -> str:
        if self.role == "standby":
            return ""
        if self.role == "starting" or self._shared is None:
            return "still starting"
        age = self._shared.head_age()
        return f"no head for {age:.0f} s" if age > self._shared.stale_after else ""


def freeze() -> None:
    """Keep what was just loaded out of later garbage collections: a full one over 100 000 positions takes 59 ms."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def log_progress() -> Progress:
    """Return a function that logs how far a stage of the start-up is, at most every two seconds."""
    said: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - said.get(stage, 0.0) > PROGRESS_SECONDS:
            said[stage] = now
            logger.info("[worker] %s: %d of %d", stage, done, total)

    return report
