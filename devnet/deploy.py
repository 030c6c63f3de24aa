"""Puts contracts at addresses of our choice, storage and immutables included.

The creation code is first set as the address's own code: an `eth_call` then answers the runtime that the constructor
would leave (with its immutables), and a transaction runs the constructor in place, so that storage and events are its
own. Last, the runtime takes the creation code's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.domain.units import Address
from devnet.abi import encode_arguments
from devnet.addresses import DEPLOYER
from devnet.build import Artifacts
from devnet.rpc import Rpc

LIBRARIES = ("BorrowLogic", "ConfiguratorLogic", "FlashLoanLogic", "LiquidationLogic", "PoolLogic", "SupplyLogic")


class Deployer:
    """Deploy compiled contracts on one chain, linking the protocol's libraries."""

    def __init__(self, rpc: Rpc, artifacts: Artifacts) -> None:
        self.rpc = rpc
        self._artifacts = artifacts
        self._libraries: dict[str, str] = {}

    async def libraries(self) -> None:
        """Deploy the protocol's external libraries; what links them can be deployed only afterwards."""
        for name in LIBRARIES:
            self._libraries[name] = await self.create(name)

    async def create(self, name: str, types: str = "", arguments: Sequence[Any] = ()) -> Address:
        """Deploy a contract the ordinary way and return its address."""
        return await self.rpc.create(DEPLOYER, self._creation(name, types, arguments))

    async def place(
        self, at: Address, name: str, types: str = "", arguments: Sequence[Any] = (), sender: Address = DEPLOYER
    ) -> Address:
        """Deploy a contract at the given address; `sender` is its constructor's msg.sender."""
        await self.rpc.request("anvil_setCode", at, "0x" + self._creation(name, types, arguments))
        runtime = await self.rpc.raw_call_from(sender, at)
        await self.rpc.settle(name, await self.rpc.post(sender, at, "0x", gas=30_000_000))
        await self.rpc.request("anvil_setCode", at, runtime)
        return at

    def _creation(self, name: str, types: str, arguments: Sequence[Any]) -> str:
        return self._artifacts[name].linked(self._libraries) + encode_arguments(types, arguments)
