"""Makes the market live: prices on a path, an arbitrageur behind them, borrowers at work, time jumps, a rival."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from devnet.activity import Activity
from devnet.chain import Chain
from devnet.dual_feeds import MixedRoutes
from devnet.paths import PATHS, VOLATILE, Step
from devnet.rival import Rival

SECONDS = {
    "calm": 120.0, "slide": 120.0, "crash": 60.0, "shock": 30.0, "activity": 60.0, "interest": 30.0, "rival": 60.0,
    "svr": 120.0,
}  # fmt: skip
"""How long each scenario takes at speed 1; `demo` has no end."""
NAMES = (*SECONDS, "demo")
STEP_SECONDS = 1.0
ACTION_SECONDS = 0.5
HUNT_SECONDS = 0.5
"""The rival looks at every account each time; more often would leave the node no time for anything else."""
JUMP_STEPS = 5
JUMP_HOURS = (6, 24, 72, 240)
WITH_ACTIVITY = frozenset({"activity", "demo"})
RIVAL_SHARES = {"rival": 0.5, "demo": 0.2}
DUAL_FEEDS = {"svr": VOLATILE}
"""Feeds that a scenario needs on DualAggregators; those that are not there yet are moved when it begins."""
STRETCH_SECONDS = 16
"""A route is kept for that long at least: longer than the cutoff, so that some answers appear by the clock."""


@dataclass(frozen=True, slots=True)
class ScenarioOptions:
    """Say what shall happen. `seconds` None: the scenario's own length. `speed` 4 runs it in a quarter of the time.

    `rival` and `activity` None: the scenario's own habit; else the share of accounts that the rival takes, and whether
    borrowers act beside the prices.
    """

    name: str = "calm"
    seconds: float | None = None
    speed: float = 1.0
    seed: int = 1
    rival: float | None = None
    activity: bool | None = None


@dataclass(slots=True)
class ScenarioReport:
    """Count what happened: answers transmitted by feed, actions and refusals by name, jumps, liquidations."""

    steps: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    alignments: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds_jumped: int = 0
    liquidated: int = 0


class Scenario:
    """Run one scenario on one chain; everything random in it follows from its seed."""

    def __init__(self, chain: Chain, options: ScenarioOptions) -> None:
        """Raise ValueError for a name that is not known or a speed that is not above zero."""
        if options.name not in NAMES:
            raise ValueError(f"no scenario {options.name!r}: known are {', '.join(NAMES)}")
        if options.speed <= 0:
            raise ValueError(f"speed must be above zero, not {options.speed}")
        self._chain = chain
        self._options = options
        self._seconds = options.seconds or SECONDS.get(options.name)
        self._activity = Activity(chain, random.Random(f"activity {options.seed}"))
        wanted = RIVAL_SHARES.get(options.name, 0.0) if options.rival is None else options.rival
        self._rival = Rival(chain, options.seed, wanted) if wanted > 0 else None
        stretch = round(STRETCH_SECONDS * options.speed / STEP_SECONDS)
        dual = options.name in DUAL_FEEDS
        self._routes = MixedRoutes(chain, random.Random(f"routes {options.seed}"), stretch) if dual else None
        self._moved = asyncio.Event()
        self.report = ScenarioReport()

    async def run(self) -> ScenarioReport:
        """Run to the end, or until cancelled, and return the report; the first failure of any part ends all parts.

        The pools are at the oracle's price when it returns.
        """
        options = self._options
        acts = options.name in WITH_ACTIVITY if options.activity is None else options.activity
        try:
            for feed in DUAL_FEEDS.get(options.name, ()):
                if not self._chain.is_dual(feed):
                    await self._chain.use_dual_aggregator(feed)
            if self._rival:
                await self._rival.prepare()
            async with asyncio.TaskGroup() as group:
                side = [group.create_task(self._align(), name="arbitrageur")]
                side += [group.create_task(self._act(), name="activity")] if acts else []
                side += [group.create_task(self._hunt(self._rival), name="rival")] if self._rival else []
                await self._prices()
                for task in side:
                    task.cancel()
            await self._align_once()
        finally:
            self._collect()
        return self.report

    async def _prices(self) -> None:
        """Walk the price path step by step, at the options' speed."""
        steps = None if self._seconds is None else max(1, round(self._seconds / STEP_SECONDS))
        path = PATHS[self._options.name](random.Random(f"prices {self._options.seed}"), steps or 0)
        first = {name: await self._chain.feeds.answer(name) for name in self._chain.feeds.by_name}
        jumps = random.Random(f"jumps {self._options.seed}")
        clock = asyncio.get_running_loop().time
        due = clock()
        sent: list[str] = []
        for step in path:
            # The answers of the step before must be mined by now; waiting for them at once would stretch fast steps.
            await self._settle(sent)
            sent = await self._post(step, first)
            self.report.answers.update(step.keys())
            if self._options.name == "interest" and self.report.steps % JUMP_STEPS == 0:
                await self._jump(jumps.choice(JUMP_HOURS) * 3600)
            self.report.steps += 1
            due += STEP_SECONDS / self._options.speed
            await asyncio.sleep(max(0.0, due - clock()))
            if self.report.steps == steps:
                break
        await self._settle(sent)
        if self._routes:
            await self._settle(await self._routes.catch_up(DUAL_FEEDS[self._options.name]))

    async def _post(self, step: Step, first: dict[str, int]) -> list[str]:
        sent = []
        for feed, to in step.items():
            answer = int(first[feed] * Fraction(to))
            sent += await (self._routes.post(feed, answer) if self._routes else self._post_plain(feed, answer))
        return sent

    async def _post_plain(self, feed: str, answer: int) -> list[str]:
        return [await self._chain.feeds.post(feed, answer)]

    async def _settle(self, sent: list[str]) -> None:
        for tx_hash in sent:
            await self._chain.rpc.settle("transmit", tx_hash)
        if sent:
            self._moved.set()

    async def _align(self) -> None:
        """Let the arbitrageur follow every move of prices."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            await self._align_once()

    async def _align_once(self) -> None:
        if trade := await self._chain.uniswap.align(await self._chain.prices()):
            await self._chain.rpc.settle("align", trade)
            self.report.alignments += 1

    async def _jump(self, seconds: int) -> None:
        await self._chain.increase_time(seconds)
        self.report.seconds_jumped += seconds

    async def _act(self) -> None:
        while True:
            await self._activity.act()
            await asyncio.sleep(ACTION_SECONDS / self._options.speed)

    async def _hunt(self, rival: Rival) -> None:
        while True:
            await rival.hunt()
            await asyncio.sleep(max(HUNT_SECONDS, STEP_SECONDS / self._options.speed))

    def _collect(self) -> None:
        self.report.actions = self._activity.done
        self.report.refused = self._activity.refused
        if self._rival:
            self.report.liquidated = self._rival.done
            self.report.refused = self.report.refused + self._rival.refused
