"""From one address, the PoolAddressesProvider, to everything else of the market; each step checked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from core.domain.units import Address
from core.errors import RpcRejected, WrongChain
from worker.chain import codec
from worker.chain.multicall import MULTICALL3
from worker.chain.rpc import Rpc, verify_chain

GET_POOL = bytes.fromhex("026b1d5f")
GET_POOL_CONFIGURATOR = bytes.fromhex("631adfca")
GET_PRICE_ORACLE = bytes.fromhex("fca513a8")
GET_POOL_DATA_PROVIDER = bytes.fromhex("e860accb")
POOL_REVISION = bytes.fromhex("0148170e")


@dataclass(frozen=True, slots=True)
class Contracts:
    """Hold the market's contracts; `revision` is the pool's POOL_REVISION() (10 is v3.6, 11 is v3.7)."""

    chain_id: int
    provider: Address
    pool: Address
    oracle: Address
    configurator: Address
    data_provider: Address
    revision: int


async def discover(
    rpc: Rpc, provider: Address, chain_id: int, *, aave_pool: Address | None = None, multicall3: Address = MULTICALL3
) -> Contracts:
    """Find the market's contracts and check that each is there.

    `aave_pool` (the setting AAVE_POOL) is an assertion: it must be the provider's pool. Raise WrongChain with what is
    wrong, and RpcUnavailable, RpcThrottled or RpcRejected when the node gives no answer.
    """
    await verify_chain(rpc, chain_id)
    await _expect_code(rpc, provider, "POOL_ADDRESSES_PROVIDER")
    pool, configurator, oracle, data_provider = await asyncio.gather(
        _address(rpc, provider, GET_POOL, "getPool"),
        _address(rpc, provider, GET_POOL_CONFIGURATOR, "getPoolConfigurator"),
        _address(rpc, provider, GET_PRICE_ORACLE, "getPriceOracle"),
        _address(rpc, provider, GET_POOL_DATA_PROVIDER, "getPoolDataProvider"),
    )
    if aave_pool is not None and aave_pool.lower() != pool:
        raise WrongChain(f"AAVE_POOL is {aave_pool}, but the provider {provider} says that the pool is {pool}")
    named = {"the pool": pool, "the configurator": configurator, "the oracle": oracle, "Multicall3": multicall3}
    await asyncio.gather(*(_expect_code(rpc, address, what) for what, address in named.items()))
    return Contracts(
        chain_id=chain_id,
        provider=Address(provider.lower()),
        pool=pool,
        oracle=oracle,
        configurator=configurator,
        data_provider=data_provider,
        revision=await _revision(rpc, pool),
    )


async def _expect_code(rpc: Rpc, address: Address, what: str) -> None:
    code = await rpc.call("eth_getCode", [address, "latest"])
    if not isinstance(code, str) or len(code) <= len("0x"):
        raise WrongChain(f"{what} {address} holds no contract on the chain that {rpc.name} serves")


async def _call(rpc: Rpc, target: Address, selector: bytes) -> bytes:
    """Return a getter's answer; raise ValueError where the contract has no such getter."""
    try:
        answer = await rpc.call("eth_call", [{"to": target, "data": "0x" + selector.hex()}, "latest"])
    except RpcRejected as exc:
        if "revert" not in str(exc):
            raise
        raise ValueError("reverted") from exc
    return codec.unhex(answer)


async def _address(rpc: Rpc, provider: Address, selector: bytes, name: str) -> Address:
    try:
        address = codec.address_at(await _call(rpc, provider, selector))
    except ValueError:
        raise WrongChain(
            f"POOL_ADDRESSES_PROVIDER {provider} is no PoolAddressesProvider: {name}() gives none"
        ) from None
    if address == codec.ZERO_ADDRESS and selector != GET_POOL_DATA_PROVIDER:
        raise WrongChain(f"POOL_ADDRESSES_PROVIDER {provider} has nothing set for {name}()")
    return address


async def _revision(rpc: Rpc, pool: Address) -> int:
    try:
        return codec.uint_at(await _call(rpc, pool, POOL_REVISION))
    except ValueError:
        raise WrongChain(f"the pool {pool} has no POOL_REVISION(): it is no Aave V3 pool of v3.0 or later") from None
