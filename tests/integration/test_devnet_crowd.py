"""The crowd's loans find their liquidity, in the order in which they are taken."""

from __future__ import annotations

from devnet.build import Artifacts
from devnet.chain import Chain, ChainOptions


async def test_a_loan_can_come_before_the_collateral_that_pays_for_it(built: Artifacts) -> None:
    # With this seed a reserve is borrowed from before the borrowers who supply it have come.
    async with Chain.running(ChainOptions(borrowers=1_000, seed=7, block_time=None)) as chain:
        assert len(set(chain.borrowers)) == 1_000
