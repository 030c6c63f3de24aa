"""Lists a reserve while the market runs: token, feed, aToken and debt token, parameters."""

from __future__ import annotations

from core.domain.units import Address
from devnet import addresses as at
from devnet.chain import Chain
from devnet.feeds import NOBODY, Feed
from devnet.listing import LONG_TAIL_CURVE, ReserveSpec, Source, SourceSpec
from devnet.market import INIT_RESERVES, ReserveInfo, configuration, init_row


async def list_reserve(chain: Chain, symbol: str, decimals: int, answer: int) -> ReserveInfo:
    """List a token that is priced by a feed of its own name (8 decimals) and make it known to the chain object.

    The feed stands behind a proxy. Raises TransactionReverted where the protocol refuses (decimals below 6).
    """
    deployer = chain.market.deployer
    asset = await deployer.create("TestToken", "string,string,uint8", [symbol, symbol, decimals])
    types = "uint8,string,address,int192"
    aggregator = await deployer.create("Ocr2Aggregator", types, [8, f"{symbol} / USD", at.TRANSMITTER, answer])
    proxy = await deployer.create("EACAggregatorProxy", "address,address", [aggregator, NOBODY])
    spec = ReserveSpec(
        symbol, asset, decimals, 6000, 6500, 10800, 1000, LONG_TAIL_CURVE, SourceSpec(Source.FEED, proxy, symbol)
    )
    a_token = await deployer.create("ATokenInstance", "address,address,address", [at.POOL, NOBODY, at.COLLECTOR])
    debt_token = await deployer.create("VariableDebtTokenInstance", "address,address", [at.POOL, NOBODY])
    await chain.set_price_source_of(asset, proxy)
    rows = [init_row(spec, a_token, debt_token)]
    await chain.rpc.send(at.EXECUTOR, at.CONFIGURATOR, INIT_RESERVES, rows, gas=12_000_000)
    orders = [(at.CONFIGURATOR, *order) for order in configuration(spec)]
    await chain.rpc.send_all(at.EXECUTOR, orders, gas=1_000_000)
    chain.feeds.by_name[symbol] = Feed(symbol, proxy, aggregator)
    chain.reserves[symbol] = await _read(chain, spec, proxy)
    return chain.reserves[symbol]


async def _read(chain: Chain, spec: ReserveSpec, source: Address) -> ReserveInfo:
    asset = spec.address
    ids = list(await chain.rpc.call(at.POOL, "getReservesList()(address[])"))
    a_token = Address(await chain.rpc.call(at.POOL, "getReserveAToken(address)(address)", asset))
    debt_token = Address(await chain.rpc.call(at.POOL, "getReserveVariableDebtToken(address)(address)", asset))
    return ReserveInfo(ids.index(asset), spec.symbol, spec.decimals, asset, a_token, debt_token, source, spec.symbol)
