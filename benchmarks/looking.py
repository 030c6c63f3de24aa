"""Set a stage for a benchmark, and look into what runs on it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.report import say
from cli.stage import Stage, staged
from core.domain.messages import AskStatus, StatusReport
from core.state.ports import Store
from core.state.sqlite_store import SqliteStore
from devnet.chain import Chain, ChainOptions

ASK_SECONDS = 5.0
QUIET_SECONDS = 120.0
GLANCE = 0.005
_FOREVER = 1e12


@asynccontextmanager
async def chain_of(borrowers: int, block_time: float | None = 0.2) -> AsyncIterator[Chain]:
    """Run a local chain; 0.2 s a block is Base's pace."""
    say(f"  a market with {borrowers} borrowers")
    async with Chain.running(ChainOptions(borrowers, block_time=block_time)) as chain:
        yield chain


@asynccontextmanager
async def stage_on(chain: Chain) -> AsyncIterator[Stage]:
    """Put the worker and the bot on a chain, with an empty store."""
    with tempfile.TemporaryDirectory(prefix="liquidbot-bench-") as folder:
        async with staged(chain, Path(folder)) as stage:
            yield stage


@asynccontextmanager
async def store_of(stage: Stage) -> AsyncIterator[Store]:
    """Open the stage's store beside its two processes."""
    store = await SqliteStore.open(stage.environment["STATE_DB"])
    try:
        yield store
    finally:
        await store.close()


async def until(holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait until something holds; raise TimeoutError when it does not."""
    async with asyncio.timeout(seconds):
        while True:
            if await holds():
                return
            await asyncio.sleep(GLANCE)


async def status(store: Store) -> StatusReport:
    """Ask the worker how it is; raise TimeoutError when it does not answer."""
    number = await store.queries.ask(AskStatus(), time.time() + ASK_SECONDS, time.time())
    async with asyncio.timeout(ASK_SECONDS):
        while True:
            answer = await store.queries.answer_to(number)
            if isinstance(answer, StatusReport):
                return answer
            await asyncio.sleep(GLANCE)


async def quiet(store: Store) -> None:
    """Wait until every event of the worker has become what the chat shows."""

    async def said() -> bool:
        unread = await store.outbox.read(await store.deliveries.cursor(), 1)
        return not unread and not await store.deliveries.due(_FOREVER, 1)

    await until(said, QUIET_SECONDS)


def peak_mb(name: str) -> float:
    """Return the most memory that the worker or the bot, a child of this process, ever had resident (Linux)."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    (pid,) = [pid for pid, parent, command in rows if int(parent) == os.getpid() and command.endswith(f"-m {name}")]
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise RuntimeError("this system does not tell a process's peak memory in /proc")
    return int(found[1]) / 1024
