"""Acts as the market's governance: every change of parameters that can move a health factor or a liquidation."""

from __future__ import annotations

from typing import Any

from core.domain.units import Address
from devnet import addresses as at
from devnet.abi import encode_arguments
from devnet.users import Actor


class Governance(Actor):
    """Send configurator, oracle and provider changes as the executor; all return the receipt."""

    async def set_collateral_parameters(self, symbol: str, ltv: int, threshold: int, bonus: int) -> dict[str, Any]:
        """Set a reserve's LTV, liquidation threshold and liquidation bonus (bps, the bonus above 10000)."""
        text = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
        return await self._configure(text, self.asset(symbol), ltv, threshold, bonus)

    async def set_protocol_fee(self, symbol: str, fee: int) -> dict[str, Any]:
        """Set the protocol's share of a reserve's liquidation bonus (bps)."""
        return await self._configure("setLiquidationProtocolFee(address,uint256)", self.asset(symbol), fee)

    async def set_paused(self, symbol: str, paused: bool, grace_seconds: int = 0) -> dict[str, Any]:
        """Pause a reserve, or unpause it with a grace period in which nobody is liquidated (at most four hours)."""
        text = "setReservePause(address,bool,uint40)"
        return await self._configure(text, self.asset(symbol), paused, grace_seconds)

    async def end_grace_period(self, symbol: str) -> dict[str, Any]:
        """End a reserve's liquidation grace period at once."""
        return await self._configure("disableLiquidationGracePeriod(address)", self.asset(symbol))

    async def set_frozen(self, symbol: str, frozen: bool) -> dict[str, Any]:
        """Freeze or unfreeze a reserve."""
        return await self._configure("setReserveFreeze(address,bool)", self.asset(symbol), frozen)

    async def set_e_mode_category(
        self, category: int, ltv: int, threshold: int, bonus: int, label: str
    ) -> dict[str, Any]:
        """Create or change an e-mode category (bps)."""
        text = "setEModeCategory(uint8,uint16,uint16,uint16,string)"
        return await self._configure(text, category, ltv, threshold, bonus, label)

    async def set_e_mode_collateral(self, symbol: str, category: int, allowed: bool) -> dict[str, Any]:
        """Add an asset to a category's collateral, or take it out."""
        text = "setAssetCollateralInEMode(address,uint8,bool)"
        return await self._configure(text, self.asset(symbol), category, allowed)

    async def set_e_mode_borrowable(self, symbol: str, category: int, allowed: bool) -> dict[str, Any]:
        """Add an asset to what a category may borrow, or take it out."""
        text = "setAssetBorrowableInEMode(address,uint8,bool)"
        return await self._configure(text, self.asset(symbol), category, allowed)

    async def set_e_mode_isolated(self, category: int, isolated: bool) -> dict[str, Any]:
        """Take the loan-to-value of everything outside a category's collateral, or give it back; from v3.7 on."""
        return await self._configure("setEModeCategoryIsolated(uint8,bool)", category, isolated)

    async def set_e_mode_ltv_zero(self, symbol: str, category: int, zero: bool) -> dict[str, Any]:
        """Take an asset's loan-to-value inside a category whose collateral it is, or give it back."""
        text = "setAssetLtvzeroInEMode(address,uint8,bool)"
        return await self._configure(text, self.asset(symbol), category, zero)

    async def set_reserve_factor(self, symbol: str, factor: int) -> dict[str, Any]:
        """Set the treasury's share of a reserve's interest (bps); its rates change with it."""
        return await self._configure("setReserveFactor(address,uint256)", self.asset(symbol), factor)

    async def set_price_source(self, symbol: str, source: Address) -> dict[str, Any]:
        """Make the oracle read an asset's price from another contract."""
        return await self.set_price_source_of(self.asset(symbol), source)

    async def set_price_source_of(self, asset: Address, source: Address) -> dict[str, Any]:
        """Give a token, listed or not yet, its price source."""
        text = "setAssetSources(address[],address[])"
        return await self.rpc.send(at.EXECUTOR, at.ORACLE, text, [asset], [source])

    async def set_rates(self, symbol: str, curve: tuple[int, int, int, int]) -> dict[str, Any]:
        """Change a reserve's interest curve: optimal use, base rate and both slopes (bps)."""
        text = "setReserveInterestRateData(address,bytes)"
        data = bytes.fromhex(encode_arguments("uint16,uint32,uint32,uint32", curve))
        return await self._configure(text, self.asset(symbol), data)

    async def set_ratio_cap(self, adapter: Address, ratio: int, since: int, growth: int) -> dict[str, Any]:
        """Set a ratio adapter's cap: a snapshot ratio, its time (unix seconds) and its growth (bps a year)."""
        text = "setCapParameters(uint256,uint256,uint16)"
        return await self.rpc.send(at.EXECUTOR, adapter, text, ratio, since, growth)

    async def set_price_cap(self, adapter: Address, cap: int) -> dict[str, Any]:
        """Set a stable coin adapter's price cap (8 decimals)."""
        return await self.rpc.send(at.EXECUTOR, adapter, "setPriceCap(int256)", cap)

    async def set_price_cap_ratio(self, adapter: Address, ratio: int) -> dict[str, Any]:
        """Set a euro coin adapter's cap as a share of EUR/USD (8 decimals)."""
        return await self.rpc.send(at.EXECUTOR, adapter, "setPriceCapRatio(int256)", ratio)

    async def cover_deficit(self, symbol: str, payer: Address, amount: int) -> dict[str, Any]:
        """Burn an account's aTokens against a reserve's deficit, as the umbrella contract would."""
        name = b"UMBRELLA".ljust(32, b"\0")
        await self.rpc.send(at.EXECUTOR, at.PROVIDER, "setAddress(bytes32,address)", name, payer)
        text = "eliminateReserveDeficit(address,uint256)"
        return await self.rpc.send(payer, at.POOL, text, self.asset(symbol), amount)

    async def mint_to_treasury(self, symbol: str) -> dict[str, Any]:
        """Mint the treasury's share of a reserve's interest as aTokens."""
        return await self.rpc.send(at.TRADER, at.POOL, "mintToTreasury(address[])", [self.asset(symbol)])

    async def propose_aggregator(self, proxy: Address, aggregator: Address) -> None:
        """Move a feed's proxy to another aggregator: Chainlink's phase change."""
        await self.rpc.send(at.DEPLOYER, proxy, "proposeAggregator(address)", aggregator)
        await self.rpc.send(at.DEPLOYER, proxy, "confirmAggregator(address)", aggregator)

    async def upgrade_pool(self, implementation: Address) -> dict[str, Any]:
        """Point the pool's proxy to another implementation."""
        return await self.rpc.send(at.EXECUTOR, at.PROVIDER, "setPoolImpl(address)", implementation)

    async def _configure(self, text: str, *arguments: Any) -> dict[str, Any]:
        return await self.rpc.send(at.EXECUTOR, at.CONFIGURATOR, text, *arguments)
