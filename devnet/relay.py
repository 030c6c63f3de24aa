"""Stands before the node's WebSocket and says what the node leaves out: that logs were removed.

On a reorganisation anvil announces the new heads and the new logs, but never repeats the old logs as removed, which
geth and reth do. The relay remembers what it passed on and repeats it with `removed` set.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from devnet.rpc import Rpc

HOST = "127.0.0.1"
LARGEST = 2**26
MOST_BLOCKS = 64
"""Blocks whose logs are remembered: more than any reorganisation is deep."""


class _Memory:
    """Remember each block's hash and the log notifications of it that one client was sent.

    Heads and logs come out of step: a block that is not the one remembered only says that something was replaced. What
    was, the node is asked.
    """

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._hashes: dict[int, str] = {}
        self._told: dict[int, list[dict[str, Any]]] = {}

    async def hear(self, notification: dict[str, Any]) -> list[dict[str, Any]]:
        """Take a notification; return those that must be sent before it: removed logs, the latest first."""
        result = notification["params"]["result"]
        if not isinstance(result, dict):
            return []
        is_log = "logIndex" in result
        number = int(result["blockNumber" if is_log else "number"], 16)
        found = str(result["blockHash" if is_log else "hash"])
        gone = await self._forget_replaced() if self._hashes.get(number, found) != found else []
        self._hashes[number] = found
        if is_log:
            self._told.setdefault(number, []).append(notification)
        for old in [one for one in self._hashes if one <= number - MOST_BLOCKS]:
            self._forget(old)
        return gone

    async def _forget_replaced(self) -> list[dict[str, Any]]:
        """Drop every block that is not the node's any more and return its logs as removed."""
        gone: list[dict[str, Any]] = []
        for number in sorted(self._hashes, reverse=True):
            block = await self._rpc.request("eth_getBlockByNumber", hex(number), False)
            if block is not None and block["hash"] == self._hashes[number]:
                # One that stands may be new itself, with replaced ones below it.
                continue
            gone += [_removed(one) for one in reversed(self._forget(number))]
        return gone

    def _forget(self, number: int) -> list[dict[str, Any]]:
        del self._hashes[number]
        return self._told.pop(number, [])


def _removed(notification: dict[str, Any]) -> dict[str, Any]:
    params = notification["params"]
    return notification | {"params": params | {"result": params["result"] | {"removed": True}}}


class Relay:
    """Serve WebSocket clients, each over a connection of its own to the node."""

    def __init__(self, upstream: str) -> None:
        """Take the node's ws:// URL, which answers over HTTP as well."""
        self._upstream = upstream
        self._rpc = Rpc(upstream.replace("ws", "http", 1))
        self.url = ""
        self._client: aiohttp.ClientSession

    @classmethod
    @asynccontextmanager
    async def running(cls, upstream: str) -> AsyncIterator[Relay]:
        """Serve on a free port of this computer; `url` is the ws:// address."""
        relay = cls(upstream)
        app = web.Application()
        app.router.add_get("/", relay._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        async with aiohttp.ClientSession() as relay._client:
            await runner.setup()
            try:
                await web.TCPSite(runner, HOST, 0).start()
                relay.url = f"ws://{HOST}:{runner.addresses[0][1]}"
                yield relay
            finally:
                await runner.cleanup()
                await relay._rpc.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        near = web.WebSocketResponse(max_msg_size=LARGEST)
        await near.prepare(request)
        async with self._client.ws_connect(self._upstream, max_msg_size=LARGEST) as far:
            # Our own heads: a client that wants logs only must hear of a block that was replaced by an empty one.
            await far.send_json({"jsonrpc": "2.0", "id": 0, "method": "eth_subscribe", "params": ["newHeads"]})
            heads = str((await far.receive_json())["result"])
            back = asyncio.create_task(self._back(far, near, heads), name="devnet-relay")
            async for message in near:
                if message.type is WSMsgType.TEXT:
                    await far.send_str(message.data)
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
        return near

    async def _back(self, far: aiohttp.ClientWebSocketResponse, near: web.WebSocketResponse, heads: str) -> None:
        """Pass on what the node says, and before a block that replaces another the removed logs; end with either."""
        memory = _Memory(self._rpc)
        async for message in far:
            if message.type is not WSMsgType.TEXT:
                continue
            said = json.loads(message.data)
            if isinstance(said, dict) and said.get("method") == "eth_subscription":
                for gone in await memory.hear(said):
                    await near.send_json(gone)
                if said["params"]["subscription"] == heads:
                    continue
            await near.send_str(message.data)
        await near.close()
