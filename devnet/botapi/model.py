"""Hold what a chat consists of: people, messages, media, and their Bot API JSON."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


def now() -> int:
    """Return the time as Telegram dates messages: whole seconds since 1970."""
    return int(time.time())


@dataclass(slots=True)
class User:
    """A person, or the bot itself."""

    id: int
    name: str
    username: str = ""
    is_bot: bool = False

    def json(self) -> Json:
        """Return the Bot API's `User`."""
        body: Json = {"id": self.id, "is_bot": self.is_bot, "first_name": self.name}
        if not self.is_bot:
            body["language_code"] = "en"
        if self.username:
            body["username"] = self.username
        return body


@dataclass(slots=True)
class StoredFile:
    """A file that was uploaded; `width` and `height` are zero for documents."""

    file_id: str
    unique_id: str
    name: str
    mime_type: str
    content: bytes = field(repr=False)
    width: int = 0
    height: int = 0

    @property
    def path(self) -> str:
        """Return the `file_path` that getFile names."""
        return f"{'photos' if self.width else 'documents'}/{self.unique_id}"

    def json(self) -> Json:
        """Return the Bot API's `PhotoSize` or `Document`."""
        body: Json = {"file_id": self.file_id, "file_unique_id": self.unique_id, "file_size": len(self.content)}
        if self.width:
            return body | {"width": self.width, "height": self.height}
        return body | {"file_name": self.name, "mime_type": self.mime_type}


@dataclass(slots=True)
class Message:
    """One message of a chat: `text` is plain (the caption, for media), `html` what the bot sent as its source."""

    chat: Chat = field(repr=False)
    message_id: int
    date: int
    sender: User
    text: str
    html: str = ""
    entities: list[Json] = field(default_factory=list)
    reply_markup: Json | None = None
    reply_to: Message | None = field(default=None, repr=False)
    thread_id: int | None = None
    silent: bool = False
    photo: StoredFile | None = None
    document: StoredFile | None = None
    service: Json | None = None
    edit_date: int | None = None
    deleted: bool = False
    history: list[str] = field(default_factory=list)

    @property
    def from_bot(self) -> bool:
        """Tell whether the bot wrote it."""
        return self.sender.is_bot

    @property
    def edits(self) -> int:
        """Count the edits; `history` holds the earlier texts, oldest first."""
        return len(self.history)

    @property
    def buttons(self) -> list[Json]:
        """Return the inline buttons, row after row."""
        rows = (self.reply_markup or {}).get("inline_keyboard", [])
        return [button for row in rows for button in row]

    def json(self, depth: int = 1) -> Json:
        """Return the Bot API's `Message`; the message replied to is included one level deep."""
        body: Json = {
            "message_id": self.message_id,
            "date": self.date,
            "chat": self.chat.json(),
            "from": self.sender.json(),
        }
        body |= self.service or self._content()
        if self.reply_markup:
            body["reply_markup"] = self.reply_markup
        if self.reply_to is not None and depth:
            body["reply_to_message"] = self.reply_to.json(depth - 1)
        if self.thread_id is not None:
            body |= {"message_thread_id": self.thread_id, "is_topic_message": True}
        if self.edit_date is not None:
            body["edit_date"] = self.edit_date
        return body

    def _content(self) -> Json:
        entities = [self._entity(item) for item in self.entities]
        if self.photo is None and self.document is None:
            return {"text": self.text} | ({"entities": entities} if entities else {})
        body: Json = {"photo": [self.photo.json()]} if self.photo else {}
        if self.document:
            body["document"] = self.document.json()
        if self.text:
            body["caption"] = self.text
        return body | ({"caption_entities": entities} if entities else {})

    def _entity(self, item: Json) -> Json:
        if item["type"] != "text_mention":
            return item
        person = self.chat.members.get(item["user_id"], User(item["user_id"], str(item["user_id"])))
        return {key: value for key, value in item.items() if key != "user_id"} | {"user": person.json()}


@dataclass(slots=True)
class Chat:
    """A chat that the bot knows: who is in it and what was said; `messages` is ordered by id."""

    id: int
    type: str
    title: str
    members: dict[int, User]
    messages: dict[int, Message] = field(default_factory=dict, repr=False)
    topics: dict[int, str] = field(default_factory=dict)
    pinned: list[int] = field(default_factory=list)
    blocked: bool = False
    migrated_to: int | None = None

    @property
    def is_group(self) -> bool:
        """Tell a group or supergroup from a private chat."""
        return self.type != "private"

    def json(self) -> Json:
        """Return the Bot API's `Chat`."""
        body: Json = {"id": self.id, "type": self.type}
        if self.is_group:
            return body | {"title": self.title} | ({"is_forum": True} if self.topics else {})
        person = self.members[self.id]
        return body | {"first_name": person.name} | ({"username": person.username} if person.username else {})
