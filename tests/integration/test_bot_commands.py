"""What operators type and press is answered, by the real client against the local Bot API over a real store."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from core.domain.controls import Limits
from core.domain.messages import ControlsChanged
from devnet.botapi import BotApi, BotApiOptions, Chat
from devnet.botapi.model import Message
from tests.unit.bot.kit import ANN, BEN, EVE, TOKEN, House, report, running_bot, settled, until


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi.running(BotApiOptions(token=TOKEN, limits=False)) as running:
        yield running


@pytest_asyncio.fixture
async def group(api: BotApi) -> Chat:
    return api.group_chat("Ops", {ANN: "Ann", BEN: "Ben", EVE: "Eve"})


@pytest_asyncio.fixture
async def house(api: BotApi, group: Chat, tmp_path: Path) -> AsyncIterator[House]:
    async with running_bot(tmp_path / "state.db", api, chat_ids=(group.id,)) as running:
        yield running


@pytest_asyncio.fixture
async def ann(house: House) -> Chat:
    return house.api.private_chat(ANN, "Ann")


@pytest_asyncio.fixture
async def ben(house: House) -> Chat:
    return house.api.private_chat(BEN, "Ben")


async def ask(chat: Chat, text: str, **how: int) -> Message:
    """Say something and return the bot's next message in this chat."""
    before = len(chat.messages)
    await chat.say(text, **how)
    return await chat.wait_for(lambda m: m.from_bot and m in chat.messages[before:])


async def code_of(chat: Chat) -> tuple[Message, str]:
    asked = await ask(chat, "/dryrun off")
    code = re.search(r"/confirm (\d{4})", asked.text)
    assert code, asked.text
    return asked, code[1]


async def test_status_is_answered_and_refreshed_in_place(house: House, ann: Chat) -> None:
    card = await ask(ann, "/STATUS")
    assert "38\u202f120\u202f441" in card.text
    house.worker.status = report(block=99)
    await ann.press(card.message_id, "🔄 Refresh")
    await ann.wait_for(lambda m: "Block 99 " in m.text)
    assert len([m for m in ann.messages if m.from_bot]) == 1
    assert len(ann.answers) == 1


async def test_watchlist_is_paged_by_buttons_and_by_words(ann: Chat) -> None:
    card = await ask(ann, "/watchlist")
    assert "page 1/3" in card.text
    await ann.press(card.message_id, "▶")
    await ann.wait_for(lambda m: "page 2/3" in m.text)
    await ann.press(card.message_id, "◀")
    await ann.wait_for(lambda m: "page 1/3" in m.text)
    await ann.press(card.message_id, "◀")
    await ann.wait_for(lambda m: "page 3/3" in m.text)
    assert "page 2/3" in (await ask(ann, "/watchlist 2")).text
    assert "whole number" in (await ask(ann, "/watchlist -1")).text


async def test_settings_and_the_way_back(ann: Chat) -> None:
    card = await ask(ann, "/settings")
    assert "CHAIN_ID=31337" in card.text
    await ann.press(card.message_id, "↩ Status")
    await ann.wait_for(lambda m: m.message_id == card.message_id and "DRY RUN" in m.text)


async def test_going_live_takes_a_code_and_the_worker_acknowledges(house: House, ann: Chat, group: Chat) -> None:
    _, code = await code_of(ann)
    stored = await ask(ann, f"/confirm {code}")
    done = await ann.wait_for(
        lambda m: m.message_id == stored.message_id and "applied by the worker at block" in m.text
    )
    assert "undo: /dryrun on" in done.text
    assert "by Ann" in done.text
    assert (await house.store.controls.load()).dry_run is False
    await group.wait_for(lambda m: "by Ann (user 1001)" in m.text)
    back = await ask(ann, "/dryrun on too risky")
    await ann.wait_for(lambda m: m.message_id == back.message_id and "undo: /dryrun off" in m.text)
    assert (await house.store.controls.load()).dry_run is True


