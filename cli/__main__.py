"""The `liquidbot` command: find the part that was asked for, import only that, and end with its status.

Exit status: 0 done, 1 the answer is no (a check failed) or cannot be had now (the node is away, the store is locked),
2 a setting or argument is wrong, 130 interrupted.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from core.errors import ConfigError, LiquidbotError, StoreError, StoreUnavailable, Superseded, WrongChain

COMMANDS: dict[str, tuple[str, str]] = {
    "worker": ("cli.processes:worker", "find liquidatable accounts, and act on them"),
    "bot": ("cli.processes:bot", "the Telegram side"),
    "up": ("cli.processes:up", "worker and bot together, supervised, on one machine"),
    "demo": ("cli.demo:main", "all of it on a local chain with a local chat"),
    "scan": ("cli.scan:main", "scan all borrowers once and print the counters"),
    "health": ("cli.health:main", "an account's six figures, ours beside the chain's"),
    "whatif": ("cli.whatif:main", "who would be liquidatable if prices moved: whatif ETH=-8%"),
    "replay": ("cli.replay:main", "run the pipeline over a recording (worker --record FILE) and compare"),
    "doctor": ("cli.doctor:main", "check everything that a new operator gets wrong"),
    "settings": ("cli.settings:main", "every setting, its value and where that comes from"),
    "migrate": ("cli.migrate:main", "bring the store to this version's schema"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        print(f"liquidbot {name}: there is no such command{hint} (liquidbot --help lists them)", file=sys.stderr)
        return 2
    module, function = COMMANDS[name][0].split(":")
    try:
        status: int = getattr(importlib.import_module(module), function)(rest)
    except LiquidbotError as error:
        print(error, file=sys.stderr)
        return 2 if to_be_changed(error) else 1
    except KeyboardInterrupt:
        return 130
    return status


def to_be_changed(error: LiquidbotError) -> bool:
    """Tell whether trying again is no help before somebody changes a setting or an argument."""
    passing = isinstance(error, (StoreUnavailable, Superseded))
    return isinstance(error, (ConfigError, StoreError, WrongChain)) and not passing


def usage() -> str:
    """Return the text of `liquidbot --help`."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items())
    return f"usage: liquidbot COMMAND [options]\n\n{rows}\n\nliquidbot COMMAND --help tells more."


if __name__ == "__main__":
    sys.exit(main())
