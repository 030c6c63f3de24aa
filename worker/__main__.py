"""`python -m worker`: find liquidatable accounts, and act on them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from core.config import Settings
from core.errors import LiquidbotError, RpcRejected, StoreUnavailable, Superseded
from worker.app import run
from worker.chain.jsonrpc import retryable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the worker until SIGINT or SIGTERM; settings come from the environment and .env.

    Exit status 2 says that starting again will not help before somebody changes something.
    """
    parser = argparse.ArgumentParser(prog="liquidbot worker", description=main.__doc__)
    parser.add_argument("--record", metavar="FILE", help="record everything heard, for liquidbot replay FILE")
    options = parser.parse_args(argv)
    try:
        return asyncio.run(run(Settings.load(), options.record))
    except LiquidbotError as error:
        print(error, file=sys.stderr)
        passing = retryable(error) or isinstance(error, (RpcRejected, StoreUnavailable, Superseded))
        return 1 if passing else 2


if __name__ == "__main__":
    sys.exit(main())
