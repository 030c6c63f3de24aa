"""Another liquidator: takes some of the fallen accounts before anybody else does."""

from __future__ import annotations

import hashlib
from collections import Counter

from core.domain.units import UINT256_MAX, WAD, Address
from devnet import addresses as at
from devnet.abi import function
from devnet.chain import Chain
from devnet.rpc import TransactionReverted

FORTUNE = 10**33
PER_ROUND = 8
EXPECTED_REFUSALS = frozenset({"HealthFactorNotBelowThreshold", "MustNotLeaveDust", "InvalidBurnAmount"})
"""The account recovered meanwhile, or what may be taken would leave dust; any other reason ends the scenario."""


class Rival:
    """Liquidate a fixed share of the accounts, chosen by their address and the seed."""

    def __init__(self, chain: Chain, seed: int, share: float) -> None:
        """Take the share of accounts, 0 to 1, that are the rival's prey."""
        self._chain = chain
        self._prey = [user for user in chain.borrowers if _draw(user, seed) < share]
        self.done = 0
        self.refused: Counter[str] = Counter()

    async def prepare(self) -> None:
        """Mint every asset to the rival and let the pool take it."""
        orders = []
        for reserve in self._chain.reserves.values():
            orders.append((reserve.asset, "mint(address,uint256)", at.RIVAL, FORTUNE))
            orders.append((reserve.asset, "approve(address,uint256)", at.POOL, UINT256_MAX))
        await self._chain.rpc.send_all(at.RIVAL, orders, gas=200_000)

    async def hunt(self) -> None:
        """Look at all prey once and liquidate the first few below 1, each with its largest debt and collateral."""
        settled = await self._chain.rpc.block_number() - 1  # the head's state may be read while the next is mined
        figures = await self._chain.lens.health(self._prey, settled)
        fallen = [user for user, (_, factor) in zip(self._prey, figures, strict=True) if factor < WAD]
        sent = [(user, tx) for user in fallen[:PER_ROUND] if (tx := await self._post(user)) is not None]
        for _, tx_hash in sent:
            try:
                await self._chain.rpc.settle("liquidationCall", tx_hash)
            except TransactionReverted as error:
                if error.reason not in EXPECTED_REFUSALS:
                    raise
                self.refused[error.reason] += 1
            else:
                self.done += 1

    async def _post(self, user: Address) -> str | None:
        """Send one liquidation without waiting; return None, counted, where the account has no pair to liquidate."""
        prices = await self._chain.prices()
        reserves = list(self._chain.reserves.values())
        holdings = await self._chain.lens.position(user, [one.asset for one in reserves])
        rows = list(zip(reserves, holdings, strict=True))
        debts = [(prices[one.symbol] * held.owed // 10**one.decimals, one.asset) for one, held in rows if held.owed]
        collaterals = [
            (prices[one.symbol] * held.supplied // 10**one.decimals, one.asset)
            for one, held in rows
            if held.supplied and held.collateral
        ]
        if not debts or not collaterals:
            self.refused["no pair"] += 1
            return None
        text = "liquidationCall(address,address,address,uint256,bool)"
        data = function(text).encode([max(collaterals)[1], max(debts)[1], user, UINT256_MAX, False])
        return await self._chain.rpc.post(at.RIVAL, at.POOL, data, gas=3_000_000)


def _draw(user: Address, seed: int) -> float:
    """Return a number in [0, 1) that follows from an address and a seed."""
    digest = hashlib.sha256(f"{seed}:{user}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
