"""Do what people do: join, write, press buttons, block the bot."""

from __future__ import annotations

import itertools
import time

from devnet.botapi.links import detected_entities
from devnet.botapi.methods import member
from devnet.botapi.model import Chat, Json, Message, User, now
from devnet.botapi.transcript import Transcript
from devnet.botapi.world import CallbackPress, World

_FIRST_GROUP = 4_001_001
_SUPERGROUP = -1_000_000_000_000


class People:
    """Act for the persons of the chats; every act is written into the transcript."""

    def __init__(self, world: World, transcript: Transcript) -> None:
        self._world = world
        self._transcript = transcript
        self._groups = itertools.count(_FIRST_GROUP)

    def user(self, user_id: int, name: str, username: str = "") -> User:
        """Return the person, who exists from now on."""
        known = self._world.users.get(user_id)
        if known is None:
            known = self._world.users[user_id] = User(user_id, name, username)
        return known

    def open_private(self, user: User, topics: dict[int, str] | None = None) -> Chat:
        """Return the private chat of a person with the bot, started."""
        chat = self._world.chats.get(user.id)
        if chat is None:
            chat = Chat(user.id, "private", user.name, {user.id: user}, topics=topics or {})
            self._world.chats[chat.id] = chat
            self._world.tell({"type": "refresh"})
        return chat

    def open_group(
        self, title: str, members: list[User], supergroup: bool = False, topics: dict[int, str] | None = None
    ) -> Chat:
        """Return a new group with the bot in it; one with topics is a supergroup."""
        number = next(self._groups)
        is_super = supergroup or bool(topics)
        chat_id = _SUPERGROUP - number if is_super else -number
        people = {user.id: user for user in members}
        chat = Chat(chat_id, "supergroup" if is_super else "group", title, people, topics=topics or {})
        self._world.chats[chat.id] = chat
        self._world.tell({"type": "refresh"})
        return chat

    def migrate(self, chat: Chat) -> Chat:
        """Turn a group into a supergroup, as Telegram does: a new id, and the old one only tells the new one."""
        new = self.open_group(chat.title, list(chat.members.values()), supergroup=True)
        sender = next(iter(chat.members.values()))
        for where, service in ((chat, {"migrate_to_chat_id": new.id}), (new, {"migrate_from_chat_id": chat.id})):
            line = Message(where, self._world.next_message_id(where), now(), sender, "", service=service)
            self._world.updates.add("message", self._world.post(line).json())
        chat.migrated_to = new.id
        self._world.tell({"type": "refresh"})
        return new

    def say(
        self, chat: Chat, user: User, text: str, reply_to: int | None = None, thread_id: int | None = None
    ) -> tuple[int, int]:
        """Write a message; return the update's id (0 when the bot asked not to hear messages) and the message's."""
        message = Message(chat, self._world.next_message_id(chat), now(), user, text)
        message.entities = detected_entities(text, ())
        message.reply_to = chat.messages.get(reply_to) if reply_to else None
        message.thread_id = thread_id
        self._world.post(message)
        update_id = self._world.updates.add("message", message.json())
        self._note("say", chat, user, message.message_id, {"text": text, "update_id": update_id})
        return update_id, message.message_id

    def edit(self, chat: Chat, user: User, message_id: int, text: str) -> int:
        """Change one of the person's own messages; return the update's id."""
        message = chat.messages[message_id]
        if message.sender.id != user.id:
            raise ValueError(f"message {message_id} was not written by {user.name}")
        self._world.amend(message, text, "", detected_entities(text, ()), None)
        update_id = self._world.updates.add("edited_message", message.json())
        self._note("edit", chat, user, message_id, {"text": text, "update_id": update_id})
        return update_id

    def press(self, chat: Chat, user: User, message_id: int, button: str) -> int:
        """Press the button with this text or callback data; return the update's id.

        Raises `ValueError` where the message is gone or has no such button that calls back.
        """
        message = chat.messages.get(message_id)
        if message is None or message.deleted:
            raise ValueError(f"no message {message_id} in chat {chat.id}")
        wanted = [item for item in message.buttons if button in (item.get("callback_data"), item["text"])]
        if not wanted or "callback_data" not in wanted[0]:
            shown = ", ".join(item["text"] for item in message.buttons) or "none"
            raise ValueError(f"no callback button {button!r} on message {message_id}; its buttons: {shown}")
        return self.send_callback(chat, user, message, wanted[0]["callback_data"])

    def send_callback(self, chat: Chat, user: User, message: Message, data: str) -> int:
        """Send callback data to the bot, which a hostile client may do with data that no button has."""
        number = next(self._world.serial)
        press = CallbackPress(str(9_000_000_000 + number), user, message, data, time.monotonic())
        self._world.presses[press.id] = press
        body: Json = {"id": press.id, "from": user.json(), "chat_instance": str(chat.id), "data": data}
        gone = {"chat": chat.json(), "message_id": message.message_id, "date": 0}
        body["message"] = gone if message.deleted else message.json()
        update_id = self._world.updates.add("callback_query", body)
        act = {"data": data, "update_id": update_id, "query_id": press.id}
        self._note("press", chat, user, message.message_id, act)
        return update_id

    def block(self, chat: Chat, user: User, blocked: bool = True) -> int:
        """Block the bot (or remove it from a group), or take it back; return the update's id."""
        old, chat.blocked = chat.blocked, blocked
        body = {"chat": chat.json(), "from": user.json(), "date": now()}
        body["old_chat_member"] = member(self._world, chat.is_group, active=not old)
        body["new_chat_member"] = member(self._world, chat.is_group, active=not blocked)
        self._world.tell({"type": "refresh"})
        self._note("block" if blocked else "unblock", chat, user, None, {})
        return self._world.updates.add("my_chat_member", body)

    def _note(self, act: str, chat: Chat, user: User, message_id: int | None, params: Json) -> None:
        entry = self._transcript.begin(act, params, user.id)
        entry.chat_id, entry.message_id, entry.applied = chat.id, message_id, True
        self._transcript.end(entry, "ok", 200)
