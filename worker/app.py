"""The worker's composition: the only file here that names concrete classes.

Its life: take the lease or stand by; find the market and its borrowers; scan; load the mirror at one block; then live
on everything after that block until it is told to stop. Start-up is the recovery path: nothing is kept in memory that
a start does not rebuild.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from core.config import Settings
from core.errors import ConfigError, LiquidbotError, StoreUnavailable
from core.launch import start_logging
from core.ops.http import OpsServer, SharedPort
from core.ops.metrics import WorkerMetrics
from core.state.leasing import TTL_SECONDS, LeaseLost, take
from core.state.ports import Store
from core.state.sqlite_store import SqliteStore
from worker.active import ActiveWorker, ContractsReplaced
from worker.chain.rpc import HttpRpc
from worker.recording import Recording
from worker.startup import patiently

logger = logging.getLogger(__name__)

LEASE = "worker"
BUSY_SECONDS = 1.5
"""How long one statement waits for another's lock. Whoever writes here tries again; a long wait would delay the end."""


class Stopped(Exception):
    """End all tasks: the process was asked to stop."""


async def run(settings: Settings, record: str | None = None) -> int:
    """Be a worker until SIGINT or SIGTERM, with all that it hears recorded to a file if one is given; return 0."""
    start_logging(settings, "worker")
    if not settings.chain.rpc_url:
        raise ConfigError("RPC_URL=: allowed: at least one address that starts with http:// or https://")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_live(settings, record), name="worker")
            group.create_task(_until(stop), name="stop")
    except BaseExceptionGroup as ended:
        error = _cause(ended)
        if error is not None:
            raise error from None
    logger.info("[worker] stopped")
    return 0


def _cause(ended: BaseExceptionGroup) -> BaseException | None:
    """Return what ended the tasks, out of its groups where it is one error that has words for an operator."""
    _, rest = ended.split(Stopped)
    inner: BaseException | None = rest
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner if isinstance(inner, LiquidbotError) else rest


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
    raise Stopped


async def _live(settings: Settings, record: str | None) -> None:
    """Open what a worker needs, and close it in reverse order at the end."""
    instance = f"{socket.gethostname()}-{os.getpid()}"
    metrics = WorkerMetrics(CollectorRegistry())
    chain = settings.chain
    async with AsyncExitStack() as stack:
        recording = Recording.to(record)
        stack.callback(recording.close)
        store = await patiently("the store", lambda: _open_store(settings))
        stack.push_async_callback(store.close)
        rpc = HttpRpc(chain.rpc_url, chain_id=chain.chain_id, observe=metrics.rpc_request)
        stack.push_async_callback(rpc.aclose)
        worker = ActiveWorker(settings, store, rpc, metrics, instance, recording)
        http = OpsServer(settings.ops, metrics.registry, worker.checks(), lambda: worker.role)
        stack.push_async_callback(http.close)
        port = SharedPort(http, settings.ops.worker_http_port, "WORKER_HTTP_PORT")
        await port.open(lambda: _leads(store, instance))
        stack.push_async_callback(_let_go, store, instance)
        async with asyncio.TaskGroup() as group:
            group.create_task(port.follow(), name="http")
            group.create_task(_take_turns(worker, store, metrics, instance), name="turns")


async def _take_turns(worker: ActiveWorker, store: Store, metrics: WorkerMetrics, instance: str) -> None:
    """Stand by and work, in turns, for ever."""
    while True:
        worker.role = "standby"
        await take(store.lease, LEASE, instance, _say_standby)
        metrics.lease(LEASE, held=True)
        worker.role = "starting"
        try:
            await worker.work(LEASE)
        except* ContractsReplaced:
            logger.warning("[worker] a contract of the market was replaced: finding everything again")
        except* LeaseLost:
            metrics.lease(LEASE, held=False)
            logger.error("[worker] the lease is lost: another worker acts now, this one stands by")  # noqa: TRY400


async def _leads(store: Store, instance: str) -> bool:
    try:
        return await store.lease.acquire(LEASE, instance, TTL_SECONDS, time.time()) is not None
    except StoreUnavailable:
        return False  # nobody leads then, so the port may wait as well


async def _open_store(settings: Settings) -> SqliteStore:
    store = await SqliteStore.open(settings.store.state_db, BUSY_SECONDS)
    try:
        await store.bind(f"{settings.chain.chain_id}:{settings.chain.pool_addresses_provider}")
    except BaseException:
        await store.close()
        raise
    return store


async def _let_go(store: SqliteStore, instance: str) -> None:
    try:
        await store.lease.release(LEASE, instance)
    except StoreUnavailable as error:
        logger.warning("[worker] the lease could not be given back, it will run out: %s", error)


def _say_standby() -> None:
    logger.warning("[worker] another worker holds the lease on this store; standing by")
