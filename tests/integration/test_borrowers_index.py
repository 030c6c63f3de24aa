"""The borrowers index against the real tokens: who owes how much in each reserve, from logs alone and kept by logs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from core.config import DetectionSettings, PredictiveSettings
from core.domain.market import Market
from core.domain.position import Position
from core.domain.units import Address
from core.errors import StoreError
from core.ops.metrics import WorkerMetrics
from core.state.memory import MemoryStore
from core.state.ports import Store
from core.state.sqlite_store import SqliteStore
from devnet.chain import Chain
from worker.chain.aave import AaveReader
from worker.chain.decode import Decoder
from worker.chain.events import BURN, MINT
from worker.chain.logs import Log, LogFilter, addresses_of, get_logs
from worker.chain.rpc import HttpRpc
from worker.collectors.borrowers_index import BorrowersIndexService

CHUNKS = DetectionSettings.model_validate({"borrowers_index_chunk_blocks": 300})
NOBODY: dict[Address, Position] = {}


def quiet(_stage: str, _done: int, _total: int) -> None:
    """Show no progress."""


@pytest.fixture
async def rpc(market_chain: Chain) -> AsyncIterator[HttpRpc]:
    rpc = HttpRpc(market_chain.http_url)
    yield rpc
    await rpc.aclose()


@pytest.fixture
async def reader(rpc: HttpRpc, market_chain: Chain) -> AaveReader:
    return await AaveReader.discover(rpc, market_chain.provider, 31337)


@pytest.fixture
async def market(reader: AaveReader, fresh_market: Chain) -> Market:
    return await reader.load_market()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "state.db")
    yield store
    await store.close()


def service(
    market: Market, store: Store, positions: dict[Address, Position] = NOBODY, **settings: object
) -> BorrowersIndexService:
    chosen = PredictiveSettings(**{"borrowers_index_mode": "sqlite", **settings})  # type: ignore[arg-type]
    metrics = WorkerMetrics(CollectorRegistry())
    return BorrowersIndexService(chosen, market, positions, store.borrowers_index, metrics)


async def truth(reader: AaveReader, market: Market, users: list[Address]) -> dict[int, dict[Address, int]]:
    found: dict[int, dict[Address, int]] = {id_: {} for id_ in market.reserves}
    for position in await reader.positions(users, await reader.block_number()):
        for reserve, debt in position.debt:
            found[reserve][position.user] = debt
    return found


def indexed(made: BorrowersIndexService, market: Market) -> dict[int, dict[Address, int]]:
    return {id_: dict(made.index.users(id_)) for id_ in market.reserves}


async def debt_logs(rpc: HttpRpc, market: Market, first: int, last: int) -> list[Log]:
    tokens = addresses_of(reserve.variable_debt_token for reserve in market.reserves.values())
    return await get_logs(rpc, LogFilter(tokens, ((MINT, BURN),)), first, last)


async def test_from_logs_alone_every_debt_is_exact(
    rpc: HttpRpc, reader: AaveReader, market: Market, store: SqliteStore, fresh_market: Chain
) -> None:
    made = service(market, store)
    assert await made.backfill(rpc, CHUNKS, 0, market.block, quiet) > 200
    expected = await truth(reader, market, fresh_market.borrowers)
    assert indexed(made, market) == expected
    usdc = max(expected, key=lambda id_: len(expected[id_]))
    debts = [expected[usdc][user] for user in made.index.borrowers(usdc)]
    assert debts == sorted(debts, reverse=True)


async def test_a_backfill_goes_on_where_it_stopped(
    rpc: HttpRpc, reader: AaveReader, market: Market, store: SqliteStore, fresh_market: Chain
) -> None:
    half = market.block // 2
    before = await service(market, store).backfill(rpc, CHUNKS, 0, half, quiet)
    assert await store.borrowers_index.indexed_to() == half
    again = service(market, store)
    stages: list[int] = []
    after = await again.backfill(rpc, CHUNKS, 0, market.block, lambda _stage, done, _total: stages.append(done))
    assert before + after == len(await debt_logs(rpc, market, 0, market.block))
    assert stages[0] == min(300, market.block - half)
    assert indexed(again, market) == await truth(reader, market, fresh_market.borrowers)
    assert await again.backfill(rpc, CHUNKS, 0, market.block, quiet) == 0


async def test_a_backfill_may_be_bounded_by_blocks(rpc: HttpRpc, market: Market, store: SqliteStore) -> None:
    back = market.block // 3
    made = service(market, store, borrowers_index_backfill_blocks=back)
    seen = await made.backfill(rpc, CHUNKS, 0, market.block, quiet)
    assert seen == len(await debt_logs(rpc, market, market.block - back + 1, market.block))


async def test_live_logs_keep_it_exact_and_a_full_repayment_takes_out(
    rpc: HttpRpc, reader: AaveReader, market: Market, store: SqliteStore, fresh_market: Chain
) -> None:
    made = service(market, store)
    await made.backfill(rpc, CHUNKS, 0, market.block, quiet)
    expected = await truth(reader, market, fresh_market.borrowers)
    usdc = next(id_ for id_, reserve in market.reserves.items() if reserve.symbol == "USDC")
    users = list(expected[usdc])
    start = await reader.block_number()
    figures = zip(users, await reader.account_data(users, start), strict=True)
    one = next(user for user, account in figures if account and account.available_borrows_base > 10**9)
    two = next(user for user in users if user != one)
    await fresh_market.borrow(one, "USDC", 10**6)
    await fresh_market.increase_time(86_400)
    await fresh_market.mint("USDC", two, 10**15)
    await fresh_market.approve("USDC", two)
    await fresh_market.repay(two, "USDC", 2**256 - 1)
    decoder = Decoder(market.reserves)
    for log in await debt_logs(rpc, market, start + 1, await reader.block_number()):
        event = decoder.decode(log, 0)
        assert event is not None
        made.hear(event, log)
    assert indexed(made, market) == await truth(reader, market, fresh_market.borrowers)
    assert two not in made.index.users(usdc)


async def test_exact_positions_fill_it_without_any_log(
    reader: AaveReader, market: Market, store: SqliteStore, fresh_market: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    positions = {each.user: each for each in await reader.positions(fresh_market.borrowers, market.block)}
    made = service(market, store, positions)
    await made.start(market.block)
    expected = await truth(reader, market, fresh_market.borrowers)
    assert indexed(made, market) == expected
    reserves = sum(1 for owing in expected.values() if owing)
    assert f"[borrowers-index] Initialized with {reserves} reserves" in caplog.messages
    saved = await store.borrowers_index.load()
    assert len(saved) == sum(map(len, expected.values()))
    restored = service(market, store)
    assert await restored.restore() == market.block
    assert indexed(restored, market) == expected


async def test_in_memory_nothing_is_saved(market: Market, store: SqliteStore) -> None:
    made = service(market, store, borrowers_index_mode="memory")
    made.index.put(0, Address("0x" + "1" * 40), 5)
    await made.save(market.block)
    assert await store.borrowers_index.load() == {}
    assert await made.restore() is None


async def test_redis_falls_back_to_memory_and_says_so(
    market: Market, store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    made = service(market, store, borrowers_index_mode="redis")
    assert "[borrowers-index] Redis connection failed, falling back to memory mode" in caplog.text
    await made.start(market.block)
    assert await store.borrowers_index.indexed_to() is None


async def test_what_could_not_be_saved_is_saved_later(market: Market, tmp_path: Path) -> None:
    closed, user = MemoryStore(), Address("0x" + "1" * 40)
    made = service(market, closed)
    made.index.put(0, user, 5)
    await closed.close()
    with pytest.raises(StoreError):
        await made.save(market.block)
    made.index.put(0, user, 6)
    assert made.index.drain() == {(0, user): 6}
