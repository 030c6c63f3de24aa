"""Runs this project's own processes as an operator does, and watches what they say."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from core.config import SECTIONS
from devnet.anvil import free_port
from devnet.chain import Chain

OURS = {field.upper() for section in SECTIONS.values() for field in section.model_fields}


def settings_for(chain: Chain, folder: Path, **changes: str) -> dict[str, str]:
    """Return an environment for a process on the local chain: a WebSocket, a store in `folder`, text logs."""
    return {
        **{name: value for name, value in os.environ.items() if name not in OURS},
        "CHAIN_ID": "31337",
        "RPC_URL": chain.http_url,
        "WS_RPC_URL": chain.ws_url,
        "POOL_ADDRESSES_PROVIDER": chain.provider,
        "START_BLOCK": "0",
        "STATE_DB": str(folder / "liquidbot.db"),
        "WORKER_HTTP_PORT": str(free_port()),
        "LOG_FORMAT": "text",
    } | changes


class Process:
    """Hold one running process: its environment and where it writes."""

    def __init__(self, child: asyncio.subprocess.Process, environment: dict[str, str], log: Path) -> None:
        self.child = child
        self.environment = environment
        self._log = log

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, folder: Path, environment: dict[str, str], words: Sequence[str] = ("-m", "worker")
    ) -> AsyncIterator[Process]:
        """Start `python <words>` in `folder`; kill it at the end if it still runs."""
        log = folder / f"{free_port()}.log"
        with log.open("wb") as output:
            child = await asyncio.create_subprocess_exec(
                sys.executable, *words, cwd=folder, env=environment, stdout=output, stderr=output
            )
        try:
            yield cls(child, environment, log)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()

    @property
    def said(self) -> str:
        """Return everything that it wrote."""
        return self._log.read_text("utf-8", errors="replace")

    async def until_said(self, words: str, seconds: float = 15.0) -> None:
        """Wait until it wrote the words; raise AssertionError when it ends first, or does not in time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while words not in self.said:
            assert self.child.returncode is None, f"it ended with {self.child.returncode}:\n{self.said}"
            assert asyncio.get_running_loop().time() < deadline, f"it never said {words!r}:\n{self.said[-4000:]}"
            await asyncio.sleep(0.03)

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Return what /ready answers; (0, {}) while nobody listens."""
        url = f"http://127.0.0.1:{self.environment['WORKER_HTTP_PORT']}/ready"
        try:
            async with aiohttp.ClientSession() as client, client.get(url) as reply:
                return reply.status, await reply.json()
        except aiohttp.ClientConnectionError:
            return 0, {}

    async def until_role(self, role: str, seconds: float = 20.0) -> None:
        """Wait until it is ready in a role."""
        deadline = asyncio.get_running_loop().time() + seconds
        while (answer := await self.ready())[0] != 200 or answer[1]["role"] != role:
            assert self.child.returncode is None, f"it ended with {self.child.returncode}:\n{self.said}"
            assert asyncio.get_running_loop().time() < deadline, f"not {role} but {answer}:\n{self.said[-4000:]}"
            await asyncio.sleep(0.05)

    async def end(self, how: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> int:
        """Send a signal and return the exit status."""
        self.child.send_signal(how)
        return await asyncio.wait_for(self.child.wait(), seconds)


async def until(done: Callable[[], Awaitable[object]], seconds: float = 10.0) -> None:
    """Wait until `done` gives something true; raise TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            if await done():
                return
            await asyncio.sleep(0.03)


async def run(folder: Path, environment: dict[str, str], *words: str, seconds: float = 30.0) -> tuple[int, str, str]:
    """Run `python <words>` in `folder` to its end; return (exit status, standard output, standard error)."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()
