"""What a message looks like, as data: text, buttons, and what the bot must remember about it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

MAX_VISIBLE = 4096
"""Telegram's limit after entities are parsed; counted in UTF-16 units here, the stricter reading."""
MAX_CALLBACK_BYTES = 64
_VERSION = "1"
_LEFT_OUT_SPACE = 24
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Button:
    """Hold one button: exactly one of `data`, `url` and `copy` is set; `style` is "", danger, success or primary."""

    text: str
    data: str = ""
    url: str = ""
    copy: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Press:
    """Hold what a button says when it is pressed; the client could have made it up."""

    action: str
    arg: str
    token: str
    key: str


@dataclass(frozen=True, slots=True)
class Handle:
    """Make the buttons of one message: its delivery key, and a secret that a forged press does not know."""

    key: str
    token: str

    def button(self, text: str, action: str, arg: str = "", style: str = "") -> Button:
        """Return a button; raise ValueError when its data would exceed Telegram's 64 bytes."""
        data = "|".join((_VERSION, action, arg, self.token, self.key))
        if len(data.encode()) > MAX_CALLBACK_BYTES:
            raise ValueError(f"callback data of {len(data.encode())} bytes: {action}")
        return Button(text, data=data, style=style)


def parse_press(data: str) -> Press | None:
    """Return what the data says, or None when this version did not write it."""
    parts = data.split("|")
    if len(parts) != 5 or parts[0] != _VERSION:
        return None
    return Press(*parts[1:])


@dataclass(frozen=True, slots=True)
class Card:
    """Hold one message as it should look, and what belongs to it.

    `silent`, `reply_to` and `thread` matter only when it is first sent. `token` is the secret of its buttons, `owner`
    the only person whose press counts (0: everybody whose role allows it). `command` is the encoded command whose
    outcome it tells; `facts` are what the next edit must know.
    """

    html: str
    buttons: tuple[tuple[Button, ...], ...] = ()
    silent: bool = False
    reply_to: int | None = None
    thread: int | None = None
    token: str = ""
    owner: int = 0
    command: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def encode(self) -> str:
        """Return the card as JSON text for a delivery row."""
        return _ADAPTER.dump_json(self, exclude_defaults=True).decode()


_ADAPTER = TypeAdapter(Card)


def decode_card(content: str) -> Card:
    """Return the card in a delivery row."""
    return _ADAPTER.validate_json(content)


def esc(text: str, most: int = 200) -> str:
    """Return outside text on one line of HTML: control and bidi characters out, clipped to `most`, escaped."""
    return html.escape(one_line(text, most), quote=False).replace('"', "&quot;")


def one_line(text: str, most: int) -> str:
    """Return outside text on one line, control and bidi characters out, clipped to `most`; not yet fit for HTML."""
    clean = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def plain(source: str) -> str:
    """Return the text that people see of our HTML."""
    return html.unescape(_TAG.sub("", source))


def visible_length(source: str) -> int:
    """Count what Telegram counts against its limit, in UTF-16 units."""
    return len(plain(source).encode("utf-16-le")) // 2


def compose(blocks: Sequence[str], footer: str = "", limit: int = MAX_VISIBLE) -> str:
    """Join whole blocks by line breaks; when they do not fit, leave out the last ones and say how many.

    Blocks are never cut. `footer` is always kept.
    """
    kept = [block for block in blocks if block]
    sizes = [visible_length(block) + 1 for block in kept]
    space = limit - visible_length(footer)
    total, size = len(kept), sum(sizes)
    while kept and size + (_LEFT_OUT_SPACE if len(kept) < total else 0) > space:
        kept.pop()
        size -= sizes.pop()
    left_out = [f"… and {total - len(kept)} more"] if len(kept) < total else []
    return "\n".join([*kept, *left_out, *([footer] if footer else [])])
