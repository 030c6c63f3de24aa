"""`python -m bot`: the operators' chat."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from bot.app import run
from core.config import Settings
from core.errors import LiquidbotError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the Telegram side until SIGINT or SIGTERM; settings come from the environment and .env."""
    parser = argparse.ArgumentParser(prog="liquidbot bot", description=main.__doc__)
    parser.parse_args(argv)
    try:
        return asyncio.run(run(Settings.load()))
    except LiquidbotError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
