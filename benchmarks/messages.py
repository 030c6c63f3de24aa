"""From a log's arrival at the worker to the moment at which Telegram has accepted the alert."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction

from benchmarks.looking import chain_of, quiet, stage_on, store_of
from benchmarks.report import emit_spread, say
from cli.judging import recorded_opportunities
from cli.stage import Stage
from core.domain.opportunity import Opportunity

BORROWERS = 2000
STEPS = 40
STEP = Fraction(9997, 10000)
STEP_SECONDS = 3.0


async def messages() -> None:
    """Let ether sink so slowly that every account has a message of its own, and print how soon each was accepted."""
    async with chain_of(BORROWERS) as chain, stage_on(chain) as stage, store_of(stage) as store:
        say(f"  {STEPS} small steps down, {STEP_SECONDS:g} s each")
        for _ in range(STEPS):
            await chain.set_price("ETH", factor=STEP)
            await asyncio.sleep(STEP_SECONDS)
        await quiet(store)
        found = [_milliseconds(stage, opportunity) for opportunity in await recorded_opportunities(stage)]
    times = [value for value in found if value is not None]
    emit_spread("messages.accepted", times, "ms", borrowers=BORROWERS, on_boards=len(found) - len(times))


def _milliseconds(stage: Stage, opportunity: Opportunity) -> float | None:
    """Return the time from the log to the first message that tells of an opportunity, or None when a board does."""
    unix = time.time() - time.monotonic()
    for call in stage.api.transcript.applied("sendMessage"):
        if f"{opportunity.label}\n" in str(call.params["text"]) and call.done_at is not None:
            return (call.done_at + unix - opportunity.seen_at) * 1000
    return None
