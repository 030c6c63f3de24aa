"""The real `python -m bot`, killed and stopped: no update lost or run twice, no alert lost, repeats marked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from core.domain.messages import SetDryRun
from core.state.ports import Store
from core.state.sqlite_store import SqliteStore
from devnet.botapi import BotApi, BotApiOptions, Chat
from tests.unit.bot.kit import ANN, TOKEN, opportunity, until

ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi.running(BotApiOptions(token=TOKEN)) as running:
        yield running


@pytest_asyncio.fixture
async def ann(api: BotApi) -> Chat:
    return api.private_chat(ANN, "Ann")


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await SqliteStore.open(tmp_path / "state.db")
    yield opened
    await opened.close()


class Process:
    """Run bots in processes of their own, over the test's store."""

    def __init__(self, api: BotApi, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TELEGRAM_API_URL": api.url,
            "TELEGRAM_OPERATORS": f"{ANN}:admin",
            "STATE_DB": str(folder / "state.db"),
            "CHAIN_ID": "31337",
            "BOT_HTTP_PORT": "0",
            "LOG_FORMAT": "text",
        }
        self._log = open(folder / "bot.log", "ab")  # noqa: SIM115  (closed by `running`)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, api: BotApi, folder: Path) -> AsyncIterator[Process]:
        process = cls(api, folder)
        started: list[asyncio.subprocess.Process] = []
        process._started = started
        try:
            yield process
        finally:
            for child in started:
                if child.returncode is None:
                    child.kill()
                await child.wait()
            process._log.close()

    _started: list[asyncio.subprocess.Process]

    async def start(self, **settings: str) -> asyncio.subprocess.Process:
        """Start a bot; settings come on top of the usual ones."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            env=self._environment | settings,
            cwd=self._folder,
            stdout=self._log,
            stderr=self._log,
        )
        self._started.append(child)
        return child

    def log(self) -> str:
        """Return everything logged so far."""
        return (self._folder / "bot.log").read_text(encoding="utf-8")


@pytest_asyncio.fixture
async def bots(api: BotApi, tmp_path: Path) -> AsyncIterator[Process]:
    async with Process.running(api, tmp_path) as process:
        yield process


async def kill(child: asyncio.subprocess.Process, store: Store) -> None:
    """Kill a bot, and end its lease at once instead of in ten seconds."""
    presence = await store.presences.presence("bot")
    child.kill()
    await child.wait()
    if presence:
        await store.lease.release("poller", presence.instance)


def unmarked(chat: Chat, wanted: str) -> tuple[int, int]:
    """Return how many messages hold the words, and how many of these are not marked as repeats."""
    found = [m.text for m in chat.messages if m.from_bot and wanted in m.text]
    return len(found), sum("possible repeat" not in text for text in found)


async def test_killed_again_and_again_it_loses_nothing_and_marks_repeats(
    api: BotApi, ann: Chat, store: Store, bots: Process
) -> None:
    dice = random.Random(7)
    asked: list[str] = []
    for round_number in range(5):
        child = await bots.start()
        await until(lambda: api.transcript.calls("getUpdates"))
        for number in range(2):
            name = f"zz{round_number}{number}"
            await ann.say(f"/{name}")
            asked.append(f"/{name}.")
        await ann.say("/dryrun on")
        await store.journal.record([opportunity(round_number + 1)], time.time())
        before = len(api.transcript.applied("sendMessage"))
        await until(lambda before=before: len(api.transcript.applied("sendMessage")) > before)
        await asyncio.sleep(dice.uniform(0.0, 0.6))
        await kill(child, store)
    await bots.start()

    wanted = [*asked, *(f"· #A{number}\n" for number in range(1, 6))]

    async def all_there() -> bool:
        heard = not api.world.updates.pending and not await store.inbox.pending()
        told = not await store.outbox.read(await store.deliveries.cursor())
        return heard and told and not await store.deliveries.due(4e9) and all(unmarked(ann, one)[0] for one in wanted)

    await until(all_there, 60)
    for words in wanted:
        assert unmarked(ann, words)[1] <= 1, words
    commands = [command for command, _ in await store.mailbox.unhandled()]
    assert len({command.id for command in commands}) == len(commands) == 5
    assert all(isinstance(command, SetDryRun) and command.enabled for command in commands)


async def test_terminated_it_stops_clean_and_the_next_one_goes_on_at_once(
    api: BotApi, ann: Chat, store: Store, bots: Process
) -> None:
    first = await bots.start()
    await ann.say("/help")
    await ann.wait_for(lambda m: "You may" in m.text)
    second = await bots.start()
    await until(lambda: "standing by" in bots.log())
    began = time.monotonic()
    first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(first.wait(), 9) == 0
    assert time.monotonic() - began < 5
    await ann.say("/id")
    await ann.wait_for(lambda m: "TELEGRAM_CHAT_IDS" in m.text, timeout=5)
    second.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(second.wait(), 9) == 0
    assert api.transcript.calls("getUpdates")
    assert TOKEN not in bots.log()
    assert TOKEN.split(":")[1] not in bots.log()
    assert unmarked(ann, "You may") == (1, 1)


async def test_a_stand_by_takes_over_when_the_lease_of_a_dead_one_runs_out(
    ann: Chat, store: Store, bots: Process
) -> None:
    first = await bots.start()
    await until(lambda: "active" in bots.log())
    await bots.start()
    await until(lambda: "standing by" in bots.log())
    first.kill()
    await first.wait()
    await ann.say("/help")
    await ann.wait_for(lambda m: "You may" in m.text, timeout=15)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def role_at(port: int) -> str:
    """Return the role that is served at a port, or "" when nobody listens."""
    async with httpx.AsyncClient() as client:
        try:
            return str((await client.get(f"http://127.0.0.1:{port}/ready")).json()["role"])
        except httpx.TransportError:
            return ""


async def test_a_stand_by_goes_on_without_the_port_and_takes_it_over(ann: Chat, store: Store, bots: Process) -> None:
    port = free_port()
    first = await bots.start(BOT_HTTP_PORT=str(port))
    await until(lambda: "active" in bots.log())
    second = await bots.start(BOT_HTTP_PORT=str(port))
    await until(lambda: "standing by without a port" in bots.log())
    await asyncio.sleep(2.5)
    assert bots.log().count(f"BOT_HTTP_PORT={port}") == 1
    assert second.returncode is None
    first.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(first.wait(), 9) == 0

    async def taken_over() -> bool:
        return await role_at(port) == "active"

    await until(taken_over)
    await ann.say("/help")
    await ann.wait_for(lambda m: "You may" in m.text)


async def test_the_first_bots_taken_port_is_one_clear_line(store: Store, bots: Process) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        child = await bots.start(BOT_HTTP_PORT=str(port))
        assert await asyncio.wait_for(child.wait(), 20) == 2
    assert bots.log().strip().splitlines()[-1].startswith(f"BOT_HTTP_PORT={port} cannot be listened on")
    assert "Traceback" not in bots.log()


async def test_a_setting_that_nothing_reads_is_named(ann: Chat, bots: Process) -> None:
    await bots.start(SPRINTER_ENABLED="true")
    await until(lambda: "SPRINTER_ENABLED is set, but this version does not use it" in bots.log())


async def test_health_ready_and_metrics_are_served(ann: Chat, store: Store, bots: Process) -> None:
    port = free_port()
    await bots.start(BOT_HTTP_PORT=str(port), HTTP_TOKEN="s3cret-token")
    await ann.say("/help")
    await ann.wait_for(lambda m: "You may" in m.text)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/health")).json()["status"] == "ok"
        assert (await client.get("/ready")).status_code == 401
        client.headers["Authorization"] = "Bearer s3cret-token"
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["role"]) == (200, "active")
        assert (
            'liquidbot_operator_commands_total{command="help",result="ok"} 1.0' in (await client.get("/metrics")).text
        )


async def test_a_missing_token_is_one_clear_line(bots: Process) -> None:
    child = await bots.start(TELEGRAM_BOT_TOKEN="")
    assert await asyncio.wait_for(child.wait(), 15) == 2
    assert bots.log() == "TELEGRAM_BOT_TOKEN=: allowed: the token that @BotFather gave\n"
