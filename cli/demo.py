"""All of it on this computer: a real Aave V3 market that moves, the worker, the bot, and a chat to talk to it."""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import socket
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from cli.judging import judged, recorded_opportunities
from cli.progress import bars
from cli.stage import Stage, staged
from core.errors import ConfigError
from devnet.anvil import HOST
from devnet.chain import Chain, ChainOptions
from devnet.scenario import NAMES, Scenario, ScenarioOptions

MOST_BORROWERS = 20_000
NEWS_SECONDS = 15.0


def main(argv: Sequence[str]) -> int:
    """Run a demo until Ctrl-C; with --once run one scenario headless, judge it against the chain, and end.

    Exit status 1 when anything was missed, falsely reported, or unequal to the chain.
    """
    parser = argparse.ArgumentParser(prog="liquidbot demo", description=main.__doc__)
    parser.add_argument("--once", action="store_true", help="one scenario, headless, with a summary")
    parser.add_argument("--scenario", choices=NAMES, help="what shall happen (default: demo; crash with --once)")
    parser.add_argument("--borrowers", type=int, default=2000, help="1 to 20000 (default 2000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same market (default 1)")
    parser.add_argument("--seconds", type=float, help="length of the scenario (default: its own)")
    parser.add_argument("--speed", type=float, default=1.0, help="4 runs it in a quarter of the time")
    parser.add_argument("--port", type=int, default=8088, help="port of the chat page, 0 for any (default 8088)")
    parser.add_argument("--json", action="store_true", help="with --once: the summary as one JSON object")
    options = parser.parse_args(argv)
    _check(options)
    return asyncio.run(_interruptible(options))


def _check(options: argparse.Namespace) -> None:
    """Raise ConfigError for what the demo cannot do, before anything is built."""
    if not 1 <= options.borrowers <= MOST_BORROWERS:
        raise ConfigError(f"--borrowers {options.borrowers}: allowed: 1 to {MOST_BORROWERS}")
    for name in ("speed", "seconds"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"--{name} {value:g}: allowed: a number above 0")
    if not 0 <= options.port <= 65_535:
        raise ConfigError(f"--port {options.port}: allowed: 0 (any free one) to 65535")
    if not options.once:
        _check_free(options.port)


def _check_free(port: int) -> None:
    """Raise ConfigError where the chat page could not be served."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a port just left is free
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            why = error.strerror or "it cannot be had"
            raise ConfigError(f"--port {port}: {why}; allowed: a free port of {HOST}, or 0 for any") from None


async def _interruptible(options: argparse.Namespace) -> int:
    """Turn SIGINT and SIGTERM into a cancellation, so that everything is taken down in order."""
    task = asyncio.ensure_future(_run(options))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 0


async def _run(options: argparse.Namespace) -> int:
    name = options.scenario or ("crash" if options.once else "demo")
    wanted = ScenarioOptions(name, options.seconds, options.speed, options.seed)
    with tempfile.TemporaryDirectory(prefix="liquidbot-demo-") as folder:
        with bars(quiet=options.json) as progress:
            chain = await Chain.start(ChainOptions(options.borrowers, options.seed), progress)
        try:
            port = 0 if options.once else options.port
            async with staged(chain, Path(folder), port) as stage:
                if options.once:
                    return await judged(stage, wanted, as_json=options.json)
                await _open(stage, wanted)
        finally:
            await chain.stop()
    return 0


async def _open(stage: Stage, wanted: ScenarioOptions) -> None:
    """Let people watch until they have enough."""
    console = Console()
    console.print(f"chat open at [bold]{stage.api.page_url}[/]")
    console.print(f"{len(stage.chain.borrowers)} borrowers; type /status there; Ctrl-C ends. Logs: {stage.logs}")
    running = asyncio.ensure_future(Scenario(stage.chain, wanted).run())
    try:
        while not running.done():
            await asyncio.wait({running}, timeout=NEWS_SECONDS)
            console.print(await _news(stage), style="dim")
        running.result()
        console.print("the scenario is over; the market stands still; Ctrl-C ends")
        await asyncio.Event().wait()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _news(stage: Stage) -> str:
    block = await stage.chain.rpc.block_number()
    recorded = len(await recorded_opportunities(stage))
    return f"block {block}: {recorded} opportunities recorded, {len(stage.chat.messages)} messages in the chat"
