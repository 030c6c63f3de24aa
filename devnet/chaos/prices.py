"""How prices move at random: every kind of feed, both routes, caps, moved aggregators, and the clock."""

from __future__ import annotations

import random
from typing import Any

from core.domain.units import Address
from devnet.chain import Chain
from devnet.chaos.base import Kind, Kinds
from devnet.listing import FEEDS, RESERVES, Source
from devnet.paths import PEGGED, RATIOS, VOLATILE

PER_MILLE = 1_000
DAY = 86_400
SHORTEST_PAST = 20 * DAY
"""How long ago a cap's snapshot must be, so that it is in the past on whatever block a reorganisation leaves."""
JUMPS = (1, 2, 11, 60, 3_600, 6 * 3_600, DAY, 7 * DAY, 30 * DAY)


class PriceKinds(Kinds):
    """Move prices, within bounds that keep the market alive, and time."""

    def __init__(self, chain: Chain, rng: random.Random, accounts: list[Address]) -> None:
        super().__init__(chain, rng, accounts)
        self._first: dict[str, int] = {}

    def kinds(self) -> dict[str, tuple[int, Kind]]:
        """Return each kind's weight and action."""
        return {
            "volatile price": (16, self.volatile),
            "pegged price": (3, self.pegged),
            "exchange ratio": (4, self.ratio),
            "rate without a feed": (2, self.rate),
            "secondary answer": (4, self.secondary),
            "known round": (3, self.known_round),
            "unlock": (1, self.unlock),
            "cutoff": (1, self.cutoff),
            "new aggregator": (1, self.new_aggregator),
            "dual aggregator": (1, self.dual_aggregator),
            "ratio cap": (2, self.ratio_cap),
            "price cap": (1, self.price_cap),
            "euro cap": (1, self.euro_cap),
            "time": (8, self.time),
        }

    async def volatile(self) -> Any:
        """Move a volatile feed, or one of a reserve listed since, by up to 8 %; by the primary route of two."""
        listed = [name for name in self.chain.feeds.by_name if name not in {one.name for one in FEEDS}]
        return await self._move(self.rng.choice([*VOLATILE, *VOLATILE, *listed]), 80)

    async def pegged(self) -> Any:
        """Move a stable coin's feed or EUR/USD by up to 5 %: above its cap now and then."""
        return await self._move(self.rng.choice(PEGGED), 50)

    async def ratio(self) -> Any:
        """Move an exchange ratio by up to 3 %: above its cap now and then."""
        return await self._move(self.rng.choice(RATIOS), 30)

    async def rate(self) -> Any:
        """Change the rate that has no feed and no event."""
        return await self._move("LBTC", 15)

    async def secondary(self) -> Any:
        """Answer by the secondary route."""
        feed, factor = self.one(self._dual()), self._factor(60)
        if feed is None:
            return None
        return await self.chain.transmit_secondary(feed, await self._target(feed, factor))

    async def known_round(self) -> Any:
        """Point the secondary route at what the primary one stored."""
        feed, earlier = self.one(self._dual()), self.rng.randint(0, 2)
        if feed is None:
            return None
        latest, _ = await self.chain.rounds(feed)
        return await self.chain.transmit_secondary(feed, known_round=max(1, latest - earlier))

    async def unlock(self) -> Any:
        """Repeat a secondary report by the primary route."""
        feed = self.one(self._dual())
        return feed and await self.chain.unlock_primary(feed)

    async def cutoff(self) -> Any:
        """Change a dual feed's cutoff or its search depth."""
        feed, seconds, depth = self.one(self._dual()), self.rng.randint(1, 30), self.rng.randint(2, 20)
        if feed is None:
            return None
        if seconds % 2:
            return await self.chain.set_cutoff_time(feed, seconds)
        return await self.chain.set_max_sync_iterations(feed, depth)

    async def new_aggregator(self) -> Any:
        """Move a feed to a fresh plain aggregator."""
        return await self.chain.add_aggregator(self.rng.choice([one.name for one in FEEDS]))

    async def dual_aggregator(self) -> Any:
        """Move a feed to a fresh aggregator with two routes."""
        return await self.chain.use_dual_aggregator(self.rng.choice((*VOLATILE, *PEGGED, *RATIOS)))

    async def ratio_cap(self) -> Any:
        """Set a ratio adapter's cap around the present ratio."""
        adapter = self._adapter(Source.RATIO, Source.RATE)
        growth, share = self.rng.randint(0, 1_500), self.rng.randint(950, 1_020)
        since = self.rng.randint(SHORTEST_PAST, 4 * SHORTEST_PAST)
        ratio = int(await self.chain.rpc.call(adapter, "getRatio()(int256)"))
        return await self.chain.set_ratio_cap(adapter, ratio * share // PER_MILLE, await self.now() - since, growth)

    async def price_cap(self) -> Any:
        """Set a stable coin's cap between 97 and 106 cents."""
        return await self.chain.set_price_cap(self._adapter(Source.STABLE), self.rng.randint(970, 1_060) * 10**5)

    async def euro_cap(self) -> Any:
        """Set the euro coin's cap between 97 and 106 % of EUR/USD."""
        return await self.chain.set_price_cap_ratio(self._adapter(Source.EURO), self.rng.randint(970, 1_060) * 10**5)

    async def time(self) -> Any:
        """Let a second, or up to thirty days, go by."""
        seconds = self.rng.choice(JUMPS)
        await self.chain.rpc.request("evm_setNextBlockTimestamp", hex(await self.now() + seconds))
        return await self.chain.mine()

    async def _move(self, feed: str, most: int) -> Any:
        factor = self._factor(most)
        return await self.chain.set_price(feed, answer=await self._target(feed, factor))

    async def _target(self, feed: str, factor: int) -> int:
        """Return a feed's answer changed by some per mille, between half and twice its first one."""
        present = await self.chain.feeds.answer(feed)
        first = self._first.setdefault(feed, present)
        return min(max(present * factor // PER_MILLE, first // 2), first * 2)

    def _factor(self, most: int) -> int:
        return PER_MILLE + self.rng.randint(-most, most)

    def _dual(self) -> list[str]:
        return [feed for feed in self.chain.dual if self.chain.is_dual(feed)]

    def _adapter(self, *kinds: Source) -> Address:
        sources = dict.fromkeys(one.source.address.lower() for one in RESERVES if one.source.kind in kinds)
        return Address(self.rng.choice(list(sources)))
