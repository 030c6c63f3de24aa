"""The whole walk in one process: a real feed, a real store, real contracts, and what goes wrong between them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from prometheus_client import CollectorRegistry

from core.domain.controls import Controls
from core.domain.liquidation import CloseFactorMode
from core.domain.messages import OpportunityUpdated, WorkerWarned
from core.domain.opportunity import Opportunity, SkipReason, State, TriggerKind
from core.domain.units import WAD, Address, BaseUsd, ScaledAmount, Wad
from core.ops.metrics import WorkerMetrics
from core.risk.active_risk_set import ActiveRiskSet
from core.state.sqlite_store import SqliteStore
from devnet import addresses as at
from devnet.chain import Chain, ChainOptions
from tests.engine import loaded_mirror
from tests.nodes import NodeProxy
from tests.processes import until
from worker.chain.aave import AaveReader
from worker.chain.events import MINT
from worker.chain.feed import Feed, FeedOptions, Head, Log
from worker.chain.logs import head
from worker.chain.oracles import watched_addresses
from worker.chain.rpc import HttpRpc
from worker.composition import make_foresight
from worker.detection.looking import Limits, Look, Work
from worker.detection.mirror import Mirror
from worker.detection.realtime_hf import RealTimeHF
from worker.detection.spells import Spells
from worker.foresight import Foresight
from worker.pipeline import Pipeline, Shared
from worker.recording import settings_of
from worker.startup import Scene

LIMITS = Limits(Wad(WAD), BaseUsd(50 * 10**8))
ALICE = Address("0x" + "a11ce".rjust(40, "0"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chain(built: object) -> AsyncIterator[Chain]:
    async with Chain.running(ChainOptions(borrowers=60, seed=3, block_time=None)) as chain:
        yield chain


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(chain: Chain) -> AsyncIterator[NodeProxy]:
    async with NodeProxy.running(chain.http_url) as proxy:
        yield proxy


@dataclass
class Doubting:
    """A detector that calls what another one finds diverged, while it is told to."""

    detector: RealTimeHF
    doubts: bool = False

    def hear(self, log: Log) -> None:
        self.detector.hear(log)

    def take_back(self, floor: int) -> None:
        self.detector.take_back(floor)

    async def look(self, work: Work, open_users: Collection[Address]) -> Look:
        look = await self.detector.look(work, open_users)
        return replace(look, diverged=frozenset(look.below)) if self.doubts else look


@dataclass
class Stage:
    chain: Chain
    proxy: NodeProxy
    store: SqliteStore
    pipeline: Pipeline
    shared: Shared
    mirror: Mirror
    mirror_reader: AaveReader
    first_head: Head
    metrics: WorkerMetrics
    path: Path
    detector: Doubting

    def count(self, name: str, **labels: str) -> float | None:
        """Return a counter as Prometheus would read it."""
        return self.metrics.registry.get_sample_value(f"liquidbot_{name}_total", labels)

    async def fallen(self) -> set[Address]:
        figures = await self.chain.lens.health(self.chain.borrowers)
        rows = zip(self.chain.borrowers, figures, strict=True)
        return {user for user, (debt, factor) in rows if factor < WAD and debt >= LIMITS.min_debt}

    async def worst(self) -> Address:
        """Look at a new block, and return who is nearest to the threshold then."""
        await self.chain.increase_time(1)
        await until(self.idle)
        return next(iter(self.mirror.below(Wad(5 * WAD), LIMITS.min_debt)))

    def halve_debt(self, user: Address) -> None:
        """Make our own figures of an account wrong."""
        position = self.mirror.positions[user]
        halved = tuple((id_, ScaledAmount(owed // 2)) for id_, owed in position.debt)
        self.mirror.take([replace(position, debt=halved)])

    async def idle(self) -> bool:
        """Tell whether the newest block was looked at."""
        return self.mirror.block == await self.chain.rpc.block_number()

    async def open(self) -> list[Opportunity]:
        return await self.store.journal.open_opportunities()

    async def agrees(self) -> bool:
        """Tell whether exactly those who are below are on record as open."""
        return {opportunity.user for opportunity in await self.open()} == await self.fallen()


@asynccontextmanager
async def staged(chain: Chain, proxy: NodeProxy, path: Path) -> AsyncIterator[Stage]:
    rpc = HttpRpc(proxy.http_url, chain_id=31337, attempts=1, cooldown=0.05)
    reader = await AaveReader.discover(rpc, chain.provider, 31337)
    start = await head(rpc)
    assert start is not None
    mirror = await loaded_mirror(reader, chain.borrowers, start.number)
    store = await SqliteStore.open(path, busy_seconds=0.1)
    metrics = WorkerMetrics(CollectorRegistry())
    shared = Shared(Controls(), CloseFactorMode.AUTO, stale_after=10.0, head=start)
    spells = Spells(*await store.journal.last_ids(), await store.journal.open_opportunities(), time.time())
    detector = Doubting(RealTimeHF(mirror, reader, LIMITS, metrics.health_checks.inc))
    pipeline = Pipeline(detector, mirror, spells, store, shared, metrics)
    options = FeedOptions(31337, poll_seconds=0.2, reconnect_seconds=0.2)
    feed = Feed(proxy.ws_url, rpc, options=options)
    feed.watch(watched_addresses(reader.contracts, mirror.market, mirror.sources))
    tasks = [asyncio.create_task(feed.run(pipeline, start)), asyncio.create_task(pipeline.run())]
    try:
        yield Stage(chain, proxy, store, pipeline, shared, mirror, reader, start, metrics, path, detector)
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await store.close()
        await rpc.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(chain: Chain, proxy: NodeProxy, tmp_path: Path) -> AsyncIterator[Stage]:
    prices = {name: await chain.feeds.answer(name) for name in ("ETH", "BTC")}
    async with staged(chain, proxy, tmp_path / "state.db") as stage:
        await until(lambda: connected(proxy))
        yield stage
    for name, price in prices.items():
        await chain.set_price(name, answer=price)


async def connected(proxy: NodeProxy) -> bool:
    return proxy.opened > 0 and proxy.asked["ws:eth_subscribe"] >= 2


async def test_a_fall_is_rehearsed_and_a_rise_ends_it(stage: Stage) -> None:
    chain = stage.chain
    await chain.set_price("ETH", factor="0.85")
    await until(stage.agrees)
    found = await stage.open()
    assert len(found) > 3
    assert {o.state for o in found} <= {State.REHEARSED, State.SKIPPED}
    rehearsed = [o for o in found if o.state is State.REHEARSED]
    assert rehearsed
    assert all(o.quote is not None and o.trigger.kind is TriggerKind.PRICE for o in rehearsed)
    assert "WETH -15.00%" in found[0].trigger.detail
    assert all(0 < o.latency_ms < 5_000 and abs(o.seen_at - time.time()) < 10 for o in found)
    assert len({o.id for o in found}) == len({o.episode for o in found}) == len(found)
    latencies = {o.id: o.latency_ms for o in found}
    await chain.set_price("ETH", factor="1.3")
    await until(stage.agrees)
    ended = {o.id: o for o in await stage.store.journal.opportunities()}
    assert {ended[o.id].state for o in found} == {State.RECOVERED}
    assert {id_: ended[id_].latency_ms for id_ in latencies} == latencies
    await chain.set_price("ETH", factor="0.8")
    await until(stage.agrees)
    again = [o for o in await stage.open() if o.user in {o.user for o in found}]
    assert again
    assert {o.episode_key for o in again} <= {o.episode_key for o in found}
    assert {o.id for o in again}.isdisjoint(latencies)
    told = [event for _, event in await stage.store.outbox.read(0)]
    assert {e.opportunity.id for e in told if isinstance(e, OpportunityUpdated)} >= set(latencies)
    assert stage.shared.latency().count > 0
    assert stage.count("divergence") == 0


async def test_who_diverges_is_not_acted_upon_until_the_figures_agree_again(stage: Stage) -> None:
    chain = stage.chain
    stage.detector.doubts = True
    await chain.set_price("ETH", factor="0.85")
    await until(stage.agrees)
    found = await stage.open()
    assert found
    assert {(o.state, o.reason) for o in found} == {(State.SKIPPED, SkipReason.DIVERGED)}
    warned = [e for _, e in await stage.store.outbox.read(0) if isinstance(e, WorkerWarned)]
    assert [w.code for w in warned] == ["divergence"]
    stage.detector.doubts = False
    await chain.set_price("ETH", factor="1.3")
    await until(stage.agrees)
    await chain.set_price("ETH", factor="0.8")
    await until(stage.agrees)
    assert SkipReason.DIVERGED not in {o.reason for o in await stage.open()}


async def test_an_account_that_a_rival_takes_is_told_as_taken(stage: Stage) -> None:
    chain = stage.chain
    await chain.set_price("ETH", factor="0.85")
    await until(stage.agrees)
    target = next(o for o in await stage.open() if o.quote is not None and o.quote.debt.base > 10**11)
    assert target.quote is not None
    before = target.account.total_debt_base
    await chain.liquidate(target.user, target.quote.collateral.symbol, target.quote.debt.symbol)

    async def noticed() -> bool:
        (now,) = [o for o in await stage.store.journal.opportunities() if o.id == target.id]
        return now.account.total_debt_base < before

    await until(noticed)
    (now,) = [o for o in await stage.store.journal.opportunities() if o.id == target.id]
    assert (now.state is State.TAKEN) == (target.user not in await stage.fallen())
    assert now.note == (at.RIVAL if now.state is State.TAKEN else now.note)
    await until(stage.agrees)


async def test_a_log_that_cannot_be_decoded_is_counted_and_harms_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Log(stage.mirror.market.reserves[0].a_token, (MINT, "0x12"), "0x", 1, "0x1", "0x2", 3, False, 0.0)
    stage.pipeline.on_log(broken)
    stage.pipeline.on_log(replace(broken, topics=()))
    assert stage.count("events_dropped", reason="undecodable") == 1
    assert "log 3 of block 1" in caplog.text
    await stage.chain.set_price("ETH", factor="0.85")
    await until(stage.agrees)
    assert await stage.open()


async def test_while_the_store_is_locked_nothing_is_lost(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    chain = stage.chain
    other = sqlite3.connect(stage.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await chain.set_price("ETH", factor="0.85")
    first = await stage.fallen()

    async def refused() -> bool:
        return "cannot write now (attempt 2)" in caplog.text

    await until(refused)
    await chain.set_price("BTC", factor="0.85")
    assert await stage.open() == []
    other.execute("ROLLBACK")
    other.close()
    await until(stage.agrees)
    assert first <= {o.user for o in await stage.open()}
    numbers = [o.id for o in await stage.store.journal.opportunities()]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_while_the_node_is_away_nothing_is_lost(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    chain, proxy = stage.chain, stage.proxy
    proxy.refuse = True
    await proxy.cut()
    await chain.set_price("ETH", factor="0.85")
    await chain.supply(chain.borrowers[0], "USDC", 10**9)
    await chain.increase_time(3_600)
    await asyncio.sleep(1)
    assert await stage.open() == []
    assert "Attempting reconnect" in caplog.text
    proxy.refuse = False
    await until(stage.agrees)
    assert await stage.open()
    assert stage.mirror.figures(chain.borrowers[0]) is not None
    await until(lambda: connected_again(proxy))
    await chain.set_price("ETH", factor="1.3")
    await until(stage.agrees)


async def connected_again(proxy: NodeProxy) -> bool:
    return proxy.opened > 1 and proxy.asked["ws:eth_subscribe"] >= 4


async def test_when_calls_fail_the_work_waits_and_the_cause_stays(stage: Stage) -> None:
    """The node tells of logs, but refuses every call for a while: the look is made again, for the newest block."""
    stage.proxy.intercept = lambda method, _params: web.Response(status=502) if method == "eth_call" else None
    await stage.chain.set_price("ETH", factor="0.85")
    await asyncio.sleep(0.3)
    assert await stage.open() == []
    stage.proxy.intercept = lambda _method, _params: None
    await until(stage.agrees)
    found = await stage.open()
    assert found
    assert {o.trigger.kind for o in found} == {TriggerKind.PRICE}


async def test_on_a_stale_head_nothing_is_rehearsed(stage: Stage) -> None:
    stage.shared.stale_after = -1.0
    await stage.chain.set_price("ETH", factor="0.85")
    await until(stage.agrees)
    found = await stage.open()
    quoted = [o for o in found if o.quote is not None]
    assert quoted
    assert {o.reason for o in quoted} == {SkipReason.STALE_HEAD}
    assert stage.count("skips", reason="stale_head") == len(quoted)


async def test_on_accounts_that_drift_nothing_is_rehearsed(stage: Stage) -> None:
    stage.shared.quarantined = frozenset(stage.chain.borrowers[::2])
    await stage.chain.set_price("ETH", factor="0.85")
    await until(stage.agrees)
    quoted = [o for o in await stage.open() if o.quote is not None]
    drifting = {o.user for o in quoted if o.reason is SkipReason.DIVERGED}
    assert drifting == {o.user for o in quoted} & stage.shared.quarantined
    assert 0 < len(drifting) < len(quoted)
    await stage.pipeline.distrust(frozenset(), True, [WorkerWarned("drift", "so many")])
    await stage.chain.set_price("ETH", factor="0.7")
    await until(stage.agrees)
    after = [o for o in await stage.open() if o.quote is not None and o.user not in {o.user for o in quoted}]
    assert {o.reason for o in after} == {SkipReason.DIVERGED}
    assert WorkerWarned("drift", "so many") in [event for _, event in await stage.store.outbox.read(0)]


async def test_a_check_that_hits_is_confirmed_like_any_suspect(stage: Stage) -> None:
    """Our figures say an account is safe, wrongly; the chain is asked about it because a single check hit."""
    eth = await stage.chain.feeds.answer("ETH")
    await stage.chain.set_price("ETH", answer=eth * 8 // 10)
    await until(stage.agrees)
    victim = (await stage.open())[0].user
    await stage.chain.set_price("ETH", answer=eth)
    await until(stage.agrees)
    stage.halve_debt(victim)
    await stage.chain.set_price("ETH", answer=eth * 8 // 10)

    async def all_but_one() -> bool:
        return {o.user for o in await stage.open()} == await stage.fallen() - {victim}

    await until(all_but_one)
    assert victim in await stage.fallen()
    stage.pipeline.check(victim, "micro_verify_reserve_fast", time.monotonic())
    await until(stage.agrees)
    (found,) = [o for o in await stage.open() if o.user == victim]
    assert found.trigger.detail == "micro_verify_reserve_fast"
    assert stage.mirror.figures(victim) is not None
    before = len(await stage.store.journal.opportunities())
    stage.pipeline.check(ALICE, "micro_verify_reserve_fast", time.monotonic())
    await until(stage.idle)
    assert len(await stage.store.journal.opportunities()) == before


async def test_what_looks_ahead_sees_drift_and_leads_back(stage: Stage) -> None:
    scene = Scene(stage.mirror_reader, stage.mirror, ActiveRiskSet(500, 100), stage.chain.borrowers, stage.first_head)
    settings = settings_of({"chain": {}, "detection": {}, "predictive": {}, "execution": {}})
    foresight = make_foresight(settings, scene, stage.store, stage.metrics, stage.pipeline, stage.pipeline.check)
    assert foresight is not None
    await foresight.fill(stage.mirror_reader.rpc, stage.mirror.block, lambda stage, done, total: None)
    victim = await stage.worst()
    stage.halve_debt(victim)

    async def known() -> bool:
        await stage.chain.mine()
        told = [event for _, event in await stage.store.outbox.read(0) if isinstance(event, WorkerWarned)]
        return any(event.code == "drift" and victim in event.text for event in told)

    async with asyncio.TaskGroup() as group:
        ahead = group.create_task(running(foresight, stage.mirror_reader.rpc))
        await until(known, seconds=20)
        ahead.cancel()
    assert stage.shared.quarantined == {victim}
    assert foresight.audit.compared > 40
    report = foresight.report()
    assert report is not None
    assert stage.count("events_dropped", reason="follower") is None


async def running(foresight: Foresight, rpc: HttpRpc) -> None:
    async with asyncio.TaskGroup() as group:
        foresight.start(group, rpc)


async def test_live_without_an_executor_says_so(stage: Stage) -> None:
    stage.shared.controls = Controls(1, dry_run=False)
    await stage.chain.set_price("ETH", factor="0.85")
    await until(stage.agrees)
    assert {o.reason for o in await stage.open() if o.quote is not None} == {SkipReason.NO_EXECUTOR}


async def test_the_start_itself_is_looked_at(chain: Chain, proxy: NodeProxy, tmp_path: Path) -> None:
    price = await chain.feeds.answer("ETH")
    await chain.set_price("ETH", answer=price * 85 // 100)
    async with staged(chain, proxy, tmp_path / "state.db") as stage:
        assert stage.shared.head is not None
        stage.pipeline.begin_at(stage.shared.head)
        await until(stage.agrees)
        assert {o.trigger.kind for o in await stage.open()} == {TriggerKind.SCAN}
        assert {o.trigger.detail for o in await stage.open()} == {"start"}
    await chain.set_price("ETH", answer=price)


async def test_a_head_of_the_same_second_makes_no_work(stage: Stage) -> None:
    before = stage.count("health_checks_performed")
    market = stage.mirror.market
    stage.pipeline.on_head(Head(market.block + 1, "0x1", "0x2", market.timestamp, time.monotonic()))
    assert stage.shared.head_age() < 1
    await asyncio.sleep(0.05)
    assert stage.mirror.market.block == market.block
    assert stage.count("health_checks_performed") == before
