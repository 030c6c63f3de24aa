"""From a typed /status to the moment at which Telegram has accepted the answer."""

from __future__ import annotations

import asyncio
import time

import httpx

from benchmarks.looking import chain_of, stage_on, until
from benchmarks.report import emit_spread, say
from cli.stage import TOKEN, Stage

BORROWERS = 2000
QUESTIONS = 40
EVERY_SECONDS = 1.3
"""Telegram takes one message a second in a chat; asking faster would measure that."""
PATIENCE = 10.0


async def answers() -> None:
    """Type /status again and again, and print how soon it is answered, beside the local Bot API's own round trip."""
    async with chain_of(BORROWERS) as chain, stage_on(chain) as stage:
        say(f"  {QUESTIONS} times /status")
        times = []
        for _ in range(QUESTIONS):
            await asyncio.sleep(EVERY_SECONDS)
            times.append(await _answered(stage))
        emit_spread("answers.status", times, "ms", borrowers=BORROWERS)
        emit_spread("answers.bare_round_trip", await _round_trips(stage), "ms")


async def _answered(stage: Stage) -> float:
    before = len(stage.api.transcript.applied("sendMessage"))
    started = time.monotonic()
    await stage.chat.say("/status")

    async def sent() -> bool:
        return len(stage.api.transcript.applied("sendMessage")) > before

    await until(sent, PATIENCE)
    done_at = stage.api.transcript.applied("sendMessage")[-1].done_at
    return ((done_at or time.monotonic()) - started) * 1000


async def _round_trips(stage: Stage) -> list[float]:
    times = []
    async with httpx.AsyncClient() as client:
        for _ in range(QUESTIONS):
            started = time.monotonic()
            await client.get(f"{stage.api.url}/bot{TOKEN}/getMe")
            times.append((time.monotonic() - started) * 1000)
    return times
