"""JSON-RPC over HTTP to the local node, with the helpers that only a development node has."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import aiohttp

from core.domain.units import Address
from devnet.abi import function

GAS = 6_000_000
"""Gas given to a transaction whose sender does not say: above any single action of the protocol."""
RICH = hex(10**24)
"""Wei put on an impersonated account, so that gas is never what fails."""


class RpcError(Exception):
    """The node answered a request with an error; `data` carries revert bytes as 0x hex where there are any."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        super().__init__(f"{method}: {error.get('message', error)}")
        self.code = error.get("code")
        data = error.get("data")
        self.data = data if isinstance(data, str) else ""


class TransactionReverted(Exception):
    """A mined transaction has status 0."""

    def __init__(self, name: str, reason: str, receipt: dict[str, Any]) -> None:
        super().__init__(f"{name} reverted: {reason}")
        self.reason = reason
        self.receipt = receipt


class Rpc:
    """Speak JSON-RPC to one node over one keep-alive session."""

    def __init__(self, url: str, error_names: dict[str, str] | None = None) -> None:
        """Take the node's URL and the names of the custom errors that it may answer, keyed by 0x selector."""
        self.url = url
        self.error_names = error_names or {}
        self._ids = itertools.count(1)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120))
        self._funded: set[Address] = set()
        self._nonces: dict[Address, int] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def request(self, method: str, *params: Any) -> Any:
        """Send one request and return its result; raise RpcError for an error answer."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        async with self._session.post(self.url, json=body) as response:
            answer = await response.json()
        if "error" in answer:
            raise RpcError(method, answer["error"])
        return answer["result"]

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Send requests in one body and return their results in order; raise RpcError for the first error."""
        body = [{"jsonrpc": "2.0", "id": at, "method": name, "params": args} for at, (name, args) in enumerate(calls)]
        async with self._session.post(self.url, json=body) as response:
            answers = sorted(await response.json(), key=lambda one: int(one["id"]))
        for (name, _), answer in zip(calls, answers, strict=True):
            if "error" in answer:
                raise RpcError(name, answer["error"])
        return [answer["result"] for answer in answers]

    async def call(self, to: Address, text: str, *args: Any, block: int | str = "latest") -> Any:
        """Call a view function `name(takes)(answers)`; return its only value, or the tuple of them."""
        one = function(text)
        tag = hex(block) if isinstance(block, int) else block
        values = one.decode(bytes.fromhex((await self.raw_call(to, one.encode(args), tag))[2:]))
        return values[0] if len(values) == 1 else values

    async def raw_call(self, to: Address, data: str, tag: str = "latest", gas: int | None = None) -> str:
        """Return what `eth_call` answers, as 0x hex."""
        message = {"to": to, "data": data} | ({"gas": hex(gas)} if gas else {})
        return str(await self.request("eth_call", message, tag))

    async def raw_call_from(self, sender: Address, to: Address) -> str:
        """Return what a call with no data answers a given sender, as 0x hex."""
        return str(await self.request("eth_call", {"from": sender, "to": to, "gas": hex(30_000_000)}, "latest"))

    async def block_number(self) -> int:
        """Return the number of the latest block."""
        return int(await self.request("eth_blockNumber"), 16)

    async def fund(self, *accounts: Address) -> None:
        """Give ether to each account that has had none from here."""
        missing = [one for one in dict.fromkeys(accounts) if one not in self._funded]
        if missing:
            await self.batch([("anvil_setBalance", (one, RICH)) for one in missing])
            self._funded.update(missing)

    def forget(self) -> None:
        """Forget who has ether and which nonce comes next: the chain has gone back to an earlier state."""
        self._funded.clear()
        self._nonces.clear()

    async def post(self, sender: Address, to: Address | None, data: str, gas: int = GAS) -> str:
        """Send a transaction in the name of any account and return its hash at once."""
        await self.fund(sender)
        message = {"from": sender, "data": data, "gas": hex(gas)} | ({"to": to} if to else {})
        return (await self._transmit(sender, [message]))[0]

    async def _transmit(self, sender: Address, messages: Sequence[dict[str, str]]) -> list[str]:
        """Send one account's transactions in order, each with a nonce of our own counting, and return their hashes.

        The node serves a batch's requests side by side, so it cannot choose the nonces. Somebody else may have used the
        account meanwhile: then the count is read again, once.
        """
        for attempt in (1, 2):
            first = await self._take_nonces(sender, len(messages))
            calls = [
                ("eth_sendTransaction", ({**message, "nonce": hex(first + at)},)) for at, message in enumerate(messages)
            ]
            try:
                return [str(one) for one in await self.batch(calls)]
            except RpcError as error:
                self._nonces.pop(sender, None)
                if attempt == 2 or "nonce too low" not in str(error):
                    raise
        raise AssertionError("unreachable: the second attempt returns or raises")

    async def _take_nonces(self, sender: Address, count: int) -> int:
        if sender not in self._nonces:
            known = int(await self.request("eth_getTransactionCount", sender, "pending"), 16)
            self._nonces.setdefault(sender, known)
        first = self._nonces[sender]
        self._nonces[sender] = first + count
        return first

    async def receipt(self, tx_hash: str, patience: float = 60.0) -> dict[str, Any]:
        """Wait for a transaction to be mined and return its receipt, whatever its status."""
        deadline = asyncio.get_running_loop().time() + patience
        pause = 0.001
        while True:
            found: dict[str, Any] | None = await self.request("eth_getTransactionReceipt", tx_hash)
            if found is not None:
                return found
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{tx_hash} was not mined in {patience:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.03)

    async def send(self, sender: Address, to: Address, text: str, *args: Any, gas: int = GAS) -> dict[str, Any]:
        """Send `name(takes)` in the name of any account, wait for it and return the receipt.

        Raises TransactionReverted with the error's name where it reverts.
        """
        one = function(text)
        return await self.settle(one.name, await self.post(sender, to, one.encode(args), gas))

    async def send_all(self, sender: Address, orders: Sequence[tuple[Any, ...]], gas: int = GAS) -> dict[str, Any]:
        """Send many `(to, "name(takes)", *arguments)` at once and wait for all, in the order given.

        Returns the last receipt; raises TransactionReverted for the first that reverts.
        """
        await self.fund(sender)
        messages = [
            {"from": sender, "to": to, "data": function(text).encode(arguments), "gas": hex(gas)}
            for to, text, *arguments in orders
        ]
        hashes = await self._transmit(sender, messages)
        receipts = [
            await self.settle(function(text).name, tx_hash)
            for (_, text, *_), tx_hash in zip(orders, hashes, strict=True)
        ]
        return receipts[-1]

    async def create(self, sender: Address, code: str, gas: int = 30_000_000) -> Address:
        """Deploy creation code (hex without 0x) and return the new contract's address."""
        receipt = await self.settle("create", await self.post(sender, None, "0x" + code, gas))
        return Address(str(receipt["contractAddress"]).lower())

    async def settle(self, name: str, tx_hash: str) -> dict[str, Any]:
        """Wait for a transaction; return its receipt or raise TransactionReverted with the reason."""
        receipt = await self.receipt(tx_hash)
        if int(receipt["status"], 16) != 1:
            raise TransactionReverted(name, await self._reason(tx_hash), receipt)
        return receipt

    async def _reason(self, tx_hash: str) -> str:
        """Name the error of a mined transaction from its trace: a replay would not see what its block did before it."""
        trace = await self.request("debug_traceTransaction", tx_hash, {"tracer": "callTracer"})
        output = str(trace.get("output", ""))
        return self.error_names.get(output[:10]) or str(trace.get("revertReason") or trace.get("error") or output)
