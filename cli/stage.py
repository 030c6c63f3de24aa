"""The demo's stage: a local chain, a local chat, and the real worker and bot as processes between them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.processes import keep
from core.config import SECTIONS
from core.errors import LiquidbotError
from devnet.anvil import free_port
from devnet.botapi import BotApi, BotApiOptions
from devnet.botapi import Chat as ChatWindow
from devnet.chain import Chain

ANN = 1001
MIN_DEBT_USD = 50
TOKEN = "1000000001:local-chat-only-not-a-secret-at-all"  # noqa: S105  # the local Bot API's own
READY_SECONDS = 120.0
READY_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Stage:
    """Hold what is on the stage; `logs` is where both processes write, `environment` what they were given."""

    chain: Chain
    api: BotApi
    chat: ChatWindow
    environment: dict[str, str]
    logs: Path


@asynccontextmanager
async def staged(
    chain: Chain, folder: Path, chat_port: int = 0, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Stage]:
    """Yield a stage on which the worker is ready and the bot listens; end both processes afterwards.

    `settings` replace what the children would be given.
    """
    async with BotApi.running(BotApiOptions(TOKEN, chat_port)) as api:
        chat = api.private_chat(ANN, "Ann")
        environment = {**_environment(chain, api, folder), **(settings or {})}
        stop = asyncio.Event()
        logs = folder / "log"
        with logs.open("wb") as output:
            tasks = [asyncio.create_task(keep(name, environment, stop, output)) for name in ("worker", "bot")]
            try:
                await _until_ready(api, environment["WORKER_HTTP_PORT"], tasks, logs)
                yield Stage(chain, api, chat, environment, logs)
            finally:
                stop.set()
                await asyncio.gather(*tasks)


def _environment(chain: Chain, api: BotApi, folder: Path) -> dict[str, str]:
    """Return the children's environment: nothing of the operator's own settings reaches the demo."""
    ours = {field.upper() for section in SECTIONS.values() for field in section.model_fields}
    return {
        **{name: value for name, value in os.environ.items() if name not in ours},
        "CHAIN_ID": "31337",
        "RPC_URL": chain.http_url,
        "WS_RPC_URL": chain.ws_url,
        "POOL_ADDRESSES_PROVIDER": chain.provider,
        "START_BLOCK": str(chain.start_block),
        "STATE_DB": str(folder / "liquidbot.db"),
        "TELEGRAM_API_URL": api.url,
        "TELEGRAM_BOT_TOKEN": TOKEN,
        "TELEGRAM_OPERATORS": f"{ANN}:admin",
        "EXECUTION_ENABLED": "true",
        "DRY_RUN_EXECUTION": "false",
        "WORKER_HTTP_PORT": str(free_port()),
        "BOT_HTTP_PORT": str(free_port()),
        "MIN_DEBT_USD": str(MIN_DEBT_USD),
        "LOG_FORMAT": "text",
    }


async def _until_ready(api: BotApi, worker_port: str, tasks: list[asyncio.Task[int]], logs: Path) -> None:
    """Wait until the worker is active and the bot polls; raise LiquidbotError when that does not come."""
    deadline = time.monotonic() + READY_SECONDS
    async with httpx.AsyncClient(timeout=2.0) as client:
        while time.monotonic() < deadline and not any(task.done() for task in tasks):
            # The bot itself is ready only when its first poll was answered, which a quiet chat delays by half a minute.
            if api.transcript.calls("getUpdates") and await _active(client, worker_port):
                return
            await asyncio.sleep(READY_EVERY)
    raise LiquidbotError(f"the worker or the bot did not become ready; their last words:\n{last_words(logs)}")


async def _active(client: httpx.AsyncClient, port: str) -> bool:
    try:
        reply = await client.get(f"http://127.0.0.1:{port}/ready")
    except httpx.HTTPError:
        return False
    return reply.status_code == httpx.codes.OK and reply.json()["role"] == "active"


def last_words(logs: Path, lines: int = 12) -> str:
    """Return the last lines that the processes wrote."""
    return "\n".join(logs.read_text(errors="replace").splitlines()[-lines:])
