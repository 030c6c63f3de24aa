"""`python -m devnet`: a local chain with the real Aave V3 market, for people and for other programs."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import suppress
from typing import Any

from aiohttp import ClientError

from devnet.anvil import AnvilFailed
from devnet.build import DEPLOYED, BuildFailed, build, flavours
from devnet.chain import Chain, ChainOptions
from devnet.progress import Bar
from devnet.scenario import DUAL_FEEDS, NAMES, Scenario, ScenarioOptions, ScenarioReport

ABOUT = """\
A local chain (chain id 31337, a block every 200 ms) with the real Aave V3 contracts at Base's addresses: 15 reserves,
e-modes, price feeds behind proxies and adapters, Uniswap V3 pools, and borrowers made through the protocol itself.

scenarios:
  calm      prices wander                     shock     one asset drops at once
  slide     -8 % in two minutes               crash     -20 % in one minute
  activity  borrowers act, prices stay        interest  time jumps of hours and days
  rival     -10 % and another liquidator      demo      calm with activity, slides and shocks, without end
  svr       -12 % by two routes: some answers are seen at once, some by the clock ten seconds later
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    root = argparse.ArgumentParser(
        "python -m devnet", None, ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = root.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="install the npm packages and compile the contracts, once")
    chain = commands.add_parser("chain", help="run a chain until Ctrl-C")
    chain.add_argument("--borrowers", type=_whole, default=2000, help="how many, 1 to 20000 (default 2000)")
    chain.add_argument("--seed", type=int, default=1, help="the same seed gives the same market (default 1)")
    chain.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1 (default: any free one)")
    chain.add_argument(
        "--block-time", type=float, default=0.2, help="seconds; 0: a block per transaction (default 0.2)"
    )
    chain.add_argument("--scenario", choices=NAMES, help="what shall happen (default: nothing)")
    chain.add_argument("--seconds", type=float, help="how long (default: the scenario's own length)")
    chain.add_argument("--speed", type=float, default=1.0, help="4 runs a scenario in a quarter of its time")
    chain.add_argument("--rival", type=float, help="share of accounts that another liquidator takes, 0 to 1")
    chain.add_argument("--activity", action=argparse.BooleanOptionalAction, help="let borrowers act beside the prices")
    chain.add_argument("--once", action="store_true", help="end with the scenario instead of waiting for Ctrl-C")
    chain.add_argument(
        "--flavour", choices=flavours(), default=DEPLOYED, help="the protocol's version (default 3.6, as installed)"
    )
    chain.add_argument("--json", action="store_true", help="print one JSON object per line instead of prose")
    return root


def main() -> int:
    """Run the command line and return the exit status."""
    arguments = parser().parse_args()
    try:
        return asyncio.run(_build() if arguments.command == "build" else _chain(arguments))
    except (BuildFailed, AnvilFailed, ClientError, ValueError) as error:
        print(f"devnet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _build() -> int:
    await build(Bar())
    return 0


async def _chain(arguments: argparse.Namespace) -> int:
    options = ChainOptions(
        arguments.borrowers,
        arguments.seed,
        arguments.block_time or None,
        arguments.port,
        arguments.flavour,
        DUAL_FEEDS.get(arguments.scenario, ()),
    )
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    starting = asyncio.ensure_future(Chain.start(options, Bar()))
    if not await _first(starting, stopped):
        return 130
    chain = starting.result()
    if chain.beat is not None:
        chain.beat.add_done_callback(lambda _: stopped.set())
    try:
        _say(arguments.json, "ready", _facts(chain))
        if arguments.scenario:
            wanted = ScenarioOptions(
                arguments.scenario,
                arguments.seconds,
                arguments.speed,
                arguments.seed,
                arguments.rival,
                arguments.activity,
            )
            scenario = Scenario(chain, wanted)
            await _first(asyncio.ensure_future(scenario.run()), stopped)
            _say(arguments.json, "scenario over", _counts(scenario.report))
        if not arguments.once:
            await stopped.wait()
    finally:
        await chain.stop()
    return 0


async def _first(work: asyncio.Future[Any], stopped: asyncio.Event) -> bool:
    """Wait for work or for the signal; cancel work that the signal overtook. Returns whether the work was done."""
    signalled = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((work, signalled), return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    if work.done():
        work.result()
        return True
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    return False


def _facts(chain: Chain) -> dict[str, object]:
    return {
        "RPC_URL": chain.http_url,
        "WS_RPC_URL": chain.ws_url,
        "CHAIN_ID": 31337,
        "POOL_ADDRESSES_PROVIDER": chain.provider,
        "START_BLOCK": chain.start_block,
        "borrowers": len(chain.borrowers),
    }


def _counts(report: ScenarioReport) -> dict[str, object]:
    return {
        "steps": report.steps,
        "answers": dict(report.answers),
        "alignments": report.alignments,
        "actions": dict(report.actions),
        "refused": dict(report.refused),
        "seconds_jumped": report.seconds_jumped,
        "liquidated": report.liquidated,
    }


def _say(as_json: bool, event: str, facts: dict[str, object]) -> None:
    if as_json:
        text = json.dumps({"event": event, **facts})
    else:
        text = "\n".join([event, *(f"  {name}={value}" for name, value in facts.items())])
    print(text, flush=True)


def _whole(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 20_000:
        raise argparse.ArgumentTypeError(f"{number} is not between 1 and 20000")
    return number


if __name__ == "__main__":
    sys.exit(main())
