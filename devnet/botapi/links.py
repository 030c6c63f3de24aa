"""Find what Telegram makes clickable by itself: addresses of pages, commands and mentions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

_PATTERNS = {
    "url": re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]]"),
    "bot_command": re.compile(r"(?<![\w/@.:])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/])"),
    "mention": re.compile(r"(?<![\w@/.])@[A-Za-z0-9_]{4,32}\b"),
}
_HOST = re.compile(r"^(?:\[[0-9a-f:]+\]|[^\s.@/]+(?:\.[^\s.@/]+)+)$", re.IGNORECASE)


def normalised_url(target: str) -> str | None:
    """Return the address as Telegram stores it, or None where it is not one (no dot in the host, another scheme)."""
    if not target or any(char.isspace() for char in target):
        return None
    full = target if "://" in target else f"http://{target}"
    try:
        parts = urlsplit(full)
        host = parts.hostname or ""
    except ValueError:
        return None
    if parts.scheme.lower() == "tg" and host:
        return full
    if parts.scheme.lower() not in ("http", "https") or not _HOST.match(host):
        return None
    return full if parts.path else f"{full}/"


def detected_entities(text: str, taken: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entities for addresses, commands and mentions in `text` outside code and links already in `taken`."""
    blocks = [item for item in taken if item["type"] in ("code", "pre", "text_link", "text_mention")]
    found: list[dict[str, Any]] = []
    for kind, pattern in _PATTERNS.items():
        for match in pattern.finditer(text):
            offset = len(text[: match.start()].encode("utf-16-le")) // 2
            length = len(match.group().encode("utf-16-le")) // 2
            if not any(_overlap(item, offset, length) for item in [*blocks, *found]):
                found.append({"type": kind, "offset": offset, "length": length})
    return found


def _overlap(item: dict[str, Any], offset: int, length: int) -> bool:
    return bool(item["offset"] < offset + length and offset < item["offset"] + item["length"])
