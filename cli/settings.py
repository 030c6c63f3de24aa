"""Show the settings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from core.config import Settings, env_example


def main(argv: Sequence[str]) -> int:
    """Print every setting with its value (secrets masked) and source; --env prints the text of .env.example."""
    parser = argparse.ArgumentParser(prog="liquidbot settings", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--env", action="store_true", help="the text of .env.example")
    options = parser.parse_args(argv)
    if options.env:
        print(env_example(), end="")
        return 0
    rows = list(Settings.load().rows())
    if options.json:
        print(json.dumps({name: {"value": value, "source": source} for name, value, source, _ in rows}, indent=2))
        return 0
    table = Table("setting", "value", "source", "meaning", box=None)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return 0
