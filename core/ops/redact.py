"""Take secrets out of text before anybody sees it."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlsplit

MASK = "***"
SHORTEST = 4
"""A shorter text is not taken for a secret: masking it would tear ordinary words apart."""

_SHORTEST_IN_PATH = 16
_BOT_TOKEN = re.compile(r"(?<!\d)\d{6,12}:[A-Za-z0-9_-]{30,50}(?![A-Za-z0-9_-])")
_URL = re.compile(r"\b(https?|wss?|rediss?)://([^\s'\"<>|]+)", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:\d+)?")


class Redactor:
    """Mask registered secrets by value, bot tokens by their shape, and all of a URL but its host."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._by_value: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def add(self, *secrets: str) -> None:
        """Register secrets, also as they look percent-encoded and, for keys, without 0x; empty ones are ignored."""
        for secret in secrets:
            forms = {secret, quote(secret, safe=""), secret.removeprefix("0x")}
            self._secrets |= {form for form in forms if len(form) >= SHORTEST}
        if self._secrets:
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._by_value = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def add_url(self, *urls: str) -> None:
        """Register what may be secret in the URLs themselves: password, user, long path segments, query values."""
        for url in urls:
            parts = urlsplit(url)
            segments = [part for part in parts.path.split("/") if len(part) >= _SHORTEST_IN_PATH]
            values = [value for _, value in parse_qsl(parts.query)]
            people = [unquote(part) for part in (parts.username, parts.password) if part]
            self.add(*segments, *values, *people)

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        if "://" in text:
            text = _URL.sub(_host_only, text)
        if self._by_value:
            text = self._by_value.sub(MASK, text)
        return _BOT_TOKEN.sub(MASK, text) if ":" in text else text


def _host_only(url: re.Match[str]) -> str:
    scheme, rest = url.groups()
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    host = _HOST.match(authority.rpartition("@")[2])
    # An @ further on means that a password may hold a slash: then nothing here is surely a host.
    return f"{scheme}://{MASK if host is None or '@' in rest[len(authority) :] else host.group()}"
