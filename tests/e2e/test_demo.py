"""The demo, whole: the real protocol moves, the worker finds, the bot tells, brute force on the chain judges."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from cli.judging import gather, recorded_opportunities, unequal_accounts
from cli.stage import staged
from cli.verdict import judge
from core.domain.opportunity import State, TriggerKind
from devnet.build import Artifacts
from devnet.scenario import ScenarioOptions
from tests.devnet_fixtures import live_chain
from tests.e2e.kit import alerts_told, settled

CRASH = ["demo", "--once", "--json", "--borrowers", "600", "--speed", "4", "--seconds", "40"]


async def test_a_crash_is_seen_to_the_last_account(built: Artifacts) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", *CRASH, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, f"{out.decode()}\n{errors.decode()}"
    summary = json.loads(out)
    found = {name: summary[name] for name in ("missed", "late", "false", "unequal_to_the_chain")}
    assert found == {"missed": 0, "late": 0, "false": 0, "unequal_to_the_chain": 0}
    assert summary["crossed"] > 20
    assert summary["detected"] == summary["crossings"]
    assert summary["blocks_sampled"] > 30
    assert summary["chat_messages"] > 1


async def test_borrowers_at_work_and_a_rival_are_told_as_they_are(built: Artifacts, tmp_path: Path) -> None:
    """Prices fall by a tenth while borrowers act and another liquidator takes half of what falls."""
    async with live_chain(300, seed=4) as chain, staged(chain, tmp_path) as stage:
        verdict = judge(await gather(stage, ScenarioOptions("rival", seconds=8, seed=4, activity=True)))
        assert (verdict.missed, verdict.false) == (0, 0), verdict
        assert await unequal_accounts(stage) == 0
        await settled(stage)
        recorded = await recorded_opportunities(stage)
        states = {opportunity.state for opportunity in recorded}
        assert State.TAKEN in states
        assert State.REHEARSED in states
        assert all(opportunity.note for opportunity in recorded if opportunity.state is State.TAKEN)
        assert TriggerKind.PRICE in {opportunity.trigger.kind for opportunity in recorded}
        told = await alerts_told(stage)
        assert told.on_boards > 8
        assert told.repeats == 0
