"""What users do at random: every way to supply, owe, pay, move, switch and be liquidated."""

from __future__ import annotations

import random
from typing import Any

from core.domain.units import UINT256_MAX, WAD, Address
from devnet import addresses as at
from devnet.chain import Chain
from devnet.chaos.base import NEWCOMER_BASE, Kind, Kinds

MOST_SUPPLY_BASE = 200_000 * 10**8


class UserKinds(Kinds):
    """Let random accounts act."""

    def __init__(self, chain: Chain, rng: random.Random, accounts: list[Address]) -> None:
        super().__init__(chain, rng, accounts)
        self._flash_borrower: Address | None = None
        self._newcomers = 0

    def kinds(self) -> dict[str, tuple[int, Kind]]:
        """Return each kind's weight and action."""
        return {
            "supply": (9, self.supply),
            "newcomer": (3, self.newcomer),
            "borrow": (12, self.borrow),
            "repay": (8, self.repay),
            "repay with aTokens": (3, self.repay_with_a_tokens),
            "withdraw": (8, self.withdraw),
            "transfer aTokens": (6, self.transfer),
            "set e-mode": (4, self.e_mode),
            "set collateral": (5, self.collateral),
            "flash loan": (2, self.flash_loan),
            "liquidate": (14, self.liquidate),
        }

    async def supply(self) -> Any:
        """Supply some dollars' worth of anything."""
        user, symbol = self.user(), self.symbol()
        return await self.chain.supply(user, symbol, await self._worth(symbol, self.part(MOST_SUPPLY_BASE)))

    async def newcomer(self) -> Any:
        """Let somebody new supply and, perhaps, borrow."""
        self._newcomers += 1
        user = Address(f"0x{NEWCOMER_BASE + self._newcomers:040x}")
        symbol = self.symbol()
        amount = await self._worth(symbol, 1_000 * 10**8 + self.part(MOST_SUPPLY_BASE))
        self.accounts.append(user)
        done = await self.chain.supply(user, symbol, amount)
        return await self._borrow(user) or done

    async def borrow(self) -> Any:
        """Borrow up to a little more than is allowed."""
        return await self._borrow(self.user())

    async def repay(self) -> Any:
        """Repay some of a debt, or all of it."""
        user = self.user()
        owed = {symbol: one.owed for symbol, one in (await self.position(user)).items() if one.owed}
        symbol, everything = self.one(list(owed)), self.rng.random() < 0.2
        part = self.part(owed[symbol] if symbol else 1)
        return symbol and await self.chain.repay(user, symbol, UINT256_MAX if everything else part)

    async def repay_with_a_tokens(self) -> Any:
        """Repay a debt with aTokens of the same asset, which are supplied first where there are none."""
        user = self.user()
        position = await self.position(user)
        symbol = self.one([name for name, one in position.items() if one.owed])
        part, everything = self.part(position[symbol].owed if symbol else 1), self.rng.random() < 0.2
        if symbol is None:
            return None
        if not position[symbol].supplied:
            await self.chain.supply(user, symbol, part)
        return await self.chain.repay_with_a_tokens(user, symbol, UINT256_MAX if everything else part)

    async def withdraw(self) -> Any:
        """Withdraw some of a supply, or all of it."""
        user = self.user()
        symbol, part = await self._some_supplied(user)
        everything = self.rng.random() < 0.15
        return symbol and await self.chain.withdraw(user, symbol, UINT256_MAX if everything else part)

    async def transfer(self) -> Any:
        """Send aTokens to another account, or to oneself."""
        user, to = self.user(), self.user()
        symbol, part = await self._some_supplied(user)
        return symbol and await self.chain.transfer_a_token(user, symbol, to, part)

    async def e_mode(self) -> Any:
        """Enter any category, or leave."""
        return await self.chain.set_e_mode(self.user(), self.rng.choice([0, *range(1, 17)]))

    async def collateral(self) -> Any:
        """Switch a supplied asset on or off as collateral."""
        user = self.user()
        symbol, _ = await self._some_supplied(user)
        return symbol and await self.chain.set_collateral(
            user, symbol, not (await self.position(user))[symbol].collateral
        )

    async def flash_loan(self) -> Any:
        """Borrow without collateral inside one transaction; the premium goes to the treasury."""
        symbol = self.symbol()
        amount = await self._worth(symbol, self.part(MOST_SUPPLY_BASE))
        if self._flash_borrower is None or not await self._stands(self._flash_borrower):
            self._flash_borrower = await self.chain.market.deployer.create("FlashBorrower")
        text = "flashLoanSimple(address,address,uint256,bytes,uint16)"
        asset = self.chain.asset(symbol)
        return await self.chain.rpc.send(at.TRADER, at.POOL, text, self._flash_borrower, asset, amount, b"", 0)

    async def liquidate(self) -> Any:
        """Liquidate one of the fallen with any of its pairs, some or all of the debt, for tokens or aTokens."""
        factors = await self.chain.lens.health(self.accounts)
        user = self.one([one for one, (_, factor) in zip(self.accounts, factors, strict=True) if factor < WAD])
        position = await self.position(user) if user else {}
        held = self.one([symbol for symbol, one in position.items() if one.supplied and one.collateral])
        owed = self.one([symbol for symbol, one in position.items() if one.owed])
        everything, a_tokens = self.rng.random() < 0.7, self.rng.random() < 0.3
        part = self.part(position[owed].owed if owed else 1)
        if user is None or held is None or owed is None:
            return None
        return await self.chain.liquidate(user, held, owed, UINT256_MAX if everything else part, a_tokens)

    async def _stands(self, contract: Address) -> bool:
        """Return whether a contract is still there; a reorganisation may have taken it."""
        return str(await self.chain.rpc.request("eth_getCode", contract, "latest")) != "0x"

    async def _borrow(self, user: Address) -> Any:
        symbol, percent = self.symbol(), self.rng.choice((self.rng.randint(1, 90), self.rng.randint(95, 102)))
        available = (await self.chain.lens.accounts([user]))[0].available_borrows_base
        amount = await self._worth(symbol, available * percent // 100)
        return await self.chain.borrow(user, symbol, amount) if amount else None

    async def _some_supplied(self, user: Address) -> tuple[str | None, int]:
        position = await self.position(user)
        symbol = self.one([name for name, one in position.items() if one.supplied])
        return symbol, self.part(position[symbol].supplied if symbol else 1)

    async def _worth(self, symbol: str, base: int) -> int:
        """Return how much of a token is worth so much in base currency (8 decimals), rounded down."""
        unit: int = 10 ** self.chain.reserves[symbol].decimals
        return base * unit // (await self.chain.prices())[symbol]
