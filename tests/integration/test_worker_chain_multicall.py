"""Multicall3 through nodes with limits: chunks, halves, failures, and what comes back garbled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from eth_abi.abi import decode, encode

from core.domain.units import Address
from core.errors import RpcRejected, RpcUnavailable
from devnet.chain import Chain
from tests.nodes import Answer, ScriptedNode, refusal
from worker.chain import codec, words
from worker.chain.multicall import Multicall
from worker.chain.rpc import HttpRpc

TARGET = Address("0x" + "11" * 20)


def asked(params: list[Any]) -> list[bytes]:
    """Return the calldata of each call inside an aggregate3 request."""
    data = bytes.fromhex(params[0]["data"][2:])
    return [call[2] for call in decode(["(address,bool,bytes)[]"], data[4:])[0]]


def echo(calls: list[bytes]) -> str:
    """Answer each call with its own calldata; calls that begin with ff fail."""
    return "0x" + encode(["(bool,bytes)[]"], [[(call[:1] != b"\xff", call) for call in calls]]).hex()


@asynccontextmanager
async def reading(answer: Answer, **limits: int) -> AsyncIterator[tuple[Multicall, ScriptedNode]]:
    async with ScriptedNode.running(answer) as node:
        rpc = HttpRpc(node.url, attempts=1, cooldown=0.01)
        yield Multicall(rpc, **limits), node
        await rpc.aclose()


def numbered(count: int) -> list[codec.Call]:
    return [(TARGET, bytes([index])) for index in range(count)]


async def test_answers_keep_the_order_of_the_calls_over_many_requests() -> None:
    sizes: list[int] = []

    def answer(_method: str, params: list[Any]) -> str:
        sizes.append(len(asked(params)))
        return echo(asked(params))

    async with reading(answer, max_calls=40, request_gas=3_000_000, concurrency=3) as (multicall, _):
        assert await multicall.read(numbered(100), "latest") == [bytes([index]) for index in range(100)]
        assert sorted(sizes) == [20, 40, 40]
        sizes.clear()
        assert await multicall.read(numbered(100), 5, gas_per_call=300_000) == [bytes([i]) for i in range(100)]
        assert sizes == [10] * 10
        assert await multicall.read([], 5) == []


async def test_the_block_is_the_one_asked_for() -> None:
    blocks: set[str] = set()

    def answer(_method: str, params: list[Any]) -> str:
        blocks.add(params[1])
        return echo(asked(params))

    async with reading(answer, max_calls=2) as (multicall, _):
        await multicall.read(numbered(5), 255)
        await multicall.read(numbered(1), "latest")
    assert blocks == {"0xff", "latest"}


@pytest.mark.parametrize("words_of_refusal", ["out of gas", "response too large", "gas required exceeds allowance"])
async def test_a_request_that_is_too_much_is_halved(words_of_refusal: str) -> None:
    def answer(_method: str, params: list[Any]) -> Any:
        calls = asked(params)
        return refusal(-32000, words_of_refusal) if len(calls) > 7 else echo(calls)

    async with reading(answer) as (multicall, node):
        assert await multicall.read(numbered(100), "latest") == [bytes([index]) for index in range(100)]
        assert node.asked["eth_call"] == 15 + 16


async def test_a_single_call_that_is_too_much_is_refused() -> None:
    async with reading(lambda _m, _p: refusal(-32000, "out of gas")) as (multicall, _):
        with pytest.raises(RpcRejected, match="out of gas"):
            await multicall.read(numbered(3), "latest")


async def test_a_call_that_fails_or_says_nothing_is_none() -> None:
    async with reading(lambda _m, params: echo(asked(params))) as (multicall, _):
        calls = [(TARGET, b"\x01"), (TARGET, b"\xff"), (TARGET, b""), (TARGET, b"\x02")]
        assert await multicall.read(calls, "latest") == [b"\x01", None, None, b"\x02"]


@pytest.mark.parametrize("answer", ["0x", "0x1234", None, 7, "garbage", "0xzz", echo([b"a"])])
async def test_an_answer_that_is_none_is_unavailable(answer: object) -> None:
    async with reading(lambda _m, _p: answer) as (multicall, _):
        with pytest.raises(RpcUnavailable, match="answered a multicall with"):
            await multicall.read(numbered(3), "latest")


async def test_a_failure_among_many_requests_is_raised_as_itself_and_ends_the_others() -> None:
    async def answer(_method: str, params: list[Any]) -> Any:
        if asked(params)[0] == b"\x04":
            return refusal(-32601, "the method is not allowed")
        await asyncio.sleep(5)
        return echo(asked(params))

    async with reading(answer, max_calls=2) as (multicall, _):
        async with asyncio.timeout(3):
            with pytest.raises(RpcRejected, match="not allowed"):
                await multicall.read(numbered(8), "latest")


async def test_requests_under_way_are_bounded() -> None:
    under_way, most = 0, 0

    async def answer(_method: str, params: list[Any]) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return echo(asked(params))

    async with reading(answer, max_calls=2, concurrency=3) as (multicall, _):
        await multicall.read(numbered(30), "latest")
    assert most == 3


async def test_a_real_multicall_reads_a_real_chain(market_chain: Chain) -> None:
    rpc = HttpRpc(market_chain.http_url)
    block = await market_chain.rpc.block_number()
    price = codec.call_with_address(words.GET_ASSET_PRICE, market_chain.reserves["WETH"].asset)
    answers = await Multicall(rpc).read([(market_chain.oracle, price), (market_chain.oracle, b"\1\2\3\4")], block)
    assert words.price(answers[0]) == (await market_chain.prices(block))["WETH"]
    assert answers[1] is None
    with pytest.raises(RpcUnavailable, match="does not have that block"):
        await Multicall(rpc).read([(market_chain.oracle, price)], block + 1_000)
    await rpc.aclose()
