"""The price tree: feeds behind proxies, adapters on feeds, and the answers that move them."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.units import Address
from devnet.abi import function
from devnet.addresses import EXECUTOR, TRANSMITTER
from devnet.deploy import Deployer
from devnet.listing import FEEDS, LBTC_RATE, LBTC_RATE_NOW, RESERVES, FeedSpec, ReserveSpec, Source
from devnet.rpc import Rpc

SNAPSHOT_AGE = 30 * 86_400
"""Seconds since the cap adapters' snapshots, so that today's ratios lie below their caps."""
NOBODY = Address("0x" + "0" * 40)
RATE = "LBTC"
"""The one price leg that is a plain rate contract, not a feed."""

_RATIO_TYPES = "string,address,address,address,uint256,uint256,uint16"


@dataclass(frozen=True, slots=True)
class Feed:
    """Hold a feed's two addresses: who reads it asks the proxy, who listens to it listens to the aggregator."""

    name: str
    proxy: Address
    aggregator: Address


class Feeds:
    """Hold every feed of the market and set its answers."""

    def __init__(self, rpc: Rpc, feeds: dict[str, Feed]) -> None:
        self._rpc = rpc
        self.by_name = feeds

    async def answer(self, name: str) -> int:
        """Return a feed's (or the rate contract's) present answer, in its own decimals."""
        if name == RATE:
            return int(await self._rpc.call(Address(LBTC_RATE.lower()), "getRate()(uint256)"))
        return int(await self._rpc.call(self.by_name[name].proxy, "latestAnswer()(int256)"))

    async def post(self, name: str, answer: int) -> str:
        """Send a new answer to a feed and return the transaction's hash without waiting."""
        if name == RATE:
            data = function("setRate(uint256)").encode([answer])
            return await self._rpc.post(EXECUTOR, Address(LBTC_RATE.lower()), data)
        data = function("transmit(int192)").encode([answer])
        return await self._rpc.post(TRANSMITTER, self.by_name[name].aggregator, data, gas=400_000)


async def deploy_feeds(deployer: Deployer) -> Feeds:
    """Deploy the aggregators, their proxies and the rate contract."""
    feeds: dict[str, Feed] = {}
    for spec in FEEDS:
        aggregator = await _aggregator(deployer, spec)
        proxy = Address(spec.proxy.lower())
        await deployer.place(proxy, "EACAggregatorProxy", "address,address", [aggregator, NOBODY])
        feeds[spec.name] = Feed(spec.name, proxy, aggregator)
    await deployer.place(
        Address(LBTC_RATE.lower()), "RateProvider", "address,uint256", [EXECUTOR, LBTC_RATE_NOW], sender=EXECUTOR
    )
    return Feeds(deployer.rpc, feeds)


async def deploy_sources(deployer: Deployer, feeds: Feeds, now: int) -> dict[str, Address]:
    """Deploy the adapters and return each reserve's price source by symbol."""
    sources: dict[str, Address] = {}
    placed: set[Address] = set()
    for reserve in RESERVES:
        at = Address(reserve.source.address.lower())
        if reserve.source.kind is not Source.FEED and at not in placed:
            await _adapter(deployer, feeds, reserve, at, now)
        placed.add(at)
        sources[reserve.symbol] = at
    return sources


async def _aggregator(deployer: Deployer, spec: FeedSpec) -> Address:
    types = "uint8,string,address,int192"
    arguments = [spec.decimals, f"{spec.name} / USD" if spec.decimals == 8 else spec.name, TRANSMITTER, spec.answer]
    if spec.aggregator is None:
        return await deployer.create("Ocr2Aggregator", types, arguments)
    return await deployer.place(
        Address(spec.aggregator.lower()), "Ocr2Aggregator", types, arguments, sender=TRANSMITTER
    )


async def _adapter(deployer: Deployer, feeds: Feeds, reserve: ReserveSpec, at: Address, now: int) -> None:
    spec = reserve.source
    name = f"Capped {reserve.symbol} / USD"
    driver = feeds.by_name[spec.driver].proxy if spec.driver in feeds.by_name else Address(LBTC_RATE.lower())
    match spec.kind:
        case Source.STABLE:
            types = "string,address,address,int256"
            await deployer.place(at, "StableCapAdapter", types, [name, EXECUTOR, driver, spec.cap])
        case Source.EURO:
            types = "string,address,address,address,int256"
            base = feeds.by_name[spec.base].proxy
            await deployer.place(at, "EurCapAdapter", types, [name, EXECUTOR, driver, base, spec.cap])
        case Source.RATIO | Source.RATE:
            contract = "FeedRatioAdapter" if spec.kind is Source.RATIO else "RateRatioAdapter"
            cap = [spec.cap, now - SNAPSHOT_AGE, spec.growth]
            base = base_source(feeds, spec.base)
            await deployer.place(at, contract, _RATIO_TYPES, [name, EXECUTOR, base, driver, *cap])
        case Source.FIXED:
            await deployer.place(at, "FixedAdapter")
        case Source.FEED:
            raise ValueError(f"{reserve.symbol} is priced by its feed's proxy and needs no adapter")


def base_source(feeds: Feeds, name: str) -> Address:
    """Return what a ratio is multiplied with: a feed's proxy, or the capped USDC price for a dollar ratio."""
    if name == "USDC":
        return next(Address(one.source.address.lower()) for one in RESERVES if one.symbol == name)
    return feeds.by_name[name].proxy
