"""Acts as any account on the market: what a test or a scenario wants somebody to do, done by the real contracts."""

from __future__ import annotations

from typing import Any

from core.domain.units import UINT256_MAX, Address
from devnet import addresses as at
from devnet.abi import topic
from devnet.market import ReserveInfo
from devnet.rpc import Rpc

VARIABLE = 2
"""The only interest rate mode that is left."""
LIQUIDATION_CALL = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")


class Actor:
    """Hold what every kind of action needs."""

    def __init__(self, rpc: Rpc, reserves: dict[str, ReserveInfo]) -> None:
        self.rpc = rpc
        self.reserves = reserves

    def asset(self, symbol: str) -> Address:
        """Return a reserve's token; raise KeyError for a symbol that is not listed."""
        return self.reserves[symbol].asset


class Users(Actor):
    """Send users' actions, amounts in the token's own unit. All return the receipt or raise TransactionReverted."""

    async def mint(self, symbol: str, user: Address, amount: int) -> dict[str, Any]:
        """Give an account tokens out of nothing."""
        return await self.rpc.send(at.TRADER, self.asset(symbol), "mint(address,uint256)", user, amount)

    async def approve(self, symbol: str, user: Address, spender: Address = at.POOL) -> dict[str, Any]:
        """Let a spender, the pool by default, take any amount of an account's tokens."""
        return await self.rpc.send(user, self.asset(symbol), "approve(address,uint256)", spender, UINT256_MAX)

    async def supply(
        self, user: Address, symbol: str, amount: int, on_behalf_of: Address | None = None
    ) -> dict[str, Any]:
        """Mint, approve and supply, in one block where blocks have a beat."""
        text = "supply(address,uint256,address,uint16)"
        last = (at.POOL, text, self.asset(symbol), amount, on_behalf_of or user, 0)
        return await self.rpc.send_all(user, [*self._funding(symbol, user, amount), last])

    async def withdraw(self, user: Address, symbol: str, amount: int = UINT256_MAX) -> dict[str, Any]:
        """Withdraw to the user's own wallet; the default amount is everything."""
        text = "withdraw(address,uint256,address)"
        return await self.rpc.send(user, at.POOL, text, self.asset(symbol), amount, user)

    async def borrow(self, user: Address, symbol: str, amount: int) -> dict[str, Any]:
        """Borrow at the variable rate."""
        text = "borrow(address,uint256,uint256,uint16,address)"
        return await self.rpc.send(user, at.POOL, text, self.asset(symbol), amount, VARIABLE, 0, user)

    async def repay(self, user: Address, symbol: str, amount: int = UINT256_MAX) -> dict[str, Any]:
        """Mint what is needed, approve and repay; the default amount is the whole debt."""
        debt_token = self.reserves[symbol].debt_token
        owed = int(await self.rpc.call(debt_token, "balanceOf(address)(uint256)", user))
        text = "repay(address,uint256,uint256,address)"
        last = (at.POOL, text, self.asset(symbol), amount, VARIABLE, user)
        return await self.rpc.send_all(user, [*self._funding(symbol, user, _with_interest(min(amount, owed))), last])

    async def repay_with_a_tokens(self, user: Address, symbol: str, amount: int = UINT256_MAX) -> dict[str, Any]:
        """Burn the user's own aTokens against the debt; the default amount is as much as there is of both."""
        text = "repayWithATokens(address,uint256,uint256)"
        return await self.rpc.send(user, at.POOL, text, self.asset(symbol), amount, VARIABLE)

    async def transfer_a_token(self, user: Address, symbol: str, to: Address, amount: int) -> dict[str, Any]:
        """Send aTokens to another account."""
        return await self.rpc.send(user, self.reserves[symbol].a_token, "transfer(address,uint256)", to, amount)

    async def set_e_mode(self, user: Address, category: int) -> dict[str, Any]:
        """Enter an e-mode category, or leave with 0."""
        return await self.rpc.send(user, at.POOL, "setUserEMode(uint8)", category)

    async def set_collateral(self, user: Address, symbol: str, use: bool) -> dict[str, Any]:
        """Switch a supplied asset on or off as collateral."""
        text = "setUserUseReserveAsCollateral(address,bool)"
        return await self.rpc.send(user, at.POOL, text, self.asset(symbol), use)

    async def liquidate(
        self, user: Address, collateral: str, debt: str, amount: int = UINT256_MAX, receive_a_token: bool = False
    ) -> dict[str, Any]:
        """Liquidate a user as the rival account, which is given the debt asset first."""
        liquidator = at.RIVAL
        owed = int(await self.rpc.call(self.reserves[debt].debt_token, "balanceOf(address)(uint256)", user))
        text = "liquidationCall(address,address,address,uint256,bool)"
        last = (at.POOL, text, self.asset(collateral), self.asset(debt), user, amount, receive_a_token)
        return await self.rpc.send_all(liquidator, [*self._funding(debt, liquidator, _with_interest(owed)), last])

    async def balance(self, symbol: str, user: Address) -> int:
        """Return an account's balance of a reserve's token."""
        return int(await self.rpc.call(self.asset(symbol), "balanceOf(address)(uint256)", user))

    def _funding(self, symbol: str, user: Address, amount: int) -> list[tuple[Any, ...]]:
        """Return the user's own mint and approval: one sender's transactions keep their order inside a block."""
        asset = self.asset(symbol)
        mint = (asset, "mint(address,uint256)", user, amount)
        return [mint, (asset, "approve(address,uint256)", at.POOL, UINT256_MAX)]


def _with_interest(amount: int) -> int:
    """Return a hundredth more, for what accrues until the block that pays."""
    return amount * 101 // 100 + 1
