"""The scan of every borrower: requests, seconds, and memory that does not grow with the crowd."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.looking import chain_of
from benchmarks.report import emit, say
from core.config import SECTIONS
from devnet.chain import Chain

CROWDS = (2_000, 20_000)


async def scan() -> None:
    """Run `liquidbot scan --json` over two crowds; the first run also finds the borrowers in the logs."""
    peaks = []
    for borrowers in CROWDS:
        async with chain_of(borrowers, block_time=None) as chain:
            peaks.append(await _scanned(chain, borrowers))
    small, large = peaks
    for discovery in (True, False):
        growth = large[discovery] - small[discovery]
        emit("scan.memory_growth", growth, "MB", discovery=discovery, borrowers=" to ".join(map(str, CROWDS)))


async def _scanned(chain: Chain, borrowers: int) -> dict[bool, float]:
    """Return the peak memory in MB of a scan that finds the borrowers first (True), and of one that knows them."""
    peaks = {}
    with tempfile.TemporaryDirectory(prefix="liquidbot-bench-") as folder:
        for first in (True, False):
            say(f"  scanning {borrowers} borrowers{', found in the logs' if first else ', known by now'}")
            result = await _run(chain, Path(folder))
            context = {"borrowers": borrowers, "discovery": first}
            emit("scan.seconds", result["seconds"], "s", **context, scanned=result["scanned"])
            emit("scan.requests", result["requests"], "requests", **context)
            emit("scan.peak_memory", result["peak_memory_mb"], "MB", **context)
            peaks[first] = float(result["peak_memory_mb"])
    return peaks


async def _run(chain: Chain, folder: Path) -> dict[str, Any]:
    ours = {field.upper() for section in SECTIONS.values() for field in section.model_fields}
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ours},
        "CHAIN_ID": "31337",
        "RPC_URL": chain.http_url,
        "POOL_ADDRESSES_PROVIDER": chain.provider,
        "START_BLOCK": str(chain.start_block),
        "STATE_DB": str(folder / "liquidbot.db"),
    }
    # A child's peak memory begins with its parent's: a small shell stands between this process and the scan.
    command = f"{shlex.quote(sys.executable)} -m cli scan --json; exit $?"
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"liquidbot scan ended with status {process.returncode}")
    result: dict[str, Any] = json.loads(out)
    return result
