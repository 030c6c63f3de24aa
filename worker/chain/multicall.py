"""Many reads in few requests, all at one block, through Multicall3."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from core.domain.units import Address
from core.errors import RpcRejected, RpcUnavailable
from worker.chain import codec
from worker.chain.codec import Call
from worker.chain.jsonrpc import too_much
from worker.chain.rpc import Rpc

MULTICALL3 = Address("0xca11bde05977b3631167028862be2a173976ca11")

Block = int | Literal["latest"]


def block_tag(block: Block) -> str:
    """Return a block as JSON-RPC names it."""
    return block if isinstance(block, str) else hex(block)


class Multicall:
    """Read through Multicall3.aggregate3, in requests that stay inside the node's limits.

    `request_gas` is what one eth_call may burn (nodes allow 25 million at the least, 50 million by default),
    `max_calls` bounds a request's size on the wire, `concurrency` the requests under way at a time.
    """

    def __init__(
        self,
        rpc: Rpc,
        address: Address = MULTICALL3,
        *,
        request_gas: int = 20_000_000,
        max_calls: int = 500,
        concurrency: int = 4,
    ) -> None:
        self.rpc = rpc
        self.address = address
        self._request_gas = request_gas
        self._max_calls = max_calls
        self._slots = asyncio.Semaphore(concurrency)

    async def read(
        self, calls: Sequence[Call], block: Block, *, gas_per_call: int = 40_000, within: float = 10.0
    ) -> list[bytes | None]:
        """Return each call's answer in order; None where it failed or returned nothing.

        All answers are of the given block; with "latest" only those of one request are sure to be of one block.
        Raise RpcUnavailable, RpcThrottled or RpcRejected when the node answers none of it.
        """
        size = max(1, min(self._max_calls, self._request_gas // gas_per_call))
        chunks = [calls[at : at + size] for at in range(0, len(calls), size)]
        if len(chunks) == 1:
            return await self._request(chunks[0], block, within)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._request(chunk, block, within)) for chunk in chunks]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # one refusal speaks for all; callers catch it by its type
        return [answer for task in tasks for answer in task.result()]

    async def _request(self, calls: Sequence[Call], block: Block, within: float) -> list[bytes | None]:
        try:
            return await self._aggregate(calls, block, within)
        except RpcRejected as exc:
            if len(calls) == 1 or not too_much(exc):
                raise
        half = len(calls) // 2
        first = await self._request(calls[:half], block, within)
        return first + await self._request(calls[half:], block, within)

    async def _aggregate(self, calls: Sequence[Call], block: Block, within: float) -> list[bytes | None]:
        data = "0x" + codec.encode_aggregate3(calls).hex()
        async with self._slots:
            answer = await self.rpc.call("eth_call", [{"to": self.address, "data": data}, block_tag(block)], within)
        try:
            return codec.decode_aggregate3(codec.unhex(answer), len(calls))
        except ValueError as exc:
            raise RpcUnavailable(f"{self.rpc.name} answered a multicall with {exc}") from exc
