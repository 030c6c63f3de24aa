"""What the bot's tests share: settings, opportunities, and a small worker that keeps the real rules."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.app import Bot
from core.config import (
    ChainSettings,
    DetectionSettings,
    ExecutionSettings,
    OperatorEntry,
    OpsSettings,
    PredictiveSettings,
    Role,
    Settings,
    StoreSettings,
    SubgraphSettings,
    TelegramSettings,
)
from core.domain import controls as rules
from core.domain.controls import Refusal
from core.domain.health_factor import UserAccountData
from core.domain.messages import (
    Answer,
    AskSettings,
    AskStatus,
    AskWatchlist,
    Change,
    CommandRefused,
    ControlsChanged,
    Latency,
    Question,
    SetDryRun,
    SettingRow,
    SettingsReport,
    StatusReport,
    WatchedAccount,
    WatchlistPage,
)
from core.domain.opportunity import Leg, Opportunity, QuotedLiquidation, State, Trigger, TriggerKind
from core.domain.units import Address, BaseUsd, Bps, TokenAmount, Wad
from core.state.ports import Presence, Store
from core.state.sqlite_store import SqliteStore
from devnet.botapi import BotApi

TOKEN = "700000001:AAtestTokenForTheLocalServer_0123456789"
ANN, BEN, EVE = 1001, 1002, 6666
OPERATORS = (OperatorEntry(ANN, Role.ADMIN), OperatorEntry(BEN, Role.VIEWER))
WETH = Address("0x4200000000000000000000000000000000000006")
USDC = Address("0x833589fcd6edb6e08f4c7c32d4f71b54bda02913")


def user(number: int) -> Address:
    """Return a distinct account."""
    return Address(f"0x{0xA0000 + number:040x}")


def quote(profit: int = 48_89000000) -> QuotedLiquidation:
    """Return a quote of 1,000 USDC against a little more than that in WETH."""
    return QuotedLiquidation(
        debt=Leg("USDC", USDC, 6, TokenAmount(1_000_000_000), BaseUsd(1_000_00000000)),
        collateral=Leg("WETH", WETH, 18, TokenAmount(419_560_000_000_000_000), BaseUsd(1_049_00000000)),
        protocol_fee=TokenAmount(2_098_000_000_000_000),
        liquidation_bonus=Bps(10_500),
        close_factor=Bps(5_000),
        gas_base=BaseUsd(11_000_000),
        profit_base=BaseUsd(profit),
        creates_deficit=False,
    )


def opportunity(number: int = 17, state: State = State.QUOTED, **changes: object) -> Opportunity:
    """Return an opportunity of account `number`, quoted."""
    made = Opportunity(
        id=number,
        user=user(number),
        episode=number,
        state=state,
        trigger=Trigger(TriggerKind.EVENT, "Aave Borrow", "t1"),
        block=12_345_678,
        seen_at=1_700_000_000.0,
        account=UserAccountData(
            BaseUsd(2_500_00000000),
            BaseUsd(2_000_00000000),
            BaseUsd(0),
            Bps(8_000),
            Bps(7_500),
            Wad(975_000_000_000_000_000),
        ),
        quote=quote(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def report(**changes: object) -> StatusReport:
    """Return the status of a healthy worker in dry run that may be armed."""
    made = StatusReport(
        role="active",
        version="0.1.0",
        uptime_seconds=3725.0,
        chain_id=31337,
        revision=10,
        execution="armable",
        block=38_120_441,
        head_age_seconds=0.2,
        borrowers=2_000,
        watched=1_204,
        bands=(("1.00", 0), ("1.02", 6), ("1.05", 31)),
        dry_run=True,
        controls_version=0,
        endpoints=("127.0.0.1:8545 ok",),
        latency=Latency(120, 12.0, 38.4, 95.1),
        day=(("rehearsed", 22), ("recovered", 4)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def settings(path: Path, api_url: str, chat_ids: tuple[int, ...] = (), **telegram: object) -> Settings:
    """Return settings for a bot that speaks with the local Bot API; nothing of the environment is in them."""
    return Settings(
        chain=ChainSettings(chain_id=31337),
        detection=DetectionSettings(),
        predictive=PredictiveSettings(),
        execution=ExecutionSettings(),
        subgraph=SubgraphSettings(),
        store=StoreSettings(state_db=str(path)),
        telegram=TelegramSettings(
            **{
                "telegram_bot_token": TOKEN,
                "telegram_api_url": api_url,
                "telegram_chat_ids": chat_ids,
                "telegram_operators": OPERATORS,
            }
            | telegram  # type: ignore[arg-type]
        ),
        ops=OpsSettings(bot_http_port=0),
        sources={},
    )


@dataclass
class SmallWorker:
    """Answer questions and apply commands by the real rules, as the worker does, over a store of its own."""

    store: Store
    status: StatusReport = field(default_factory=report)
    limits: rules.Limits = field(default_factory=lambda: rules.Limits(execution_enabled=True, dry_run_execution=False))
    watched: int = 25
    deaf: bool = False
    applied: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Work until cancelled."""
        bell = self.store.bell()
        while True:
            now = time.time()
            await self.store.presences.beat(Presence("worker", "test", "0.1.0", now))
            if not self.deaf:
                for number, question in await self.store.queries.open(now):
                    await self.store.queries.answer(number, self._answer(question), now)
                for command, stored_at in await self.store.mailbox.unhandled():
                    await self._apply(command, stored_at)
            await bell.wait(0.1)

    async def _apply(self, command: SetDryRun, stored_at: float) -> None:
        before, now = await self.store.controls.load(), time.time()
        after = rules.apply(before, command, self.limits, now)
        self.applied.append(command.id)
        if isinstance(after, Refusal):
            refused = CommandRefused(command.id, command.operator, str(after), 500)
            await self.store.mailbox.refuse(refused, command.id, now)
            return
        words = {True: "on", False: "off"}
        change = Change("dry run", words[before.dry_run], words[after.dry_run])
        changes = (change,) if change.old != change.new else ()
        event = ControlsChanged(
            after.version, changes, command.id, command.operator, 501, now - stored_at, command.reason
        )
        await self.store.controls.save(after, event, command.id, now)

    def _answer(self, question: Question) -> Answer:
        match question:
            case AskStatus():
                return self.status
            case AskWatchlist(page=page, size=size):
                pages = -(-self.watched // size)
                page = min(page, pages)
                numbers = range((page - 1) * size, min(page * size, self.watched))
                rows = tuple(
                    WatchedAccount(user(n), Wad(10**18 + n * 10**15), BaseUsd(n * 10**10), BaseUsd(n * 2 * 10**10))
                    for n in numbers
                )
                return WatchlistPage(500, page, pages, self.watched, rows)
            case AskSettings():
                rows = (SettingRow("CHAIN_ID", "31337", "environment"), SettingRow("MIN_DEBT_USD", "50", "default"))
                return SettingsReport(rows)


@dataclass
class House:
    """Hold a running bot, its worker's store and the local Bot API."""

    api: BotApi
    store: Store
    worker: SmallWorker
    bot: Bot


@contextlib.asynccontextmanager
async def running_bot(path: Path, api: BotApi, *, worker: bool = True, **options: object) -> AsyncIterator[House]:
    """Run the real bot in this process over a file, and the small worker over its own connection to that file."""
    theirs, ours = await SqliteStore.open(path), await SqliteStore.open(path)
    stop = asyncio.Event()
    bot = Bot(settings(path, api.url, **options), ours, stop)  # type: ignore[arg-type]
    small = SmallWorker(theirs)
    tasks = [asyncio.create_task(bot.live())] + ([asyncio.create_task(small.run())] if worker else [])
    try:
        yield House(api, theirs, small, bot)
    finally:
        stop.set()
        await asyncio.wait(tasks[:1], timeout=8)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.wait(tasks)
        await ours.close()
        await theirs.close()
        tasks[0].result()


async def until(done: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `done()`, awaited where it must be, is true; raise TimeoutError after so long."""
    async with asyncio.timeout(seconds):
        while True:
            result = done()
            if await result if inspect.isawaitable(result) else result:
                return
            await asyncio.sleep(0.02)


async def settled(house: House, seconds: float = 10.0) -> None:
    """Wait until every update is handled and everything is sent."""

    async def quiet() -> bool:
        busy = house.api.world.updates.pending or await house.store.inbox.pending()
        return not busy and not await house.store.deliveries.due(4e9)

    await until(quiet, seconds)
