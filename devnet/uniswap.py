"""Uniswap V3 on the local chain: pools for every pair that matters, kept at the oracle's price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from core.domain.units import Address
from devnet import addresses as at
from devnet.abi import function
from devnet.deploy import Deployer
from devnet.feeds import NOBODY
from devnet.market import ReserveInfo
from devnet.rpc import Rpc

Q192 = 1 << 192
MAX_TICK = 887_272
SPACING = {100: 1, 500: 10, 3000: 60}
FEE_UNIT = 1_000_000
DEEP, SHALLOW = 200_000_000, 20_000_000
"""US dollars on each side of a pool over its whole range: pegged pairs are deep, others are not."""

PAIRS = (
    ("WETH", "USDC", 500, DEEP),
    ("cbBTC", "WETH", 500, SHALLOW),
    ("cbBTC", "USDC", 500, DEEP),
    ("wstETH", "WETH", 100, DEEP),
    ("weETH", "WETH", 100, DEEP),
    ("cbETH", "WETH", 500, DEEP),
    ("ezETH", "WETH", 100, SHALLOW),
    ("wrsETH", "WETH", 100, SHALLOW),
    ("AAVE", "WETH", 3000, SHALLOW),
    ("EURC", "USDC", 500, SHALLOW),
    ("GHO", "USDC", 500, SHALLOW),
    ("USDbC", "USDC", 100, DEEP),
    ("LBTC", "cbBTC", 500, SHALLOW),
    ("tBTC", "cbBTC", 500, SHALLOW),
    ("syrupUSDC", "USDC", 100, SHALLOW),
)


@dataclass(frozen=True, slots=True)
class PoolInfo:
    """Hold one pool; token0 and token1 are reserve symbols in the pool's own order, the fee in millionths."""

    address: Address
    token0: str
    token1: str
    fee: int


def sqrt_price_x96(price0: int, price1: int, decimals0: int, decimals1: int) -> int:
    """Return sqrt(amount1 / amount0) x 2^96, floored, at which both sides are worth the same."""
    unit0, unit1 = 10**decimals0, 10**decimals1
    return isqrt(price0 * unit1 * Q192 // (price1 * unit0))


class Uniswap:
    """Hold the pools and the account that trades them to the oracle's price."""

    def __init__(self, rpc: Rpc, reserves: dict[str, ReserveInfo], arbitrageur: Address) -> None:
        self._rpc = rpc
        self._reserves = reserves
        self._arbitrageur = arbitrageur
        self.pools: list[PoolInfo] = []

    @classmethod
    async def deploy(cls, deployer: Deployer, reserves: dict[str, ReserveInfo], prices: dict[str, int]) -> Uniswap:
        """Deploy factory, router and quoter at Base's addresses and open every pool at the oracle's price."""
        weth = reserves["WETH"].asset
        await deployer.place(at.UNISWAP_FACTORY, "UniswapV3Factory")
        await deployer.rpc.send(at.DEPLOYER, at.UNISWAP_FACTORY, "enableFeeAmount(uint24,int24)", 100, 1)
        types = "address,address,address,address"
        await deployer.place(at.SWAP_ROUTER_02, "SwapRouter02", types, [NOBODY, at.UNISWAP_FACTORY, NOBODY, weth])
        await deployer.place(at.QUOTER_V2, "QuoterV2", "address,address", [at.UNISWAP_FACTORY, weth])
        found = cls(deployer.rpc, reserves, await deployer.create("Arbitrageur", "address", [at.UNISWAP_FACTORY]))
        for one, other, fee, dollars in PAIRS:
            found.pools.append(await found._open((one, other), fee, dollars, prices))
        return found

    async def align(self, prices: dict[str, int]) -> str | None:
        """Send one transaction that swaps every pool which is off by more than its fee; return its hash."""
        off = []
        for pool, current in zip(self.pools, await self._prices(), strict=True):
            target = self._target(pool, prices)
            # Twice the fee, because a square root moves half as far as the price.
            if abs(target - current) * 2 * FEE_UNIT > pool.fee * target:
                off.append((pool, target))
        if not off:
            return None
        pairs = [(self._reserves[pool.token0].asset, self._reserves[pool.token1].asset) for pool, _ in off]
        types = "address[2][],uint24[],uint160[]"
        arguments = [pairs, [pool.fee for pool, _ in off], [target for _, target in off]]
        data = function(f"align({types})").encode(arguments)
        return await self._rpc.post(at.TRADER, self._arbitrageur, data, gas=1_000_000 * len(off))

    async def deviations(self, prices: dict[str, int]) -> list[float]:
        """Return how far each pool's price is from the oracle's, as a share."""
        pairs = zip(self.pools, await self._prices(), strict=True)
        return [abs((current / self._target(pool, prices)) ** 2 - 1) for pool, current in pairs]

    async def _prices(self) -> list[int]:
        data = function("slot0()").encode([])
        calls = [("eth_call", ({"to": pool.address, "data": data}, "latest")) for pool in self.pools]
        return [int(answer[2:66], 16) for answer in await self._rpc.batch(calls)]

    async def _open(self, pair: Sequence[str], fee: int, dollars: int, prices: dict[str, int]) -> PoolInfo:
        symbols = sorted(pair, key=lambda symbol: self._reserves[symbol].asset)
        amounts = [dollars * 10**8 * 10 ** self._reserves[one].decimals // prices[one] for one in symbols]
        edge = MAX_TICK // SPACING[fee] * SPACING[fee]
        pool = PoolInfo(NOBODY, symbols[0], symbols[1], fee)
        assets = [self._reserves[one].asset for one in symbols]
        arguments = (assets, fee, self._target(pool, prices), [-edge, edge], isqrt(amounts[0] * amounts[1]))
        text = "open(address[2],uint24,uint160,int24[2],uint128)"
        await self._rpc.send(at.TRADER, self._arbitrageur, text, *arguments, gas=12_000_000)
        address = await self._rpc.call(at.UNISWAP_FACTORY, "getPool(address,address,uint24)(address)", *assets, fee)
        return PoolInfo(Address(address), pool.token0, pool.token1, fee)

    def _target(self, pool: PoolInfo, prices: dict[str, int]) -> int:
        left, right = self._reserves[pool.token0], self._reserves[pool.token1]
        return sqrt_price_x96(prices[pool.token0], prices[pool.token1], left.decimals, right.decimals)
