"""Answer the methods that change, remove or pin what was said."""

from __future__ import annotations

from devnet.botapi.errors import NOT_MODIFIED, QUERY_TOO_OLD, bad_request
from devnet.botapi.html_check import Entity
from devnet.botapi.keyboards import checked_markup
from devnet.botapi.model import Chat, Json, Message, now
from devnet.botapi.params import Params
from devnet.botapi.sending import Formatted, caption, message_text
from devnet.botapi.world import World

_ANSWER_CHARACTERS = 200


def _own_message(chat: Chat, params: Params) -> Message:
    message = chat.messages.get(params.integer("message_id"))
    if message is None or message.deleted:
        raise bad_request("message to edit not found")
    if not message.from_bot or message.service:
        raise bad_request("message can't be edited")
    return message


def _edit(world: World, message: Message, content: Formatted, markup: Json | None) -> Message:
    same = (message.text, _bare(message.entities), message.reply_markup) == (
        content.text,
        _bare(content.entities),
        markup,
    )
    if same:
        raise bad_request(NOT_MODIFIED)
    world.floods.admit(message.chat.id, message.chat.is_group)
    world.amend(message, content.text, content.html, content.entities, markup)
    return message


def _bare(entities: list[Entity]) -> list[list[tuple[str, str]]]:
    return sorted(sorted((key, str(value)) for key, value in item.items()) for item in entities)


def _markup(params: Params) -> Json | None:
    return checked_markup(params.nested("reply_markup", "reply keyboard markup"))


def edit_message_text(world: World, params: Params) -> Message:
    """Answer editMessageText; without a markup the keyboard goes."""
    chat = world.chat(params.integer("chat_id"))
    content = message_text(params)
    message = _own_message(chat, params)
    if message.photo or message.document:
        raise bad_request("there is no text in the message to edit")
    return _edit(world, message, content, _markup(params))


def edit_message_caption(world: World, params: Params) -> Message:
    """Answer editMessageCaption."""
    chat = world.chat(params.integer("chat_id"))
    content = caption(params)
    message = _own_message(chat, params)
    if not message.photo and not message.document:
        raise bad_request("there is no caption in the message to edit")
    return _edit(world, message, content, _markup(params))


def edit_message_reply_markup(world: World, params: Params) -> Message:
    """Answer editMessageReplyMarkup."""
    chat = world.chat(params.integer("chat_id"))
    message = _own_message(chat, params)
    same_text = Formatted(message.text, message.html, message.entities)
    return _edit(world, message, same_text, _markup(params))


def delete_message(world: World, params: Params) -> bool:
    """Answer deleteMessage: the bot's own everywhere, a person's only in a private chat."""
    chat = world.chat(params.integer("chat_id"))
    message = chat.messages.get(params.integer("message_id"))
    if message is None or message.deleted:
        raise bad_request("message to delete not found")
    if not message.from_bot and chat.is_group:
        raise bad_request("message can't be deleted for everyone")
    message.deleted = True
    if message.message_id in chat.pinned:
        chat.pinned.remove(message.message_id)
    world.tell({"type": "delete", "chat_id": chat.id, "message_id": message.message_id})
    return True


def pin_chat_message(world: World, params: Params) -> bool:
    """Answer pinChatMessage; Telegram adds a service line, which also reaches the bot as an update."""
    chat = world.chat(params.integer("chat_id"))
    message = chat.messages.get(params.integer("message_id"))
    if message is None or message.deleted:
        raise bad_request("message to pin not found")
    if message.message_id in chat.pinned:
        chat.pinned.remove(message.message_id)
    chat.pinned.append(message.message_id)
    line = Message(chat, world.next_message_id(chat), now(), world.bot, "")
    line.service = {"pinned_message": message.json(depth=0)}
    line.silent = params.flag("disable_notification")
    world.post(line)
    world.updates.add("message", line.json())
    world.tell({"type": "refresh"})
    return True


def unpin_chat_message(world: World, params: Params) -> bool:
    """Answer unpinChatMessage: the named message, or the latest one."""
    chat = world.chat(params.integer("chat_id"))
    message_id = params.integer("message_id") or (chat.pinned[-1] if chat.pinned else 0)
    if message_id not in chat.pinned:
        raise bad_request("message to unpin not found")
    chat.pinned.remove(message_id)
    world.tell({"type": "refresh"})
    return True


def unpin_all_chat_messages(world: World, params: Params) -> bool:
    """Answer unpinAllChatMessages."""
    world.chat(params.integer("chat_id")).pinned.clear()
    world.tell({"type": "refresh"})
    return True


def answer_callback_query(world: World, params: Params) -> bool:
    """Answer answerCallbackQuery: shown to the person who pressed, as a toast or an alert."""
    press = world.presses.get(params.text("callback_query_id"))
    if press is None or press.expired:
        raise bad_request(QUERY_TOO_OLD)
    text = params.text("text")
    if len(text) > _ANSWER_CHARACTERS:
        raise bad_request("MESSAGE_TOO_LONG")
    press.answer = {"text": text, "show_alert": params.flag("show_alert")}
    world.tell({"type": "answer", "user_id": press.user.id, "query_id": press.id} | press.answer)
    return True
