"""The local Bot API when it is in trouble, what it writes down, and how other processes act for people."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from telegram import (
    Bot,
    InlineKeyboardButton,
)
from telegram.error import (
    BadRequest,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from devnet.botapi import BotApi, BotApiOptions, Chat, FaultKind, FloodOptions
from tests.botapi_client import ANN, TOKEN, client, keyboard, raw

pytestmark = pytest.mark.filterwarnings("ignore::telegram.warnings.PTBDeprecationWarning")  # retry_after is read as int


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi.running(BotApiOptions(TOKEN, limits=False)) as running:
        yield running


@pytest.fixture
async def ann(api: BotApi) -> Chat:
    return api.private_chat(ANN, "Ann", "ann")


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    async with client(api) as connected:
        yield connected


def seconds(refusal: RetryAfter) -> int:
    """Return the patience asked for; the library gives a number or, where PTB_TIMEDELTA is set, a timedelta."""
    wait = refusal.retry_after
    return int(wait.total_seconds() if isinstance(wait, timedelta) else wait)


async def test_floods_are_refused_with_the_time_to_wait() -> None:
    floods = FloodOptions(private_per_second=0.2, private_burst=3, group_per_minute=4)  # slow, for busy machines
    async with BotApi.running(BotApiOptions(TOKEN, floods=floods)) as api, client(api) as bot:
        ann = api.private_chat(ANN, "Ann")
        room = api.group_chat("Ops", {ANN: "Ann"})
        for number in range(3):
            await bot.send_message(ANN, str(number))
        with pytest.raises(RetryAfter) as private:
            await bot.send_message(ANN, "too fast")
        assert 1 <= seconds(private.value) <= 5
        for number in range(4):
            await bot.send_message(room.id, str(number))
        with pytest.raises(RetryAfter) as group:
            await bot.edit_message_text("edits count too", room.id, room.messages[0].message_id)
        assert seconds(group.value) in range(55, 61)
        status, body = await raw(api, "sendMessage", chat_id=room.id, text="x")
        wait = body["parameters"]["retry_after"]
        assert (status, body["description"]) == (429, f"Too Many Requests: retry after {wait}")
        await asyncio.sleep(seconds(private.value) + 0.05)
        await bot.send_message(ANN, "patience")
        assert [message.text for message in ann.messages] == ["0", "1", "2", "patience"]


async def test_the_overall_limit_counts_all_chats() -> None:
    async with BotApi.running(BotApiOptions(TOKEN)) as api:
        for number in range(31):
            api.private_chat(2000 + number, f"P{number}")
        answers = await asyncio.gather(*(raw(api, "sendMessage", chat_id=2000 + n, text="x") for n in range(31)))
        assert sorted(status for status, _ in answers) == [200] * 30 + [429]


async def test_faults_that_leave_no_trace(api: BotApi, ann: Chat, bot: Bot) -> None:
    api.faults.add(FaultKind.SERVER_ERROR, ["sendMessage"], count=1, status=502)
    with pytest.raises(NetworkError, match=r"(?i)bad gateway"):
        await bot.send_message(ANN, "one")
    api.faults.add("flood", count=1, retry_after=7)
    with pytest.raises(RetryAfter):
        await bot.send_message(ANN, "two")
    api.faults.add("garbage", count=1)
    with pytest.raises(TelegramError, match="Invalid server response"):
        await bot.send_message(ANN, "three")
    await bot.send_message(ANN, "four")
    assert [message.text for message in ann.messages] == ["four"]
    outcomes = [(entry.outcome, entry.applied) for entry in api.transcript.calls("sendMessage")]
    assert outcomes == [
        ("fault:server_error", False),
        ("fault:flood", False),
        ("fault:garbage", False),
        ("ok", True),
    ]


async def test_accepted_and_then_silent(api: BotApi, ann: Chat) -> None:
    async with client(api, read_timeout=0.6) as bot:
        api.faults.add("drop", ["sendMessage"], count=1)
        with pytest.raises(NetworkError) as dropped:
            await bot.send_message(ANN, "dropped")
        assert not isinstance(dropped.value, TimedOut)
        api.faults.add("hang", ["sendMessage"], count=1, seconds=1.5)
        with pytest.raises(TimedOut):
            await bot.send_message(ANN, "hung")
        slow = api.faults.add("latency", ["sendMessage"], count=1, seconds=0.3)
        began = time.monotonic()
        await bot.send_message(ANN, "slow")
        assert time.monotonic() - began >= 0.3
        assert slow.hits == 1
    assert [message.text for message in ann.messages] == ["dropped", "hung", "slow"]
    applied = api.transcript.applied("sendMessage")
    assert [(entry.message_id, entry.outcome) for entry in applied] == [(1, "fault:drop"), (2, "fault:hang"), (3, "ok")]


async def test_faults_with_a_likelihood_repeat_with_the_seed() -> None:
    def hits(seed: int) -> list[bool]:
        api = BotApi(BotApiOptions(TOKEN, seed=seed))
        api.faults.add("drop", probability=0.3)
        return [api.faults.pick("sendMessage") is not None for _ in range(200)]

    assert hits(5) == hits(5)
    assert 30 < sum(hits(5)) < 90
    with pytest.raises(ValueError, match="unknown detail of a fault: second"):
        BotApi(BotApiOptions(TOKEN)).faults.add("hang", second=1)


async def test_an_outage_refuses_connections_and_keeps_the_state(api: BotApi, ann: Chat, bot: Bot) -> None:
    await bot.send_message(ANN, "before")
    async with api.outage():
        with pytest.raises(NetworkError):
            await bot.send_message(ANN, "during")
        await ann.say("typed meanwhile")
    await bot.send_message(ANN, "after")
    assert [message.text for message in ann.messages] == ["before", "typed meanwhile", "after"]
    assert len(await bot.get_updates()) == 1


async def test_the_transcript_tells_who_did_what(api: BotApi, ann: Chat, bot: Bot) -> None:
    await ann.say("/status")
    await bot.send_message(ANN, "fine")
    with pytest.raises(BadRequest):
        await bot.send_message(ANN, "<x>", parse_mode="HTML")
    said = [(entry.method, entry.person, entry.outcome) for entry in api.transcript.entries]
    assert said == [
        ("getMe", None, "ok"),
        ("say", ANN, "ok"),
        ("sendMessage", None, "ok"),
        ("sendMessage", None, "refused"),
    ]
    times = [entry.at for entry in api.transcript.entries]
    assert times == sorted(times)
    assert all(entry.done_at is not None and entry.done_at >= entry.at for entry in api.transcript.entries)
    assert "local" not in repr(api.transcript.entries)
    assert TOKEN not in repr(BotApiOptions(TOKEN))


async def test_waiting_in_vain_says_what_was_said(ann: Chat, bot: Bot) -> None:
    await bot.send_message(ANN, "something else")
    with pytest.raises(TimeoutError, match="something else"):
        await ann.wait_for(lambda message: "applied" in message.text, timeout=0.1)


async def test_the_control_api_acts_for_people(api: BotApi, bot: Bot) -> None:
    async with aiohttp.ClientSession(api.url) as session:

        async def post(path: str, **body: Any) -> tuple[int, dict[str, Any]]:
            async with session.post(f"/control/{path}", json=body) as response:
                return response.status, await response.json()

        assert await post("chats", user_id=ANN, name="Ann") == (200, {"chat_id": ANN})
        status, said = await post("say", chat_id=ANN, text="/status")
        assert (status, said["message_id"]) == (200, 1)
        asked = await bot.send_message(
            ANN, "?", reply_markup=keyboard([InlineKeyboardButton("Go", callback_data="go")])
        )
        status, pressed = await post("press", chat_id=ANN, message_id=asked.message_id, button="go")
        assert (status, pressed["update_id"]) == (200, said["update_id"] + 1)
        assert await post("press", chat_id=ANN, message_id=77, button="go") == (
            400,
            {"error": "no message 77 in chat 1001"},
        )
        assert (await post("say", chat_id=4, text="x"))[0] == 400
        assert (await post("say", chat_id=ANN, text=" "))[0] == 400
        assert await post("faults", kind="server_error", methods=["getMe"], count=1) == (200, {"rules": 1})
        with pytest.raises(NetworkError):
            await bot.get_me()
        async with session.get("/control/messages", params={"chat_id": str(ANN)}) as response:
            assert [item["text"] for item in await response.json()] == ["/status", "?"]
        async with session.get("/control/transcript") as response:
            assert (await response.json())[-1]["outcome"] == "fault:server_error"


async def test_pages_of_other_sites_are_kept_out(api: BotApi, ann: Chat) -> None:
    async with aiohttp.ClientSession(api.url) as session:
        body = {"chat_id": ANN, "text": "/dryrun off"}
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            async with session.post("/control/say", json=body, headers=headers) as response:
                assert response.status == 403
        async with session.post("/control/say", data=body) as response:
            assert response.status == 415
        async with session.get("/") as page:
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
    assert ann.messages == []


async def test_it_runs_as_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devnet.botapi",
        "--port",
        "0",
        "--token",
        TOKEN,
        "--group",
        "Ops",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
    url = line.removeprefix("TELEGRAM_API_URL=")
    async with aiohttp.ClientSession(url) as session:
        async with session.post("/control/say", json={"chat_id": ANN, "text": "/start"}) as response:
            assert response.status == 200
        async with session.get(f"/bot{TOKEN}/getUpdates") as response:
            assert (await response.json())["result"][0]["message"]["text"] == "/start"
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0
