"""Run the local Bot API by itself: python -m devnet.botapi --port 8081 --token 700:local."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from devnet.botapi.api import BotApi, BotApiOptions

ANN, BEN = 1001, 1002


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m devnet.botapi",
        description="A local Telegram Bot API with a chat page, on 127.0.0.1. Everything is forgotten when it ends.",
    )
    parser.add_argument("--port", type=int, default=8081, help="port to listen on; 0 takes a free one (default 8081)")
    parser.add_argument("--token", default="700000001:local", help="the bot's token (default 700000001:local)")
    parser.add_argument("--no-limits", action="store_true", help="do not count messages as Telegram's flood control")
    parser.add_argument("--group", metavar="TITLE", help="add a group with both persons")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    options = BotApiOptions(arguments.token, arguments.port, limits=not arguments.no_limits)
    async with BotApi.running(options) as api:
        api.private_chat(ANN, "Ann", "ann")
        api.private_chat(BEN, "Ben", "ben")
        if arguments.group:
            api.group_chat(arguments.group, {ANN: "Ann", BEN: "Ben"})
        lines = (
            f"TELEGRAM_API_URL={api.url}",
            f"chat open at {api.page_url}",
            f"Ann is user and chat {ANN}, Ben is {BEN}. Ctrl-C ends it.",
        )
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit status."""
    arguments = _arguments()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(arguments))
    except OSError as error:
        sys.stderr.write(f"cannot listen on port {arguments.port}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
