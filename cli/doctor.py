"""Check everything that a new operator gets wrong, and say what to do about it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cli.doctor_telegram import chats, check_chat, check_operators, check_token
from cli.finding import MARKET, Finding, advice_for
from core.config import Settings, host_of
from core.domain.market import Revision
from core.domain.units import Address
from core.errors import LiquidbotError, StoreError, StoreMismatch
from core.state.sqlite.database import Database
from worker.chain.contracts import discover
from worker.chain.logs import head
from worker.chain.rpc import HttpRpc, verify_chain
from worker.chain.ws import WsRpc

CLOCK_SKEW_SECONDS = 60


def main(argv: Sequence[str]) -> int:
    """Check endpoints, chain, market, store, Telegram and the clock; exit status 1 when anything fails."""
    parser = argparse.ArgumentParser(prog="liquidbot doctor", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a check")
    options = parser.parse_args(argv)
    findings = asyncio.run(examine(Settings.load()))
    console = Console()
    for finding in findings:
        if options.json:
            print(json.dumps({**asdict(finding), "well": finding.well}))
            continue
        mark = "[green]✓[/]" if finding.well else "[bold red]✗[/]"
        console.print(f"{mark} {finding.check}: {escape(finding.found)}")
        if finding.advice:
            console.print(f"    → {finding.advice}", markup=False)
    return 0 if all(finding.well for finding in findings) else 1


async def examine(settings: Settings) -> list[Finding]:
    """Return every finding, in the order in which things are needed."""
    chain = settings.chain
    checks: list[tuple[str, Callable[[], Awaitable[Finding]]]] = [
        *((f"RPC_URL {host_of(url)}", _http_check(settings, url)) for url in chain.rpc_url),
        (f"WS_RPC_URL {host_of(chain.ws_rpc_url)}" if chain.ws_rpc_url else "WS_RPC_URL", lambda: _socket(settings)),
        (MARKET, lambda: _market(settings)),
        ("STATE_DB", lambda: _store(settings)),
        ("TELEGRAM_BOT_TOKEN", lambda: check_token(settings.telegram)),
        *((f"chat {chat}", partial(check_chat, settings.telegram, chat)) for chat in chats(settings)),
    ]
    findings = [Finding("RPC_URL", "not set", "set RPC_URL to at least one HTTP endpoint")] if not chain.rpc_url else []
    for name, check in checks:
        findings.append(await _ask(name, check))
    return [*findings, check_operators(settings.telegram), *_unused(settings)]


async def _ask(name: str, check: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        finding = await check()
    except LiquidbotError as error:
        return Finding(name, str(error), advice_for(name, error))
    return Finding(name, finding.found, finding.advice)


def _http_check(settings: Settings, url: str) -> Callable[[], Awaitable[Finding]]:
    async def check() -> Finding:
        rpc = HttpRpc([url])
        try:
            await verify_chain(rpc, settings.chain.chain_id)
            started = time.monotonic()
            latest = await head(rpc)
            took = (time.monotonic() - started) * 1000
        finally:
            await rpc.aclose()
        if latest is None:
            return Finding("", "no latest block", "the node is not synchronised: wait, or use another endpoint")
        skew = time.time() - latest.timestamp
        found = f"chain {settings.chain.chain_id}, block {latest.number}, answered in {took:.0f} ms"
        if abs(skew) > CLOCK_SKEW_SECONDS:
            return Finding(
                "",
                f"{found}; its latest block is {skew:.0f} s away from this computer's clock",
                "set this computer's clock (NTP); if it is right, the node lags: use another endpoint",
            )
        return Finding("", found)

    return check


async def _socket(settings: Settings) -> Finding:
    if not settings.chain.ws_rpc_url:
        seconds = settings.chain.poll_interval_sec
        return Finding("", f"not set: the worker polls every {seconds:g} s; with a WebSocket endpoint it hears at once")
    rpc = await WsRpc.connect(settings.chain.ws_rpc_url)
    try:
        await verify_chain(rpc, settings.chain.chain_id)
    finally:
        await rpc.aclose()
    return Finding("", "connected")


async def _market(settings: Settings) -> Finding:
    chain = settings.chain
    rpc = HttpRpc(chain.rpc_url) if chain.rpc_url else None
    if rpc is None:
        return Finding("", "cannot be looked at", "set RPC_URL first")
    try:
        pool = Address(chain.aave_pool) if chain.aave_pool else None
        contracts = await discover(
            rpc, chain.pool_addresses_provider, chain.chain_id, aave_pool=pool, multicall3=chain.multicall3_address
        )
    finally:
        await rpc.aclose()
    found = f"pool {contracts.pool}, revision {contracts.revision}"
    if Revision.of(contracts.revision) is None:
        known = ", ".join(str(int(revision)) for revision in Revision)
        return Finding("", found, f"this version knows revisions {known}: it will watch and not act; update liquidbot")
    return Finding("", found)


async def _store(settings: Settings) -> Finding:
    path = Path(settings.store.state_db)
    if to_be := _store_to_be(path):
        return to_be
    market = f"{settings.chain.chain_id}:{settings.chain.pool_addresses_provider}"
    database = await Database.open(path)
    try:
        meta = dict(await database.rows("SELECT key, value FROM meta"))
    finally:
        await database.close()
    if (tied := meta.get("market", market)) != market:
        raise StoreMismatch(f"{path} belongs to market {tied}, not to {market}")
    whose = "of this market" if "market" in meta else "of no market yet"
    return Finding("", f"{path} opens, {whose}, epoch {meta['epoch'][:8]}")


def _store_to_be(path: Path) -> Finding | None:
    """Say whether a store that is not there can be made, without making it; None when it is there."""
    if path.exists():
        return None
    if not path.parent.is_dir():
        raise StoreError(f"{path} does not exist, nor does its directory {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StoreError(f"{path} does not exist, and its directory {path.parent} may not be written to")
    return Finding("", f"{path} does not exist yet: it will be created")


def _unused(settings: Settings) -> list[Finding]:
    return [Finding(name, "set, but not used by this version (harmless)") for name in settings.unused()]
