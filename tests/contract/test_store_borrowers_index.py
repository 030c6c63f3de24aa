"""The borrowers index as every store keeps it."""

from __future__ import annotations

import asyncio

from core.domain.units import ScaledAmount
from core.state.ports import Store
from tests.contract.samples import address

USDC, WETH = address(90), address(91)
ONE, TWO = address(1), address(2)


def owed(amount: int) -> ScaledAmount:
    return ScaledAmount(amount)


async def test_a_fresh_index_is_empty_and_was_never_saved(store: Store) -> None:
    assert await store.borrowers_index.indexed_to() is None
    assert await store.borrowers_index.load() == {}


async def test_debts_are_kept_exactly_also_the_largest(store: Store, other: Store) -> None:
    debts = {(USDC, ONE): owed(1), (USDC, TWO): owed(2**128 - 1), (WETH, ONE): owed(10**18)}
    await store.borrowers_index.save(debts, to_block=100)
    assert await other.borrowers_index.load() == debts
    assert await other.borrowers_index.indexed_to() == 100


async def test_a_save_changes_what_it_names_and_no_more(store: Store, other: Store) -> None:
    await store.borrowers_index.save({(USDC, ONE): owed(5), (WETH, ONE): owed(6), (WETH, TWO): owed(7)}, to_block=1)
    await store.borrowers_index.save({(USDC, ONE): owed(0), (WETH, ONE): owed(60)}, to_block=2)
    assert await other.borrowers_index.load() == {(WETH, ONE): owed(60), (WETH, TWO): owed(7)}
    assert await other.borrowers_index.indexed_to() == 2


async def test_who_never_owed_may_leave(store: Store) -> None:
    await store.borrowers_index.save({(USDC, ONE): owed(0)}, to_block=1)
    assert await store.borrowers_index.load() == {}


async def test_an_empty_save_moves_the_mark(store: Store) -> None:
    await store.borrowers_index.save({}, to_block=0)
    assert await store.borrowers_index.indexed_to() == 0
    await store.borrowers_index.save({}, to_block=2_000)
    assert await store.borrowers_index.indexed_to() == 2_000


async def test_a_save_rings_the_other_bell(store: Store, other: Store) -> None:
    bell = other.bell()
    waiting = asyncio.create_task(bell.wait(5.0))
    await asyncio.sleep(0)
    await store.borrowers_index.save({(USDC, ONE): owed(1)}, to_block=1)
    assert await waiting
