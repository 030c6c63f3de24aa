"""Turns plans into positions: suppliers first, then borrowers, many in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.domain.units import Address
from devnet import addresses as at
from devnet.abi import encode_arguments, function, to_address, topic
from devnet.borrowers import BorrowerPlan
from devnet.build import Artifacts
from devnet.listing import E_MODES, RESERVES
from devnet.progress import Progress
from devnet.rpc import Rpc

SUPPLIERS = 24
PER_TRANSACTION = 100
GAS_PER_BORROWER = 800_000
UTILISATION_PERCENT = 65
FLOOR_BASE = 2_000_000 * 10**8
"""Every reserve holds at least two million dollars, so that liquidators can take the collateral out."""

_CREATE = "create((bytes32,uint8,(address,uint256)[],address[],(address,uint256)[])[])"


class Crowd:
    """Open positions on one market through a factory contract."""

    def __init__(self, rpc: Rpc, factory: Address) -> None:
        self._rpc = rpc
        self._factory = factory

    @classmethod
    async def prepare(cls, rpc: Rpc, artifacts: Artifacts) -> Crowd:
        """Deploy the factory and give it money."""
        factory = await rpc.create(
            at.DEPLOYER, artifacts["BorrowerFactory"].bytecode + encode_arguments("address", [at.POOL])
        )
        assets = [reserve.address for reserve in RESERVES]
        await rpc.send(at.DEPLOYER, factory, "prepare(address[])", assets)
        return cls(rpc, factory)

    async def supply(self, plans: Sequence[BorrowerPlan], prices: list[int]) -> list[Address]:
        """Let accounts without debt supply what the plans want to borrow; return those accounts."""
        suppliers = [Address(f"0x{at.SUPPLIER_BASE + one:040x}") for one in range(SUPPLIERS)]
        users, legs = [], []
        for reserve, amount in enumerate(_liquidity(plans, prices)):
            for turn in range(3):
                users.append(suppliers[(reserve * 3 + turn) % SUPPLIERS])
                legs.append((RESERVES[reserve].address, amount // 3 + 1))
        text = "supplyFor(address[],(address,uint256)[])"
        await self._rpc.send(at.DEPLOYER, self._factory, text, users, legs, gas=60_000_000)
        return suppliers

    async def borrow(self, plans: Sequence[BorrowerPlan], seed: int, progress: Progress) -> list[Address]:
        """Open every planned position and return the accounts in the plans' order."""
        users: list[Address] = []
        await self._set_ltv(generous=True)
        progress("borrowers", 0, len(plans))
        for start in range(0, len(plans), PER_TRANSACTION):
            users += await self._create(plans[start : start + PER_TRANSACTION], seed)
            progress("borrowers", len(users), len(plans))
        await self._set_ltv(generous=False)
        return users

    async def _create(self, plans: Sequence[BorrowerPlan], seed: int) -> list[Address]:
        rows = [_row(one, seed) for one in plans]
        gas = GAS_PER_BORROWER * len(rows)
        data = function(_CREATE).encode([rows])
        receipt = await self._rpc.settle("create", await self._rpc.post(at.DEPLOYER, self._factory, data, gas))
        opened = topic("Opened(address)")
        return [to_address(log["topics"][1]) for log in receipt["logs"] if log["topics"][0] == opened]

    async def _set_ltv(self, generous: bool) -> None:
        """Set every LTV to its liquidation threshold, or back to what the listing says."""
        orders: list[tuple[Any, ...]] = []
        for one in RESERVES:
            if one.threshold:
                text = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
                ltv = one.threshold if generous else one.ltv
                orders.append((at.CONFIGURATOR, text, one.address, ltv, one.threshold, one.bonus))
        for mode in E_MODES:
            text = "setEModeCategory(uint8,uint16,uint16,uint16,string)"
            ltv = mode.threshold if generous else mode.ltv
            orders.append((at.CONFIGURATOR, text, mode.id, ltv, mode.threshold, mode.bonus, mode.label))
        await self._rpc.send_all(at.EXECUTOR, orders, gas=1_000_000)


def _liquidity(plans: Sequence[BorrowerPlan], prices: list[int]) -> list[int]:
    """Return what suppliers must bring, by reserve id, beside what the borrowers' own collateral brings.

    Borrowers come one after the other: a loan can be due before the collateral that pays for it in the end has come.
    """
    held: Counter[int] = Counter()
    owed: Counter[int] = Counter()
    missing: Counter[int] = Counter()
    for one in plans:
        held.update(dict(one.collaterals))
        owed.update(dict(one.debts))
        for reserve, _ in one.debts:
            missing[reserve] = max(missing[reserve], owed[reserve] - held[reserve])
    amounts = []
    for reserve, spec in enumerate(RESERVES):
        floor = FLOOR_BASE * 10**spec.decimals // prices[reserve]
        amounts.append(max(owed[reserve] * 100 // UTILISATION_PERCENT - held[reserve], missing[reserve], floor))
    return amounts


def _row(one: BorrowerPlan, seed: int) -> tuple[Any, ...]:
    salt = (seed << 64 | one.index).to_bytes(32, "big")
    collaterals = [(RESERVES[reserve].address, amount) for reserve, amount in one.collaterals]
    debts = [(RESERVES[reserve].address, amount) for reserve, amount in one.debts]
    return (salt, one.e_mode, collaterals, [RESERVES[reserve].address for reserve in one.enable], debts)
