"""Print figures for machines, and progress for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any


def say(text: str) -> None:
    """Tell people how far we are."""
    print(text, file=sys.stderr, flush=True)


def emit(bench: str, value: float, unit: str, **context: Any) -> None:
    """Print one figure with what it depends on; `load` is how many processes wanted a core in the last minute."""
    load = round(os.getloadavg()[0], 2)
    line = {"bench": bench, "value": round(value, 2), "unit": unit, **context, "cores": os.cpu_count(), "load": load}
    print(json.dumps(line, ensure_ascii=False), flush=True)


def emit_spread(bench: str, values: Sequence[float], unit: str, **context: Any) -> None:
    """Print the median, the 95th percentile and the worst of some values."""
    ordered = sorted(values)
    for name, value in (("p50", quantile(ordered, 0.5)), ("p95", quantile(ordered, 0.95)), ("worst", ordered[-1])):
        emit(f"{bench}.{name}", value, unit, measured=len(ordered), **context)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of an ordered, non-empty sequence lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
