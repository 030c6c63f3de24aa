"""What borrowers do all day: supply, borrow, repay, withdraw, send aTokens, change e-mode and collateral."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from core.domain.units import Address
from devnet.chain import Chain
from devnet.lens import Holding
from devnet.listing import E_MODES
from devnet.rpc import TransactionReverted

EXPECTED_REFUSALS = frozenset(
    {
        "CollateralCannotCoverNewBorrow",
        "HealthFactorLowerThanLiquidationThreshold",
        "InvalidAmount",
        "InvalidBurnAmount",
        "InvalidCollateralInEmode",
        "InvalidDebtInEmode",
        "InvalidMintAmount",
        "LtvValidationFailed",
        "NoDebtOfSelectedType",
        "NotBorrowableInEMode",
        "NotEnoughAvailableUserBalance",
        "UnderlyingBalanceZero",
        "UserHasAssetWithZeroLtv",
        "UserInIsolationModeOrLtvZero",
    }
)
"""Reasons for which the protocol may refuse what a careless borrower asks; any other reason ends the scenario."""

Position = dict[str, Holding]
Action = Callable[[Address, Position], Awaitable[Any]]


class Activity:
    """Let random borrowers act; `done` and `refused` count what came of it, refusals by action and reason."""

    def __init__(self, chain: Chain, rng: random.Random) -> None:
        self._chain = chain
        self._rng = rng
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._actions: dict[str, tuple[int, Action]] = {
            "supply": (20, self._supply),
            "borrow": (22, self._borrow),
            "repay": (20, self._repay),
            "withdraw": (18, self._withdraw),
            "transfer_a_token": (8, self._transfer),
            "set_e_mode": (6, self._e_mode),
            "set_collateral": (6, self._collateral),
        }

    async def act(self) -> None:
        """Let one borrower do one thing; raise TransactionReverted for a refusal that was not to be expected."""
        weights = [weight for weight, _ in self._actions.values()]
        name = self._rng.choices(list(self._actions), weights)[0]
        user = self._rng.choice(self._chain.borrowers)
        symbols = list(self._chain.reserves)
        assets = [one.asset for one in self._chain.reserves.values()]
        position = dict(zip(symbols, await self._chain.lens.position(user, assets), strict=True))
        try:
            acted = await self._actions[name][1](user, position)
        except TransactionReverted as error:
            if error.reason not in EXPECTED_REFUSALS:
                raise
            self.refused[f"{name}: {error.reason}"] += 1
        else:
            self.done[name if acted is not None else f"{name}: nothing to do"] += 1

    async def _supply(self, user: Address, position: Position) -> Any:
        symbol = self._one(position, lambda one: one.supplied > 100)
        return symbol and await self._chain.supply(user, symbol, self._part(position[symbol].supplied, 1, 10))

    async def _borrow(self, user: Address, position: Position) -> Any:
        symbol = self._one(position, lambda one: one.owed > 100)
        return symbol and await self._chain.borrow(user, symbol, self._part(position[symbol].owed, 1, 8))

    async def _repay(self, user: Address, position: Position) -> Any:
        symbol = self._one(position, lambda one: one.owed > 100)
        return symbol and await self._chain.repay(user, symbol, self._part(position[symbol].owed, 5, 40))

    async def _withdraw(self, user: Address, position: Position) -> Any:
        symbol = self._one(position, lambda one: one.supplied > 100)
        return symbol and await self._chain.withdraw(user, symbol, self._part(position[symbol].supplied, 1, 15))

    async def _transfer(self, user: Address, position: Position) -> Any:
        symbol = self._one(position, lambda one: one.supplied > 100)
        amount = symbol and self._part(position[symbol].supplied, 1, 5)
        to = self._rng.choice(self._chain.borrowers)
        return symbol and await self._chain.transfer_a_token(user, symbol, to, amount or 1)

    async def _e_mode(self, user: Address, _: Position) -> Any:
        category = self._rng.choice([0, *(mode.id for mode in E_MODES)])
        return await self._chain.set_e_mode(user, category)

    async def _collateral(self, user: Address, position: Position) -> Any:
        symbol = self._one(position, lambda one: one.supplied > 100)
        return symbol and await self._chain.set_collateral(user, symbol, not position[symbol].collateral)

    def _one(self, position: Position, fits: Callable[[Holding], bool]) -> str | None:
        found = [symbol for symbol, holding in position.items() if fits(holding)]
        return self._rng.choice(found) if found else None

    def _part(self, amount: int, low: int, high: int) -> int:
        return max(1, amount * self._rng.randint(low, high) // 100)
