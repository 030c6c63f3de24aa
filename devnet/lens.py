"""Reads the figures of many accounts in few calls; every figure is the pool's own, none is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.units import Address
from devnet import addresses as at
from devnet.abi import function
from devnet.build import Artifacts
from devnet.rpc import Rpc

PER_CALL = 500
GAS_PER_ACCOUNT = 1_500_000
WORD = 64
_ADDRESS_PADDING = "0" * 24


@dataclass(frozen=True, slots=True)
class Account:
    """Hold the six figures of `getUserAccountData`, in its order."""

    total_collateral_base: int
    total_debt_base: int
    available_borrows_base: int
    current_liquidation_threshold: int
    ltv: int
    health_factor: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Hold one user's place in one reserve: token amounts and the collateral flag."""

    supplied: int
    owed: int
    collateral: bool


class Lens:
    """Read accounts through a contract that loops over them inside one eth_call."""

    def __init__(self, rpc: Rpc, contract: Address) -> None:
        self._rpc = rpc
        self.contract = contract

    @classmethod
    async def deploy(cls, rpc: Rpc, artifacts: Artifacts) -> Lens:
        """Deploy the contract."""
        return cls(rpc, await rpc.create(at.DEPLOYER, artifacts["Lens"].bytecode))

    async def accounts(self, users: Sequence[Address], block: int | str = "latest") -> list[Account]:
        """Return each user's six figures at one block."""
        rows = await self._rows("accounts(address,address[])", users, 6, block)
        return [Account(*row) for row in rows]

    async def health(self, users: Sequence[Address], block: int | str = "latest") -> list[tuple[int, int]]:
        """Return each user's total debt (base currency) and health factor at one block."""
        return [(debt, factor) for debt, factor in await self._rows("health(address,address[])", users, 2, block)]

    async def position(self, user: Address, assets: Sequence[Address]) -> list[Holding]:
        """Return what a user holds and owes in each asset now."""
        text = "position(address,address,address[])(uint256[3][])"
        rows = await self._rpc.call(self.contract, text, at.DATA_PROVIDER, user, list(assets))
        return [Holding(held, owed, bool(flag)) for held, owed, flag in rows]

    async def _rows(self, text: str, users: Sequence[Address], width: int, block: int | str) -> list[list[int]]:
        """Call in chunks and cut the answer into words by hand: a general decoder takes longer than the chain."""
        selector = "0x" + function(text).selector.hex()
        tag = hex(block) if isinstance(block, int) else block
        rows: list[list[int]] = []
        for start in range(0, len(users), PER_CALL):
            part = users[start : start + PER_CALL]
            head = _ADDRESS_PADDING + at.POOL[2:] + f"{64:064x}{len(part):064x}"
            data = selector + head + "".join(_ADDRESS_PADDING + user[2:] for user in part)
            answer = await self._rpc.raw_call(self.contract, data, tag, gas=GAS_PER_ACCOUNT * len(part))
            words = answer[2 + 2 * WORD :]
            for at_row in range(len(part)):
                base = at_row * width * WORD
                rows.append([int(words[base + i * WORD : base + (i + 1) * WORD], 16) for i in range(width)])
        return rows
