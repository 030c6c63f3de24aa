"""Read a call's parameters, however they came: query string, form, multipart or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField

from devnet.botapi.errors import bad_request
from devnet.botapi.model import Json


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a call."""

    name: str
    mime_type: str
    content: bytes = field(repr=False)


class Params:
    """Give typed access to a call's values; a form's values are strings, nested ones JSON in a string."""

    def __init__(self, values: Json, uploads: dict[str, Upload] | None = None) -> None:
        self.values = values
        self.uploads = uploads or {}

    @classmethod
    async def read(cls, request: web.Request) -> Params:
        """Read the query string and the body; raise 400 for JSON that is none."""
        values: Json = dict(request.query)
        uploads: dict[str, Upload] = {}
        if request.content_type == "application/json":
            values |= _json_object(await request.text())
        elif request.method == "POST":
            for name, value in (await request.post()).items():
                if isinstance(value, FileField):
                    uploads[name] = Upload(value.filename, value.content_type, value.file.read())
                else:
                    values[name] = value
        return cls(values, uploads)

    def summary(self) -> Json:
        """Return the values for the transcript, files by name and size."""
        files = {name: f"<file {item.name}, {len(item.content)} bytes>" for name, item in self.uploads.items()}
        return {**self.values, **files}

    def has(self, name: str) -> bool:
        """Tell whether a value was given."""
        return name in self.values

    def text(self, name: str) -> str:
        """Return a string, empty when not given."""
        value = self.values.get(name, "")
        return value if isinstance(value, str) else json.dumps(value)

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number, or the default where there is none, as Telegram does."""
        value = self.values.get(name, default)
        try:
            return int(value)
        except (TypeError, ValueError):
            return default

    def flag(self, name: str) -> bool:
        """Return a boolean."""
        return str(self.values.get(name, "")).lower() in ("true", "yes", "1")

    def nested(self, name: str, what: str) -> Any:
        """Return a value that is JSON by itself, None when absent; `what` names it in the refusal."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            raise bad_request(f"can't parse {what} JSON object") from None

    def upload(self, name: str) -> Upload | None:
        """Return the file of this field, sent directly or by `attach://`."""
        value = self.values.get(name)
        if isinstance(value, str) and value.startswith("attach://"):
            return self.uploads.get(value.removeprefix("attach://"))
        return self.uploads.get(name)


def _json_object(body: str) -> Json:
    try:
        value = json.loads(body or "{}")
    except json.JSONDecodeError:
        raise bad_request("can't parse request JSON object") from None
    if not isinstance(value, dict):
        raise bad_request("object expected as request body")
    return value
