"""Follows a chain by its logs alone, and compares everything with a fresh read after every block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from core.domain.events import Event, PositionEvent
from core.domain.fold import fold_market, fold_position, subjects
from core.domain.market import Market
from core.domain.position import Position
from core.domain.prices import PriceBook
from core.domain.units import Address
from devnet import addresses as at
from devnet.chain import Chain
from worker.chain.aave import AaveReader
from worker.chain.decode import Decoder
from worker.chain.logs import LogFilter, get_logs, head
from worker.chain.oracles import PriceSources, ask_polled, verify_prices, walk, watched_addresses
from worker.chain.reading import Reading
from worker.chain.rpc import HttpRpc

NEWCOMER = Address("0x" + "ce" * 20)
"""An account with nothing in the pool, followed from the beginning."""


class Follower:
    """Hold a market, a price book and positions that are only ever folded, unless a fold says otherwise."""

    def __init__(self, reader: AaveReader, market: Market, sources: PriceSources, positions: list[Position]) -> None:
        self.reader = reader
        self.market = market
        self.sources = sources
        self.positions = {position.user: position for position in positions}
        self.decoder = Decoder(market.reserves)
        self.seen: Counter[str] = Counter()
        self.read_again: Counter[str] = Counter()
        self.moved_by_the_clock: Counter[int] = Counter()

    @classmethod
    async def start(cls, chain: Chain, *, accounts: bool = True) -> Follower:
        """Read everything at the head; the accounts are all borrowers, who else holds aTokens, and a newcomer."""
        reader = await AaveReader.discover(HttpRpc(chain.http_url), chain.provider, 31337)
        market = await reader.load_market()
        sources = await walk(reader.multicall, market, market.block)
        assert not await verify_prices(reader, market, sources.book, market.block)
        users = (
            [] if not accounts else [*chain.borrowers, *chain.suppliers, at.RIVAL, at.COLLECTOR, at.EXECUTOR, NEWCOMER]
        )
        return cls(reader, market, sources, await reader.positions(users, market.block))

    @property
    def book(self) -> PriceBook:
        return self.sources.book

    async def close(self) -> None:
        assert isinstance(self.reader.rpc, HttpRpc)
        await self.reader.rpc.aclose()

    async def walk_again(self) -> None:
        """Read the price tree anew: what has no log may have changed in it."""
        self.sources = await walk(self.reader.multicall, self.market, self.market.block)

    async def follow(self) -> None:
        """Fold every block up to the head, one after the other, and compare after each."""
        for block in range(self.market.block + 1, await self.reader.block_number() + 1):
            await self._fold_block(block)
            await self._compare(block)

    async def _fold_block(self, block: int) -> None:
        header = await head(self.reader.rpc, block)
        assert header is not None
        self._let_time_pass(header.timestamp)
        watched = watched_addresses(self.reader.contracts, self.market, self.sources)
        stale: set[Address] = set()
        for log in await get_logs(self.reader.rpc, LogFilter(tuple(watched)), block, block):
            event = self.decoder.decode(log, header.timestamp)
            if event is not None:
                self.seen[type(event).__name__] += 1
                await self._fold(event, stale, block)
        for position in await self.reader.positions(sorted(stale), block):
            self.positions[position.user] = position
        self.market.set_head(block, header.timestamp)

    async def _fold(self, event: Event, stale: set[Address], block: int) -> None:
        who = subjects(event)
        self.book.apply(event)
        if not fold_market(self.market, event):
            self.read_again[type(event).__name__] += 1
            fresh = await self.reader.refresh(self.market, block, reserves=who.reserves, e_modes=who.e_modes)
            fresh.apply_to(self.market)
        if who.sources:
            self.market = await self.reader.load_market(block)
            await self.walk_again()
        if not isinstance(event, PositionEvent):
            return
        for user in who.users:
            if user not in stale and user in self.positions:
                after = fold_position(self.positions[user], event)
                if after is None:
                    self.read_again[type(event).__name__] += 1
                    stale.add(user)
                else:
                    self.positions[user] = after

    def _let_time_pass(self, now: int) -> None:
        """Check that every price which moves by the clock alone was foretold to, for that second or an earlier one."""
        before = self.market.timestamp
        foretold = self.book.timed(before)
        earlier, later = self.book.prices(before), self.book.prices(now)
        for reserve_id in differences(earlier, later):
            assert before < foretold[reserve_id] <= now
            self.moved_by_the_clock[reserve_id] += 1

    async def _compare(self, block: int) -> None:
        reading = Reading()
        ask_polled(reading, self.book, self.reader.contracts.oracle, self.market)
        await reading.read(self.reader.multicall, block)
        fresh = await self.reader.refresh(
            self.market, block, reserves=self.market.reserves, e_modes=self.market.e_modes, prices=True,
            positions=list(self.positions),
        )  # fmt: skip
        assert fresh.timestamp == self.market.timestamp
        assert differences(fresh.reserves, self.market.reserves) == {}, block
        assert differences(fresh.e_modes, self.market.e_modes) == {}, block
        assert differences(fresh.prices, self.book.prices(fresh.timestamp)) == {}, block
        assert differences(fresh.positions, self.positions) == {}, block


def differences(theirs: Mapping[Any, Any], ours: Mapping[Any, Any]) -> dict[Any, tuple[Any, Any]]:
    """Return what is not the same on both sides, as (theirs, ours)."""
    keys = theirs.keys() | ours.keys()
    return {key: (theirs.get(key), ours.get(key)) for key in keys if theirs.get(key) != ours.get(key)}
