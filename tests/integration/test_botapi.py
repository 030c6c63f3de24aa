"""The local Bot API as a bot meets it: the real client of python-telegram-bot, and plain HTTP for exact words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeChat,
    CopyTextButton,
    InlineKeyboardButton,
    Message,
    ReplyParameters,
    Update,
)
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
)

from devnet.botapi import BotApi, BotApiOptions, Chat
from tests.botapi_client import ANN, BEN, TOKEN, client, keyboard, png, raw, refusal


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


async def test_get_me_is_the_bot(bot: Bot) -> None:
    assert bot.bot.is_bot
    assert bot.bot.id == 700000001
    assert bot.bot.username == "liquidbot_local_bot"


async def test_an_unknown_token_is_unauthorised(api: BotApi) -> None:
    assert await raw(api, "getMe", token="700000001:other") == (
        401,
        {"ok": False, "error_code": 401, "description": "Unauthorized"},
    )
    stranger = Bot("1:wrong", base_url=f"{api.url}/bot")
    with pytest.raises(InvalidToken):
        await stranger.initialize()
    await stranger.shutdown()


async def test_unknown_methods_and_chats(api: BotApi) -> None:
    assert await refusal(api, "makeCoffee") == "Not Found: method not found"
    assert await refusal(api, "sendMessage", chat_id=5, text="x") == "Bad Request: chat not found"
    assert await refusal(api, "sendMessage", text="x") == "Bad Request: chat_id is empty"


async def test_method_names_ignore_case_and_parameters_come_in_every_form(api: BotApi, ann: Chat) -> None:
    url = f"{api.url}/bot{TOKEN}/SENDmessage"
    async with aiohttp.ClientSession() as session:
        for options in (
            {"params": {"chat_id": str(ANN), "text": "a"}},
            {"data": {"chat_id": str(ANN), "text": "b"}},
            {"json": {"chat_id": ANN, "text": "c"}},
        ):
            async with session.post(url, **options) as response:
                assert response.status == 200
        async with session.get(url, params={"chat_id": str(ANN), "text": "d"}) as response:
            assert response.status == 200
        async with session.post(url, data="{", headers={"Content-Type": "application/json"}) as response:
            assert (await response.json())["description"] == "Bad Request: can't parse request JSON object"
    assert [message.text for message in ann.messages] == ["a", "b", "c", "d"]


async def test_updates_are_sequential_and_confirmed_by_offset(api: BotApi, ann: Chat, bot: Bot) -> None:
    first = await ann.say("/status")
    assert [await ann.say(text) for text in ("two", "three")] == [first + 1, first + 2]
    got = await bot.get_updates()
    assert [update.update_id for update in got] == [first, first + 1, first + 2]
    assert got[0].message is not None
    assert got[0].message.parse_entities() == {got[0].message.entities[0]: "/status"}
    assert [update.update_id for update in await bot.get_updates(limit=1)] == [first]
    assert [update.update_id for update in await bot.get_updates(offset=first + 2)] == [first + 2]
    assert [update.update_id for update in await bot.get_updates(offset=-1)] == [first + 2]
    assert await bot.get_updates(offset=first + 3) == ()
    assert api.world.updates.confirmed == 3


async def test_long_poll_waits_for_the_person(ann: Chat, bot: Bot) -> None:
    began = time.monotonic()
    assert await bot.get_updates(timeout=1) == ()
    assert time.monotonic() - began >= 1.0
    waiting = asyncio.create_task(bot.get_updates(timeout=10))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await ann.say("hello")
    assert len(await waiting) == 1
    assert time.monotonic() - began < 1.0


async def test_a_second_poller_ends_the_first_with_409(api: BotApi, ann: Chat, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=20))
    await asyncio.sleep(0.3)
    async with client(api) as other:
        second = asyncio.create_task(other.get_updates(timeout=20))
        with pytest.raises(Conflict, match="terminated by other getUpdates request; make sure that only one bot"):
            await first
        await ann.say("to the second")
        assert len(await second) == 1


async def test_a_poller_that_was_killed_does_not_hold_the_line(api: BotApi, ann: Chat, bot: Bot) -> None:
    waiting = asyncio.create_task(raw(api, "getUpdates", timeout=30))
    await asyncio.sleep(0.3)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0.5)
    reader = asyncio.create_task(bot.get_updates(timeout=5))
    await ann.say("still here")
    assert len(await reader) == 1
    assert [entry.outcome for entry in api.transcript.calls("getUpdates")] == ["ok", "ok"]


async def test_a_webhook_shuts_out_pollers(api: BotApi, bot: Bot) -> None:
    await bot.set_webhook("https://example.org/hook")
    with pytest.raises(Conflict, match="can't use getUpdates method while webhook is active; use deleteWebhook"):
        await bot.get_updates()
    assert (await bot.get_webhook_info()).url == "https://example.org/hook"
    await bot.delete_webhook()
    assert await bot.get_updates() == ()
    assert "HTTPS URL must be provided" in await refusal(api, "setWebhook", url="http://example.org")


async def test_allowed_updates_filter_what_comes_later(ann: Chat, bot: Bot) -> None:
    await bot.get_updates(allowed_updates=[Update.MESSAGE])
    asked = await bot.send_message(ANN, "?", reply_markup=keyboard([InlineKeyboardButton("Go", callback_data="go")]))
    assert await ann.press(asked.message_id, "Go") == 0
    assert await ann.say("heard") > 0
    (update,) = await bot.get_updates()
    assert update.message is not None


async def test_edits_by_people_and_blocking_reach_the_bot(ann: Chat, bot: Bot) -> None:
    await ann.say("/dryrun on")
    await ann.edit(1, "/dryrun off")
    await ann.block()
    kinds = await bot.get_updates()
    assert kinds[1].edited_message is not None
    assert kinds[1].edited_message.text == "/dryrun off"
    assert kinds[2].my_chat_member is not None
    assert kinds[2].my_chat_member.new_chat_member.status == "kicked"
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(ANN, "hello?")
    await ann.block(False)
    await bot.send_message(ANN, "welcome back")


async def test_a_message_keeps_html_buttons_and_reply(ann: Chat, bot: Bot) -> None:
    await ann.say("/status")
    buttons = keyboard(
        [
            InlineKeyboardButton("Execute", callback_data="x1", style="danger"),
            InlineKeyboardButton("Scan", url="https://basescan.org/tx/1"),
        ],
        [InlineKeyboardButton("Copy", copy_text=CopyTextButton("0x12"))],
    )
    sent = await bot.send_message(
        ANN,
        "<b>HF</b> &lt; 1 😀 <code>0xab</code>",
        parse_mode="HTML",
        reply_markup=buttons,
        disable_notification=True,
        reply_parameters=ReplyParameters(1),
    )
    assert (sent.message_id, sent.text) == (2, "HF < 1 😀 0xab")
    assert {sent.parse_entity(entity) for entity in sent.entities} == {"HF", "0xab"}
    assert sent.reply_markup == buttons
    assert sent.reply_to_message is not None
    assert sent.reply_to_message.message_id == 1
    seen = await ann.wait_for(lambda message: message.from_bot)
    assert (seen.text, seen.html, seen.silent, seen.edits) == (
        sent.text,
        "<b>HF</b> &lt; 1 😀 <code>0xab</code>",
        True,
        0,
    )
    assert [button["text"] for button in seen.buttons] == ["Execute", "Scan", "Copy"]


async def test_edits_and_not_modified(api: BotApi, ann: Chat, bot: Bot) -> None:
    buttons = keyboard([InlineKeyboardButton("Go", callback_data="go")])
    sent = await bot.send_message(ANN, "<b>one</b>", parse_mode="HTML", reply_markup=buttons)
    same = "Bad Request: message is not modified: specified new message content and reply markup are exactly the same"
    markup = buttons.to_dict()
    params = {"chat_id": ANN, "message_id": sent.message_id}
    text = await refusal(api, "editMessageText", **params, text="<b>one</b> ", parse_mode="HTML", reply_markup=markup)
    assert text.startswith(same)
    assert (await refusal(api, "editMessageReplyMarkup", **params, reply_markup=markup)).startswith(same)
    edited = await bot.edit_message_text("two", ANN, sent.message_id)
    assert isinstance(edited, Message)
    assert edited.reply_markup is None
    assert edited.edit_date is not None
    assert (ann.messages[0].edits, ann.messages[0].history) == (1, ["one"])
    await ann.say("mine")
    assert await refusal(api, "editMessageText", chat_id=ANN, message_id=2, text="x") == (
        "Bad Request: message can't be edited"
    )
    assert await refusal(api, "editMessageText", chat_id=ANN, message_id=99, text="x") == (
        "Bad Request: message to edit not found"
    )


async def test_deleting_and_pinning(api: BotApi, ann: Chat, bot: Bot) -> None:
    first = await bot.send_message(ANN, "settings card")
    await bot.pin_chat_message(ANN, first.message_id)
    pinned = (await bot.get_chat(ANN)).pinned_message
    assert pinned is not None
    assert isinstance(pinned, Message)
    assert pinned.text == "settings card"
    (line,) = await bot.get_updates()
    assert line.message is not None
    assert line.message.pinned_message is not None
    await bot.unpin_chat_message(ANN, first.message_id)
    assert (await bot.get_chat(ANN)).pinned_message is None
    await bot.delete_message(ANN, first.message_id)
    assert ann.messages[0].deleted
    params = {"chat_id": ANN, "message_id": first.message_id}
    assert await refusal(api, "deleteMessage", **params) == "Bad Request: message to delete not found"
    assert await refusal(api, "editMessageText", **params, text="x") == "Bad Request: message to edit not found"
    assert await refusal(api, "pinChatMessage", **params) == "Bad Request: message to pin not found"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "message text is empty"),
        (" \n ", "text must be non-empty"),
        ("<b></b>", "text must be non-empty"),
        ("x" * 4097, "message is too long"),
        ("a < b", 'can\'t parse entities: Unsupported start tag "" at byte offset 2'),
        ("<b>a", "can't parse entities: Can't find end tag corresponding to start tag \"b\""),
        ("é<div>", 'can\'t parse entities: Unsupported start tag "div" at byte offset 2'),
    ],
)
async def test_texts_that_telegram_refuses(api: BotApi, ann: Chat, text: str, words: str) -> None:
    assert await refusal(api, "sendMessage", chat_id=ANN, text=text, parse_mode="HTML") == f"Bad Request: {words}"
    assert ann.messages == []


async def test_the_length_counts_visible_characters(ann: Chat, bot: Bot) -> None:
    sent = await bot.send_message(ANN, "<b>&lt;</b>" * 1000 + "x" * 3096, parse_mode="HTML")
    assert sent.text is not None
    assert len(sent.text) == 4096


async def test_replies_and_topics_that_are_not_there(api: BotApi, ann: Chat, bot: Bot) -> None:
    params = {"chat_id": ANN, "text": "x"}
    assert await refusal(api, "sendMessage", **params, reply_parameters={"message_id": 9}) == (
        "Bad Request: message to be replied not found"
    )
    assert await refusal(api, "sendMessage", **params, message_thread_id=3) == "Bad Request: message thread not found"
    lenient = await bot.send_message(ANN, "x", reply_parameters=ReplyParameters(9, allow_sending_without_reply=True))
    assert lenient.reply_to_message is None
    room = api.group_chat("Ops", {ANN: "Ann"}, topics={7: "Alerts"})
    sent = await bot.send_message(room.id, "in a topic", message_thread_id=7)
    assert (sent.message_thread_id, sent.message_id) == (7, 1)
    await room.say("/status", thread_id=7)
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.message_thread_id == 7


@pytest.mark.parametrize(
    ("button", "words"),
    [
        ({"text": "x", "callback_data": "é" * 33}, "BUTTON_DATA_INVALID"),
        ({"text": "x", "callback_data": ""}, "BUTTON_DATA_INVALID"),
        ({"text": "x"}, "Text buttons are unallowed in the inline keyboard"),
        ({"callback_data": "x"}, 'Can\'t find field "text"'),
        ({"text": "x", "url": "http://localhost/"}, "Wrong HTTP URL"),
        ({"text": "x", "url": "javascript:alert(1)"}, "Wrong HTTP URL"),
        ({"text": "x", "callback_data": "x", "style": "purple"}, "style"),
        ({"text": "x", "copy_text": {"text": "y" * 257}}, "BUTTON_COPY_TEXT_INVALID"),
    ],
)
async def test_buttons_that_telegram_refuses(api: BotApi, ann: Chat, button: dict[str, Any], words: str) -> None:
    markup = {"inline_keyboard": [[button]]}
    text = await refusal(api, "sendMessage", chat_id=ANN, text="x", reply_markup=markup)
    assert text.startswith("Bad Request: ")
    assert words in text
    assert ann.messages == []


async def test_keyboards_have_a_size(api: BotApi, ann: Chat) -> None:
    wide = {"inline_keyboard": [[{"text": "x", "callback_data": "x"}] * 9]}
    tall = {"inline_keyboard": [[{"text": "x", "callback_data": "x"}]] * 101}
    for markup in (wide, tall):
        text = await refusal(api, "sendMessage", chat_id=ANN, text="x", reply_markup=markup)
        assert text == "Bad Request: reply markup is too long"
    full = {"inline_keyboard": [[{"text": "x", "callback_data": "x" * 64}] * 8] * 12}
    assert (await raw(api, "sendMessage", chat_id=ANN, text="x", reply_markup=full))[0] == 200


async def test_presses_are_answered_once_seen(api: BotApi, ann: Chat, bot: Bot) -> None:
    sent = await bot.send_message(ANN, "?", reply_markup=keyboard([InlineKeyboardButton("Go", callback_data="v1:go")]))
    pressed = await ann.press(sent.message_id, "Go")
    (update,) = await bot.get_updates()
    query = update.callback_query
    assert query is not None
    assert (update.update_id, query.data, query.from_user.id) == (pressed, "v1:go", ANN)
    assert query.message is not None
    assert query.message.message_id == sent.message_id
    await query.answer("done", show_alert=True)
    assert ann.answers == [{"text": "done", "show_alert": True}]
    assert await refusal(api, "answerCallbackQuery", callback_query_id="1") == (
        "Bad Request: query is too old and response timeout expired or query ID is invalid"
    )
    with pytest.raises(ValueError, match="no callback button 'Stop'"):
        await ann.press(sent.message_id, "Stop")
    await ann.forge_press(sent.message_id, "v1:stolen")
    await bot.delete_message(ANN, sent.message_id)
    await ann.forge_press(sent.message_id, "v1:late")
    forged = await bot.get_updates(offset=pressed + 1)
    assert [item.callback_query.data for item in forged if item.callback_query] == ["v1:stolen", "v1:late"]
    late = forged[-1].callback_query
    assert late is not None
    assert late.message is not None
    assert not late.message.is_accessible


async def test_commands_are_kept_by_scope(api: BotApi, ann: Chat, bot: Bot) -> None:
    api.private_chat(BEN, "Ben")
    await bot.set_my_commands([BotCommand("id", "your ids")])
    await bot.set_my_commands([BotCommand("status", "how it is")], scope=BotCommandScopeChat(ANN))
    assert [item.command for item in await bot.get_my_commands()] == ["id"]
    assert [item.command for item in await bot.get_my_commands(scope=BotCommandScopeChat(ANN))] == ["status"]
    shown = {chat["id"]: chat["commands"] for chat in api.world.snapshot()["chats"]}
    assert shown[ANN][str(ANN)][0]["command"] == "status"
    assert shown[BEN][str(BEN)][0]["command"] == "id"
    await bot.delete_my_commands(scope=BotCommandScopeChat(ANN))
    assert await bot.get_my_commands(scope=BotCommandScopeChat(ANN)) == ()
    with pytest.raises(BadRequest, match=r"(?i)bot_command_invalid"):
        await bot.set_my_commands([BotCommand("Bad-Name", "x")])


async def test_photos_and_documents(api: BotApi, ann: Chat, bot: Bot) -> None:
    picture = png(30, 20)
    photo = await bot.send_photo(ANN, picture, caption="<b>HF</b>", parse_mode="HTML")
    assert (photo.photo[0].width, photo.photo[0].height, photo.caption) == (30, 20, "HF")
    again = await bot.send_photo(ANN, photo.photo[0].file_id)
    assert again.photo[0].file_unique_id == photo.photo[0].file_unique_id
    sent = await bot.send_document(ANN, b"a,b\n", filename="audit.csv")
    assert sent.document is not None
    assert sent.document.file_name == "audit.csv"
    file = await bot.get_file(sent.document.file_id)
    assert bytes(await file.download_as_bytearray()) == b"a,b\n"
    await bot.edit_message_caption(ANN, photo.message_id, caption="new")
    assert ann.messages[0].text == "new"
    assert await refusal(api, "editMessageText", chat_id=ANN, message_id=photo.message_id, text="x") == (
        "Bad Request: there is no text in the message to edit"
    )
    with pytest.raises(BadRequest, match=r"(?i)image_process_failed"):
        await bot.send_photo(ANN, b"not a picture")
    with pytest.raises(BadRequest, match="caption is too long"):
        await bot.send_photo(ANN, picture, caption="x" * 1025)


async def test_chats_and_members(api: BotApi, ann: Chat, bot: Bot) -> None:
    room = api.group_chat("Ops", {ANN: "Ann", BEN: "Ben"})
    assert (await bot.get_chat(room.id)).title == "Ops"
    assert (await bot.get_chat_member(room.id, bot.id)).status == "administrator"
    assert (await bot.get_chat_member(ANN, bot.id)).status == "member"
    assert (await bot.get_chat_member(room.id, BEN)).user.first_name == "Ben"
    assert await refusal(api, "getChatMember", chat_id=ANN, user_id=BEN) == "Bad Request: member not found"
    assert await bot.send_chat_action(ANN, "typing")
    assert (await refusal(api, "sendChatAction", chat_id=ANN, action="dancing")).endswith("action in request")


async def test_a_group_that_became_a_supergroup(api: BotApi, bot: Bot) -> None:
    room = api.group_chat("Ops", {ANN: "Ann"})
    new = await room.migrate()
    with pytest.raises(ChatMigrated) as caught:
        await bot.send_message(room.id, "x")
    assert caught.value.new_chat_id == new.id
    moved = [update.message for update in await bot.get_updates()]
    assert [item.migrate_to_chat_id for item in moved if item] == [new.id, None]
    assert (await bot.send_message(new.id, "here")).chat.type == "supergroup"