async def test_the_reason_is_kept_and_shown_for_both_directions(house: House, ann: Chat, group: Chat) -> None:
    asked = await ask(ann, "/dryrun off calm <b>now</b> & ready")
    code = re.search(r"/confirm (\d{4})", asked.text)
    assert code
    assert "reason: calm <b>now</b> & ready" in asked.text
    stored = await ask(ann, f"/confirm {code[1]} not this")
    assert "not this" not in stored.text
    await ann.wait_for(lambda m: "applied by" in m.text and m.text.endswith("reason: calm <b>now</b> & ready"))
    await group.wait_for(lambda m: "(user 1001): calm <b>now</b> & ready" in m.text)
    await ask(ann, "/dryrun on " + "x" * 300)
    done = await ann.wait_for(lambda m: "applied by" in m.text and "reason: xxx" in m.text)
    assert done.text.split("reason: ")[1] == "x" * 199 + "…"
    told = [event for _, event in await house.store.outbox.read(0) if isinstance(event, ControlsChanged)]
    assert [event.reason for event in told] == ["calm <b>now</b> & ready", "x" * 199 + "…"]


async def closes(chat: Chat, card: Message, words: str) -> None:
    """Wait until the card says what became of its code; nobody can press it then."""
    closed = await chat.wait_for(lambda m: m.message_id == card.message_id and words in m.text)
    assert "/confirm" not in closed.text
    assert not closed.buttons


async def test_the_card_says_what_became_of_its_code(ann: Chat) -> None:
    asked, code = await code_of(ann)
    await ask(ann, f"/confirm {int(code) ^ 1:04d}")
    await closes(ann, asked, "void, a wrong code was typed")
    asked, _ = await code_of(ann)
    await ask(ann, "/cancel")
    await closes(ann, asked, "cancelled. Nothing was changed")
    replaced, _ = await code_of(ann)
    asked, code = await code_of(ann)
    await closes(ann, replaced, "replaced by a newer code")
    await ask(ann, f"/confirm {code}")
    await closes(ann, asked, "confirmed with its code")


async def test_a_code_that_nobody_types_is_closed_also_by_the_next_process(api: BotApi, tmp_path: Path) -> None:
    ann = api.private_chat(ANN, "Ann")
    async with running_bot(tmp_path / "state.db", api) as house:
        first, _ = await code_of(ann)
        waiting = await house.store.confirmations.take(ANN, ann.id, 0.0)
        assert waiting
        await house.store.confirmations.put(replace(waiting, expires_at=1.0))
        await settled(house)
    async with running_bot(tmp_path / "state.db", api):
        await closes(ann, first, "expired. Nothing was changed")
        assert "Nothing of yours waits" in (await ask(ann, f"/confirm {waiting.code}")).text


async def test_a_chats_turn_is_forgotten_when_nobody_waits_for_it(house: House, ann: Chat, group: Chat) -> None:
    for chat in (ann, group):
        for _ in range(3):
            await chat.say("/help", user=ANN)
    await settled(house)
    assert len([m for m in ann.messages if m.from_bot]) == 3
    await until(lambda: not house.bot._intake._turns)


async def test_a_wrong_code_changes_nothing_and_voids_the_right_one(house: House, ann: Chat) -> None:
    _, code = await code_of(ann)
    assert "Wrong code" in (await ask(ann, f"/confirm {int(code) ^ 1:04d}")).text
    assert "Nothing of yours waits" in (await ask(ann, f"/confirm {code}")).text
    assert (await house.store.controls.load()).dry_run is True


async def test_cancel_by_button_and_by_word(house: House, ann: Chat) -> None:
    asked, code = await code_of(ann)
    await ann.press(asked.message_id, "✖️ Cancel")
    await ann.wait_for(lambda m: m.message_id == asked.message_id and "Cancelled" in m.text)
    assert "Nothing of yours waits" in (await ask(ann, f"/confirm {code}")).text
    await code_of(ann)
    assert "Cancelled" in (await ask(ann, "/cancel")).text
    assert house.worker.applied == []


async def test_a_code_belongs_to_one_person_in_one_chat(ann: Chat, group: Chat) -> None:
    asked, code = await code_of(ann)
    elsewhere = await ask(group, f"/confirm {code}", user=ANN)
    assert "Nothing of yours waits" in elsewhere.text
    assert "/confirm" in asked.text


