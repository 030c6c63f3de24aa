"""WsRpc against a real node and against sockets that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from core.errors import RpcRejected, RpcUnavailable
from devnet.chain import Chain
from tests.nodes import NodeProxy, ScriptedNode
from worker.chain.ws import WsRpc

KEY = "sesame-open"


@asynccontextmanager
async def serving(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/{KEY}"


async def test_calls_and_subscriptions_share_a_socket(fresh_market: Chain) -> None:
    seen: list[tuple[str, str]] = []
    ws = await WsRpc.connect(fresh_market.ws_url, observe=lambda _e, method, result, _s: seen.append((method, result)))
    heads = await ws.subscribe("newHeads")
    block = await fresh_market.mine()
    note = await asyncio.wait_for(ws.next(), 5)
    assert (note.subscription, int(note.result["number"], 16)) == (heads, block)
    answers = await asyncio.gather(*(ws.call("eth_blockNumber", []) for _ in range(50)))
    assert {int(answer, 16) for answer in answers} == {block}
    with pytest.raises(RpcRejected, match="did not match any variant"):
        await ws.call("eth_noSuchThing", [])
    await ws.unsubscribe(heads)
    await fresh_market.mine()
    await ws.call("eth_blockNumber", [])
    assert ws.backlog == 0
    await ws.aclose()
    assert seen.count(("eth_blockNumber", "ok")) == 51
    assert ("eth_noSuchThing", "rejected") in seen


async def test_a_closed_socket_is_told_to_everybody_at_once(market_chain: Chain) -> None:
    async with NodeProxy.running(market_chain.http_url) as proxy:
        ws = await WsRpc.connect(proxy.ws_url)
        proxy.deaf = True
        waiting = [asyncio.create_task(ws.call("eth_blockNumber", [])) for _ in range(3)]
        listening = asyncio.create_task(ws.next())
        await asyncio.sleep(0.05)
        await proxy.cut()
        for task in (*waiting, listening):
            with pytest.raises(RpcUnavailable, match="closed the socket"):
                await asyncio.wait_for(task, 2)
        with pytest.raises(RpcUnavailable, match="closed the socket"):
            await ws.call("eth_blockNumber", [])
        await ws.aclose()


async def test_what_was_heard_before_the_end_is_still_given(fresh_market: Chain) -> None:
    async with NodeProxy.running(fresh_market.http_url) as proxy:
        ws = await WsRpc.connect(proxy.ws_url)
        await ws.subscribe("newHeads")
        block = await fresh_market.mine(3)
        first = await ws.next()
        await ws.call("eth_blockNumber", [])
        await asyncio.sleep(0.1)
        await proxy.cut()
        with pytest.raises(RpcUnavailable):
            await ws.call("eth_blockNumber", [])
        heard = [first, await ws.next(), await ws.next()]
        assert [int(note.result["number"], 16) for note in heard] == [block - 2, block - 1, block]
        with pytest.raises(RpcUnavailable):
            await ws.next()
        await ws.aclose()


async def test_nobody_there_http_only_and_a_bad_url_are_unavailable_without_the_key() -> None:
    async with ScriptedNode.running(lambda _m, _p: None) as node:
        gone = node.url
    for url, words in {
        gone.replace("http", "ws"): "WebSocket connection failed",
        "http://127.0.0.1:1": "WebSocket connection failed",
        "ws://[bad": "WebSocket connection failed",
    }.items():
        with pytest.raises(RpcUnavailable, match=words) as caught:
            await WsRpc.connect(f"{url}/{KEY}")
        assert KEY not in str(caught.value) + repr(caught.value)


async def test_a_server_that_speaks_no_websocket_is_unavailable(market_chain: Chain) -> None:
    async with NodeProxy.running(market_chain.http_url) as proxy:
        proxy.refuse = True
        with pytest.raises(RpcUnavailable, match="refused a WebSocket: HTTP 502"):
            await WsRpc.connect(proxy.ws_url)


async def test_a_server_that_never_opens_is_given_up() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RpcUnavailable, match=r"did not open a WebSocket within 0\.2 s"):
            await WsRpc.connect(f"ws://127.0.0.1:{port}", within=0.2)


async def test_a_call_without_an_answer_is_given_up_and_the_socket_kept() -> None:
    async def once_deaf(socket: ServerConnection) -> None:
        await socket.recv()
        asked = json.loads(await socket.recv())
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "result": "late"}))
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": "in time"}))
        await socket.wait_closed()

    async with serving(once_deaf) as url:
        ws = await WsRpc.connect(url)
        with pytest.raises(RpcUnavailable, match=r"did not answer eth_blockNumber within 0\.2 s"):
            await ws.call("eth_blockNumber", [], 0.2)
        assert await ws.call("eth_blockNumber", []) == "in time"
        await ws.aclose()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("<html>", "answered HTML"),
        (b"\xff\x00", "answered garbage"),
        ("[]", "an object was expected"),
        ('{"method":"eth_subscription","params":[]}', "a notification without a subscription"),
    ],
)
async def test_a_frame_that_is_none_ends_the_socket(frame: str | bytes, words: str) -> None:
    async def babble(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(frame)
        await socket.wait_closed()

    async with serving(babble) as url:
        ws = await WsRpc.connect(url)
        with pytest.raises(RpcUnavailable, match=words):
            await ws.call("eth_blockNumber", [])
        await ws.aclose()
