"""Scan every borrower once."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.connection import connected, known_borrowers
from cli.progress import bars
from core.config import Settings
from core.domain.health_factor import UserAccountData, health_factor_text
from core.domain.units import Address
from core.risk.active_risk_set import ActiveRiskSet
from worker.detection.bootstrap_scan import ScanLimits, scan
from worker.startup import watched

SHOWN = 20


def main(argv: Sequence[str]) -> int:
    """Ask the chain for every borrower's health factor, in a stream, and keep those who may matter."""
    parser = argparse.ArgumentParser(prog="liquidbot scan", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="the counters, seconds and peak memory as one JSON object")
    options = parser.parse_args(argv)
    return asyncio.run(_run(Settings.load(), options.json))


async def _run(settings: Settings, as_json: bool) -> int:
    detection = settings.detection
    watch_list = ActiveRiskSet(detection.riskset_max_users, detection.candidate_max)

    def keep(user: Address, account: UserAccountData) -> None:
        watch_list.add(watched(user, account))

    async with connected(settings) as reader:
        with bars(quiet=as_json) as progress:
            market = await reader.load_market()
            users = await known_borrowers(settings, reader, market, progress)
            started = time.monotonic()
            limits = ScanLimits(detection.min_debt_base, detection.hf_threshold_start_wad)
            counters = await scan(users, reader, market.block, limits, keep, progress)
    result = {
        **asdict(counters),
        "min_hf": str(counters.min_hf),
        "stored": len(watch_list),
        "block": market.block,
        "seconds": round(time.monotonic() - started, 3),
        "peak_memory_mb": round(peak_memory_mb(), 1),
    }
    if as_json:
        print(json.dumps(result))
    else:
        _show(watch_list, result)
    return 0


def peak_memory_mb() -> float:
    """Return the most memory that this program had resident, in MB; on Linux without what its parent had before."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _show(watch_list: ActiveRiskSet, result: dict[str, Any]) -> None:
    table = Table("account", "health factor", "debt USD", "collateral USD", box=None)
    for account in watch_list.ranked()[:SHOWN]:
        debt, collateral = account.total_debt_base / 1e8, account.total_collateral_base / 1e8
        table.add_row(account.user, health_factor_text(account.health_factor), f"{debt:,.2f}", f"{collateral:,.2f}")
    console = Console()
    console.print(table)
    console.print("  ".join(f"{name}={value}" for name, value in result.items()))