async def test_only_the_asker_may_press_cancel(ann: Chat, group: Chat) -> None:
    asked = await ask(group, "/dryrun off", user=ANN)
    await group.press(asked.message_id, "✖️ Cancel", user=BEN)
    await until(lambda: bool(group.answers))
    assert "Only the one who asked" in str(group.answers[-1])
    assert "/confirm" in asked.text


@pytest.mark.parametrize(
    ("execution", "reason"), [("off", "EXECUTION_ENABLED is false"), ("dry", "DRY_RUN_EXECUTION is true")]
)
async def test_going_live_is_refused_at_once_where_settings_forbid_it(
    house: House, ann: Chat, execution: str, reason: str
) -> None:
    house.worker.status = report(execution=execution)
    assert reason in (await ask(ann, "/dryrun off")).text


async def test_the_workers_refusal_is_shown(house: House, ann: Chat) -> None:
    house.worker.limits = Limits(execution_enabled=False, dry_run_execution=False)
    _, code = await code_of(ann)
    stored = await ask(ann, f"/confirm {code}")
    await ann.wait_for(lambda m: m.message_id == stored.message_id and "EXECUTION_ENABLED is false" in m.text)
    assert (await house.store.controls.load()).dry_run is True


async def test_a_silent_worker_is_named_and_blocks_going_live(house: House, ann: Chat) -> None:
    house.worker.deaf = True
    assert "worker silent for" in (await ask(ann, "/status")).text
    assert "going live takes its answer" in (await ask(ann, "/dryrun off")).text


async def test_a_command_that_nobody_takes_says_so_and_is_applied_later(house: House, ann: Chat) -> None:
    house.worker.deaf = True
    stored = await ask(ann, "/dryrun on")
    assert "stored · waiting for the worker" in stored.text
    await ann.wait_for(lambda m: "stored, not confirmed: worker silent for" in m.text, timeout=12)
    house.worker.deaf = False
    await ann.wait_for(lambda m: m.message_id == stored.message_id and "applied by the worker" in m.text)


async def test_stale_messages_cannot_raise_risk_but_can_lower_it(house: House, ann: Chat) -> None:
    for text, answer in (("/dryrun off", "older than 120 s"), ("/dryrun on", "applied by the worker")):
        update_id = await ann.say(text)  # the bot's poll cannot run before the next await
        update = next(item for item in house.api.world.updates.pending if item["update_id"] == update_id)
        update["message"]["date"] -= 600
        await ann.wait_for(lambda m, answer=answer: answer in m.text)


async def test_roles_bound_what_is_answered(ben: Chat, house: House) -> None:
    assert "takes the role operator; you are viewer" in (await ask(ben, "/dryrun on")).text
    assert "takes the role admin" in (await ask(ben, "/confirm 1234")).text
    assert "/dryrun" not in (await ask(ben, "/help")).text
    assert "DRY RUN" in (await ask(ben, "/status")).text
    assert house.worker.applied == []


async def test_help_suggestions_and_ids(ann: Chat, group: Chat) -> None:
    assert "EXECUTION_ENABLED" in (await ask(ann, "/help dryrun")).text
    assert "Did you mean /status?" in (await ask(ann, "/statsu")).text
    assert f"TELEGRAM_OPERATORS={ANN}:admin" in (await ask(ann, "/id")).text
    assert f"TELEGRAM_CHAT_IDS={group.id}" in (await ask(group, "/id", user=ANN)).text
    assert "Status" in str((await ask(ann, "/start")).buttons)


async def test_groups_hear_commands_for_us_and_nothing_else(house: House, group: Chat) -> None:
    name = house.bot._telegram.username
    await group.say("/status@some_other_bot", user=ANN)
    await group.say("/weather", user=ANN)
    await group.say("hello", user=ANN)
    card = await ask(group, f"/status@{name.upper()}", user=ANN)
    assert "DRY RUN" in card.text
    assert card.reply_to
    assert card.reply_to.text.startswith("/status@")
    assert len([m for m in group.messages if m.from_bot]) == 1


