"""The fixture that runs the contract suite over every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.state.ports import Store
from tests.contract.places import MemoryPlace, Place, SqlitePlace


@pytest.fixture(params=["sqlite", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return SqlitePlace(tmp_path) if request.param == "sqlite" else MemoryPlace()


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """One process's store: the worker's, where it matters."""
    store = await place.open()
    yield store
    await store.close()


@pytest.fixture
async def other(place: Place) -> AsyncIterator[Store]:
    """Another process's store over the same place: the bot's, where it matters."""
    other = await place.open()
    yield other
    await other.close()
