"""Pending-block polling: a hint when the node moved on, silence otherwise, and nothing at all on Base."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from core.config import ChainSettings, DetectionSettings, Settings
from devnet.chain import Chain
from tests.nodes import NodeProxy, ScriptedNode
from tests.processes import until
from worker.chain.rpc import HttpRpc
from worker.collectors.pending import PendingPoller, pending_poller


def block(number: int, root: str) -> dict[str, Any]:
    return {"number": hex(number), "stateRoot": root, "transactions": []}


@pytest.fixture
async def proxy(market_chain: Chain) -> AsyncIterator[NodeProxy]:
    async with NodeProxy.running(market_chain.http_url) as proxy:
        yield proxy


async def test_a_new_block_of_a_real_node_is_a_hint(proxy: NodeProxy, fresh_market: Chain) -> None:
    rpc, hints = HttpRpc(proxy.http_url), list[int]()
    poller = PendingPoller(rpc, 50, lambda number, _at: hints.append(number))
    await poller.poll()
    await poller.poll()
    first = int(await rpc.call("eth_blockNumber", []), 16)
    await fresh_market.set_price("ETH", factor="0.999")
    await poller.poll()
    await rpc.aclose()
    assert hints == [first, first + 1]


async def test_a_changed_pending_block_is_a_hint_and_the_same_again_is_none() -> None:
    answers = [block(8, "0x1"), block(8, "0x1"), block(8, "0x2"), block(9, "0x2")]
    async with ScriptedNode.running(lambda _method, _params: answers.pop(0)) as node:
        rpc, hints = HttpRpc(node.url), list[int]()
        poller = PendingPoller(rpc, 50, lambda number, _at: hints.append(number))
        for _ in range(4):
            await poller.poll()
        await rpc.aclose()
    assert hints == [7, 7, 8]


async def test_a_node_without_pending_blocks_is_said_once_and_asked_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers: list[Any] = [None, {"number": "what"}, web.Response(status=502), block(8, "0x1")]

    def answer(_method: str, params: list[Any]) -> Any:
        assert params == ["pending", False]
        return answers.pop(0) if answers else block(8, "0x1")

    async with ScriptedNode.running(answer) as node:
        rpc, hints = HttpRpc(node.url, attempts=1, cooldown=0.0), list[int]()
        task = asyncio.create_task(PendingPoller(rpc, 10, lambda number, _at: hints.append(number)).run())

        async def hinted() -> list[int]:
            return hints

        await until(hinted)
        task.cancel()
        await asyncio.wait([task])
        await rpc.aclose()
    assert hints == [7]
    assert "[realtime-hf] Starting pending block polling (tick=10ms)" in caplog.messages
    assert caplog.text.count("no pending block, asking on") == 1


@pytest.mark.parametrize(("chain_id", "asked"), [(8453, True), (31337, True), (31337, False)])
async def test_on_base_the_flag_warns_and_changes_nothing(
    chain_id: int, asked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(
        Settings.load(""),
        chain=ChainSettings.model_validate({"chain_id": chain_id}),
        detection=DetectionSettings.model_validate({"use_flashblocks": asked}),
    )
    rpc = HttpRpc("http://127.0.0.1:1")
    poller = pending_poller(settings, rpc, lambda _number, _at: None)
    await rpc.aclose()
    assert (poller is not None) == (asked and chain_id != 8453)
    assert ("retired Flashblocks" in caplog.text) == (asked and chain_id == 8453)
