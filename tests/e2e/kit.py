"""Look into a running stage from outside: its processes, its store, its chat, and whether they tell one story."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from bot.courier import REPEAT_MARK
from bot.replies import reply_key
from cli.judging import recorded_opportunities
from cli.stage import ANN, Stage
from core.domain.opportunity import Opportunity
from core.state.ports import Delivery, DeliveryState, Store
from core.state.sqlite_store import SqliteStore
from devnet.botapi import Message

MARK = REPEAT_MARK.split(" ")[0]
_EVERY = 0.1
_FOREVER = 1e12


def pids_of(name: str) -> list[int]:
    """Return the process ids of the worker or the bot that this process started and that run now."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, parent, command in rows if int(parent) == os.getpid() and command.endswith(f"-m {name}")]


async def kill(name: str) -> None:
    """Kill the worker or the bot, as soon as one runs."""

    async def killed() -> bool:
        for pid in pids_of(name):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    await until(killed, f"{name} runs")


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float = 30.0) -> None:
    """Wait until something holds; fail with its name when it does not."""
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(_EVERY)


@asynccontextmanager
async def store_of(stage: Stage) -> AsyncIterator[Store]:
    """Open the stage's store beside its two processes."""
    store = await SqliteStore.open(stage.environment["STATE_DB"])
    try:
        yield store
    finally:
        await store.close()


async def worker_ready(stage: Stage) -> bool:
    """Tell whether the worker that runs now is active and hears the chain."""
    async with httpx.AsyncClient(timeout=1.0) as client:
        try:
            reply = await client.get(f"http://127.0.0.1:{stage.environment['WORKER_HTTP_PORT']}/ready")
        except httpx.HTTPError:
            return False
    return reply.status_code == httpx.codes.OK and reply.json()["role"] == "active"


async def settled(stage: Stage, seconds: float = 40.0) -> None:
    """Wait until everybody has said everything: no event unread, no message waiting, no update unanswered."""
    async with store_of(stage) as store:

        async def quiet() -> bool:
            unread = await store.outbox.read(await store.deliveries.cursor(), 1)
            waiting = [*await store.deliveries.due(_FOREVER, 1), *await store.inbox.pending(1)]
            return not unread and not waiting and not await store.mailbox.unhandled()

        async def stays_quiet() -> bool:
            if not await quiet():
                return False
            await asyncio.sleep(0.5)
            return await quiet()

        await until(lambda: worker_ready(stage), "the worker is active", seconds)
        await until(stays_quiet, "everything is said", seconds)


@dataclass(frozen=True, slots=True)
class Told:
    """Count what the chat shows: alerts of their own, boards, accounts on boards, marked repeats."""

    singles: int
    boards: int
    on_boards: int
    repeats: int


async def alerts_told(stage: Stage) -> Told:
    """Check the chat against the journal: every spell is in the alert of its episode, and none is told twice."""
    last: dict[str, Opportunity] = {}
    for opportunity in await recorded_opportunities(stage):
        last[opportunity.episode_key] = opportunity
    boards: Counter[str] = Counter()
    async with store_of(stage) as store:
        for key, opportunity in last.items():
            alert = await store.deliveries.alert(key)
            assert alert is not None, f"{opportunity.label} has no alert"
            assert (alert.opportunity.id, alert.opportunity.state) == (opportunity.id, opportunity.state)
            if alert.board:
                boards[alert.board] += 1
            else:
                message = shown(stage, await store.deliveries.get(f"alert:{key}", ANN))
                assert opportunity.user in message.text
                assert f"{opportunity.label}\n" in message.text
        for board, members in boards.items():
            assert f"{members} account" in shown(stage, await store.deliveries.get(board, ANN)).text
    heads = [message.text.split("\n")[0] for message in said(stage, "Liquidation opportunity", "Storm board")]
    plain = [head for head in heads if not head.startswith(MARK)]
    assert len(plain) <= len(last) - boards.total() + len(boards), "something was told twice, and not marked"
    return Told(len(last) - boards.total(), len(boards), boards.total(), len(heads) - len(plain))


def shown(stage: Stage, row: Delivery | None) -> Message:
    """Return the message of a delivery as the chat shows it."""
    assert row is not None
    assert row.state is DeliveryState.SENT, row
    return next(message for message in stage.chat.messages if message.message_id == row.message_id)


def said(stage: Stage, *words: str) -> list[Message]:
    """Return the bot's messages that contain any of the words, in order."""
    found = [message for message in stage.chat.messages if message.from_bot and not message.deleted]
    return [message for message in found if any(word in message.text for word in words)]


async def answers_told(stage: Stage) -> int:
    """Check that every update of a person has one reply, and a second only where it is marked; return how many."""
    updates = [entry.params["update_id"] for entry in stage.api.transcript.entries if entry.method == "say"]
    by_message: dict[int | None, list[int]] = defaultdict(list)
    async with store_of(stage) as store:
        for update in updates:
            row = await store.deliveries.get(reply_key(update), ANN)
            by_message[shown(stage, row).message_id].append(update)
    assert all(len(one) == 1 for one in by_message.values()), by_message
    return len(updates)


def repeated(messages: Iterable[Message]) -> list[str]:
    """Return texts that stand in the chat more than once without the mark of a repeat."""
    counts = Counter(message.text for message in messages if not message.text.startswith(MARK))
    return [text for text, count in counts.items() if count > 1]
