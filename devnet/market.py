"""The market itself: provider, pool, oracle, fifteen reserves and their e-modes, deployed in a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.domain.units import Address
from devnet import addresses as at
from devnet.abi import encode_arguments
from devnet.build import Artifacts
from devnet.deploy import Deployer
from devnet.feeds import NOBODY, Feeds, deploy_feeds, deploy_sources
from devnet.listing import E_MODES, RESERVES, EModeSpec, ReserveSpec
from devnet.multicall3 import MULTICALL3_RUNTIME
from devnet.progress import Progress
from devnet.rpc import RICH, Rpc

RESERVE_FACTOR = 1000
FLASH_LOAN_PREMIUM = 5
INIT_RESERVES = "initReserves((address,address,address,string,string,string,string,bytes,bytes)[])"


@dataclass(frozen=True, slots=True)
class ReserveInfo:
    """Hold one listed reserve's addresses. `driver` names the feed that is its own (empty: a fixed price)."""

    id: int
    symbol: str
    decimals: int
    asset: Address
    a_token: Address
    debt_token: Address
    source: Address
    driver: str


@dataclass(frozen=True, slots=True)
class Market:
    """Hold what was deployed."""

    reserves: dict[str, ReserveInfo]
    feeds: Feeds
    deployer: Deployer


