"""Operators' commands and questions at the desk, while the store comes and goes."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from core.domain.controls import Controls, Limits
from core.domain.messages import Answer, ControlsChanged, Operator, Question, SetDryRun, SettingsReport
from core.domain.messages import AskSettings as Ask
from core.state.sqlite_store import SqliteStore
from tests.processes import until
from worker.collectors.commands import CommandDesk

ADA = Operator(1001, "Ada")


class Desk:
    """Hold a desk that runs over its own connection, and the controls that it handed on."""

    def __init__(self, store: SqliteStore, limits: Limits) -> None:
        self.taken: list[Controls] = []
        self.desk = CommandDesk(store, limits, self.taken.append, lambda: 77, self.answer)

    async def answer(self, _question: Question) -> Answer:
        return SettingsReport(())


@asynccontextmanager
async def running(store: SqliteStore) -> AsyncIterator[Desk]:
    desk = Desk(store, Limits(execution_enabled=True, dry_run_execution=False))
    task = asyncio.create_task(desk.desk.run())
    yield desk
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "state.db", busy_seconds=0.1)
    yield store
    await store.close()


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "state.db")
    yield store
    await store.close()


@pytest.fixture
async def desk(worker: SqliteStore) -> AsyncIterator[Desk]:
    async with running(worker) as desk:
        yield desk


async def post(bot: SqliteStore, name: str, *, enabled: bool) -> None:
    now = time.time()
    await bot.mailbox.post(SetDryRun(name, ADA, now, enabled=enabled), now)


async def test_commands_are_applied_in_order_and_once(desk: Desk, bot: SqliteStore) -> None:
    for number, enabled in enumerate((False, True, False)):
        await post(bot, f"c{number}", enabled=enabled)
    await post(bot, "c0", enabled=False)

    async def three() -> bool:
        return len(desk.taken) == 3

    await until(three)
    assert [(c.version, c.dry_run) for c in desk.taken] == [(1, False), (2, True), (3, False)]
    assert await bot.controls.load() == desk.taken[-1]
    told = [event for _, event in await bot.outbox.read(0)]
    assert [(e.command_id, e.block) for e in told if isinstance(e, ControlsChanged)] == [
        ("c0", 77),
        ("c1", 77),
        ("c2", 77),
    ]
    assert await bot.mailbox.unhandled() == []


async def test_the_operators_reason_is_told_with_the_change(desk: Desk, bot: SqliteStore) -> None:
    now = time.time()
    for name, reason in (("c0", "the market is calm"), ("c1", "x" * 300), ("c2", "")):
        await bot.mailbox.post(SetDryRun(name, ADA, now, enabled=False, reason=reason), now)

    async def three() -> bool:
        return len(desk.taken) == 3

    await until(three)
    told = [event.reason for _, event in await bot.outbox.read(0) if isinstance(event, ControlsChanged)]
    assert told == ["the market is calm", "x" * 200, ""]


async def test_a_command_waits_in_the_store_while_it_is_locked(
    bot: SqliteStore, worker: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused() -> bool:
        return "the store does not answer" in caplog.text

    async def applied() -> bool:
        return bool(taken)

    taken: list[Controls] = []
    await post(bot, "patient", enabled=False)
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with running(worker) as locked_out:
            taken = locked_out.taken
            await until(refused)
            assert taken == []
            other.execute("ROLLBACK")
            await until(applied)
    assert [(controls.version, controls.changed_by) for controls in taken] == [(1, ADA)]


async def test_a_question_is_answered_while_it_is_wanted(desk: Desk, bot: SqliteStore) -> None:
    now = time.time()
    void = await bot.queries.ask(Ask(), now - 1, now - 2)
    wanted = await bot.queries.ask(Ask(), now + 5, now)

    async def answered() -> bool:
        return await bot.queries.answer_to(wanted) == SettingsReport(())

    await until(answered)
    assert await bot.queries.answer_to(void) is None
