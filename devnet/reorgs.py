"""Reorganisations: the last blocks are taken back and others put in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.domain.units import Address
from devnet.abi import function
from devnet.users import Actor

GAS = hex(6_000_000)


@dataclass(frozen=True, slots=True)
class Reorg:
    """Say what a reorganisation did: the first block that changed, and the logs that are no longer true."""

    first_block: int
    removed: tuple[dict[str, Any], ...]


class Reorgs(Actor):
    """Take blocks back. The node tells the new heads, but no subscriber that logs were removed: `relay` does."""

    async def reorg(
        self,
        depth: int,
        orders: Sequence[tuple[int, Address, Address, str, *tuple[Any, ...]]] = (),
        keep: bool = False,
    ) -> Reorg:
        """Replace the last `depth` blocks by as many others and say what was lost.

        The state before them must be kept by the node: it is not after `revert` to a block that was many blocks ago.
        `orders` are (block, sender, to, "name(takes)", *arguments) for the new blocks, block 0 being the first; with
        `keep` the old blocks' own transactions come back in front of them, in the same blocks.
        """
        head = await self.rpc.block_number()
        first = head - depth + 1
        if not 1 <= depth <= head:
            raise ValueError(f"cannot replace {depth} of {head} blocks")
        removed = await self._logs(first, head)
        pairs = await self._old(first, head) if keep else []
        pairs += [
            ({"from": sender, "to": to, "data": function(text).encode(arguments), "gas": GAS}, block)
            for block, sender, to, text, *arguments in orders
        ]
        await self.rpc.fund(*(pair[0]["from"] for pair in pairs))
        await self.rpc.request("anvil_reorg", depth, pairs)
        self.rpc.forget()
        return Reorg(first, tuple(removed))

    async def rollback(self, depth: int) -> Reorg:
        """Take the last `depth` blocks back without putting others in their place."""
        head = await self.rpc.block_number()
        removed = await self._logs(head - depth + 1, head)
        await self.rpc.request("anvil_rollback", depth)
        self.rpc.forget()
        return Reorg(head - depth + 1, tuple(removed))

    async def _logs(self, first: int, last: int) -> list[dict[str, Any]]:
        return list(await self.rpc.request("eth_getLogs", {"fromBlock": hex(first), "toBlock": hex(last)}))

    async def _old(self, first: int, last: int) -> list[tuple[dict[str, Any], int]]:
        calls = [("eth_getBlockByNumber", (hex(number), True)) for number in range(first, last + 1)]
        found = []
        for at, block in enumerate(await self.rpc.batch(calls)):
            for sent in block["transactions"]:
                message = {"from": sent["from"], "data": sent["input"], "gas": sent["gas"]}
                found.append((message | ({"to": sent["to"]} if sent["to"] else {}), at))
        return found
