"""Real local nodes that misbehave: one that answers what it is told to, and one that stands before a real node."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

Answer = Callable[[str, list[Any]], Any]
"""Return the result of a method, or a web.Response to be sent as it is."""


def refusal(code: int, message: str, data: str | None = None) -> web.Response:
    """Return a JSON-RPC error as a node would send it."""
    error = {"code": code, "message": message} | ({"data": data} if data else {})
    return web.json_response({"jsonrpc": "2.0", "id": 1, "error": error})


class ScriptedNode:
    """Answer JSON-RPC over HTTP as `answer` says; count what was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: Counter[str] = Counter()
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def running(cls, answer: Answer) -> AsyncIterator[ScriptedNode]:
        """Serve on a free port of this computer."""
        node = cls(answer)
        async with _serving(node._handle) as url:
            node.url = url
            yield node

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.asked[asked["method"]] += 1
        result = self.answer(asked["method"], asked["params"])
        if isinstance(result, Awaitable):
            result = await result
        if isinstance(result, web.StreamResponse):
            return result
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})


class NodeProxy:
    """Stand before a real node, over HTTP and WebSocket, and misbehave when told to.

    `refuse` lets nobody in; `mute` swallows notifications and `deaf` swallows everything that comes from the node, both
    with the sockets left open; `garble` sends HTML in place of notifications; `drop` swallows those it says True to;
    `intercept` may answer an HTTP request in the node's place.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.refuse = False
        self.mute = False
        self.deaf = False
        self.garble = False
        self.drop: Callable[[dict[str, Any]], bool] = lambda _message: False
        self.intercept: Callable[[str, list[Any]], web.Response | None] = lambda _method, _params: None
        self.opened = 0
        self.asked: Counter[str] = Counter()
        self.http_url = self.ws_url = ""
        self._sockets: set[web.WebSocketResponse] = set()
        self._client: aiohttp.ClientSession

    @classmethod
    @asynccontextmanager
    async def running(cls, upstream: str) -> AsyncIterator[NodeProxy]:
        """Serve on a free port of this computer in front of `upstream` (an HTTP URL)."""
        proxy = cls(upstream)
        async with aiohttp.ClientSession() as proxy._client, _serving(proxy._handle) as url:
            proxy.http_url, proxy.ws_url = url, url.replace("http", "ws")
            yield proxy
            await proxy.cut()

    async def cut(self) -> None:
        """Close every WebSocket that is open."""
        for socket in list(self._sockets):
            await socket.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.refuse:
            return web.Response(status=502, text="<html>bad gateway</html>")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._bridge(request)
        body = await request.read()
        asked = json.loads(body)
        self.asked[asked["method"]] += 1
        instead = self.intercept(asked["method"], asked["params"])
        if instead is not None:
            return instead
        async with self._client.post(self.upstream, data=body, headers={"Content-Type": "application/json"}) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    async def _bridge(self, request: web.Request) -> web.StreamResponse:
        near = web.WebSocketResponse(max_msg_size=2**26)
        await near.prepare(request)
        self.opened += 1
        self._sockets.add(near)
        async with self._client.ws_connect(self.upstream.replace("http", "ws"), max_msg_size=2**26) as far:
            back = asyncio.create_task(self._back(far, near))
            async for message in near:
                if message.type is WSMsgType.TEXT:
                    self.asked["ws:" + json.loads(message.data)["method"]] += 1
                    await far.send_str(message.data)
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
        self._sockets.discard(near)
        return near

    async def _back(self, far: aiohttp.ClientWebSocketResponse, near: web.WebSocketResponse) -> None:
        async for message in far:
            if message.type is not WSMsgType.TEXT:
                continue
            told = json.loads(message.data)
            notified = told.get("method") == "eth_subscription"
            if self.deaf or (notified and (self.mute or self.drop(told))):
                continue
            with suppress(ConnectionError):
                await near.send_str("<html>" if notified and self.garble else message.data)


@asynccontextmanager
async def _serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{anything:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
