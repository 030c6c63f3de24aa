"""What every kind of random action stands on: the chain, the dice, the accounts."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from core.domain.units import Address
from devnet import addresses as at
from devnet.chain import Chain
from devnet.lens import Holding

Thing = TypeVar("Thing")
Kind = Callable[[], Awaitable[Any]]
"""Do something and return it, or None where there was nothing to do. Raises TransactionReverted for a refusal."""


class Kinds:
    """Hold the chain, the dice and the accounts that act; `kinds` names what it can do, with weights."""

    def __init__(self, chain: Chain, rng: random.Random, accounts: list[Address]) -> None:
        self.chain = chain
        self.rng = rng
        self.accounts = accounts

    def kinds(self) -> dict[str, tuple[int, Kind]]:
        """Return each kind's weight and action."""
        raise NotImplementedError

    def symbol(self) -> str:
        """Draw a listed reserve."""
        return self.rng.choice(list(self.chain.reserves))

    def user(self) -> Address:
        """Draw an account."""
        return self.rng.choice(self.accounts)

    def part(self, amount: int) -> int:
        """Draw a part of an amount: mostly some percent, sometimes one unit or nearly all of it."""
        kind = self.rng.random()
        share = self.rng.randint(1, 1_000)
        if kind < 0.08:
            return 1
        if kind < 0.16:
            return max(1, amount - 1)
        return max(1, amount * share // 1_000)

    def one(self, things: list[Thing]) -> Thing | None:
        """Draw one of some things; the dice are thrown even where there is none, so that what follows is the same."""
        at_share = self.rng.random()
        return things[int(at_share * len(things))] if things else None

    async def position(self, user: Address) -> dict[str, Holding]:
        """Return what a user holds and owes, by symbol."""
        assets = [one.asset for one in self.chain.reserves.values()]
        return dict(zip(self.chain.reserves, await self.chain.lens.position(user, assets), strict=True))

    async def now(self) -> int:
        """Return the latest block's timestamp."""
        return int((await self.chain.rpc.request("eth_getBlockByNumber", "latest", False))["timestamp"], 16)


NEWCOMER_BASE = 0xC0_FFEE_0000
"""Accounts that appear while the chain runs are the addresses that follow this number."""
LIQUIDATOR = at.RIVAL
