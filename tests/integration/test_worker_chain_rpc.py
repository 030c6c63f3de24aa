"""HttpRpc against real servers that answer badly, late, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from core.errors import RpcRejected, RpcThrottled, RpcUnavailable, WrongChain
from tests.nodes import Answer, ScriptedNode, refusal
from worker.chain.rpc import HttpRpc, Observe, ignore

CHAIN_ID = 31337
KEY = "sesame-open"


def well(method: str, _params: list[Any]) -> Any:
    """Answer as a healthy node of the local chain does."""
    return {"eth_chainId": hex(CHAIN_ID), "eth_blockNumber": "0x10"}[method]


@asynccontextmanager
async def calling(
    *urls: str, observe: Observe = ignore, attempts: int = 4, chain_id: int | None = None
) -> AsyncIterator[HttpRpc]:
    """Make an HttpRpc that rests its endpoints briefly, so that tests are quick."""
    rpc = HttpRpc(
        [f"{url}/{KEY}" for url in urls], observe=observe, attempts=attempts, chain_id=chain_id, cooldown=0.01
    )
    try:
        yield rpc
    finally:
        await rpc.aclose()


BAD: dict[str, tuple[Callable[[], web.Response], str]] = {
    "garbage": (lambda: web.Response(body=b"\xff\x00\xfe"), "answered garbage"),
    "html": (lambda: web.Response(text="<!DOCTYPE html>", content_type="text/html"), "answered HTML"),
    "nothing": (lambda: web.Response(text=""), "answered nothing"),
    "cut-off JSON": (lambda: web.Response(text='{"jsonrpc":"2.0","id":1,"resu'), "answered cut-off JSON"),
    "no result": (lambda: web.json_response({"jsonrpc": "2.0", "id": 1}), "neither a result nor an error"),
    "a list": (lambda: web.json_response([]), "an object was expected"),
    "HTTP 500": (lambda: web.Response(status=500, text="<html>"), "HTTP 500"),
    "HTTP 401": (lambda: web.Response(status=401, text="no key"), "is the key in its URL right"),
    "header not found": (lambda: refusal(-32000, "header not found"), "does not have that block"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_answer_is_unavailable_and_says_why_without_the_key(kind: str) -> None:
    make, words = BAD[kind]
    async with ScriptedNode.running(lambda _m, _p: make()) as node, calling(node.url, attempts=2) as rpc:
        with pytest.raises(RpcUnavailable) as caught:
            await rpc.call("eth_blockNumber", [])
    assert words in str(caught.value)
    assert KEY not in str(caught.value) + repr(caught.value) + rpc.name
    assert node.asked["eth_blockNumber"] == 2


@pytest.mark.parametrize("kind", BAD)
async def test_the_next_endpoint_is_used_and_kept(kind: str) -> None:
    make, _ = BAD[kind]
    async with (
        ScriptedNode.running(lambda _m, _p: make()) as bad,
        ScriptedNode.running(well) as good,
        calling(bad.url, good.url) as rpc,
    ):
        assert await rpc.call("eth_blockNumber", []) == "0x10"
        assert await rpc.call("eth_blockNumber", []) == "0x10"
        assert rpc.name in good.url
    assert (bad.asked["eth_blockNumber"], good.asked["eth_blockNumber"]) == (1, 2)


async def test_a_node_that_lags_is_asked_again_soon_and_not_rested() -> None:
    lagging = [refusal(-32000, "header not found"), refusal(-32000, "header not found")]
    async with (
        ScriptedNode.running(lambda m, p: lagging.pop() if lagging and m == "eth_call" else well(m, p)) as node,
        calling(node.url, attempts=2) as rpc,
    ):
        with pytest.raises(RpcUnavailable, match="header not found"):
            await rpc.call("eth_call", [], 1.0)
        started = time.monotonic()
        assert await rpc.call("eth_blockNumber", []) == "0x10"
        assert time.monotonic() - started < 0.5


async def test_an_endpoint_that_comes_back_is_used_again() -> None:
    answers = [web.Response(status=502), web.Response(status=502)]
    async with (
        ScriptedNode.running(lambda m, p: answers.pop() if answers else well(m, p)) as node,
        calling(node.url) as rpc,
    ):
        assert await rpc.call("eth_blockNumber", []) == "0x10"
    assert node.asked["eth_blockNumber"] == 3


async def test_nobody_there_is_unavailable() -> None:
    async with ScriptedNode.running(well) as node:
        gone = node.url
    async with calling(gone, attempts=1) as rpc:
        with pytest.raises(RpcUnavailable, match="cannot be reached"):
            await rpc.call("eth_blockNumber", [])


async def test_a_url_that_is_none_is_said_to_be_so() -> None:
    async with calling("http://[bad", attempts=1) as rpc:
        with pytest.raises(RpcUnavailable):
            await rpc.call("eth_blockNumber", [])


async def test_a_node_that_hangs_is_given_up() -> None:
    async def hang(_method: str, _params: list[Any]) -> Any:
        await asyncio.sleep(30)

    async with ScriptedNode.running(hang) as node, calling(node.url, attempts=1) as rpc:
        started = time.monotonic()
        with pytest.raises(RpcUnavailable, match=r"did not answer eth_blockNumber within 0\.2 s"):
            await rpc.call("eth_blockNumber", [], 0.2)
        assert time.monotonic() - started < 2


async def test_a_connection_that_is_cut_is_unavailable() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"jsonrpc"')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with calling(f"http://127.0.0.1:{port}", attempts=1) as rpc:
            with pytest.raises(RpcUnavailable, match="cut its answer short"):
                await rpc.call("eth_blockNumber", [])


async def test_retry_after_is_honoured_when_it_is_short() -> None:
    answers = [web.Response(status=429, headers={"Retry-After": "0.3"})]
    async with (
        ScriptedNode.running(lambda m, p: answers.pop() if answers else well(m, p)) as node,
        calling(node.url) as rpc,
    ):
        started = time.monotonic()
        assert await rpc.call("eth_blockNumber", []) == "0x10"
        assert time.monotonic() - started >= 0.3


async def test_a_long_retry_after_is_told_and_the_endpoint_left_alone() -> None:
    throttled = lambda _m, _p: web.Response(status=429, headers={"Retry-After": "60"})  # noqa: E731
    async with ScriptedNode.running(throttled) as node, calling(node.url) as rpc:
        for _ in range(3):
            with pytest.raises(RpcThrottled) as caught:
                await rpc.call("eth_blockNumber", [])
            assert 55 < caught.value.retry_after <= 60
    assert node.asked["eth_blockNumber"] == 1


async def test_a_throttled_endpoint_gives_way_to_the_next() -> None:
    throttled = lambda _m, _p: web.Response(status=429, headers={"Retry-After": "60"})  # noqa: E731
    async with (
        ScriptedNode.running(throttled) as busy,
        ScriptedNode.running(well) as good,
        calling(busy.url, good.url) as rpc,
    ):
        assert await rpc.call("eth_blockNumber", []) == "0x10"


async def test_a_refusal_is_not_tried_again() -> None:
    async with (
        ScriptedNode.running(lambda _m, _p: refusal(3, "execution reverted", "0x930bb771")) as node,
        calling(node.url) as rpc,
    ):
        with pytest.raises(RpcRejected) as caught:
            await rpc.call("eth_call", [])
    assert (caught.value.code, caught.value.data, node.asked["eth_call"]) == (3, "0x930bb771", 1)


async def test_an_endpoint_of_another_chain_is_never_used() -> None:
    other: Answer = lambda m, _p: {"eth_chainId": "0x1", "eth_blockNumber": "0x99"}[m]  # noqa: E731
    async with (
        ScriptedNode.running(other) as wrong,
        ScriptedNode.running(well) as good,
        calling(wrong.url, good.url, chain_id=CHAIN_ID) as rpc,
    ):
        for _ in range(3):
            assert await rpc.call("eth_blockNumber", []) == "0x10"
    assert wrong.asked == {"eth_chainId": 1}


async def test_no_endpoint_of_the_right_chain_is_said_in_one_sentence() -> None:
    async with ScriptedNode.running(lambda _m, _p: "0x1") as wrong, calling(wrong.url, chain_id=CHAIN_ID) as rpc:
        with pytest.raises(WrongChain, match=r"127\.0\.0\.1:\d+ serves chain 1, but CHAIN_ID is 31337"):
            await rpc.call("eth_blockNumber", [])


async def test_many_calls_that_fail_together_rest_the_endpoint_once() -> None:
    down = True
    async with (
        ScriptedNode.running(lambda m, p: web.Response(status=502) if down else well(m, p)) as node,
        calling(node.url) as rpc,
    ):

        async def one() -> str:
            return str(await rpc.call("eth_blockNumber", []))

        calls = [asyncio.create_task(one()) for _ in range(20)]
        await asyncio.sleep(0.015)
        down = False
        assert set(await asyncio.gather(*calls)) == {"0x10"}


async def test_every_request_is_observed_with_its_result() -> None:
    seen: list[tuple[str, str]] = []
    answers: list[Any] = [
        refusal(3, "execution reverted"),
        web.Response(status=429, headers={"Retry-After": "0"}),
        web.Response(status=500),
    ]

    def observe(endpoint: str, method: str, result: str, seconds: float) -> None:
        assert KEY not in endpoint
        assert seconds >= 0
        seen.append((method, result))

    async with (
        ScriptedNode.running(lambda m, p: answers.pop() if answers else well(m, p)) as node,
        calling(node.url, observe=observe) as rpc,
    ):
        with pytest.raises(RpcRejected):
            await rpc.call("eth_blockNumber", [])
        await rpc.call("eth_blockNumber", [])
    assert seen == [("eth_blockNumber", result) for result in ("unavailable", "throttled", "rejected", "ok")]


def test_an_empty_list_of_endpoints_is_refused() -> None:
    with pytest.raises(ValueError, match="RPC_URL names no endpoint"):
        HttpRpc(" , ")
