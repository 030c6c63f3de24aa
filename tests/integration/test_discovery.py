"""Borrowers found from the real tokens' logs, in chunks that survive whatever the node does; and from a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.domain.market import Market
from core.domain.units import Address
from core.errors import ConfigError, RpcRejected
from core.state.memory import MemoryStore
from core.state.ports import Borrowers, Store
from core.state.sqlite_store import SqliteStore
from devnet.chain import Chain
from tests.nodes import NodeProxy, refusal
from worker.chain.aave import AaveReader
from worker.chain.rpc import HttpRpc
from worker.collectors.borrowers import DiscoveryLimits, discover_borrowers, read_borrowers_file


@pytest.fixture
async def market(market_chain: Chain) -> AsyncIterator[Market]:
    rpc = HttpRpc(market_chain.http_url)
    yield await (await AaveReader.discover(rpc, market_chain.provider, 31337)).load_market()
    await rpc.aclose()


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "state.db")
    yield store
    await store.close()


@pytest.fixture
async def borrowers() -> Borrowers:
    return MemoryStore().borrowers


@pytest.fixture
async def proxy(market_chain: Chain) -> AsyncIterator[NodeProxy]:
    async with NodeProxy.running(market_chain.http_url) as proxy:
        yield proxy


@pytest.fixture
async def rpc(proxy: NodeProxy) -> AsyncIterator[HttpRpc]:
    rpc = HttpRpc(proxy.http_url, attempts=2, cooldown=0.01)
    yield rpc
    await rpc.aclose()


def silent(_stage: str, _done: int, _total: int) -> None:
    """Show no progress."""


def ranges_over(limit: int, words: str) -> Callable[[str, list[Any]], web.Response | None]:
    """Refuse eth_getLogs over more than so many blocks, in the words of some provider."""

    def intercept(method: str, params: list[Any]) -> web.Response | None:
        if method != "eth_getLogs":
            return None
        blocks = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        return refusal(-32005, words) if blocks > limit else None

    return intercept


async def test_every_borrower_is_found(rpc: HttpRpc, market: Market, store: Store, market_chain: Chain) -> None:
    told: list[tuple[str, int, int]] = []
    limits = DiscoveryLimits(0, chunk_blocks=25)
    found = await discover_borrowers(
        rpc, market, store.borrowers, market.block, limits, lambda *progress: told.append(progress)
    )
    assert set(await store.borrowers.all()) == set(market_chain.borrowers)
    assert (found.borrowers, found.blocks, found.capped) == (len(market_chain.borrowers), market.block + 1, False)
    assert found.logs >= found.borrowers
    assert await store.borrowers.discovered_to() == market.block
    chunks = -(-(market.block + 1) // 25)
    assert [done for _, done, _ in told] == [min(25 * (n + 1), market.block + 1) for n in range(chunks)]
    assert {(stage, total) for stage, _, total in told} == {("discovering borrowers", market.block + 1)}


async def test_discovery_goes_on_where_it_stopped(
    proxy: NodeProxy, rpc: HttpRpc, market: Market, store: Store, market_chain: Chain
) -> None:
    limits = DiscoveryLimits(0, chunk_blocks=10)
    half = market.block // 2
    await discover_borrowers(rpc, market, store.borrowers, half, limits, silent)
    asked = proxy.asked["eth_getLogs"]
    rest = await discover_borrowers(rpc, market, store.borrowers, market.block, limits, silent)
    assert rest.blocks == market.block - half
    assert proxy.asked["eth_getLogs"] - asked == -(-(market.block - half) // 10)
    assert set(await store.borrowers.all()) == set(market_chain.borrowers)
    again = await discover_borrowers(rpc, market, store.borrowers, market.block, limits, silent)
    assert (again.blocks, again.borrowers) == (0, rest.borrowers)


async def test_a_discovery_that_is_broken_off_loses_no_more_than_its_chunk(
    rpc: HttpRpc, market: Market, store: Store, market_chain: Chain
) -> None:
    limits = DiscoveryLimits(0, chunk_blocks=5)

    class Enough(Exception):
        pass

    def stop_halfway(_stage: str, done: int, total: int) -> None:
        if done > total // 2:
            raise Enough

    with pytest.raises(Enough):
        await discover_borrowers(rpc, market, store.borrowers, market.block, limits, stop_halfway)
    done_to = await store.borrowers.discovered_to()
    assert done_to is not None
    assert market.block // 2 - 5 <= done_to < market.block
    await discover_borrowers(rpc, market, store.borrowers, market.block, limits, silent)
    assert set(await store.borrowers.all()) == set(market_chain.borrowers)


@pytest.mark.parametrize("words", ["query returned more than 10000 results", "block range is too wide", "timed out"])
async def test_chunks_are_halved_until_the_node_takes_them_and_grow_back(
    proxy: NodeProxy, rpc: HttpRpc, market: Market, borrowers: Borrowers, market_chain: Chain, words: str
) -> None:
    told: list[int] = []
    proxy.intercept = ranges_over(7, words)

    def progress(_stage: str, done: int, _total: int) -> None:
        told.append(done)
        if done > market.block // 2:
            proxy.intercept = lambda _method, _params: None

    await discover_borrowers(rpc, market, borrowers, market.block, DiscoveryLimits(0), progress)
    assert set(await borrowers.all()) == set(market_chain.borrowers)
    sizes = [b - a for a, b in zip([0, *told], told, strict=False)]
    assert max(sizes[: len(sizes) // 2]) <= 7
    assert sizes[-1] > 7 or sizes[-2] > 7


async def test_a_node_that_refuses_a_single_block_is_said_so(
    proxy: NodeProxy, rpc: HttpRpc, market: Market, borrowers: Borrowers
) -> None:
    proxy.intercept = ranges_over(0, "block range is too wide")
    with pytest.raises(RpcRejected, match="block range is too wide"):
        await discover_borrowers(rpc, market, borrowers, market.block, DiscoveryLimits(0), silent)


async def test_a_node_that_is_away_is_waited_for(
    proxy: NodeProxy,
    rpc: HttpRpc,
    market: Market,
    borrowers: Borrowers,
    market_chain: Chain,
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy.refuse = True
    task = asyncio.create_task(discover_borrowers(rpc, market, borrowers, market.block, DiscoveryLimits(0), silent))
    while not any("trying again in" in message for message in caplog.messages):  # noqa: ASYNC110  a log has no event
        await asyncio.sleep(0.01)
    proxy.refuse = False
    await asyncio.wait_for(task, 10)
    assert set(await borrowers.all()) == set(market_chain.borrowers)


async def test_a_bound_that_is_reached_is_said_aloud(
    rpc: HttpRpc, market: Market, borrowers: Borrowers, caplog: pytest.LogCaptureFixture
) -> None:
    found = await discover_borrowers(rpc, market, borrowers, market.block, DiscoveryLimits(0, 10, 50), silent)
    assert (found.borrowers, found.capped, len(await borrowers.all())) == (50, True, 50)
    said = [message for message in caplog.messages if "UNIVERSE_MAX_CANDIDATES=50 is reached" in message]
    assert len(said) == 1
    assert "later borrowers are NOT watched" in said[0]


async def test_only_debt_makes_a_borrower(rpc: HttpRpc, fresh_market: Chain, market: Market) -> None:
    newcomer = Address("0x" + "5a" * 20)
    await fresh_market.supply(newcomer, "WETH", 10**18)
    for borrowed in (False, True):
        if borrowed:
            await fresh_market.borrow(newcomer, "USDC", 10**6)
        borrowers = MemoryStore().borrowers
        block = await fresh_market.rpc.block_number()
        await discover_borrowers(rpc, market, borrowers, block, DiscoveryLimits(0), silent)
        assert (newcomer in await borrowers.all()) is borrowed


def test_a_file_of_addresses_is_read(tmp_path: Path) -> None:
    file = tmp_path / "borrowers.txt"
    file.write_text(f"# mine\n0x{'AB' * 20}\n\n  0x{'cd' * 20}  # the large one\r\n0x{'ab' * 20}\n")
    assert read_borrowers_file(file) == ["0x" + "ab" * 20, "0x" + "cd" * 20]


@pytest.mark.parametrize("line", ["0x1234", "ab" * 20, f"0x{'ab' * 20},0x{'cd' * 20}", "0x" + "g" * 40])
def test_a_line_that_is_no_address_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "borrowers.txt"
    file.write_text(f"0x{'ab' * 20}\n# fine\n{line}\n")
    with pytest.raises(ConfigError, match=r"BORROWERS_FILE=.*borrowers\.txt: line 3: .*allowed: 0x and 40 hex digits"):
        read_borrowers_file(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"BORROWERS_FILE=.*nowhere: cannot be read: No such file"):
        read_borrowers_file(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"BORROWERS_FILE=.*binary: cannot be read: it is not UTF-8 text"):
        read_borrowers_file(tmp_path / "binary")
