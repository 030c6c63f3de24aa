"""Answer the methods about the bot, its chats, commands and updates, and list every method there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devnet.botapi import editing, sending
from devnet.botapi.errors import bad_request
from devnet.botapi.model import Json, Message
from devnet.botapi.params import Params
from devnet.botapi.world import World

Method = Callable[[World, Params], Any]

_SCOPES = ("default", "all_private_chats", "all_group_chats", "all_chat_administrators")


def get_me(world: World, _params: Params) -> Json:
    """Answer getMe."""
    return world.bot.json() | {
        "can_join_groups": True,
        "can_read_all_group_messages": True,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
        "has_topics_enabled": any(chat.topics for chat in world.chats.values() if not chat.is_group),
    }


def get_chat(world: World, params: Params) -> Json:
    """Answer getChat."""
    return sending.chat_json(world.chat(params.integer("chat_id")))


def get_chat_member(world: World, params: Params) -> Json:
    """Answer getChatMember: the bot is an administrator of its groups, people are members."""
    chat = world.chat(params.integer("chat_id"))
    user_id = params.integer("user_id")
    if user_id == world.bot.id:
        return member(world, chat.is_group, active=True)
    if user_id not in chat.members:
        raise bad_request("member not found" if user_id in world.users else "user not found")
    return {"status": "member", "user": chat.members[user_id].json()}


def member(world: World, in_group: bool, active: bool) -> Json:
    """Return the `ChatMember` of the bot itself."""
    if not active:
        return {"status": "kicked", "user": world.bot.json(), "until_date": 0}
    if not in_group:
        return {"status": "member", "user": world.bot.json()}
    rights = ("can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats")
    more = ("can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users", "can_pin_messages")
    stories = ("can_post_stories", "can_edit_stories", "can_delete_stories", "can_manage_topics")
    granted = ("can_manage_chat", "can_delete_messages", "can_pin_messages")
    return {"status": "administrator", "user": world.bot.json()} | {
        name: name in granted for name in (*rights, *more, *stories)
    }


def _scope_key(world: World, params: Params) -> str:
    scope = params.nested("scope", "BotCommandScope") or {"type": "default"}
    kind = scope.get("type")
    if kind in _SCOPES:
        return str(kind)
    if kind not in ("chat", "chat_member", "chat_administrators"):
        raise bad_request("can't parse BotCommandScope: Unsupported type specified")
    chat = world.chat(int(scope.get("chat_id", 0)))
    return f"{kind}:{chat.id}" + (f":{int(scope.get('user_id', 0))}" if kind == "chat_member" else "")


def set_my_commands(world: World, params: Params) -> bool:
    """Answer setMyCommands: up to 100 names of 1 to 32 lower-case letters, digits and underscores."""
    key = _scope_key(world, params)
    commands = params.nested("commands", "commands") or []
    if len(commands) > 100:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    for item in commands:
        name = str(item.get("command", "")).removeprefix("/")
        if not 1 <= len(name) <= 32 or not name.replace("_", "a").isalnum() or name != name.lower():
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(str(item.get("description", ""))) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    world.commands[key] = [
        {"command": str(item["command"]).removeprefix("/"), "description": str(item["description"])}
        for item in commands
    ]
    world.tell({"type": "refresh"})
    return True


def get_my_commands(world: World, params: Params) -> list[Json]:
    """Answer getMyCommands."""
    return world.commands.get(_scope_key(world, params), [])


def delete_my_commands(world: World, params: Params) -> bool:
    """Answer deleteMyCommands."""
    world.commands.pop(_scope_key(world, params), None)
    world.tell({"type": "refresh"})
    return True


def set_webhook(world: World, params: Params) -> bool:
    """Answer setWebhook: kept and shown, and getUpdates is refused from then on; updates stay queued, not delivered."""
    url = params.text("url")
    if params.flag("drop_pending_updates"):
        world.updates.drop_pending()
    if url and not url.startswith("https://"):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    world.webhook = {"url": url}
    if url:
        world.updates.interrupt()
    return True


def delete_webhook(world: World, params: Params) -> bool:
    """Answer deleteWebhook."""
    if params.flag("drop_pending_updates"):
        world.updates.drop_pending()
    world.webhook = {"url": ""}
    return True


def get_webhook_info(world: World, _params: Params) -> Json:
    """Answer getWebhookInfo."""
    return world.webhook | {
        "has_custom_certificate": False,
        "pending_update_count": len(world.updates.pending),
        "allowed_updates": world.updates.allowed,
    }


def get_file(world: World, params: Params) -> Json:
    """Answer getFile; the content is at /file/bot<token>/<file_path>."""
    stored = world.files.get(params.text("file_id"))
    if stored is None:
        raise bad_request("invalid file_id")
    body = {"file_id": stored.file_id, "file_unique_id": stored.unique_id, "file_size": len(stored.content)}
    return body | {"file_path": stored.path}


def _log_out(_world: World, _params: Params) -> bool:
    return True


METHODS: dict[str, Method] = {
    "getme": get_me,
    "logout": _log_out,
    "close": _log_out,
    "getchat": get_chat,
    "getchatmember": get_chat_member,
    "setmycommands": set_my_commands,
    "getmycommands": get_my_commands,
    "deletemycommands": delete_my_commands,
    "setwebhook": set_webhook,
    "deletewebhook": delete_webhook,
    "getwebhookinfo": get_webhook_info,
    "getfile": get_file,
    "sendmessage": sending.send_message,
    "sendphoto": sending.send_photo,
    "senddocument": sending.send_document,
    "sendchataction": sending.send_chat_action,
    "editmessagetext": editing.edit_message_text,
    "editmessagecaption": editing.edit_message_caption,
    "editmessagereplymarkup": editing.edit_message_reply_markup,
    "deletemessage": editing.delete_message,
    "pinchatmessage": editing.pin_chat_message,
    "unpinchatmessage": editing.unpin_chat_message,
    "unpinallchatmessages": editing.unpin_all_chat_messages,
    "answercallbackquery": editing.answer_callback_query,
}


def result_json(result: Any) -> Any:
    """Return a method's result as JSON."""
    return result.json() if isinstance(result, Message) else result
