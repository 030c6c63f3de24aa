"""Scenarios do what their names say, follow from their seed, and stop when told to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import islice

import pytest
import pytest_asyncio

from core.domain.units import WAD
from devnet.borrowers import plan
from devnet.chain import Chain
from devnet.listing import RESERVES
from devnet.paths import PATHS
from devnet.scenario import NAMES, Scenario, ScenarioOptions, ScenarioReport
from tests.devnet_fixtures import live_chain


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def live() -> AsyncIterator[Chain]:
    """Run one live chain for this module: 80 borrowers, a block every 200 ms."""
    async with live_chain(borrowers=80, seed=3) as chain:
        yield chain


async def run(chain: Chain, name: str, seconds: float, **options: float | bool) -> ScenarioReport:
    """Run a scenario on a copy of the present state and put the state back."""
    snapshot = await chain.snapshot()
    report = await Scenario(chain, ScenarioOptions(name, seconds, speed=10, seed=4, **options)).run()
    prices[name] = await chain.prices()
    await chain.revert(snapshot)
    return report


prices: dict[str, dict[str, int]] = {}
"""The oracle's prices at the end of each scenario that ran last."""


@pytest.mark.parametrize("name", NAMES)
def test_a_path_follows_from_its_seed(name: str) -> None:
    def walk(seed: int) -> list[dict[str, float]]:
        return list(islice(PATHS[name](random.Random(seed), 40), 40))

    assert walk(1) == walk(1)
    assert name in {"activity", "interest"} or walk(1) != walk(2)


def test_a_plan_follows_from_its_seed_and_knows_every_size() -> None:
    first = [100 * 10**8] * len(RESERVES)
    assert plan(50, 9, first) == plan(50, 9, first)
    assert plan(50, 9, first) != plan(50, 10, first)
    crowd = plan(2_000, 1, first)
    assert {len(one.collaterals) for one in crowd} == {1, 2, 3}
    assert {len(one.debts) for one in crowd} == {1, 2}
    assert {one.e_mode for one in crowd} == set(range(16))


async def test_a_crash_takes_a_fifth_off_every_volatile_price(live: Chain) -> None:
    before = await live.prices()
    report = await run(live, "crash", 10)
    assert report.answers == {"ETH": 10, "BTC": 10, "AAVE": 10}
    assert report.alignments > 0
    for symbol in ("WETH", "cbBTC", "AAVE"):
        assert prices["crash"][symbol] == pytest.approx(before[symbol] * 0.8, rel=1e-6)
    assert prices["crash"]["USDC"] == before["USDC"]


async def test_the_pools_stand_at_the_oracles_price_when_it_is_over(live: Chain) -> None:
    await Scenario(live, ScenarioOptions("shock", 5, speed=10, seed=1)).run()
    assert max(await live.uniswap.deviations(await live.prices())) < 0.007


async def test_calm_wanders_and_slide_falls(live: Chain) -> None:
    before = await live.prices()
    await run(live, "calm", 8)
    assert prices["calm"]["WETH"] == pytest.approx(before["WETH"], rel=0.03)
    assert prices["calm"] != before
    await run(live, "slide", 6)
    assert prices["slide"]["WETH"] == pytest.approx(before["WETH"] * 0.92, rel=1e-6)


async def test_borrowers_act_and_their_refusals_are_counted(live: Chain) -> None:
    report = await run(live, "activity", 25)
    assert sum(report.actions.values()) >= 6
    assert len(report.actions) >= 3
    assert report.answers == {}


async def test_interest_alone_moves_health(live: Chain) -> None:
    before = await live.lens.accounts(live.borrowers)
    report = await Scenario(live, ScenarioOptions("interest", 10, speed=10, seed=2)).run()
    after = await live.lens.accounts(live.borrowers)
    assert report.seconds_jumped >= 2 * 6 * 3600
    worse = sum(new.health_factor < old.health_factor for old, new in zip(before, after, strict=True))
    assert worse > len(after) // 2


async def test_the_rival_is_first_with_some(live: Chain) -> None:
    report = await run(live, "crash", 15, rival=1.0)
    assert report.liquidated > 0


async def test_the_demo_goes_on_until_it_is_stopped(live: Chain) -> None:
    task = asyncio.create_task(Scenario(live, ScenarioOptions("demo", speed=10, seed=6)).run())
    await asyncio.sleep(2)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    block = await live.rpc.block_number()
    await asyncio.sleep(0.7)
    assert await live.rpc.block_number() > block


def test_bad_options_are_refused() -> None:
    chain = object.__new__(Chain)
    with pytest.raises(ValueError, match="no scenario 'moon'"):
        Scenario(chain, ScenarioOptions("moon"))
    with pytest.raises(ValueError, match="speed must be above zero"):
        Scenario(chain, ScenarioOptions("calm", speed=0))


async def test_most_of_a_larger_crowd_survives_a_day_of_calm(live: Chain) -> None:
    factors = [one.health_factor for one in await live.lens.accounts(live.borrowers)]
    assert sum(factor > WAD for factor in factors) > len(factors) * 3 // 4
