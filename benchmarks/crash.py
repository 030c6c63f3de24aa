"""A crash: how much memory it takes, and how soon a storm of alerts is told."""

from __future__ import annotations

import asyncio
import re
import time

from benchmarks.looking import chain_of, peak_mb, quiet, stage_on, status, store_of
from benchmarks.report import emit, say
from cli.judging import recorded_opportunities
from cli.stage import Stage
from devnet.scenario import Scenario, ScenarioOptions

BORROWERS = 2000
CRASH_SECONDS = 30.0
CROWD = 3000
DEPTH = "0.8"
FALL_SECONDS = 5.0


async def memory() -> None:
    """Print the peak memory of both processes after prices fell by a fifth."""
    async with chain_of(BORROWERS) as chain, stage_on(chain) as stage, store_of(stage) as store:
        say(f"  a crash of {CRASH_SECONDS:g} s")
        await Scenario(chain, ScenarioOptions("crash", CRASH_SECONDS)).run()
        await quiet(store)
        found = len(await recorded_opportunities(stage))
        for name in ("worker", "bot"):
            emit(f"memory.{name}", peak_mb(name), "MB", borrowers=BORROWERS, opportunities=found)


async def storm() -> None:
    """Let hundreds fall in one block, and print how soon the board is there and complete."""
    async with chain_of(CROWD) as chain, stage_on(chain) as stage, store_of(stage) as store:
        say("  ether and bitcoin fall by a fifth in one block")
        await asyncio.gather(*(chain.set_price(feed, factor=DEPTH) for feed in ("ETH", "BTC")))
        await asyncio.sleep(FALL_SECONDS)
        await quiet(store)
        latency = (await status(store)).latency
        recorded = await recorded_opportunities(stage)
        alerts = [await store.deliveries.alert(key) for key in {opportunity.episode_key for opportunity in recorded}]
    told = [alert for alert in alerts if alert is not None and alert.board]
    context = {"borrowers": CROWD, "opportunities": len(recorded)}
    emit("storm.unaccounted", len(alerts) - len(told), "accounts", **context)
    first = min(opportunity.seen_at for opportunity in recorded)
    emit("storm.committed", latency.worst / 1000, "s", **context)
    boards = _boards(stage)
    emit("storm.first_board", boards[0][0] - first, "s", accounts=boards[0][1], **context)
    whole = next(at for at, accounts in boards if accounts == len(told))
    emit("storm.whole_board", whole - first, "s", accounts=len(told), messages=len(boards), **context)


def _boards(stage: Stage) -> list[tuple[float, int]]:
    """Return when each state of the board was accepted (unix seconds) and of how many accounts it told."""
    unix = time.time() - time.monotonic()
    found = []
    for call in stage.api.transcript.applied("sendMessage", "editMessageText"):
        said = re.search(r"Storm board</b> \(Real-time\) · ([\d\s]+) account", str(call.params["text"]))
        if said and call.done_at is not None:
            found.append((call.done_at + unix, int(re.sub(r"\s", "", said[1]))))
    return found
