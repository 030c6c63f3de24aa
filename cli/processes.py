"""Run the two processes: one of them here, or both as children that are watched."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO

from core.config import Settings

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
STEADY_SECONDS = 60.0
STOP_SECONDS = 15.0
CONFIG_STATUS = 2
PR_SET_PDEATHSIG = 1


def worker(argv: Sequence[str]) -> int:
    """Run the worker in this process."""
    from worker.__main__ import main  # noqa: PLC0415  # a command loads its own part only

    return main(argv)


def bot(argv: Sequence[str]) -> int:
    """Run the bot in this process."""
    from bot.__main__ import main  # noqa: PLC0415  # a command loads its own part only

    return main(argv)


def up(argv: Sequence[str]) -> int:
    """Run both as child processes; one that dies is started again, a wrong setting ends all."""
    parser = argparse.ArgumentParser(prog="liquidbot up", description=up.__doc__)
    parser.parse_args(argv)
    Settings.load()
    return asyncio.run(supervise(("worker", "bot"), dict(os.environ)))


async def supervise(names: Sequence[str], environment: dict[str, str]) -> int:
    """Keep the named processes running until SIGINT or SIGTERM; return 0, or 2 when one refuses its settings."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(keep(name, environment, stop), name=name) for name in names]
    return max(task.result() for task in tasks)


async def keep(name: str, environment: dict[str, str], stop: asyncio.Event, output: BinaryIO | None = None) -> int:
    """Run `python -m name` again and again, with growing pauses while it keeps dying soon, until `stop` is set.

    A session of its own keeps the terminal's Ctrl-C away from it: it is stopped by SIGTERM, in order, and on Linux also
    when this process is killed. `output` takes what it prints; None leaves that to this process's own streams.
    """
    pause = FIRST_PAUSE
    while not stop.is_set():
        started = time.monotonic()
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            name,
            env=environment,
            start_new_session=True,
            stdout=output,
            stderr=output,
            preexec_fn=_bound_to(os.getpid()),
        )
        status = await _until_end(child, stop)
        if stop.is_set():
            return 0
        if status == CONFIG_STATUS:
            stop.set()
            return CONFIG_STATUS
        pause = FIRST_PAUSE if time.monotonic() - started > STEADY_SECONDS else min(pause * 2, LONGEST_PAUSE)
        print(f"{name} ended with status {status}; starting it again in {pause:.0f} s", file=sys.stderr, flush=True)
        await _wait(stop, pause)
    return 0


def _bound_to(parent: int) -> Callable[[], None] | None:
    """Return what a new child does first: ask the kernel for SIGTERM when its parent dies, however that dies.

    Without it a SIGKILL of the parent leaves a worker that holds the store's lease, and a bot that takes the chat's
    updates. Linux only (prctl(2), PR_SET_PDEATHSIG); the library is loaded here, since a forked child must do little.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died in between, and the kernel will not tell
            os.kill(os.getpid(), signal.SIGTERM)

    return bind


async def _until_end(child: asyncio.subprocess.Process, stop: asyncio.Event) -> int:
    """Wait for the child, or stop it: SIGTERM first, SIGKILL when it does not end in time."""
    ended = asyncio.create_task(child.wait())
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not ended.done():
        child.terminate()
        if not await _done_in(ended, STOP_SECONDS):
            child.kill()
    return await ended


async def _done_in(task: asyncio.Task[int], seconds: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=seconds)
    return bool(done)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
