"""Price sources walked down on the real proxies and on adapters in Base's shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.domain.market import Market
from core.domain.price_tree import Polled
from core.domain.prices import PriceBook
from core.domain.units import Address
from core.errors import ConfigError
from devnet import addresses as at
from devnet.chain import Chain
from devnet.feeds import NOBODY
from worker.chain.aave import AaveReader
from worker.chain.logs import LogFilter, get_logs
from worker.chain.oracles import ask_polled, verify_prices, walk, watched_addresses
from worker.chain.reading import Reading
from worker.chain.rpc import HttpRpc

EMITTERS = {
    "WETH": {"ETH"},
    "cbETH": {"ETH", "cbETH/ETH"},
    "USDbC": {"USDC"},
    "USDC": {"USDC"},
    "wstETH": {"ETH", "wstETH/stETH"},
    "weETH": {"ETH", "weETH/eETH"},
    "ezETH": {"ETH", "ezETH/ETH"},
    "wrsETH": {"ETH", "rsETH/ETH"},
    "cbBTC": {"BTC"},
    "tBTC": {"BTC"},
    "LBTC": {"BTC"},
    "EURC": {"EURC", "EUR"},
    "AAVE": {"AAVE"},
    "GHO": set[str](),
    "syrupUSDC": {"USDC", "syrupUSDC/USDC"},
}
SILENT = {"LBTC"}


@pytest.fixture
async def reader(market_chain: Chain) -> AsyncIterator[AaveReader]:
    rpc = HttpRpc(market_chain.http_url)
    yield await AaveReader.discover(rpc, market_chain.provider, 31337)
    await rpc.aclose()


async def test_every_asset_is_walked_to_the_aggregators_that_emit(reader: AaveReader, market_chain: Chain) -> None:
    sources = await walk(reader.multicall, await reader.load_market())
    feeds = {feed.aggregator: name for name, feed in market_chain.feeds.by_name.items()}
    symbols = {one.asset: one.symbol for one in market_chain.reserves.values()}
    found = {symbols[asset]: {feeds[address] for address in each} for asset, each in sources.aggregators.items()}
    assert found == EMITTERS
    assert {symbols[asset] for asset in sources.polled} == SILENT
    assert set(sources.names) == {address for each in sources.aggregators.values() for address in each}
    assert all(sources.names.values())


async def test_an_update_of_a_price_is_a_log_of_a_watched_address(reader: AaveReader, fresh_market: Chain) -> None:
    chain = fresh_market
    market = await reader.load_market()
    sources = await walk(reader.multicall, market)
    names = sorted({name for each in EMITTERS.values() for name in each})
    for name in names:
        block = await chain.set_price(name, factor="0.999")
        logs = await get_logs(reader.rpc, LogFilter(tuple(sources.watched)), block, block)
        assert {log.address for log in logs} == {chain.feeds.by_name[name].aggregator}


async def test_adapters_are_watched_for_their_caps_and_proxies_are_not(reader: AaveReader, market_chain: Chain) -> None:
    market = await reader.load_market()
    sources = await walk(reader.multicall, market)
    proxies = {feed.proxy for feed in market_chain.feeds.by_name.values()}
    adapted = {reserve.price_source for reserve in market.reserves.values()} - proxies
    fixed = {reserve.price_source for reserve in market.reserves.values() if reserve.symbol == "GHO"}
    assert sources.adapters == adapted - fixed
    assert not sources.watched & proxies
    contracts = reader.contracts
    everything = watched_addresses(contracts, market, sources)
    tokens = {t for each in market.reserves.values() for t in (each.a_token, each.variable_debt_token)}
    assert (
        everything
        == {contracts.pool, contracts.provider, contracts.oracle, contracts.configurator} | tokens | sources.watched
    )


async def test_an_aggregator_that_changed_is_found_by_walking_again(reader: AaveReader, fresh_market: Chain) -> None:
    chain = fresh_market
    market = await reader.load_market()
    weth = market.reserves[0].asset
    before = await walk(reader.multicall, market)
    newer = chain.feeds.by_name["BTC"].aggregator
    await chain.propose_aggregator(chain.feeds.by_name["ETH"].proxy, newer)
    after = await walk(reader.multicall, market)
    assert before.aggregators[weth] == (chain.feeds.by_name["ETH"].aggregator,)
    assert after.aggregators[weth] == (newer,)


async def test_feeds_of_the_settings_are_added(reader: AaveReader, market_chain: Chain) -> None:
    market = await reader.load_market()
    extra = market_chain.feeds.by_name["AAVE"]
    for symbol, touched in {"ETH": {"WETH"}, "BTC": {"cbBTC", "tBTC"}, "USDC": {"USDC"}, "CBETH": {"cbETH"}}.items():
        sources = await walk(reader.multicall, market, feeds=((symbol, extra.proxy),))
        listed = {r.symbol for r in market.reserves.values() if extra.aggregator in sources.aggregators[r.asset]}
        assert listed == touched | {"AAVE"}
    direct = await walk(reader.multicall, market, feeds=(("GHO", extra.aggregator),))
    gho = next(reserve.asset for reserve in market.reserves.values() if reserve.symbol == "GHO")
    assert direct.aggregators[gho] == (extra.aggregator,)
    with pytest.raises(ConfigError, match=r"CHAINLINK_FEEDS=DOGE:…: allowed: the symbols of the market, AAVE, CBBTC"):
        await walk(reader.multicall, market, feeds=(("DOGE", Address("0x" + "12" * 20)),))


async def test_a_source_that_is_no_contract_is_polled(reader: AaveReader, fresh_market: Chain) -> None:
    await fresh_market.set_price_source("cbBTC", Address("0x" + "12" * 20))
    market = await reader.load_market()
    sources = await walk(reader.multicall, market)
    cbbtc = next(reserve.asset for reserve in market.reserves.values() if reserve.symbol == "cbBTC")
    assert sources.aggregators[cbbtc] == ()
    assert cbbtc in sources.polled


ODD = Address("0x" + "0d" * 20)
TELLS_THE_TIME = "0x425f5260205ff3"
ANSWERS_NOTHING = "0x5f5f5260205ff3"
ANSWERS_SEVEN = "0x60075f5260205ff3"


async def polled_prices(reader: AaveReader, market: Market, book: PriceBook) -> dict[int, int]:
    """Ask what has to be asked at the head, and return all prices as they are there."""
    block = await reader.block_number()
    reading = Reading()
    ask_polled(reading, book, reader.contracts.oracle, market)
    await reading.read(reader.multicall, block)
    now = (await reader.refresh(market, block)).timestamp
    return dict(book.prices(now))


async def test_a_source_that_fits_no_formula_is_asked(reader: AaveReader, fresh_market: Chain) -> None:
    chain = fresh_market
    await chain.rpc.request("anvil_setCode", ODD, TELLS_THE_TIME)
    await chain.set_price_source("AAVE", ODD)
    aave = chain.reserves["AAVE"].id
    market = await reader.load_market()
    book = (await walk(reader.multicall, market, market.block)).book
    assert isinstance(book.tree.nodes[ODD], Polled)
    assert aave in book.polled
    assert not await verify_prices(reader, market, book, market.block)
    assert book.price(aave, market.timestamp) == market.prices[aave] == market.timestamp
    await chain.increase_time(100)
    assert (await polled_prices(reader, market, book))[aave] >= market.timestamp + 100


async def test_a_price_of_the_fallback_oracle_is_asked_of_the_oracle(reader: AaveReader, fresh_market: Chain) -> None:
    chain, fallback = fresh_market, Address("0x" + "fa" * 20)
    await chain.rpc.request("anvil_setCode", ODD, ANSWERS_NOTHING)
    await chain.rpc.request("anvil_setCode", fallback, ANSWERS_SEVEN)
    await chain.rpc.send(at.EXECUTOR, at.ORACLE, "setFallbackOracle(address)", fallback)
    await chain.set_price_source("AAVE", ODD)
    aave = chain.reserves["AAVE"].id
    market = await reader.load_market()
    book = (await walk(reader.multicall, market, market.block)).book
    assert book.price(aave, market.timestamp) is None
    assert await verify_prices(reader, market, book, market.block) == {aave}
    assert await verify_prices(reader, market, book, market.block) == set()
    assert book.price(aave, market.timestamp) == 7
    await chain.set_price_source("AAVE", chain.feeds.by_name["BTC"].proxy)
    assert (await polled_prices(reader, market, book))[aave] == (await chain.prices())["AAVE"]


async def test_a_source_that_stands_on_itself_ends_the_walk(reader: AaveReader, fresh_market: Chain) -> None:
    chain = fresh_market
    await chain.market.deployer.place(ODD, "EACAggregatorProxy", "address,address", [ODD, NOBODY])
    await chain.set_price_source("AAVE", ODD)
    market = await reader.load_market()
    book = (await walk(reader.multicall, market, market.block)).book
    assert book.tree.nodes[ODD] == Polled(0)
    assert book.price(chain.reserves["AAVE"].id, market.timestamp) is None