async def test_strangers_get_one_line_and_admins_one_notice(house: House, ann: Chat, group: Chat) -> None:
    eve = house.api.private_chat(EVE, "Eve")
    for text in ("/status", "/dryrun on", "hi", "/start", "/id", "/start"):
        await eve.say(text)
    await eve.wait_for(lambda m: f"Your id: {EVE}" in m.text)
    await group.say("/start", user=EVE)
    await ann.wait_for(lambda m: "A stranger knocked: Eve" in m.text)
    await settled(house)
    assert len([m for m in eve.messages if m.from_bot]) == 1
    assert len([m for m in ann.messages if "stranger" in m.text]) == 1
    assert not [m for m in group.messages if m.from_bot]
    assert house.worker.applied == []


async def test_forged_and_foreign_presses_do_nothing(house: House, ann: Chat, ben: Chat) -> None:
    card = await ask(ann, "/status")
    asked, _ = await code_of(ann)
    key = str(asked.buttons[0]["callback_data"]).split("|")[-1]
    for data in (f"1|cancel||00000000|{key}", "1|cancel|||", "garbage", "9|status|||x", "1|status|||event:1"):
        await ann.forge_press(card.message_id, data)
    await until(lambda: len(ann.answers) == 5)
    assert {answer["text"] for answer in ann.answers} == {"This button is no longer valid."}
    theirs = str(card.buttons[0]["callback_data"])
    other = await ask(ben, "/status")
    await ben.forge_press(other.message_id, theirs)
    await until(lambda: len(ben.answers) == 1)
    assert "no longer valid" in ben.answers[0]["text"]


async def test_edited_messages_run_nothing(house: House, ann: Chat) -> None:
    await ask(ann, "/help")
    message = next(m for m in ann.messages if not m.from_bot)
    await ann.edit(message.message_id, "/dryrun on")
    assert "DRY RUN" in (await ask(ann, "/status")).text
    assert house.worker.applied == []


async def test_topics_are_answered_where_they_were_asked(house: House) -> None:
    chat = house.api.private_chat(ANN, "Ann", topics={7: "Ops"})
    card = await ask(chat, "/help", thread_id=7)
    assert card.thread_id == 7


async def test_updates_that_cannot_be_read_are_passed_over(house: House, ann: Chat) -> None:
    house.api.world.updates.add("message", {"message_id": "nonsense"})
    house.api.world.updates.add("my_chat_member", {})
    assert "DRY RUN" in (await ask(ann, "/status")).text
    await settled(house)
    assert await house.store.inbox.pending() == []


async def test_a_crash_in_answering_is_told_with_its_id_and_ends_there(
    house: House, ann: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    house.worker.status = report(head_age_seconds=float("nan"))
    update_id = await ann.say("/status")
    await ann.wait_for(lambda m: f"Something failed, id {update_id}" in m.text)
    assert f"update {update_id} could not be handled" in caplog.text
    await settled(house)
    house.worker.status = report()
    assert "DRY RUN" in (await ask(ann, "/status")).text
    assert caplog.text.count("could not be handled") == 1


async def test_lowering_risk_does_not_wait_behind_slow_answers(house: House, ann: Chat) -> None:
    house.worker.deaf = True
    for _ in range(4):
        await ann.say("/status")
    await asyncio.sleep(0.2)
    began = asyncio.get_running_loop().time()
    await ann.say("/dryrun on")
    await until(house.store.mailbox.unhandled)
    assert asyncio.get_running_loop().time() - began < 1.5


async def test_command_menus_are_set_for_each_role(house: House, ann: Chat, ben: Chat, group: Chat) -> None:
    await until(lambda: len(house.api.transcript.applied("setMyCommands")) >= 4)
    by_chat = {
        json.loads(entry.params.get("scope", "{}")).get("chat_id"): str(entry.params["commands"])
        for entry in house.api.transcript.applied("setMyCommands")
    }
    assert "dryrun" in by_chat[ANN]
    assert "dryrun" not in by_chat[group.id]
    assert "dryrun" not in by_chat[BEN]
    assert "status" not in by_chat[None]


async def test_a_change_by_nobody_here_is_told_to_the_alert_chats(house: House, group: Chat) -> None:
    controls = replace(await house.store.controls.load(), version=1)
    event = ControlsChanged(1, (), "", None, 5, 0.0, "cold start")
    await house.store.controls.save(controls, event, "", 0.0)
    await group.wait_for(lambda m: "by the worker itself: cold start" in m.text)
