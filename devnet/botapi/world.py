"""Hold everything the server knows: who exists, what was said, what waits for the bot; in memory only."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from devnet.botapi.errors import bad_request, forbidden, migrated
from devnet.botapi.limits import FloodControl
from devnet.botapi.model import Chat, Json, Message, StoredFile, User, now
from devnet.botapi.updates import UpdateQueue

_FIRST_UPDATE = 700_000_001
_CALLBACK_SECONDS = 60.0


@dataclass(slots=True)
class CallbackPress:
    """A press of a button that the bot may answer: `answer` is what it told the person, None so far."""

    id: str
    user: User
    message: Message
    data: str
    at: float
    answer: Json | None = None

    @property
    def expired(self) -> bool:
        """Tell whether Telegram would no longer take an answer."""
        return time.monotonic() - self.at > _CALLBACK_SECONDS


@dataclass
class World:
    """The state of one bot's Telegram; methods change it, the page and the tests watch it."""

    token: str
    bot: User
    floods: FloodControl
    users: dict[int, User] = field(default_factory=dict)
    chats: dict[int, Chat] = field(default_factory=dict)
    files: dict[str, StoredFile] = field(default_factory=dict)
    commands: dict[str, list[Json]] = field(default_factory=dict)
    presses: dict[str, CallbackPress] = field(default_factory=dict)
    webhook: Json = field(default_factory=lambda: {"url": ""})
    updates: UpdateQueue = field(default_factory=lambda: UpdateQueue(_FIRST_UPDATE))

    def __post_init__(self) -> None:
        self.watchers: list[Callable[[Json], None]] = []
        self._changed = asyncio.Event()
        self._account_ids = itertools.count(1)
        self._chat_ids: dict[int, itertools.count[int]] = {}
        self.serial = itertools.count(1)

    def next_message_id(self, chat: Chat) -> int:
        """Return the next id: supergroups count by themselves, all other chats share the bot account's counter."""
        if chat.type != "supergroup":
            return next(self._account_ids)
        return next(self._chat_ids.setdefault(chat.id, itertools.count(1)))

    def chat(self, chat_id: int) -> Chat:
        """Return a chat that the bot may write to; raise Telegram's refusal otherwise."""
        if not chat_id:
            raise bad_request("chat_id is empty")
        chat = self.chats.get(chat_id)
        if chat is None:
            raise bad_request("chat not found")
        if chat.migrated_to is not None:
            raise migrated(chat.migrated_to)
        if chat.blocked:
            kicked = f"bot was kicked from the {chat.type} chat"
            raise forbidden(kicked if chat.is_group else "bot was blocked by the user")
        return chat

    def post(self, message: Message) -> Message:
        """Store a new message and tell whoever watches."""
        message.chat.messages[message.message_id] = message
        self.tell({"type": "message", "chat_id": message.chat.id, "message": page_message(message)})
        return message

    def amend(self, message: Message, text: str, html: str, entities: list[Json], markup: Json | None) -> None:
        """Put an edit in place, keeping the earlier text in the history."""
        message.history.append(message.text)
        message.text, message.html, message.entities = text, html, entities
        message.reply_markup = markup
        message.edit_date = now()
        self.touched(message)

    def touched(self, message: Message) -> None:
        """Tell whoever watches that a message looks different."""
        self.tell({"type": "edit", "chat_id": message.chat.id, "message": page_message(message)})

    def tell(self, event: Json) -> None:
        """Pass an event to the page and wake the tests that wait."""
        for watcher in self.watchers:
            watcher(event)
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def changed(self) -> asyncio.Event:
        """Return the event that the next change sets; fetch it before looking, so that nothing is missed."""
        return self._changed

    def commands_for(self, chat: Chat, user_id: int) -> list[Json]:
        """Return the commands that Telegram offers to a person in a chat: the narrowest scope that has any."""
        wide = "all_group_chats" if chat.is_group else "all_private_chats"
        for key in (f"chat_member:{chat.id}:{user_id}", f"chat:{chat.id}", wide, "default"):
            if key in self.commands:
                return self.commands[key]
        return []

    def snapshot(self) -> Json:
        """Return everything the page shows."""
        return {
            "type": "snapshot",
            "bot": {"id": self.bot.id, "name": self.bot.name, "username": self.bot.username},
            "users": [{"id": user.id, "name": user.name} for user in self.users.values()],
            "chats": [self._page_chat(chat) for chat in self.chats.values() if chat.migrated_to is None],
        }

    def _page_chat(self, chat: Chat) -> Json:
        return {
            "id": chat.id,
            "kind": chat.type,
            "title": chat.title,
            "members": list(chat.members),
            "pinned": chat.pinned,
            "blocked": chat.blocked,
            "commands": {str(user_id): self.commands_for(chat, user_id) for user_id in chat.members},
            "messages": [page_message(item) for item in list(chat.messages.values())[-300:] if not item.deleted],
        }


def page_message(message: Message) -> Json:
    """Return a message as the page draws it."""
    view: Json = {
        "id": message.message_id,
        "date": message.date,
        "from": {"id": message.sender.id, "name": message.sender.name, "bot": message.from_bot},
        "text": message.text,
        "entities": message.entities,
        "rows": (message.reply_markup or {}).get("inline_keyboard", []),
        "edits": message.edits,
        "silent": message.silent,
        "service": _service_line(message),
    }
    if message.reply_to is not None:
        quoted = message.reply_to
        view["reply"] = {"id": quoted.message_id, "name": quoted.sender.name, "text": quoted.text[:120]}
    if message.thread_id is not None:
        view["topic"] = message.chat.topics.get(message.thread_id, "")
    for kind, item in (("photo", message.photo), ("document", message.document)):
        if item is not None:
            view[kind] = _page_file(item)
    return view


def _page_file(item: StoredFile) -> Json:
    size: Json = {"width": item.width, "height": item.height} if item.width else {}
    return {"url": f"/media/{item.unique_id}", "name": item.name, "bytes": len(item.content)} | size


def _service_line(message: Message) -> str:
    service: dict[str, Any] = message.service or {}
    if "pinned_message" in service:
        return f"{message.sender.name} pinned a message"
    return "This group was upgraded to a supergroup" if service else ""
