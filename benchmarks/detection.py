"""From a price's log to the last opportunity's row in the outbox, at 2,000 borrowers."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction

from benchmarks.looking import chain_of, stage_on, status, store_of
from benchmarks.report import emit, emit_spread, say
from cli.judging import recorded_opportunities
from devnet.abi import function
from devnet.chain import Chain
from worker.chain.ws import WsRpc

BORROWERS = 2000
MOVES = ("-1 %", "-3 %", "-5 %")
DROPS = 40
LOW_SECONDS, HIGH_SECONDS = 0.4, 0.4
CALLS_A_DROP = 3


async def detection() -> None:
    """Drop the price of ether again and again, and print how long the worker takes, beside one bare eth_call.

    The time runs from the arrival of the frame on the worker's socket until the transaction with all opportunities of
    that drop is committed; between the two the worker has the chain confirm every one of them.
    """
    async with chain_of(BORROWERS) as chain:
        for move in MOVES:
            say(f"  {DROPS} drops of {move}")
            await _drops(chain, move)


async def _drops(chain: Chain, move: str) -> None:
    first = await chain.feeds.answer("ETH")
    low = int(first * (1 + Fraction(int(move.removesuffix(" %")), 100)))
    calls: list[float] = []
    ws = await WsRpc.connect(chain.ws_url)
    try:
        async with stage_on(chain) as stage, store_of(stage) as store:
            for _ in range(DROPS):
                await chain.set_price("ETH", answer=low)
                await asyncio.sleep(LOW_SECONDS)
                await chain.set_price("ETH", answer=first)
                calls += [await _one_call(ws, chain) for _ in range(CALLS_A_DROP)]
                await asyncio.sleep(HIGH_SECONDS)
            latency = (await status(store)).latency
            found = len(await recorded_opportunities(stage))
    finally:
        await ws.aclose()
    context = {"move": move, "borrowers": BORROWERS, "drops": DROPS, "opportunities_a_drop": round(found / DROPS)}
    for name in ("p50", "p95", "worst"):
        emit(f"detection.{name}", getattr(latency, name), "ms", measured=latency.count, **context)
    emit_spread("detection.bare_eth_call", calls, "ms", move=move)


async def _one_call(ws: WsRpc, chain: Chain) -> float:
    """Return the milliseconds of one account's figures over the same kind of socket."""
    data = function("getUserAccountData(address)").encode([chain.borrowers[0]])
    started = time.monotonic()
    await ws.call("eth_call", [{"to": chain.pool, "data": data}, "latest"])
    return (time.monotonic() - started) * 1000
