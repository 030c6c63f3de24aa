"""The local chain as one object: start it, look at it, move its prices, act as anyone on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fractions import Fraction

from core.domain.units import Address
from devnet import addresses as at
from devnet.anvil import Anvil, Ticker, states_to_keep
from devnet.borrowers import plan
from devnet.build import DEPLOYED, Artifacts, build, error_names
from devnet.crowd import Crowd
from devnet.dual_feeds import DualFeeds
from devnet.governance import Governance
from devnet.lens import Lens
from devnet.listing import FEEDS
from devnet.market import Market, deploy_market
from devnet.progress import Progress, silent
from devnet.reorgs import Reorgs
from devnet.rpc import Rpc
from devnet.truth import Truth
from devnet.uniswap import Uniswap
from devnet.users import Users


@dataclass(frozen=True)
class ChainOptions:
    """Say what chain is wanted. `block_time` in seconds; None mines a block per transaction. Port 0: any free one.

    `flavour` is the protocol's version: 3.6 as installed, or one that is patched from it. `dual_feeds` are the feeds
    that stand on a DualAggregator from the beginning.
    """

    borrowers: int = 2000
    seed: int = 1
    block_time: float | None = 0.2
    port: int = 0
    flavour: str = DEPLOYED
    dual_feeds: tuple[str, ...] = ()


class Chain(Users, Governance, DualFeeds, Reorgs):
    """Hold one running local chain with its market and its borrowers.

    `users` actions (supply, borrow, ...), governance actions (set_collateral_parameters, ...), the two routes of dual
    feeds and reorganisations are inherited; every action returns when it is mined and raises TransactionReverted where
    the protocol refuses.
    """

    provider = at.PROVIDER
    pool = at.POOL
    oracle = at.ORACLE
    data_provider = at.DATA_PROVIDER
    multicall3 = at.MULTICALL3

    def __init__(self, node: Anvil, rpc: Rpc, artifacts: Artifacts, market: Market) -> None:
        super().__init__(rpc, market.reserves)
        self.node = node
        self.artifacts = artifacts
        self.market = market
        self.feeds = market.feeds
        self.dual: dict[str, Address] = {}
        self.http_url = node.http_url
        self.ws_url = node.ws_url
        self.start_block = 0
        self.borrowers: list[Address] = []
        self.suppliers: list[Address] = []
        self.lens = Lens(rpc, Address(""))
        self.uniswap = Uniswap(rpc, market.reserves, Address(""))
        self._ticker: Ticker | None = None

    @classmethod
    async def start(cls, options: ChainOptions, progress: Progress = silent) -> Chain:
        """Build what is missing, start a node, deploy the market, open the positions."""
        artifacts = await build(progress, options.flavour)
        node = await Anvil.start(options.port, states_to_keep(options.borrowers))
        rpc = Rpc(node.http_url, error_names(artifacts))
        try:
            chain = cls(node, rpc, artifacts, await deploy_market(rpc, artifacts, progress))
            await chain._populate(options, progress)
            for feed in options.dual_feeds:
                await chain.use_dual_aggregator(feed)
            if options.block_time is not None:
                chain._ticker = Ticker(rpc, options.block_time)
                await chain._ticker.start()
        except BaseException:
            await rpc.close()
            await node.stop()
            raise
        return chain

    @classmethod
    @asynccontextmanager
    async def running(cls, options: ChainOptions, progress: Progress = silent) -> AsyncIterator[Chain]:
        """Start a chain and stop it at the end of the block."""
        chain = await cls.start(options, progress)
        try:
            yield chain
        finally:
            await chain.stop()

    async def stop(self) -> None:
        """End the node; nothing of the chain is kept. Raises what had stopped the blocks, if something had."""
        try:
            if self._ticker is not None:
                await self._ticker.stop()
        finally:
            await self.rpc.close()
            await self.node.stop()

    @property
    def beat(self) -> asyncio.Task[None] | None:
        """The task that mines; it ends only with an error, and None where each transaction has its own block."""
        return self._ticker.task if self._ticker else None

    async def prices(self, block: int | str = "latest") -> dict[str, int]:
        """Return AaveOracle's price of every reserve (8 decimals) by symbol."""
        assets = [one.asset for one in self.reserves.values()]
        found = await self.rpc.call(at.ORACLE, "getAssetsPrices(address[])(uint256[])", assets, block=block)
        return dict(zip(self.reserves, found, strict=True))

    async def set_price(
        self, symbol: str, *, factor: Fraction | float | str | None = None, answer: int | None = None
    ) -> int:
        """Transmit a new answer, given itself or as a factor of the present one; return its block's number.

        `symbol` is a feed's name (ETH, BTC, AAVE, USDC, EURC, EUR, wstETH/stETH, ...) or a reserve's symbol, which
        means the feed of its own: for wstETH its exchange ratio, for tBTC the BTC feed.
        """
        tx_hash = await self.post_price(symbol, factor=factor, answer=answer)
        return int((await self.rpc.settle("transmit", tx_hash))["blockNumber"], 16)

    async def post_price(
        self, symbol: str, *, factor: Fraction | float | str | None = None, answer: int | None = None
    ) -> str:
        """Send a new answer like `set_price`, without waiting for its block; return the transaction's hash."""
        name = self.feed_of(symbol)
        if (factor is None) == (answer is None):
            raise ValueError("give either a factor or an answer")
        if answer is None:
            answer = int(await self.feeds.answer(name) * Fraction(factor or 0))
        return await self.feeds.post(name, answer)

    def feed_of(self, symbol: str) -> str:
        """Return the feed behind a feed name or a reserve symbol; raise ValueError where there is none."""
        reserve = self.reserves.get(symbol)
        name = reserve.driver if reserve and symbol not in self.feeds.by_name else symbol
        if name not in self.feeds.by_name and name != "LBTC":
            raise ValueError(f"{symbol} has no feed: known are {', '.join(self.feeds.by_name)} and LBTC")
        return name

    async def mine(self, blocks: int = 1) -> int:
        """Mine blocks at once; return the latest block's number."""
        for _ in range(blocks):
            await self.rpc.request("evm_mine")
        return await self.rpc.block_number()

    async def increase_time(self, seconds: int) -> int:
        """Move the clock forward and mine a block at the new time; return that block's number."""
        await self.rpc.request("evm_increaseTime", hex(seconds))
        return await self.mine()

    async def snapshot(self) -> str:
        """Remember the present state; return its id."""
        return str(await self.rpc.request("evm_snapshot"))

    async def revert(self, snapshot: str) -> None:
        """Go back to a snapshot; it is used up by that. Raises ValueError for one that is gone."""
        if not await self.rpc.request("evm_revert", snapshot):
            raise ValueError(f"no snapshot {snapshot}")
        self.rpc.forget()

    async def upgrade_pool_to_unknown_revision(self) -> Address:
        """Upgrade the pool to an implementation that calls itself revision 99; return the implementation."""
        arguments = [at.PROVIDER, at.RATE_STRATEGY]
        implementation = await self.market.deployer.create("FuturePoolInstance", "address,address", arguments)
        await self.upgrade_pool(implementation)
        return implementation

    async def add_aggregator(self, feed: str) -> Address:
        """Move a feed to a fresh aggregator that starts with the present answer; return the new one's address."""
        spec = next(one for one in FEEDS if one.name == feed)
        types = "uint8,string,address,int192"
        arguments = [spec.decimals, spec.name, at.TRANSMITTER, await self.feeds.answer(feed)]
        fresh = await self.market.deployer.create("Ocr2Aggregator", types, arguments)
        await self.propose_aggregator(self.feeds.by_name[feed].proxy, fresh)
        self.feeds.by_name[feed] = replace(self.feeds.by_name[feed], aggregator=fresh)
        return fresh

    async def _populate(self, options: ChainOptions, progress: Progress) -> None:
        self.lens = await Lens.deploy(self.rpc, self.artifacts)
        self.start_block = 0
        prices = list((await self.prices()).values())
        plans = plan(options.borrowers, options.seed, prices)
        crowd = await Crowd.prepare(self.rpc, self.artifacts)
        self.suppliers = await crowd.supply(plans, prices)
        self.borrowers = await crowd.borrow(plans, options.seed, progress)
        self.uniswap = await Uniswap.deploy(self.market.deployer, self.reserves, await self.prices())

    def truth(self, first_block: int) -> Truth:
        """Return a brute-force record of all borrowers that begins at a block; run it as a task."""
        return Truth(self.rpc, self.lens, self.borrowers, first_block)
