"""What governance does at random: every parameter that can move a figure or a liquidation."""

from __future__ import annotations

import random
from typing import Any

from core.domain.units import Address
from devnet import addresses as at
from devnet.chain import Chain
from devnet.chaos.base import Kind, Kinds
from devnet.listing import E_MODES
from devnet.new_reserve import list_reserve

CATEGORIES = [one.id for one in E_MODES]
BPS = 10_000
MOST_NEW_RESERVES = 4
TRADED = frozenset({"WETH", "USDC", "cbBTC"})
"""Reserves that are neither paused nor frozen, so that the market lives on."""


class GovernanceKinds(Kinds):
    """Change parameters, each within what the configurator accepts, mostly."""

    def __init__(self, chain: Chain, rng: random.Random, accounts: list[Address]) -> None:
        super().__init__(chain, rng, accounts)
        self._named = 0

    def kinds(self) -> dict[str, tuple[int, Kind]]:
        """Return each kind's weight and action."""
        return {
            "collateral parameters": (3, self.collateral_parameters),
            "pause": (2, self.pause),
            "unpause": (3, self.unpause),
            "freeze": (1, self.freeze),
            "unfreeze": (2, self.unfreeze),
            "end grace period": (1, self.end_grace_period),
            "protocol fee": (1, self.protocol_fee),
            "reserve factor": (2, self.reserve_factor),
            "rates": (1, self.rates),
            "e-mode parameters": (2, self.e_mode_parameters),
            "e-mode collateral": (2, self.e_mode_collateral),
            "e-mode borrowable": (1, self.e_mode_borrowable),
            "e-mode LTV zero": (1, self.e_mode_ltv_zero),
            "e-mode isolation": (1, self.e_mode_isolation),
            "new reserve": (1, self.new_reserve),
            "treasury": (1, self.treasury),
            "cover deficit": (1, self.cover_deficit),
        }

    async def collateral_parameters(self) -> Any:
        """Set a reserve's LTV, threshold and bonus."""
        symbol, (ltv, threshold, bonus) = self.symbol(), self._parameters(4_000, 8_800)
        return await self.chain.set_collateral_parameters(symbol, ltv, threshold, bonus)

    async def pause(self) -> Any:
        """Pause a reserve."""
        return await self.chain.set_paused(self._quiet(), True)

    async def unpause(self) -> Any:
        """Unpause what is paused, with a grace period or without."""
        symbol, grace = self.one(await self._flagged("getPaused(address)(bool)")), self.rng.choice((0, 0, 60, 3_600))
        return symbol and await self.chain.set_paused(symbol, False, grace)

    async def freeze(self) -> Any:
        """Freeze a reserve: it loses its LTV everywhere."""
        return await self.chain.set_frozen(self._quiet(), True)

    async def unfreeze(self) -> Any:
        """Unfreeze a reserve; its LTV comes back by itself only outside e-modes, if at all."""
        frozen = []
        for symbol, one in self.chain.reserves.items():
            text = "getConfiguration(address)(uint256)"
            if int(await self.chain.rpc.call(at.POOL, text, one.asset)) >> 57 & 1:
                frozen.append(symbol)
        chosen = self.one(frozen)
        return chosen and await self.chain.set_frozen(chosen, False)

    async def end_grace_period(self) -> Any:
        """End a grace period, whether there is one or not."""
        return await self.chain.end_grace_period(self.symbol())

    async def protocol_fee(self) -> Any:
        """Set the protocol's share of the bonus."""
        return await self.chain.set_protocol_fee(self.symbol(), self.rng.choice((0, 1, 1_000, 3_333, BPS)))

    async def reserve_factor(self) -> Any:
        """Set the treasury's share of the interest."""
        return await self.chain.set_reserve_factor(self.symbol(), self.rng.randint(0, 5_000))

    async def rates(self) -> Any:
        """Change an interest curve."""
        curve = (self.rng.randint(4_000, 9_500), self.rng.randint(0, 300), self.rng.randint(100, 800), 9_000)
        return await self.chain.set_rates(self.symbol(), curve)

    async def e_mode_parameters(self) -> Any:
        """Change a category's parameters, or add a category."""
        category, (ltv, threshold, bonus) = self.rng.choice([*CATEGORIES, 16]), self._parameters(7_000, 9_600)
        return await self.chain.set_e_mode_category(category, ltv, threshold, bonus, f"category {category}")

    async def e_mode_collateral(self) -> Any:
        """Take an asset into a category's collateral, or out of it."""
        symbol, category, allowed = self.symbol(), self.rng.choice(CATEGORIES), self.rng.random() < 0.6
        return await self.chain.set_e_mode_collateral(symbol, category, allowed)

    async def e_mode_borrowable(self) -> Any:
        """Take an asset into what a category may borrow, or out of it."""
        symbol, category, allowed = self.symbol(), self.rng.choice(CATEGORIES), self.rng.random() < 0.7
        return await self.chain.set_e_mode_borrowable(symbol, category, allowed)

    async def e_mode_ltv_zero(self) -> Any:
        """Take a category's collateral its LTV, or give it back."""
        mode, zero = self.rng.choice(E_MODES), self.rng.random() < 0.5
        inside = [one.symbol for one in self.chain.reserves.values() if mode.collateral >> one.id & 1]
        return await self.chain.set_e_mode_ltv_zero(self.rng.choice(inside), mode.id, zero)

    async def e_mode_isolation(self) -> Any:
        """Isolate a category or open it; only v3.7 knows that."""
        category, isolated = self.rng.choice(CATEGORIES), self.rng.random() < 0.5
        if int(await self.chain.rpc.call(at.POOL, "POOL_REVISION()(uint256)")) < 11:
            return None
        return await self.chain.set_e_mode_isolated(category, isolated)

    async def new_reserve(self) -> Any:
        """List a reserve with 6 to 24 decimals, and let somebody supply it."""
        decimals, dollars = self.rng.choice((6, 8, 18, 24)), self.rng.randint(1, 5_000)
        user = self.user()
        if self._named >= MOST_NEW_RESERVES:
            return None
        self._named += 1
        listed = await list_reserve(self.chain, f"NEW{self._named}", decimals, dollars * 10**8)
        return await self.chain.supply(user, listed.symbol, 50_000 * 10**decimals // dollars)

    async def treasury(self) -> Any:
        """Mint the treasury's share."""
        return await self.chain.mint_to_treasury(self.symbol())

    async def cover_deficit(self) -> Any:
        """Cover some of a deficit with an account's aTokens, where there is a deficit."""
        text = "getReserveDeficit(address)(uint256)"
        found = {s: int(await self.chain.rpc.call(at.POOL, text, r.asset)) for s, r in self.chain.reserves.items()}
        symbol = self.one([name for name, deficit in found.items() if deficit])
        part = self.part(found[symbol] if symbol else 1)
        if symbol is None:
            return None
        payer = Address(f"0x{0xDEF1C17:040x}")
        await self.chain.supply(payer, symbol, part + 2)
        return await self.chain.cover_deficit(symbol, payer, part)

    def _parameters(self, low: int, high: int) -> tuple[int, int, int]:
        """Draw LTV, threshold and bonus such that threshold x bonus stays within 100 %."""
        threshold = self.rng.randint(low, high)
        ltv = self.rng.randint(threshold * 9 // 10, threshold)
        return ltv, threshold, self.rng.randint(BPS + 1, min(11_500, BPS * BPS // threshold))

    def _quiet(self) -> str:
        return self.rng.choice([symbol for symbol in self.chain.reserves if symbol not in TRADED])

    async def _flagged(self, text: str) -> list[str]:
        reserves = self.chain.reserves.items()
        return [symbol for symbol, one in reserves if await self.chain.rpc.call(at.DATA_PROVIDER, text, one.asset)]
