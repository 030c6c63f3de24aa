"""The crowd's loans find their liquidity, in the order in which they are taken."""

from __future__ import annotations

import pytest

from devnet.build import Artifacts, build
from devnet.chain import Chain, ChainOptions
from devnet.progress import silent


async def test_a_loan_can_come_before_the_collateral_that_pays_for_it(built: Artifacts) -> None:
    # With this seed a reserve is borrowed from before the borrowers who supply it have come.
    async with Chain.running(ChainOptions(borrowers=1_000, seed=7, block_time=None)) as chain:
        assert len(set(chain.borrowers)) == 1_000


async def test_a_flavour_must_be_known() -> None:
    with pytest.raises(ValueError, match=r"no flavour '4\.0' of the protocol: known are 3\.6, 3\.7"):
        await build(silent, "4.0")
