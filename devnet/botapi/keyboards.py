"""Check a reply markup as Telegram does and return it in the form that the message keeps."""

from __future__ import annotations

from typing import Any

from devnet.botapi.errors import bad_request
from devnet.botapi.links import normalised_url
from devnet.botapi.model import Json

_MOST_BUTTONS = 100
_MOST_IN_A_ROW = 8
_CALLBACK_BYTES = 64
_COPY_CHARACTERS = 256
_STYLES = ("danger", "success", "primary")
_OTHER_MARKUPS = ("keyboard", "remove_keyboard", "force_reply")


def checked_markup(markup: Any) -> Json | None:
    """Return the inline keyboard without empty rows; None for no keyboard or one that the message does not keep."""
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    if "inline_keyboard" not in markup:
        if markup and not any(key in markup for key in _OTHER_MARKUPS):
            raise bad_request("can't parse reply keyboard markup JSON object")
        return None
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    kept = [[_checked_button(button) for button in row] for row in rows if row]
    if sum(map(len, kept)) > _MOST_BUTTONS or any(len(row) > _MOST_IN_A_ROW for row in kept):
        raise bad_request("reply markup is too long")
    return {"inline_keyboard": kept} if kept else None


def _checked_button(button: Any) -> Json:
    if not isinstance(button, dict) or not isinstance(button.get("text"), str):
        raise bad_request("can't parse inline keyboard button: Can't find field \"text\"")
    if not button["text"].strip():
        raise bad_request('can\'t parse inline keyboard button: Field "text" must be non-empty')
    if button.get("style", "primary") not in _STYLES:
        raise bad_request("can't parse inline keyboard button: Unsupported button style specified")
    kept = {"text": button["text"]} | ({"style": button["style"]} if "style" in button else {})
    return kept | _checked_action(button)


def _checked_action(button: Json) -> Json:
    if "callback_data" in button:
        data = button["callback_data"]
        if not isinstance(data, str) or not 1 <= len(data.encode()) <= _CALLBACK_BYTES:
            raise bad_request("BUTTON_DATA_INVALID")
        return {"callback_data": data}
    if "url" in button:
        url = normalised_url(str(button["url"]))
        if url is None:
            raise bad_request(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")
        return {"url": url}
    if "copy_text" in button:
        copied = button["copy_text"].get("text") if isinstance(button["copy_text"], dict) else None
        if not isinstance(copied, str) or not 1 <= len(copied) <= _COPY_CHARACTERS:
            raise bad_request("BUTTON_COPY_TEXT_INVALID")
        return {"copy_text": {"text": copied}}
    raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
