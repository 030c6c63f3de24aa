"""Worker and bot are killed at random moments of a crash; after their restart the chat has told everything once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from cli.judging import recorded_opportunities
from cli.stage import Stage, staged
from core.domain.controls import Controls
from devnet.build import Artifacts
from devnet.scenario import Scenario, ScenarioOptions
from tests.devnet_fixtures import live_chain
from tests.e2e.kit import alerts_told, answers_told, kill, repeated, said, settled, store_of

TALK_EVERY = 0.7
PATIENCE = 150.0
"""People talk faster than a chat takes answers, one a second; all are given in the end."""


async def talk(stage: Stage) -> None:
    """Say something for ever: questions that each have an answer of their own, and now and then a command."""
    number = 0
    while True:
        number += 1
        await stage.chat.say("/dryrun on" if number % 4 == 0 else f"/question{number}")
        await asyncio.sleep(TALK_EVERY)


async def crash_with_kills(stage: Stage, seed: int, kills: tuple[str, ...], seconds: float) -> Controls:
    """Run a crash in which the named processes are killed in turn; return the controls that stand afterwards."""
    rng = random.Random(seed)
    talking = asyncio.create_task(talk(stage))
    falling = asyncio.create_task(Scenario(stage.chain, ScenarioOptions("crash", seconds, seed=seed)).run())
    for name in kills:
        await asyncio.sleep(rng.uniform(0.5, 4.0))
        await kill(name)
    await falling
    talking.cancel()
    await settled(stage, PATIENCE)
    async with store_of(stage) as store:
        return await store.controls.load()


async def all_is_told_once(stage: Stage, controls: Controls) -> None:
    """Check alerts against the journal, replies against the updates, and commands against the controls."""
    recorded = await recorded_opportunities(stage)
    assert len(recorded) > 20
    told = await alerts_told(stage)
    assert told.on_boards + told.singles == len({opportunity.episode_key for opportunity in recorded})
    assert await answers_told(stage) >= 10
    assert repeated(said(stage, "/question")) == []
    commands = [entry for entry in stage.api.transcript.entries if entry.params.get("text") == "/dryrun on"]
    assert controls.version == len(commands) > 2


SEED = 3


async def test_a_crash_survives_kills(built: Artifacts, tmp_path: Path) -> None:
    async with live_chain(300, SEED) as chain, staged(chain, tmp_path) as stage:
        controls = await crash_with_kills(stage, SEED, ("bot", "worker"), 12)
        await all_is_told_once(stage, controls)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(1, 6))
async def test_a_crash_survives_many_kills(built: Artifacts, tmp_path: Path, seed: int) -> None:
    async with live_chain(300, seed) as chain, staged(chain, tmp_path) as stage:
        order = random.Random(seed).choices(("bot", "worker"), k=5)
        controls = await crash_with_kills(stage, seed, tuple(order), 30)
        await all_is_told_once(stage, controls)
