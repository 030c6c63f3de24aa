"""Telegram and the chain's socket go away in the middle of a crash, and come back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cli.judging import gather, recorded_opportunities, unequal_accounts
from cli.stage import Stage, staged
from cli.verdict import judge
from devnet.build import Artifacts
from devnet.scenario import ScenarioOptions
from tests.devnet_fixtures import live_chain
from tests.e2e.kit import alerts_told, answers_told, repeated, said, settled
from tests.nodes import NodeProxy

AWAY_SECONDS = 10.0
CUT_SECONDS = 2.0


async def telegram_goes_away(stage: Stage) -> None:
    """Nobody can reach Telegram for ten seconds; people type all the same."""
    await asyncio.sleep(1.0)
    async with stage.api.outage():
        for number in range(5):
            await stage.chat.say(f"/question{number}")
            await asyncio.sleep(AWAY_SECONDS / 5)


async def the_socket_is_cut(node: NodeProxy) -> None:
    """The node's WebSocket is closed and lets nobody in for a while."""
    await asyncio.sleep(3.0)
    node.refuse = True
    await node.cut()
    await asyncio.sleep(CUT_SECONDS)
    node.refuse = False


async def test_nothing_is_lost_while_telegram_and_the_socket_are_away(built: Artifacts, tmp_path: Path) -> None:
    async with (
        live_chain(300, seed=5) as chain,
        NodeProxy.running(chain.http_url) as node,
        staged(chain, tmp_path, settings={"WS_RPC_URL": node.ws_url}) as stage,
    ):
        async with asyncio.TaskGroup() as group:
            crash = group.create_task(gather(stage, ScenarioOptions("crash", seconds=12, seed=5)))
            group.create_task(telegram_goes_away(stage))
            group.create_task(the_socket_is_cut(node))
        verdict = judge(crash.result())
        # What fell and rose again while the socket was away could not be seen; all that stayed down must be.
        assert verdict.missed == verdict.late, verdict
        assert verdict.false == 0
        assert verdict.detected > 40
        assert await unequal_accounts(stage) == 0
        await settled(stage)
        told = await alerts_told(stage)
        recorded = await recorded_opportunities(stage)
        assert told.singles + told.on_boards == len({opportunity.episode_key for opportunity in recorded})
        assert await answers_told(stage) == 5
        assert repeated(said(stage, "/question")) == []
        assert node.opened > 1
        words = stage.logs.read_text()
        assert words.count("connected to 127.0.0.1") == 2
        for sentence in ("closed the socket", "Attempting reconnect", "[bot] Telegram: ", "Telegram: back again"):
            assert sentence in words
