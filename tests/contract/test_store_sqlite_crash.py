"""What is left in the SQLite store after its process was killed in the middle of writing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from core.domain.messages import OpportunityUpdated
from core.domain.opportunity import Opportunity
from core.state.ports import Delivery, DeliveryState, Lane
from core.state.sqlite_store import SqliteStore

ROOT = Path(__file__).parents[2]

RECORD = """
import asyncio, sys
from core.domain.opportunity import State
from core.state.sqlite_store import SqliteStore
from tests.contract.samples import opportunity
async def main():
    store = await SqliteStore.open(sys.argv[1])
    (number, _) = await store.journal.last_ids()
    print("up", flush=True)
    while True:
        seen = [opportunity(number + each) for each in range(1, 21)]
        await store.journal.record(seen, 1.0)
        await store.journal.record([one.to(State.CONFIRMED) for one in seen], 2.0)
        number += 20
asyncio.run(main())
"""

SEND = """
import asyncio, sys
from dataclasses import replace
from core.state.ports import Delivery, DeliveryState, Lane
from core.state.sqlite_store import SqliteStore
async def main():
    store = await SqliteStore.open(sys.argv[1])
    waiting = Delivery("k", 1, Lane.ALERT, "hello")
    await store.deliveries.stage(1, [], [waiting])
    await store.deliveries.sending(waiting)
    print("up", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


FAIL = """
import asyncio, sys
from core.state.sqlite_store import SqliteStore
async def main():
    await SqliteStore.open(sys.argv[1])
    raise SystemExit(7)
asyncio.run(main())
"""


def kill_in_the_middle(code: str, path: Path, seconds: float) -> None:
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "up\n"
        time.sleep(seconds)
        process.kill()
        assert process.wait(timeout=10) == -signal.SIGKILL


async def test_journal_and_outbox_agree_after_every_kill(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    saved = 0
    for kill in range(6):
        kill_in_the_middle(RECORD, path, 0.05 + 0.031 * kill)
        store = await SqliteStore.open(path)
        journal = {one.id: one for one in await store.journal.opportunities(limit=10**6)}
        events = [event for _, event in await store.outbox.read(0, limit=10**6)]
        await store.close()
        told: dict[int, Opportunity] = {}
        for event in events:
            assert isinstance(event, OpportunityUpdated)
            told[event.opportunity.id] = event.opportunity
        assert journal == told
        assert len(journal) % 20 == 0
        assert len(events) % 20 == 0
        assert len(journal) > saved
        saved = len(journal)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_kill_while_sending_leaves_the_delivery_in_doubt(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    kill_in_the_middle(SEND, path, 0.0)
    store = await SqliteStore.open(path)
    assert await store.deliveries.due(now=1.0) == []
    assert await store.deliveries.recover() == 1
    expected = Delivery("k", 1, Lane.ALERT, "hello", DeliveryState.UNKNOWN, attempts=1)
    assert await store.deliveries.due(now=1.0) == [expected]
    await store.close()


@pytest.mark.parametrize("seconds", [0.0, 0.1])
async def test_a_kill_leaves_no_lock_behind(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "state.db"
    kill_in_the_middle(RECORD, path, seconds)
    store = await SqliteStore.open(path, busy_seconds=0.5)
    assert await store.lease.acquire("worker", "a", ttl=1.0, now=1.0) == 1
    await store.close()


def test_a_store_left_open_does_not_keep_a_failed_process_alive(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FAIL, str(tmp_path / "state.db")], cwd=ROOT, timeout=30, check=False)
    assert done.returncode == 7
