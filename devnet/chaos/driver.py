"""One random protocol action after the other, of all kinds, with what the protocol refuses counted."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from core.domain.units import Address
from devnet import addresses as at
from devnet.chain import Chain
from devnet.chaos.base import LIQUIDATOR, Kind, Kinds
from devnet.chaos.governance import GovernanceKinds
from devnet.chaos.prices import PriceKinds
from devnet.chaos.refusals import EXPECTED
from devnet.chaos.users import UserKinds
from devnet.rpc import TransactionReverted

NOTHING = "nothing to do"
DEEPEST_REORG = 5


@dataclass(frozen=True, slots=True)
class Step:
    """Say what one step did: its kind, why it was refused (None: it was not), and the blocks it made or replaced."""

    kind: str
    refused: str | None
    first_block: int
    last_block: int


class RandomProtocol:
    """Take random actions on a chain; `done` and `refused` count what came of it.

    On a chain that mines a block per transaction, blocks are one second apart from `prepare` to `finish`, and the same
    seed takes the same actions; on one with a beat they depend on the clock. `accounts` are all that ever act;
    `without` leaves kinds out.
    """

    def __init__(self, chain: Chain, seed: int, without: frozenset[str] = frozenset()) -> None:
        self.chain = chain
        self.accounts: list[Address] = [*chain.borrowers, *chain.suppliers, LIQUIDATOR]
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._rng = random.Random(f"chaos {seed}")
        self._start = 0
        self._listed = dict(chain.reserves)
        self._feeds = dict(chain.feeds.by_name)
        self._kinds: dict[str, tuple[int, Kind]] = {"reorg": (5, self._reorg)}
        families: list[type[Kinds]] = [UserKinds, PriceKinds, GovernanceKinds]
        for family in families:
            self._kinds |= family(chain, self._rng, self.accounts).kinds()
        self._kinds = {name: kind for name, kind in self._kinds.items() if name not in without}

    @property
    def kinds(self) -> list[str]:
        """Every kind of action that may come."""
        return list(self._kinds)

    async def prepare(self) -> None:
        """Put a second between blocks, so that nothing follows from the wall clock, and a feed on two routes."""
        if self.chain.beat is None:
            await self.chain.rpc.request("anvil_setBlockTimestampInterval", 1)
        self._start = await self.chain.rpc.block_number()
        await self.chain.use_dual_aggregator("ETH")

    async def finish(self) -> None:
        """Give the chain its clock and the chain object its first reserves and feeds back."""
        if self.chain.beat is None:
            await self.chain.rpc.request("anvil_removeBlockTimestampInterval")
        self.chain.reserves.clear()
        self.chain.reserves.update(self._listed)
        self.chain.feeds.by_name.clear()
        self.chain.feeds.by_name.update(self._feeds)
        self.chain.dual.clear()

    async def step(self, kind: str | None = None) -> Step:
        """Take one action, a certain kind or a random one; raise TransactionReverted for an unexpected refusal."""
        weights = [weight for weight, _ in self._kinds.values()]
        name = kind or self._rng.choices(list(self._kinds), weights)[0]
        before = await self.chain.rpc.block_number()
        first, refused = before + 1, None
        try:
            found = await self._kinds[name][1]()
        except TransactionReverted as error:
            if error.reason not in EXPECTED:
                raise
            refused = error.reason
            self.refused[f"{name}: {refused}"] += 1
        else:
            if found is None:
                refused = NOTHING
            elif name == "reorg":
                first = found.first_block
            self.done[name if found is not None else f"{name}: {NOTHING}"] += 1
        return Step(name, refused, first, await self.chain.rpc.block_number())

    async def _reorg(self) -> Any:
        depth, keep = self._rng.randint(1, DEEPEST_REORG), self._rng.random() < 0.5
        # The node may not know the state before our beginning any more: it forgets what a revert goes back past.
        depth = min(depth, await self.chain.rpc.block_number() - self._start - 1)
        if depth < 1:
            return None
        found = await self.chain.reorg(depth, keep=keep)
        await self._see_again()
        return found

    async def _see_again(self) -> None:
        """Make the chain object agree with the chain: listings and moved aggregators may have been taken back."""
        listed = set(await self.chain.rpc.call(at.POOL, "getReservesList()(address[])"))
        for symbol, one in list(self.chain.reserves.items()):
            if one.asset not in listed:
                del self.chain.reserves[symbol]
        for name, feed in list(self.chain.feeds.by_name.items()):
            if name not in self._feeds and name not in self.chain.reserves:
                del self.chain.feeds.by_name[name]
                continue
            aggregator = Address(await self.chain.rpc.call(feed.proxy, "aggregator()(address)"))
            self.chain.feeds.by_name[name] = replace(feed, aggregator=aggregator)
