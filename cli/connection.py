"""The node and the market, as the settings name them, for commands that look once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.progress import Report
from core.config import Settings
from core.domain.market import Market
from core.domain.units import Address
from core.errors import ConfigError
from core.state.sqlite_store import SqliteStore
from worker.chain.aave import AaveReader
from worker.chain.rpc import HttpRpc
from worker.startup import find_borrowers


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[AaveReader]:
    """Yield a reader of the market; raise ConfigError or ChainError when it cannot be had."""
    chain = settings.chain
    if not chain.rpc_url:
        raise ConfigError("RPC_URL=: allowed: at least one address that starts with http:// or https://")
    rpc = HttpRpc(chain.rpc_url, chain_id=chain.chain_id)
    try:
        pool = Address(chain.aave_pool) if chain.aave_pool else None
        yield await AaveReader.discover(
            rpc, chain.pool_addresses_provider, chain.chain_id, aave_pool=pool, multicall3=chain.multicall3_address
        )
    finally:
        await rpc.aclose()


async def known_borrowers(settings: Settings, reader: AaveReader, market: Market, progress: Report) -> list[Address]:
    """Return every borrower up to the market's block, remembering new ones in the store for the next command."""
    store = await SqliteStore.open(settings.store.state_db)
    try:
        await store.bind(f"{settings.chain.chain_id}:{settings.chain.pool_addresses_provider}")
        return await find_borrowers(settings, reader, market, store.borrowers, progress)
    finally:
        await store.close()
