"""Check everything that a new operator gets wrong, and say what to do about it."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from core.config import Role, Settings, host_of
from core.domain.market import Revision
from core.domain.units import Address
from core.errors import LiquidbotError
from core.state.sqlite_store import SqliteStore
from worker.chain.contracts import discover
from worker.chain.logs import head
from worker.chain.rpc import HttpRpc, verify_chain
from worker.chain.ws import WsRpc

CLOCK_SKEW_SECONDS = 60
TELEGRAM_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what one check found; `advice` says what to do, and is empty when all is well."""

    check: str
    found: str
    advice: str = ""

    @property
    def well(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self.advice


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
        ("POOL_ADDRESSES_PROVIDER", lambda: _market(settings)),
        ("STATE_DB", lambda: _store(settings)),
        ("TELEGRAM_BOT_TOKEN", lambda: _token(settings)),
        *((f"chat {chat}", _chat_check(settings, chat)) for chat in _chats(settings)),
    ]
    findings = [Finding("RPC_URL", "not set", "set RPC_URL to at least one HTTP endpoint")] if not chain.rpc_url else []
    for name, check in checks:
        findings.append(await _ask(name, check))
    return [*findings, _operators(settings), *_unused(settings)]


async def _ask(name: str, check: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        finding = await check()
    except LiquidbotError as error:
        return Finding(name, "failed", str(error))
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
        advice = "set WS_RPC_URL to a WebSocket endpoint; without one the worker polls every POLL_INTERVAL_SEC"
        return Finding("", "not set", advice)
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
    store = await SqliteStore.open(path)
    try:
        return Finding("", f"{path} opens, epoch {store.epoch[:8]}")
    finally:
        await store.close()


async def _token(settings: Settings) -> Finding:
    answer = await _telegram(settings, "getMe")
    if answer is None:
        where = host_of(settings.telegram.telegram_api_url)
        return Finding("", f"{where} does not answer", "check the network, and TELEGRAM_API_URL if you set it")
    if not answer.get("ok"):
        return Finding(
            "", f"refused: {answer.get('description')}", "copy the token from @BotFather into TELEGRAM_BOT_TOKEN"
        )
    return Finding("", f"@{answer['result']['username']}")


def _chat_check(settings: Settings, chat: int) -> Callable[[], Awaitable[Finding]]:
    async def check() -> Finding:
        answer = await _telegram(settings, "getChat", chat_id=chat)
        if answer is None or not answer.get("ok"):
            why = answer.get("description") if answer else "Telegram does not answer"
            return Finding("", f"{why}", "open a chat with the bot and press Start, or add it to the group")
        return Finding("", "reachable")

    return check


def _chats(settings: Settings) -> list[int]:
    telegram = settings.telegram
    return list(telegram.telegram_chat_ids) or [operator.id for operator in telegram.telegram_operators]


async def _telegram(settings: Settings, method: str, **params: int) -> dict[str, Any] | None:
    token = settings.telegram.telegram_bot_token.get_secret_value()
    if not token:
        return {"ok": False, "description": "not set"}
    try:
        async with httpx.AsyncClient(timeout=TELEGRAM_SECONDS) as client:
            reply = await client.post(f"{settings.telegram.telegram_api_url}/bot{token}/{method}", json=params)
            return dict(reply.json())
    except (httpx.HTTPError, ValueError, TypeError):
        return None


def _operators(settings: Settings) -> Finding:
    operators = settings.telegram.telegram_operators
    if not operators:
        return Finding(
            "TELEGRAM_OPERATORS", "empty: nobody may talk to the bot", "send /id to the bot, and add YOUR_ID:admin"
        )
    if all(operator.role is not Role.ADMIN for operator in operators):
        return Finding("TELEGRAM_OPERATORS", "no admin", "make one operator an admin: only admins switch dry run off")
    return Finding("TELEGRAM_OPERATORS", f"{len(operators)} may talk to the bot")


def _unused(settings: Settings) -> list[Finding]:
    return [Finding(name, "set, but not used by this version (harmless)") for name in settings.unused()]
