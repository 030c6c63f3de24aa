"""A mirror that lives on a local chain's own notifications, and its comparison with the chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from core.domain.health_factor import UserAccountData
from core.domain.units import Address
from devnet.chain import Chain
from worker.chain.aave import AaveReader
from worker.chain.feed import Feed, FeedOptions
from worker.chain.logs import Head, Log, head
from worker.chain.oracles import verify_prices, walk, watched_addresses
from worker.chain.rpc import HttpRpc
from worker.detection.mirror import Mirror

CHAIN_ID = 31337
LATE_LOOKS, LATE_SECONDS = 10, 0.02


class Follower:
    """Be the feed's sink: fold logs, remember the head."""

    def __init__(self, reader: AaveReader, mirror: Mirror) -> None:
        self.reader = reader
        self.mirror = mirror
        self.head: Head | None = None
        self.seen = asyncio.Event()

    def on_log(self, log: Log) -> None:
        self.mirror.hear(log)

    def on_head(self, head: Head) -> None:
        self.head = head
        self.seen.set()

    def on_reorganisation(self, first: int) -> None:
        self.mirror.take_back(first - 1)

    def on_state(self, up: bool, text: str) -> None:
        del up, text

    async def at(self, block: int, block_hash: str) -> None:
        """Wait until the chain's block has arrived, and be exact at it."""
        async with asyncio.timeout(20):
            while self.head is None or (self.head.number, self.head.hash) != (block, block_hash):
                self.seen.clear()
                await self.seen.wait()
        await self.mirror.check_sources()  # what the worker does once a minute
        await self.mirror.settle(block, self.head.timestamp)

    async def different(self, users: Sequence[Address]) -> dict[Address, tuple[object, object]]:
        """Return the accounts whose six figures are not the chain's at the mirror's block.

        The node sends a block's logs before or after its head, and while it mines it may answer for a block that is not
        the one asked about; so what differs is looked at again, on both sides, at the same block.
        """
        for _ in range(LATE_LOOKS):
            chain = await self.reader.account_data(users, self.mirror.block)
            if not (found := self._compare(users, chain)):
                break
            await asyncio.sleep(LATE_SECONDS)
            await self.mirror.settle(self.mirror.block, self.mirror.market.timestamp)
        return found

    def _compare(
        self, users: Sequence[Address], chain: Sequence[UserAccountData | None]
    ) -> dict[Address, tuple[object, object]]:
        found: dict[Address, tuple[object, object]] = {}
        for user, theirs in zip(users, chain, strict=True):
            if theirs is not None and not self.mirror.agrees(user, theirs):
                found[user] = (self.mirror.figures(user), theirs)
        return found


async def loaded_mirror(reader: AaveReader, users: Sequence[Address], block: int | None = None) -> Mirror:
    """Return a mirror of these accounts at a block, or at the head, with its prices checked against the oracle."""
    if block is None:
        latest = await head(reader.rpc)
        assert latest is not None
        block = latest.number
    market = await reader.load_market(block)
    sources = await walk(reader.multicall, market, block)
    await verify_prices(reader, market, sources.book, block)
    mirror = Mirror(reader, market, sources)
    await mirror.load(users, lambda stage, done, total: None)
    return mirror


@asynccontextmanager
async def following(chain: Chain) -> AsyncIterator[Follower]:
    """Yield a follower that was loaded at the chain's head and hears everything after it."""
    rpc = HttpRpc([chain.http_url])
    reader = await AaveReader.discover(rpc, chain.provider, CHAIN_ID)
    start = await head(rpc)
    assert start is not None
    mirror = await loaded_mirror(reader, [*chain.borrowers, *chain.suppliers], start.number)
    follower = Follower(reader, mirror)
    feed = Feed(chain.ws_url, rpc, options=FeedOptions(chain_id=CHAIN_ID))

    def listen() -> None:
        feed.watch(watched_addresses(reader.contracts, mirror.market, mirror.sources))

    mirror.on_sources = listen
    listen()
    task = asyncio.create_task(feed.run(follower, start))
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rpc.aclose()
