"""Run one scenario beside brute force on the chain, block by block, and compare."""

from __future__ import annotations

import asyncio
import json
import time

from cli.health import Comparison, compare
from cli.stage import MIN_DEBT_USD, Stage
from cli.verdict import Evidence, judge, show
from core.domain.opportunity import Opportunity
from core.domain.units import BaseUsd
from core.state.sqlite_store import SqliteStore
from devnet.scenario import Scenario, ScenarioOptions
from devnet.truth import Truth
from worker.chain.aave import AaveReader
from worker.chain.rpc import HttpRpc
from worker.chain.ws import WsRpc

SETTLE_SECONDS = 3.0


async def judged(stage: Stage, wanted: ScenarioOptions, *, as_json: bool) -> int:
    """Run the scenario to its end, print the summary, and return 0 when nothing was missed, false or unequal."""
    verdict = judge(await gather(stage, wanted))
    compared = await comparisons(stage)
    unequal = sum(not one.equal and not one.empty for one in compared)
    empty = sum(one.empty for one in compared)
    summary = {
        **verdict.as_dict(),
        "scenario": wanted.name,
        "unequal_to_the_chain": unequal,
        "without_figures": empty,
        "chat_messages": len(stage.chat.messages),
    }
    if as_json:
        print(json.dumps(summary))
    else:
        show(summary)
    return 0 if verdict.clean and not unequal and not empty else 1


async def gather(stage: Stage, wanted: ScenarioOptions) -> Evidence:
    """Run the scenario and return what there is to judge; blocks are judged up to its last one."""
    chain = stage.chain
    first = await chain.rpc.block_number() + 1
    truth = Truth(chain.rpc, chain.lens, chain.borrowers, first)
    arrivals: dict[int, float] = {}
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(truth.run()), group.create_task(note_arrivals(chain.ws_url, arrivals))]
        await Scenario(chain, wanted).run()
        last = await chain.rpc.block_number()
        await asyncio.sleep(SETTLE_SECONDS)
        runs = await truth.finish(last)
        for task in watching:
            task.cancel()
    return Evidence(
        runs=runs,
        opportunities=await recorded_opportunities(stage),
        arrivals=arrivals,
        first_block=first,
        last_block=last,
        min_debt=BaseUsd(MIN_DEBT_USD * 10**8),
        borrowers=len(chain.borrowers),
        inside_one_block=len(truth.inside_one_block),
        blocks_sampled=truth.stats.sampled,
    )


async def note_arrivals(ws_url: str, arrivals: dict[int, float]) -> None:
    """Note the unix time at which each head arrives at a socket of our own, until cancelled."""
    rpc = await WsRpc.connect(ws_url)
    try:
        await rpc.subscribe("newHeads")
        while True:
            heard = await rpc.next()
            arrivals[int(heard.result["number"], 16)] = time.time() - (time.monotonic() - heard.heard_at)
    finally:
        await rpc.aclose()


async def recorded_opportunities(stage: Stage) -> list[Opportunity]:
    """Return everything in the worker's journal."""
    store = await SqliteStore.open(stage.environment["STATE_DB"])
    found: list[Opportunity] = []
    try:
        while page := await store.journal.opportunities(after_id=found[-1].id if found else 0):
            found += page
    finally:
        await store.close()
    return found


async def unequal_accounts(stage: Stage) -> int:
    """Return how many borrowers have figures that are not equal to the chain's at one block, or none to compare."""
    return sum(not one.equal for one in await comparisons(stage))


async def comparisons(stage: Stage) -> list[Comparison]:
    """Compare every borrower's six figures with the chain's at one block."""
    chain = stage.chain
    rpc = HttpRpc([chain.http_url])
    try:
        reader = await AaveReader.discover(rpc, chain.provider, int(stage.environment["CHAIN_ID"]))
        market = await reader.load_market()
        return [comparison async for comparison in compare(reader, market, chain.borrowers)]
    finally:
        await rpc.aclose()
