"""Whatever happens on the chain, every account's six figures are the chain's, after each block."""

from __future__ import annotations

import pytest

from devnet.build import Artifacts
from devnet.chain import Chain, ChainOptions
from devnet.chaos import RandomProtocol
from tests.engine import Follower, following
from worker.chain.logs import head

BORROWERS = 60


async def compare_steps(chain: Chain, follower: Follower, seed: int, steps: int) -> RandomProtocol:
    """Take random actions and compare everybody after each; fail at the first account that differs."""
    protocol = RandomProtocol(chain, seed)
    await protocol.prepare()
    try:
        for number in range(steps):
            step = await protocol.step()
            latest = await head(follower.reader.rpc)
            assert latest is not None
            await follower.at(latest.number, latest.hash)
            different = await follower.different(protocol.accounts)
            assert not different, f"seed {seed}, step {number} ({step}): {different}"
    finally:
        await protocol.finish()
    return protocol


@pytest.mark.parametrize(("flavour", "seed"), [("3.6", 1), ("3.7", 2)])
async def test_random_actions_of_every_kind_leave_no_difference(built: Artifacts, flavour: str, seed: int) -> None:
    options = ChainOptions(borrowers=BORROWERS, block_time=None, flavour=flavour)
    async with Chain.running(options) as chain, following(chain) as follower:
        protocol = await compare_steps(chain, follower, seed, 150)
    assert sum(protocol.done.values()) > 75


@pytest.mark.long
@pytest.mark.parametrize(("flavour", "seed", "steps"), [("3.6", 11, 10_000), ("3.7", 12, 3_000)])
async def test_the_same_for_very_long(built: Artifacts, flavour: str, seed: int, steps: int) -> None:
    options = ChainOptions(borrowers=BORROWERS, block_time=None, flavour=flavour)
    async with Chain.running(options) as chain, following(chain) as follower:
        protocol = await compare_steps(chain, follower, seed, steps)
    assert sum(protocol.done.values()) > steps / 2, f"refused: {dict(protocol.refused)}"
