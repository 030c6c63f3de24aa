"""Fixtures over the local chain; a conftest imports the ones it wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest_asyncio

from devnet.build import DEPLOYED, Artifacts, build
from devnet.chain import Chain, ChainOptions
from devnet.progress import silent

MARKET_BORROWERS = 200


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def built() -> Artifacts:
    """Return the compiled contracts; the first run on a machine installs and compiles them."""
    return await build(silent)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def market_chain(built: Artifacts) -> AsyncIterator[Chain]:
    """Run one chain for the whole session: 200 borrowers, a block per transaction.

    Tests that change it use `fresh_market`, or leave it as they found it.
    """
    async with Chain.running(ChainOptions(borrowers=MARKET_BORROWERS, block_time=None)) as chain:
        yield chain


@pytest_asyncio.fixture(loop_scope="session")
async def fresh_market(market_chain: Chain) -> AsyncIterator[Chain]:
    """Lend the session's chain to one test and put its state back afterwards."""
    snapshot = await market_chain.snapshot()
    yield market_chain
    await market_chain.revert(snapshot)


def live_chain(
    borrowers: int = 2000, seed: int = 1, flavour: str = DEPLOYED, dual_feeds: tuple[str, ...] = ()
) -> AbstractAsyncContextManager[Chain]:
    """Start a chain with a block every 200 ms, as on Base; use it with `async with`."""
    options = ChainOptions(borrowers=borrowers, seed=seed, block_time=0.2, flavour=flavour, dual_feeds=dual_feeds)
    return Chain.running(options)
