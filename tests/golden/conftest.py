"""The fixtures of the golden tests: the shared chain, and a larger crowd for liquidations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from core.domain.position import Position
from devnet import addresses as at
from devnet.build import Artifacts
from devnet.chain import Chain, ChainOptions
from tests.devnet_fixtures import built, fresh_market, market_chain
from tests.golden.bench import Bench
from tests.golden.second_opinion import SecondOpinion

__all__ = ["bench", "built", "crowd", "crowd_positions", "fresh_market", "market_chain"]
MONTH = 30 * 86_400


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def crowd(built: Artifacts) -> AsyncIterator[Chain]:
    """Run a chain with enough borrowers that hundreds fall below one, a month old, where the rival has every token."""
    async with Chain.running(ChainOptions(borrowers=1_000, block_time=None)) as chain:
        for symbol in chain.reserves:
            await chain.mint(symbol, at.RIVAL, 10**32)
            await chain.approve(symbol, at.RIVAL)
        await chain.increase_time(MONTH)
        yield chain


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def crowd_positions(crowd: Chain) -> list[Position]:
    """Read the crowd's scaled balances once: neither prices nor time move them."""
    return SecondOpinion(crowd).positions(crowd.borrowers)


@pytest_asyncio.fixture(loop_scope="session")
async def bench(crowd: Chain, crowd_positions: list[Position]) -> AsyncIterator[Bench]:
    """Lend the crowd to one test and put its state back afterwards."""
    snapshot = await crowd.snapshot()
    yield Bench(crowd, crowd_positions)
    await crowd.revert(snapshot)
