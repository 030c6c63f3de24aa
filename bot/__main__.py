"""`python -m bot`: the operators' chat."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from bot.app import run
from core.config import Settings
from core.errors import LiquidbotError, StoreUnavailable, Superseded


def main(argv: Sequence[str] | None = None) -> int:
    """Run the Telegram side until SIGINT or SIGTERM; settings come from the environment and .env.

    Exit status 2 says that starting again will not help before somebody changes something.
    """
    parser = argparse.ArgumentParser(prog="liquidbot bot", description=main.__doc__)
    parser.parse_args(argv)
    try:
        return asyncio.run(run(Settings.load()))
    except LiquidbotError as error:
        print(error, file=sys.stderr)
        return 1 if isinstance(error, (StoreUnavailable, Superseded)) else 2


if __name__ == "__main__":
    sys.exit(main())
