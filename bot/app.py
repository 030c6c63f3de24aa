"""The bot's composition: the only file here that names concrete classes.

Its life: open the store; take the poller's lease or stand by; then poll, answer, follow the worker's outbox and send,
until it is told to stop or loses the lease. Nothing of Telegram's or the store's being away ends it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import time

from prometheus_client import CollectorRegistry

from bot.auth import Chats, Gate
from bot.commands import listed_for
from bot.courier import Courier, Place, remember_moves
from bot.desk import Desk
from bot.inbox import Intake, Poller
from bot.outbox import Tail
from bot.overdue import Overdue
from bot.patience import Patience
from bot.reception import Household, Reception
from bot.standing import LEASE, Term
from bot.telegram import Telegram
from core.config import Settings
from core.errors import ConfigError, StoreUnavailable
from core.launch import start_logging
from core.ops.http import OpsServer, SharedPort
from core.ops.metrics import BotMetrics
from core.state.leasing import TTL_SECONDS, LeaseLost, hold, take
from core.state.ports import Presence, Store
from core.state.sqlite_store import SqliteStore
from core.version import VERSION

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
MENU_RETRY_SECONDS = 60.0
DRAIN_SECONDS = 3.0
SILENT_POLL_SECONDS = 90.0


class Stopped(Exception):
    """End all tasks: the process was asked to stop."""


async def run(settings: Settings) -> int:
    """Be a bot until SIGINT or SIGTERM; return the exit status."""
    start_logging(settings, "bot")
    if not settings.telegram.telegram_bot_token.get_secret_value():
        raise ConfigError("TELEGRAM_BOT_TOKEN=: allowed: the token that @BotFather gave")
    if not settings.telegram.telegram_operators:
        logger.warning("[bot] TELEGRAM_OPERATORS is empty: nobody may talk to the bot")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    store = await _open(settings.store.state_db, stop)
    if store is None:
        return 0
    try:
        await Bot(settings, store, stop).live()
    finally:
        await store.close()
    logger.info("[bot] stopped")
    return 0


async def _open(path: str, stop: asyncio.Event) -> Store | None:
    """Return the store as soon as it can be opened, or None when asked to stop before."""
    patience = Patience("store", logger)
    while not stop.is_set():
        try:
            return await SqliteStore.open(path)
        except StoreUnavailable as error:
            await patience.wait(error)
    return None


class Bot:
    """Be one bot process over an open store."""

    def __init__(self, settings: Settings, store: Store, stop: asyncio.Event) -> None:
        telegram = settings.telegram
        self._settings = settings
        self._store = store
        self._stop = stop
        self._instance = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._metrics = BotMetrics(CollectorRegistry())
        self._telegram = Telegram(
            telegram.telegram_bot_token.get_secret_value(), telegram.telegram_api_url, self._metrics.telegram
        )
        self._chats = Chats(telegram.telegram_chat_ids, telegram.telegram_operators)
        self._gate = Gate(telegram.telegram_operators, self._chats)
        self._term = Term(store.lease, self._metrics)
        self._desk = Desk(store, VERSION)
        self._courier = Courier(
            Place(store.deliveries, self._chats, self._gate.admins()), self._telegram, self._metrics, self._term.held
        )
        house = Household(
            self._gate, self._desk, self._telegram, self._metrics, self._courier.ring, self._courier.heard
        )
        self._intake = Intake(store.inbox, Reception(house))
        self._poller = Poller(self._telegram, store.inbox, self._metrics)

    async def live(self) -> None:
        """Stand by and act, in turns, until stopped."""
        ops = self._settings.ops
        checks = {"store": self._check_store, "telegram": self._check_telegram}
        http = OpsServer(ops, self._metrics.registry, checks, self._term.role)
        port = SharedPort(http, ops.bot_http_port, "BOT_HTTP_PORT")
        try:
            await port.open(self._leads)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._stand(), name="bot")
                group.create_task(port.follow(), name="http")
                group.create_task(self._until_stopped(), name="stop")
        except* Stopped:
            logger.info("[bot] stopping")
        finally:
            await self._term.release(LEASE, self._instance)
            await self._telegram.close()
            await http.close()

    async def _leads(self) -> bool:
        try:
            return await self._term.acquire(LEASE, self._instance, TTL_SECONDS, time.time()) is not None
        except StoreUnavailable:
            return False  # the term has said it; nobody leads, so the port may wait as well

    async def _until_stopped(self) -> None:
        """Let what is being handled and sent end, then raise Stopped."""
        await self._stop.wait()
        await asyncio.gather(self._intake.drain(DRAIN_SECONDS), self._courier.drain(DRAIN_SECONDS))
        raise Stopped

    async def _stand(self) -> None:
        def waiting() -> None:
            logger.info("[bot] another bot holds the lease, or the store is away; standing by")

        while True:
            await take(self._term, LEASE, self._instance, waiting)
            logger.info("[bot] active: polling, answering and sending")
            try:
                await self._act()
            except* LeaseLost:
                logger.warning("[bot] the lease is lost: another bot acts now; standing by")

    async def _act(self) -> None:
        tail = Tail(self._store, self._chats, self._settings.chain.chain_id, self._metrics)
        patience = Patience("store", logger)
        await patience.insist(lambda: remember_moves(self._store.deliveries, self._chats))
        admins = self._gate.admins()
        places = [(admin, chat) for admin in admins for chat in (admin, *self._chats.alerted())]
        await patience.insist(lambda: self._desk.codes.recover(places))
        async with asyncio.TaskGroup() as group:
            group.create_task(hold(self._term, LEASE, self._instance), name="lease")
            group.create_task(self._beat(), name="presence")
            group.create_task(tail.run(self._courier.ring), name="outbox")
            group.create_task(self._intake.run(), name="inbox")
            group.create_task(Overdue(self._desk).run(self._courier.ring), name="overdue")
            group.create_task(self._talk(), name="telegram")

    async def _talk(self) -> None:
        """Introduce ourselves to Telegram, however long that takes; then poll and send."""
        patience = Patience("Telegram", logger)
        while failed := await self._telegram.introduce():
            await patience.wait(failed.reason, failed.pause)
        patience.relax()
        logger.info("[bot] speaking as @%s", self._telegram.username)
        self._intake.ring()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poller.run(self._intake.ring, self._term.held), name="poller")
            group.create_task(self._courier.run(), name="courier")
            group.create_task(self._publish_menus(), name="menus")

    async def _publish_menus(self) -> None:
        """Give each chat the command list of its role, and strangers only /id."""
        menus = {None: [("id", "your id")]} | {chat: listed_for(role) for chat, role in self._gate.audience().items()}
        while menus:
            for chat, commands in list(menus.items()):
                if await self._telegram.set_commands(chat, commands):
                    del menus[chat]
            if menus:
                await asyncio.sleep(MENU_RETRY_SECONDS)

    async def _beat(self) -> None:
        patience = Patience("store", logger)
        while True:
            body = json.dumps({"role": self._term.role(), "telegram": await self._check_telegram() or "ok"})
            presence = Presence("bot", self._instance, VERSION, time.time(), body)
            await patience.insist(lambda: self._store.presences.beat(presence))  # noqa: B023  (awaited here)
            self._metrics.heartbeat()
            await asyncio.sleep(BEAT_SECONDS)

    async def _check_store(self) -> str:
        await self._store.deliveries.cursor()
        return ""

    async def _check_telegram(self) -> str:
        if not self._term.held():
            return ""
        silent = time.monotonic() - self._poller.polled_at
        if not self._poller.polled_at:
            return "Telegram has not answered yet"
        return f"Telegram has not answered for {silent:.0f} s" if silent > SILENT_POLL_SECONDS else ""