async def deploy_market(rpc: Rpc, artifacts: Artifacts, progress: Progress) -> Market:
    """Deploy the whole market on an empty chain and return where it stands."""
    steps = 6
    progress("market", 0, steps)
    deployer = Deployer(rpc, artifacts)
    await rpc.fund(at.DEPLOYER, at.EXECUTOR, at.TRANSMITTER)
    await rpc.request("anvil_setCode", at.MULTICALL3, MULTICALL3_RUNTIME)
    await deployer.libraries()
    progress("market", 1, steps)
    await _core(deployer)
    progress("market", 2, steps)
    feeds = await deploy_feeds(deployer)
    now = int((await rpc.request("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    sources = await deploy_sources(deployer, feeds, now)
    progress("market", 3, steps)
    await _oracle(deployer, sources)
    await _tokens(deployer)
    await _list(deployer)
    progress("market", 4, steps)
    orders = [order for reserve in RESERVES for order in configuration(reserve)]
    orders += [order for category in E_MODES for order in _add_e_mode(category)]
    await rpc.send_all(at.EXECUTOR, [(at.CONFIGURATOR, *order) for order in orders], gas=1_000_000)
    progress("market", 5, steps)
    market = Market(await _read_reserves(rpc, sources), feeds, deployer)
    progress("market", steps, steps)
    return market


async def _core(deployer: Deployer) -> None:
    rpc, admin = deployer.rpc, at.EXECUTOR
    await deployer.place(
        at.PROVIDER, "PoolAddressesProvider", "string,address", ["Aave Base Market", admin], sender=admin
    )
    await rpc.send(admin, at.PROVIDER, "setACLAdmin(address)", admin)
    await deployer.place(at.ACL_MANAGER, "ACLManager", "address", [at.PROVIDER])
    await rpc.send(admin, at.PROVIDER, "setACLManager(address)", at.ACL_MANAGER)
    await rpc.send(admin, at.ACL_MANAGER, "addPoolAdmin(address)", admin)
    await deployer.place(at.RATE_STRATEGY, "DefaultReserveInterestRateStrategyV2", "address", [at.PROVIDER])
    for proxy, name in ((at.POOL, "POOL"), (at.CONFIGURATOR, "POOL_CONFIGURATOR")):
        await deployer.place(proxy, "InitializableImmutableAdminUpgradeabilityProxy", "address", [at.PROVIDER])
        await rpc.send(admin, at.PROVIDER, "setAddress(bytes32,address)", name.encode().ljust(32, b"\0"), proxy)
    pool = await deployer.place(
        at.POOL_IMPLEMENTATION, "L2PoolInstance", "address,address", [at.PROVIDER, at.RATE_STRATEGY]
    )
    await rpc.send(admin, at.PROVIDER, "setPoolImpl(address)", pool)
    configurator = await deployer.create("PoolConfiguratorInstance")
    await rpc.send(admin, at.PROVIDER, "setPoolConfiguratorImpl(address)", configurator)
    await deployer.place(at.DATA_PROVIDER, "AaveProtocolDataProvider", "address", [at.PROVIDER])
    await rpc.send(admin, at.PROVIDER, "setPoolDataProvider(address)", at.DATA_PROVIDER)
    await rpc.send(admin, at.CONFIGURATOR, "updateFlashloanPremium(uint128)", FLASH_LOAN_PREMIUM)


async def _oracle(deployer: Deployer, sources: dict[str, Address]) -> None:
    assets = [reserve.address for reserve in RESERVES]
    arguments = [at.PROVIDER, assets, [sources[one.symbol] for one in RESERVES], NOBODY, NOBODY, 10**8]
    types = "address,address[],address[],address,address,uint256"
    await deployer.place(at.ORACLE, "AaveOracle", types, arguments)
    await deployer.rpc.send(at.EXECUTOR, at.PROVIDER, "setPriceOracle(address)", at.ORACLE)


async def _tokens(deployer: Deployer) -> None:
    for reserve in RESERVES:
        if reserve.symbol == "WETH":
            await deployer.place(reserve.address, "TestWeth")
            await deployer.rpc.request("anvil_setBalance", reserve.address, RICH)
        else:
            names = [reserve.symbol, reserve.symbol, reserve.decimals]
            await deployer.place(reserve.address, "TestToken", "string,string,uint8", names)


async def _list(deployer: Deployer) -> None:
    a_token = await deployer.create("ATokenInstance", "address,address,address", [at.POOL, NOBODY, at.COLLECTOR])
    debt_token = await deployer.create("VariableDebtTokenInstance", "address,address", [at.POOL, NOBODY])
    rows = [init_row(reserve, a_token, debt_token) for reserve in RESERVES]
    await deployer.rpc.send(at.EXECUTOR, at.CONFIGURATOR, INIT_RESERVES, rows, gas=60_000_000)


def init_row(reserve: ReserveSpec, a_token: Address, debt_token: Address) -> tuple[Any, ...]:
    """Return a reserve's row for `initReserves`."""
    names = (f"Aave Base {reserve.symbol}", f"aBas{reserve.symbol}")
    debt_names = (f"Aave Base Variable Debt {reserve.symbol}", f"variableDebtBas{reserve.symbol}")
    rates = bytes.fromhex(encode_arguments("uint16,uint32,uint32,uint32", reserve.curve))
    return (a_token, debt_token, reserve.address, *names, *debt_names, b"", rates)


def configuration(reserve: ReserveSpec) -> list[tuple[Any, ...]]:
    """Return the configurator's calls that give a reserve its parameters, and let it be borrowed."""
    asset = reserve.address
    orders: list[tuple[Any, ...]] = [
        ("setReserveBorrowing(address,bool)", asset, True),
        ("setReserveFlashLoaning(address,bool)", asset, True),
        ("setReserveFactor(address,uint256)", asset, RESERVE_FACTOR),
        ("setLiquidationProtocolFee(address,uint256)", asset, reserve.fee),
    ]
    if reserve.threshold:
        text = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
        orders.append((text, asset, reserve.ltv, reserve.threshold, reserve.bonus))
    return orders


def _add_e_mode(spec: EModeSpec) -> list[tuple[Any, ...]]:
    text = "setEModeCategory(uint8,uint16,uint16,uint16,string)"
    orders: list[tuple[Any, ...]] = [(text, spec.id, spec.ltv, spec.threshold, spec.bonus, spec.label)]
    for index, reserve in enumerate(RESERVES):
        for bitmap, role in ((spec.collateral, "Collateral"), (spec.borrowable, "Borrowable")):
            if bitmap >> index & 1:
                orders.append((f"setAsset{role}InEMode(address,uint8,bool)", reserve.address, spec.id, True))
    return orders


async def _read_reserves(rpc: Rpc, sources: dict[str, Address]) -> dict[str, ReserveInfo]:
    found = {}
    for index, spec in enumerate(RESERVES):
        asset = spec.address
        a_token = Address(await rpc.call(at.POOL, "getReserveAToken(address)(address)", asset))
        debt_token = Address(await rpc.call(at.POOL, "getReserveVariableDebtToken(address)(address)", asset))
        found[spec.symbol] = ReserveInfo(
            index, spec.symbol, spec.decimals, asset, a_token, debt_token, sources[spec.symbol], spec.source.driver
        )
    return found
