"""Run the named benchmarks, or all of them: one JSON line a figure on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.answers import answers
from benchmarks.crash import memory, storm
from benchmarks.detection import detection
from benchmarks.messages import messages
from benchmarks.report import say
from benchmarks.scan import scan

BENCHES: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "detection": detection,
    "messages": messages,
    "memory": memory,
    "scan": scan,
    "answers": answers,
    "storm": storm,
}


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"any of: {', '.join(BENCHES)} (default: all)")
    names = parser.parse_args().name or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    for number, name in enumerate(names, 1):
        say(f"[{number}/{len(names)}] {name}")
        asyncio.run(BENCHES[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
