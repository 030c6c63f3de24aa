"""Price sources walked down on the real proxies and on adapters in Base's shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.domain.units import Address
from core.errors import ConfigError
from devnet.chain import Chain
from worker.chain.aave import AaveReader
from worker.chain.logs import LogFilter, get_logs
from worker.chain.oracles import walk, watched_addresses
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
