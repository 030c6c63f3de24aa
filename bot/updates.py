"""Read Telegram's updates from their JSON: what a person typed or pressed, and nothing that we do not use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias


class BadUpdate(ValueError):
    """Say what is wrong with an update's JSON."""


@dataclass(frozen=True, slots=True)
class Person:
    """Hold a user by numeric id; `name` is theirs to choose and never trusted."""

    id: int
    name: str
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Hold the chat, its kind (private, group, supergroup, channel), its name and the topic, if any."""

    id: int
    kind: str
    name: str = ""
    thread: int | None = None


@dataclass(frozen=True, slots=True)
class Typed:
    """Tell of a message; `date` is unix seconds. `person` is None for channel posts; `edited` ones run nothing."""

    update_id: int
    person: Person | None
    place: Place
    message_id: int
    date: float
    text: str
    edited: bool = False
    by_channel: bool = False


@dataclass(frozen=True, slots=True)
class Pressed:
    """Tell of a press on a button; `message_id` is None when Telegram no longer shows us the message."""

    update_id: int
    person: Person | None
    place: Place
    message_id: int | None
    query_id: str
    data: str


@dataclass(frozen=True, slots=True)
class Membership:
    """Tell that somebody changed what the bot may do in a chat: `status` is member, administrator, left or kicked."""

    update_id: int
    person: Person | None
    place: Place
    status: str


@dataclass(frozen=True, slots=True)
class Other:
    """Tell of an update of a kind that the bot does not use."""

    update_id: int
    kind: str


Incoming: TypeAlias = Typed | Pressed | Membership | Other


MOST_NESTED = 10_000
"""A text and the one it answers have less; with a recursion limit raised by a library, depth overflows the stack."""


def parse(update_id: int, raw: str) -> Incoming:
    """Return what the update says; raise BadUpdate when its shape is not Telegram's."""
    if raw.count("[") + raw.count("{") > MOST_NESTED:
        raise BadUpdate("more brackets than any update has")
    try:
        body = json.loads(raw)
        return _parse(update_id, body)
    except BadUpdate:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadUpdate(f"{type(error).__name__}: {str(error)[:120]}") from error


def _parse(update_id: int, body: dict[str, Any]) -> Incoming:
    kind = next((key for key in body if key != "update_id"), "empty")
    item: dict[str, Any] = body.get(kind, {})
    match kind:
        case "message" | "edited_message" | "channel_post" | "edited_channel_post":
            return _typed(update_id, kind, item)
        case "callback_query":
            return _pressed(update_id, item)
        case "my_chat_member":
            status = str(item["new_chat_member"]["status"])
            return Membership(update_id, _person(item.get("from")), _place(item), status)
        case _:
            return Other(update_id, str(kind)[:40])


def _typed(update_id: int, kind: str, item: dict[str, Any]) -> Typed:
    text = item.get("text", "")
    if not isinstance(text, str):
        raise BadUpdate("the text is not a string")
    return Typed(
        update_id,
        _person(item.get("from")),
        _place(item),
        _integer(item["message_id"]),
        float(item["date"]),
        text,
        edited=kind.startswith("edited"),
        by_channel="channel_post" in kind or "sender_chat" in item,
    )


def _pressed(update_id: int, item: dict[str, Any]) -> Pressed:
    message = item.get("message")
    place = _place(message) if message else Place(0, "inline")
    message_id = _integer(message["message_id"]) if message else None
    return Pressed(update_id, _person(item["from"]), place, message_id, str(item["id"]), str(item.get("data", "")))


def _person(item: dict[str, Any] | None) -> Person | None:
    if item is None:
        return None
    name = " ".join(str(item[key]) for key in ("first_name", "last_name") if item.get(key))
    return Person(_integer(item["id"]), name[:64] or str(item["id"]), bool(item.get("is_bot", False)))


def _place(item: dict[str, Any]) -> Place:
    chat = item["chat"]
    thread = item.get("message_thread_id") if item.get("is_topic_message") else None
    name = str(chat.get("title") or chat.get("first_name") or "")[:64]
    return Place(_integer(chat["id"]), str(chat["type"]), name, None if thread is None else _integer(thread))


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadUpdate("an id is not a whole number")
    return value
