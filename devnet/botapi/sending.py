"""Answer the methods that put something new into a chat."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from devnet.botapi.errors import bad_request
from devnet.botapi.html_check import Entity, parse_html, utf16_length
from devnet.botapi.keyboards import checked_markup
from devnet.botapi.links import detected_entities
from devnet.botapi.model import Chat, Json, Message, StoredFile, now
from devnet.botapi.params import Params, Upload
from devnet.botapi.world import World

TEXT_CHARACTERS = 4096
CAPTION_CHARACTERS = 1024
_RAW_BYTES = 32_768
_PHOTO_BYTES = 10_000_000
_DOCUMENT_BYTES = 50_000_000
_ACTIONS = ("typing", "upload_photo", "upload_document", "choose_sticker", "find_location", "record_video")


@dataclass(frozen=True, slots=True)
class Formatted:
    """A text after parsing: plain, with entities, and the source it came from."""

    text: str
    html: str
    entities: list[Entity]


def formatted(params: Params, name: str) -> Formatted:
    """Parse the named text by `parse_mode`, trimmed as Telegram trims; raise for HTML that it would refuse.

    Only HTML and plain text are spoken here; Markdown is refused like an unknown mode.
    """
    source = params.text(name)
    mode = params.text("parse_mode").lower()
    if len(source.encode()) > _RAW_BYTES:
        raise bad_request("message is too long" if name == "text" else "message caption is too long")
    if mode not in ("", "html", "none"):
        raise bad_request("unsupported parse_mode")
    key = "caption_entities" if name == "caption" else "entities"
    text, entities = parse_html(source) if mode == "html" else (source, params.nested(key, "entities") or [])
    text, entities = _trimmed(text, entities)
    entities = entities + detected_entities(text, entities)
    return Formatted(text, source, sorted(entities, key=lambda item: (item["offset"], -item["length"])))


def message_text(params: Params) -> Formatted:
    """Return the text of a message: 1 to 4096 characters after parsing."""
    if not params.text("text"):
        raise bad_request("message text is empty")
    content = formatted(params, "text")
    if not content.text:
        raise bad_request("text must be non-empty")
    if len(content.text) > TEXT_CHARACTERS:
        raise bad_request("message is too long")
    return content


def caption(params: Params) -> Formatted:
    """Return the caption of a photo or document: up to 1024 characters after parsing."""
    content = formatted(params, "caption")
    if len(content.text) > CAPTION_CHARACTERS:
        raise bad_request("message caption is too long")
    return content


def _trimmed(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    kept = text.strip()
    lead = utf16_length(text[: len(text) - len(text.lstrip())])
    end = utf16_length(kept)
    moved = []
    for item in entities:
        first = max(0, item["offset"] - lead)
        last = min(end, item["offset"] + item["length"] - lead)
        if last > first:
            moved.append(item | {"offset": first, "length": last - first})
    return kept, moved


def new_message(world: World, params: Params, chat: Chat, content: Formatted) -> Message:
    """Build the bot's next message from the parameters that every sending method shares; counts against the flood."""
    markup = checked_markup(params.nested("reply_markup", "reply keyboard markup"))
    reply_to = _replied(chat, params)
    thread = params.integer("message_thread_id") or None
    if thread is not None and thread not in chat.topics:
        raise bad_request("message thread not found")
    world.floods.admit(chat.id, chat.is_group)
    message = Message(chat, world.next_message_id(chat), now(), world.bot, content.text, content.html)
    message.entities, message.reply_markup = content.entities, markup
    message.reply_to, message.thread_id = reply_to, thread
    message.silent = params.flag("disable_notification")
    return message


def _replied(chat: Chat, params: Params) -> Message | None:
    given = params.nested("reply_parameters", "reply parameters") or {}
    message_id = int(given.get("message_id") or params.integer("reply_to_message_id"))
    message = chat.messages.get(message_id)
    if message is not None and not message.deleted:
        return message
    lenient = given.get("allow_sending_without_reply") or params.flag("allow_sending_without_reply")
    if message_id and not lenient:
        raise bad_request("message to be replied not found")
    return None


def send_message(world: World, params: Params) -> Message:
    """Answer sendMessage."""
    chat = world.chat(params.integer("chat_id"))
    return world.post(new_message(world, params, chat, message_text(params)))


def send_photo(world: World, params: Params) -> Message:
    """Answer sendPhoto: PNG or JPEG up to 10 MB, or the `file_id` of one sent before."""
    chat = world.chat(params.integer("chat_id"))
    stored = world.files.get(params.text("photo"))
    if stored is None or not stored.width:
        stored = _new_photo(world, _uploaded(params, "photo", _PHOTO_BYTES))
    message = new_message(world, params, chat, caption(params))
    message.photo = stored
    return world.post(message)


def send_document(world: World, params: Params) -> Message:
    """Answer sendDocument: any file up to 50 MB, or the `file_id` of one sent before."""
    chat = world.chat(params.integer("chat_id"))
    stored = world.files.get(params.text("document"))
    if stored is None or stored.width:
        upload = _uploaded(params, "document", _DOCUMENT_BYTES)
        stored = _store(world, "BQACAgQ", upload, (0, 0))
    message = new_message(world, params, chat, caption(params))
    message.document = stored
    return world.post(message)


def send_chat_action(world: World, params: Params) -> bool:
    """Answer sendChatAction: the page shows it for five seconds."""
    chat = world.chat(params.integer("chat_id"))
    if params.text("action") not in _ACTIONS:
        raise bad_request("wrong parameter action in request")
    world.tell({"type": "action", "chat_id": chat.id, "action": params.text("action")})
    return True


def _uploaded(params: Params, name: str, most: int) -> Upload:
    upload = params.upload(name)
    if upload is None:
        given = params.text(name)
        raise bad_request(
            "wrong remote file identifier specified: Wrong string length"
            if given
            else f"there is no {name} in the request"
        )
    if not upload.content:
        raise bad_request("file must be non-empty")
    if len(upload.content) > most:
        raise bad_request(f"file of size {len(upload.content)} bytes is too big for a {name}")
    return upload


def _new_photo(world: World, upload: Upload) -> StoredFile:
    size = image_size(upload.content)
    if size is None:
        raise bad_request("IMAGE_PROCESS_FAILED")
    if sum(size) > 10_000 or max(size) > 20 * min(size):
        raise bad_request("PHOTO_INVALID_DIMENSIONS")
    return _store(world, "AgACAgQ", upload, size)


def _store(world: World, prefix: str, upload: Upload, size: tuple[int, int]) -> StoredFile:
    number = next(world.serial)
    kind = upload.mime_type
    if size[0]:
        kind = "image/png" if upload.content.startswith(b"\x89PNG") else "image/jpeg"
    stored = StoredFile(f"{prefix}{number:020d}", f"AQAD{number:012d}", upload.name, kind, upload.content, *size)
    world.files[stored.file_id] = stored
    return stored


def image_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG or JPEG from its header, None for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return (width, height) if width and height else None
    return _jpeg_size(content) if content.startswith(b"\xff\xd8") else None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return (width, height) if width and height else None
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return None


def chat_json(chat: Chat) -> Json:
    """Return the Bot API's `ChatFullInfo`."""
    body = chat.json() | {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": _GIFTS}
    pinned = [chat.messages[item] for item in chat.pinned if not chat.messages[item].deleted]
    return body | ({"pinned_message": pinned[-1].json()} if pinned else {})


_GIFTS = {
    "unlimited_gifts": False,
    "limited_gifts": False,
    "unique_gifts": False,
    "premium_subscription": False,
    "gifts_from_channels": False,
}
