"""Feeds with two routes: answers that the market sees at once, and answers that it sees when the clock allows."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from core.domain.units import Address
from devnet import addresses as at
from devnet.abi import function
from devnet.feeds import Feeds
from devnet.governance import Governance
from devnet.listing import FEEDS
from devnet.market import Market
from devnet.users import Actor

CUTOFF_SECONDS = 10
MAX_SYNC_ITERATIONS = 20
LATEST_ROUND, SECONDARY_ROUND = 48, 80
"""Bit offsets in the aggregator's storage slot 13."""
HOT_VARS_SLOT, CUTOFF_SLOT = 13, 18
_REPORT = "transmitReport(int192,uint32,uint40,bool)"


class DualFeeds(Actor):
    """Move feeds to DualAggregators and speak through either of their routes. All return the receipt.

    `feed` is a feed's name; an answer is in the feed's own decimals.
    """

    market: Market
    feeds: Feeds
    dual: dict[str, Address]

    async def use_dual_aggregator(
        self, feed: str, cutoff: int = CUTOFF_SECONDS, max_sync_iterations: int = MAX_SYNC_ITERATIONS
    ) -> Address:
        """Move a feed to a DualAggregator that starts with the present answer; return its address.

        The feed's proxy is the secondary proxy: it sees a primary answer only once that is older than `cutoff` seconds.
        From then on `set_price` transmits by the primary route.
        """
        spec = next(one for one in FEEDS if one.name == feed)
        proxy = self.feeds.by_name[feed].proxy
        types = "uint8,string,address,address,uint32,uint32,int192"
        limits = [cutoff, max_sync_iterations, await self.feeds.answer(feed)]
        arguments = [spec.decimals, spec.name, at.TRANSMITTER, proxy, *limits]
        fresh = await self.market.deployer.create("DualAggregator", types, arguments)
        await Governance(self.rpc, self.reserves).propose_aggregator(proxy, fresh)
        self.feeds.by_name[feed] = replace(self.feeds.by_name[feed], aggregator=fresh)
        self.dual[feed] = fresh
        return fresh

    def is_dual(self, feed: str) -> bool:
        """Return whether a feed stands on a DualAggregator."""
        return feed in self.dual and self.dual[feed] == self.feeds.by_name[feed].aggregator

    async def transmit_primary(self, feed: str, answer: int) -> dict[str, Any]:
        """Report a new answer by the primary route: the market sees it when it is older than the cutoff."""
        return await self.rpc.send(at.TRANSMITTER, self._aggregator(feed), "transmit(int192)", answer)

    async def transmit_secondary(
        self, feed: str, answer: int | None = None, *, known_round: int | None = None
    ) -> dict[str, Any]:
        """Report by the secondary route, seen at once: a new answer, or one that the primary route stored as a round.

        A known round is only pointed at: there is no AnswerUpdated. Raises TransactionReverted("StaleReport") for a
        round that is not newer than the last secondary one.
        """
        if (answer is None) == (known_round is None):
            raise ValueError("give either an answer or a known round")
        if known_round is None:
            return await self.rpc.send(at.TRANSMITTER, self._aggregator(feed), "transmitSecondary(int192)", answer)
        data = await self._known(feed, known_round)
        return await self.rpc.settle(
            "transmitReport", await self.rpc.post(at.TRANSMITTER, self._aggregator(feed), data)
        )

    async def unlock_primary(self, feed: str) -> dict[str, Any]:
        """Repeat the latest secondary report by the primary route: only PrimaryFeedUnlocked is said."""
        hot = await self._slot(feed, HOT_VARS_SLOT)
        epoch = hot >> 8 & (1 << 40) - 1
        return await self.rpc.send(at.TRANSMITTER, self._aggregator(feed), _REPORT, 0, 0, epoch, False)

    async def set_cutoff_time(self, feed: str, seconds: int) -> dict[str, Any]:
        """Change the seconds for which a primary answer stays unseen."""
        return await self.rpc.send(at.TRANSMITTER, self._aggregator(feed), "setCutoffTime(uint32)", seconds)

    async def set_max_sync_iterations(self, feed: str, iterations: int) -> dict[str, Any]:
        """Change how many rounds are searched for one that is old enough."""
        text = "setMaxSyncIterations(uint32)"
        return await self.rpc.send(at.TRANSMITTER, self._aggregator(feed), text, iterations)

    async def rounds(self, feed: str) -> tuple[int, int]:
        """Return the last round of any route, and the last one that the secondary route knows."""
        hot = await self._slot(feed, HOT_VARS_SLOT)
        return hot >> LATEST_ROUND & 0xFFFFFFFF, hot >> SECONDARY_ROUND & 0xFFFFFFFF

    async def post_secondary(self, feed: str, answer: int | None = None, *, known_round: int = 0) -> str:
        """Send like `transmit_secondary` without waiting; return the transaction's hash."""
        if answer is None:
            data = await self._known(feed, known_round)
        else:
            data = function("transmitSecondary(int192)").encode([answer])
        return await self.rpc.post(at.TRANSMITTER, self._aggregator(feed), data, gas=400_000)

    async def _known(self, feed: str, known_round: int) -> str:
        text = "getRoundData(uint80)(uint80,int256,uint256,uint256,uint80)"
        _, answer, observed, _, _ = await self.rpc.call(self._aggregator(feed), text, known_round)
        return function(_REPORT).encode([answer, observed, 0, True])

    async def _slot(self, feed: str, slot: int) -> int:
        return int(await self.rpc.request("eth_getStorageAt", self._aggregator(feed), hex(slot), "latest"), 16)

    def _aggregator(self, feed: str) -> Address:
        if not self.is_dual(feed):
            raise ValueError(f"{feed} does not stand on a DualAggregator")
        return self.dual[feed]


class MixedRoutes:
    """Choose the route of each answer: stretches by the primary route alone, by the secondary alone, and by both.

    Only in a primary stretch longer than the cutoff do answers become visible by the clock.
    """

    def __init__(self, chain: DualFeeds, rng: random.Random, stretch: int) -> None:
        """Take how many answers of a feed a stretch has at least; it has at most twice as many."""
        self._chain = chain
        self._rng = rng
        self._stretch = stretch
        self._left: dict[str, int] = {}
        self._route: dict[str, str] = {}

    async def post(self, feed: str, answer: int) -> list[str]:
        """Send a feed's next answer and return the hashes of what was sent, in order."""
        if not self._left.get(feed):
            self._left[feed] = self._rng.randint(self._stretch, 2 * self._stretch)
            self._route[feed] = self._rng.choice(("primary", "primary", "secondary", "both"))
        self._left[feed] -= 1
        route = self._route[feed]
        if route == "secondary":
            return [await self._chain.post_secondary(feed, answer)]
        sent = await self.catch_up([feed]) if route == "both" else []
        return [*sent, await self._chain.feeds.post(feed, answer)]

    async def catch_up(self, feeds: Iterable[str]) -> list[str]:
        """Make each feed's last primary answer visible by the secondary route, where it is not yet."""
        sent = []
        for feed in feeds:
            latest, secondary = await self._chain.rounds(feed)
            if latest > secondary:
                sent.append(await self._chain.post_secondary(feed, known_round=latest))
        return sent
