"""The worker as a process: how it starts, refuses to, stands by, takes over, and ends."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from core.domain.messages import (
    AskSettings,
    AskStatus,
    AskWatchlist,
    CommandRefused,
    ControlsChanged,
    Event,
    Operator,
    Question,
    SetDryRun,
    SettingsReport,
    StatusReport,
    Unknown,
    WatchlistPage,
    WorkerStarted,
    WorkerStopped,
    WorkerWarned,
)
from core.domain.opportunity import Opportunity, SkipReason, State
from core.domain.units import WAD
from core.state.sqlite_store import SqliteStore
from devnet.anvil import free_port
from devnet.chain import Chain, ChainOptions
from tests.nodes import NodeProxy
from tests.processes import Process, run, settings_for, until

ADA = Operator(1001, "Ada")
NOWHERE = "0x" + "12" * 20


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chain(built: object) -> AsyncIterator[Chain]:
    """Run a chain of our own: workers are as slow as the crowd is large, and they notice when a chain goes back."""
    async with Chain.running(ChainOptions(borrowers=60, block_time=None)) as chain:
        yield chain


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """The store as the bot has it."""
    store = await SqliteStore.open(tmp_path / "liquidbot.db")
    yield store
    await store.close()


async def events(store: SqliteStore) -> list[Event | Unknown]:
    return [event for _, event in await store.outbox.read(0)]


async def answer(store: SqliteStore, question: Question, seconds: float = 5.0) -> object:
    now = time.time()
    number = await store.queries.ask(question, now + seconds, now)
    await until(lambda: store.queries.answer_to(number), seconds)
    return await store.queries.answer_to(number)


async def heads(chain: Chain) -> None:
    """Mine for ever, slowly: a chain that stands still has no fresh head."""
    while True:
        await asyncio.sleep(0.5)
        await chain.mine()


@pytest.fixture
async def beating(chain: Chain) -> AsyncIterator[Chain]:
    task = asyncio.create_task(heads(chain))
    yield chain
    task.cancel()
    await asyncio.wait([task])


async def test_sigterm_ends_it_in_order(beating: Chain, tmp_path: Path, store: SqliteStore) -> None:
    async with Process.running(tmp_path, settings_for(beating, tmp_path)) as worker:
        await worker.until_role("active")
        assert await store.lease.acquire("worker", "somebody else", 10, time.time()) is None
        started = time.monotonic()
        assert await worker.end() == 0
        assert time.monotonic() - started < 5
        assert await store.lease.acquire("worker", "somebody else", 10, time.time()) is not None
        assert "Traceback" not in worker.said
    begun, *_, stopped = await events(store)
    assert isinstance(begun, WorkerStarted)
    assert (begun.chain_id, begun.revision, begun.dry_run) == (31337, 10, True)
    assert isinstance(stopped, WorkerStopped)
    assert stopped.reason == "asked to stop"


async def test_sigterm_ends_it_while_it_waits_for_a_node(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path, RPC_URL=f"http://127.0.0.1:{free_port()}")
    async with Process.running(tmp_path, environment) as worker:
        await worker.until_said("the chain does not answer, trying again")
        assert await worker.end(seconds=3) == 0
        assert "Traceback" not in worker.said


async def test_sigterm_ends_it_while_the_store_is_locked(beating: Chain, tmp_path: Path, store: SqliteStore) -> None:
    async with Process.running(tmp_path, settings_for(beating, tmp_path)) as worker:
        await worker.until_role("active")
        with closing(sqlite3.connect(tmp_path / "liquidbot.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await worker.end() == 0
            other.execute("ROLLBACK")
        assert "Traceback" not in worker.said
        assert "could not tell the bot that we stop" in worker.said
    assert not any(isinstance(event, WorkerStopped) for event in await events(store))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"CHAIN_ID": "8453"}, "serves chain 31337, but CHAIN_ID is 8453"),
        ({"POOL_ADDRESSES_PROVIDER": NOWHERE}, f"POOL_ADDRESSES_PROVIDER {NOWHERE} holds no contract on the chain"),
        ({"AAVE_POOL": NOWHERE}, f"AAVE_POOL is {NOWHERE}, but the provider"),
        ({"MULTICALL3_ADDRESS": NOWHERE}, f"Multicall3 {NOWHERE} holds no contract"),
        ({"RPC_URL": ""}, "RPC_URL=: allowed: at least one address"),
        ({"CLOSE_FACTOR_MODE": "all"}, "CLOSE_FACTOR_MODE=all: allowed: auto, fixed50"),
        ({"BORROWERS_FILE": "nobody.txt"}, "BORROWERS_FILE=nobody.txt: cannot be read"),
    ],
)
async def test_what_no_patience_mends_is_one_line_and_status_2(
    chain: Chain, tmp_path: Path, changes: dict[str, str], line: str
) -> None:
    status, _, said = await run(tmp_path, settings_for(chain, tmp_path, **changes), "-m", "worker")
    assert status == 2, said
    assert line in said.splitlines()[-1]
    assert "Traceback" not in said


async def test_a_store_of_a_newer_version_or_another_market_is_left_alone(chain: Chain, tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "liquidbot.db")
    await store.bind(f"1:{NOWHERE}")
    await store.close()
    status, _, said = await run(tmp_path, settings_for(chain, tmp_path), "-m", "worker")
    assert status == 2, said
    assert "STATE_DB" in said.splitlines()[-1]
    assert "Traceback" not in said
    with closing(sqlite3.connect(tmp_path / "liquidbot.db")) as newer:
        newer.execute("PRAGMA user_version = 999")
    status, _, said = await run(tmp_path, settings_for(chain, tmp_path), "-m", "worker")
    assert status == 2, said
    assert "has schema 999" in said.splitlines()[-1]
    assert "Traceback" not in said


async def test_a_port_that_is_taken_is_said_with_the_settings_name(chain: Chain, tmp_path: Path) -> None:
    environment = settings_for(chain, tmp_path, WORKER_HTTP_PORT=chain.http_url.rpartition(":")[2])
    status, _, said = await run(tmp_path, environment, "-m", "worker")
    assert status == 2, said
    assert f"WORKER_HTTP_PORT={environment['WORKER_HTTP_PORT']} cannot be listened on" in said.splitlines()[-1]


async def test_a_node_that_talks_nonsense_at_first_is_waited_for(beating: Chain, tmp_path: Path) -> None:
    garbage = itertools.cycle(["<html>please wait</html>", "null", ""])
    async with NodeProxy.running(beating.http_url) as proxy:
        proxy.intercept = lambda _method, _params: web.Response(text=next(garbage), content_type="text/html")
        environment = settings_for(beating, tmp_path, RPC_URL=proxy.http_url, WS_RPC_URL=proxy.ws_url)
        async with Process.running(tmp_path, environment) as worker:
            await worker.until_said("the chain does not answer, trying again in 2 s")
            assert (await worker.ready())[0] == 503
            proxy.intercept = lambda _method, _params: None
            await worker.until_role("active")
            assert await worker.end() == 0


async def test_without_a_socket_it_polls(chain: Chain, tmp_path: Path, store: SqliteStore) -> None:
    environment = settings_for(chain, tmp_path, WS_RPC_URL="", POLL_INTERVAL_SEC="0.2")
    snapshot = await chain.snapshot()
    async with Process.running(tmp_path, environment) as worker:
        await worker.until_said("polling over HTTP every 0.2 s")
        await worker.until_role("active")
        await chain.set_price("ETH", factor="0.8")
        found = await until_found(store, 1)
        assert await worker.end() == 0
    await chain.revert(snapshot)
    assert found[0].state in {State.REHEARSED, State.SKIPPED}
    assert found[0].account.health_factor < WAD


async def until_found(store: SqliteStore, count: int, seconds: float = 10.0) -> list[Opportunity]:
    async def enough() -> bool:
        return len(await store.journal.opportunities()) >= count

    await until(enough, seconds)
    return await store.journal.opportunities()


async def test_after_a_kill_the_second_worker_goes_on_and_no_number_is_given_twice(
    chain: Chain, tmp_path: Path, store: SqliteStore
) -> None:
    """The chain stands still after the kill, so what the second one says of the start it found out by itself."""

    async def nothing_open() -> bool:
        return not await store.journal.open_opportunities()

    snapshot = await chain.snapshot()
    async with Process.running(tmp_path, settings_for(chain, tmp_path)) as first:
        await first.until_role("active")
        price = await chain.feeds.answer("ETH")
        await chain.set_price("ETH", answer=price * 85 // 100)
        fallen = [
            user
            for user, (_, hf) in zip(chain.borrowers, await chain.lens.health(chain.borrowers), strict=True)
            if hf < WAD
        ]
        await until_found(store, 3)
        async with Process.running(tmp_path, settings_for(chain, tmp_path)) as second:
            await second.until_role("standby")
            await first.end(signal.SIGKILL)
            before = await store.journal.opportunities()
            assert {opportunity.user for opportunity in before} <= set(fallen)
            await chain.set_price("ETH", answer=price)
            await second.until_role("active", 15)
            await until(nothing_open)
            after = await store.journal.opportunities()
            assert [o.id for o in after] == [o.id for o in before]
            assert {o.state for o in after} == {State.RECOVERED}
            await chain.set_price("ETH", answer=price * 85 // 100)
            again = (await until_found(store, 2 * len(before)))[len(before) :]
            assert await second.end() == 0
    await chain.revert(snapshot)
    assert min(o.id for o in again) == max(o.id for o in before) + 1
    assert {o.episode_key for o in again} >= {o.episode_key for o in before}
    assert len({o.id for o in [*before, *again]}) == len(before) + len(again)


async def test_the_second_worker_stands_by_and_takes_over(beating: Chain, tmp_path: Path) -> None:
    async with Process.running(tmp_path, settings_for(beating, tmp_path)) as first:
        await first.until_role("active")
        async with Process.running(tmp_path, settings_for(beating, tmp_path)) as second:
            await second.until_role("standby")
            assert "another worker holds the lease on this store; standing by" in second.said
            assert (await second.ready())[0] == 200
            async with Process.running(tmp_path, settings_for(beating, tmp_path)) as third:
                await third.until_role("standby")
                assert await third.end() == 0
            assert await first.end() == 0
            await second.until_role("active", 5)
            assert await second.end() == 0


async def test_questions_are_answered_and_secrets_stay_masked(
    beating: Chain, tmp_path: Path, store: SqliteStore
) -> None:
    secret = "never-to-be-seen"
    environment = settings_for(
        beating, tmp_path, TELEGRAM_BOT_TOKEN=secret, RPC_URL=f"http://ann:{secret}@{beating.http_url[7:]}"
    )
    async with Process.running(tmp_path, environment) as worker:
        await worker.until_role("active")
        status = await answer(store, AskStatus())
        assert isinstance(status, StatusReport)
        assert (status.role, status.chain_id, status.revision, status.execution) == ("active", 31337, 10, "off")
        assert status.borrowers == len(beating.borrowers)
        assert 0 < status.watched <= status.borrowers
        assert status.block <= await beating.rpc.block_number()
        first = await answer(store, AskWatchlist(1, 3))
        assert isinstance(first, WatchlistPage)
        assert (first.page, first.total, first.pages) == (1, status.watched, -(-status.watched // 3))
        rows = list(first.rows)
        for page in range(2, first.pages + 1):
            more = await answer(store, AskWatchlist(page, 3))
            assert isinstance(more, WatchlistPage)
            rows += more.rows
        assert [row.health_factor for row in rows] == sorted(row.health_factor for row in rows)
        assert len({row.user for row in rows}) == first.total
        beyond, before = await answer(store, AskWatchlist(999, 3)), await answer(store, AskWatchlist(-1, 10_000))
        assert isinstance(beyond, WatchlistPage)
        assert isinstance(before, WatchlistPage)
        assert (beyond.page, before.page, len(before.rows)) == (first.pages, 1, min(50, first.total))
        settings = await answer(store, AskSettings())
        assert isinstance(settings, SettingsReport)
        values = {row.name: (row.value, row.source) for row in settings.rows}
        assert values["TELEGRAM_BOT_TOKEN"] == ("••••", "environment")
        assert values["RPC_URL"] == (beating.http_url, "environment")
        assert values["MIN_DEBT_USD"] == ("50", "default")
        assert secret not in repr((status, settings))
        assert await worker.end() == 0
        assert secret not in worker.said


async def test_dry_run_goes_off_and_on_and_is_on_again_after_a_start(
    beating: Chain, tmp_path: Path, store: SqliteStore
) -> None:
    environment = settings_for(beating, tmp_path, EXECUTION_ENABLED="true", DRY_RUN_EXECUTION="false")
    async with Process.running(tmp_path, environment) as worker:
        await worker.until_role("active")
        now = time.time()
        await store.mailbox.post(SetDryRun("off", ADA, now, enabled=False), now)
        await store.mailbox.post(SetDryRun("late", ADA, now - 500, enabled=False), now)
        changed, stale = (await until_told(store, 2))[-2:]
        assert isinstance(changed, ControlsChanged)
        assert (changed.command_id, changed.operator, changed.version) == ("off", ADA, 1)
        assert [(c.name, c.old, c.new) for c in changed.changes] == [("dry run", "on", "off")]
        assert changed.seconds < 5
        assert isinstance(stale, CommandRefused)
        assert (stale.command_id, stale.reason) == ("late", "it is older than 120 s; send it again")
        assert (await store.controls.load()).dry_run is False
        status = await answer(store, AskStatus())
        assert isinstance(status, StatusReport)
        assert (status.dry_run, status.controls_version, status.execution) == (False, 1, "armable")
        assert await worker.end() == 0
    async with Process.running(tmp_path, environment) as worker:
        await worker.until_role("active")
        assert (await store.controls.load()).dry_run is True
        cold = [event for event in await events(store) if isinstance(event, ControlsChanged)][-1]
        assert (cold.command_id, cold.operator, cold.reason) == ("", None, "a start is a dry run")
        assert await worker.end() == 0


async def until_told(store: SqliteStore, count: int) -> list[Event | Unknown]:
    """Return all events once `count` commands were answered."""
    async with asyncio.timeout(5):
        while True:
            told = await events(store)
            if sum(isinstance(event, (ControlsChanged, CommandRefused)) for event in told) >= count:
                return told
            await asyncio.sleep(0.02)


async def test_what_the_settings_forbid_is_refused(beating: Chain, tmp_path: Path, store: SqliteStore) -> None:
    async with Process.running(tmp_path, settings_for(beating, tmp_path)) as worker:
        await worker.until_role("active")
        now = time.time()
        await store.mailbox.post(SetDryRun("off", ADA, now, enabled=False), now)
        await store.mailbox.post(SetDryRun("on", ADA, now - 500, enabled=True), now)
        refused, allowed = (await until_told(store, 2))[-2:]
        assert isinstance(refused, CommandRefused)
        assert refused.reason == "EXECUTION_ENABLED is false in the worker's settings"
        assert isinstance(allowed, ControlsChanged)
        assert allowed.changes == ()
        assert await worker.end() == 0


async def test_when_the_pool_becomes_unknown_it_goes_on_by_asking_the_chain(
    chain: Chain, tmp_path: Path, store: SqliteStore
) -> None:
    async def states() -> dict[str, set[object]]:
        found = await store.journal.opportunities()
        return {"state": {o.state for o in found}, "reason": {o.reason for o in found}}

    async def all_skipped() -> bool:
        return await states() == {"state": {State.SKIPPED}, "reason": {SkipReason.UNKNOWN_REVISION}}

    async def all_recovered() -> bool:
        return (await states())["state"] == {State.RECOVERED}

    async def warned() -> bool:
        return any(isinstance(event, WorkerWarned) and event.code == "revision" for event in await events(store))

    snapshot = await chain.snapshot()
    price = await chain.feeds.answer("ETH")
    async with Process.running(tmp_path, settings_for(chain, tmp_path)) as worker:
        await worker.until_role("active")
        await chain.set_price("ETH", factor="0.9")
        before = await until_found(store, 2)
        assert any(o.state is State.REHEARSED for o in before)
        await chain.upgrade_pool_to_unknown_revision()
        await until(warned)
        assert "a contract of the market was replaced: finding everything again" in worker.said
        await worker.until_role("active")
        await until(all_skipped)
        assert {o.id for o in await store.journal.opportunities()} == {o.id for o in before}
        await chain.set_price("ETH", factor="0.8")
        await chain.increase_time(60)
        more = await until_found(store, len(before) + 1)
        assert {o.episode for o in more[len(before) :]}.isdisjoint({o.episode for o in before})
        await until(all_skipped)
        status = await answer(store, AskStatus())
        assert isinstance(status, StatusReport)
        assert (status.revision, status.borrowers) == (99, len(chain.borrowers))
        page = await answer(store, AskWatchlist(1))
        assert isinstance(page, WatchlistPage)
        assert page.block > before[0].block
        told = await events(store)
        seen = len(told)
        for _ in range(3):
            await chain.increase_time(1)
        await asyncio.sleep(0.5)
        assert len(await events(store)) == seen
        await chain.set_price("ETH", answer=price)
        await chain.increase_time(60)
        await until(all_recovered)
        assert await worker.end() == 0
    await chain.revert(snapshot)
    told = await events(store)
    assert [type(event) for event in told if isinstance(event, (WorkerStarted, WorkerStopped))] == [
        WorkerStarted,
        WorkerStarted,
        WorkerStopped,
    ]


async def test_who_loses_the_lease_stands_by_without_a_word_and_comes_back(
    beating: Chain, tmp_path: Path, store: SqliteStore
) -> None:
    async with Process.running(tmp_path, settings_for(beating, tmp_path)) as worker:
        await worker.until_role("active")
        with closing(sqlite3.connect(tmp_path / "liquidbot.db")) as thief, thief:
            thief.execute("UPDATE lease SET holder = 'another', token = token + 1, expires_at = ?", (time.time() + 4,))
        await worker.until_said("the lease is lost: another worker acts now, this one stands by", 5)
        assert not any(isinstance(event, WorkerStopped) for event in await events(store))
        await worker.until_role("active")
        assert await worker.end() == 0
    kinds = [type(event) for event in await events(store)]
    assert kinds == [WorkerStarted, WorkerStarted, WorkerStopped]


async def test_between_two_polls_it_stays_ready(beating: Chain, tmp_path: Path) -> None:
    environment = settings_for(beating, tmp_path, WS_RPC_URL="", POLL_INTERVAL_SEC="1.2", STALE_HEAD_SEC="1")
    async with Process.running(tmp_path, environment) as worker:
        await worker.until_role("active")
        for _ in range(15):
            assert (await worker.ready())[0] == 200
            await asyncio.sleep(0.1)
        assert await worker.end() == 0


async def test_a_new_aggregator_is_listened_to_once_the_market_says_that_something_changed(
    chain: Chain, tmp_path: Path
) -> None:
    snapshot, feed = await chain.snapshot(), chain.feeds.by_name["BTC"]
    async with NodeProxy.running(chain.http_url) as proxy:
        environment = settings_for(chain, tmp_path, RPC_URL=proxy.http_url, WS_RPC_URL=proxy.ws_url)
        async with Process.running(tmp_path, environment) as worker:
            await worker.until_role("active")
            subscribed = proxy.asked["ws:eth_subscribe"]
            await chain.add_aggregator("BTC")
            await chain.set_protocol_fee("AAVE", 1_100)

            async def subscribes_again() -> bool:
                return proxy.asked["ws:eth_subscribe"] > subscribed

            await until(subscribes_again)
            assert await worker.end() == 0
    chain.feeds.by_name["BTC"] = feed
    await chain.revert(snapshot)


async def test_a_second_worker_on_one_machine_stands_by_without_the_port(chain: Chain, tmp_path: Path) -> None:
    settings = settings_for(chain, tmp_path)
    async with Process.running(tmp_path, settings) as first:
        await first.until_role("active")
        async with Process.running(tmp_path, settings) as second:
            await second.until_said("standing by without a port")
            await second.until_said("another worker holds the lease")
            assert await first.end() == 0
            await second.until_role("active")
