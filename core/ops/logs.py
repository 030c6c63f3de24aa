"""Structured logs without secrets: one JSON object a line, or text for eyes.

The message is for people ("[realtime-hf] New block 12345678"); what machines want stands beside it in fields, given as
`extra={"block": 12345678}`.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, TextIO

from core.ops.redact import Redactor

CHATTY = ("httpx", "httpcore", "websockets", "telegram", "aiosqlite", "apscheduler", "asyncio", "web3", "urllib3")
"""Libraries that log URLs with their secrets, or every frame; only their warnings are wanted."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
logger = logging.getLogger(__name__)


class RedactingFilter(logging.Filter):
    """Rewrite a record, for whichever handler comes after: message, arguments, traceback, stack and fields."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, clean."""
        clean = self._redactor.clean
        record.msg, record.args = clean(_message(record)), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self._formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = clean(record.exc_text)
        record.exc_info = None  # another handler would format it again, with its secrets
        if record.stack_info:
            record.stack_info = clean(record.stack_info)
        for name, value in _fields(record).items():
            setattr(record, name, self._plain(value))
        return True

    def _plain(self, value: Any) -> Any:
        match value:
            case bool() | int() | float() | None:
                return value
            case str():
                return self._redactor.clean(str(value))
            case Mapping():
                return {self._redactor.clean(str(key)): self._plain(one) for key, one in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._plain(one) for one in value]
            case _:
                return self._redactor.clean(str(value))


class JsonFormatter(logging.Formatter):
    """Write a record as one line of JSON; the same fields (process, release) stand on every line."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__()
        self._same = dict(fields)

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, Any] = {
            "at": _utc(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._same,
            **_fields(record),
        }
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """Write a record as one line of text, and its traceback below; text from outside cannot begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, or more for a traceback."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_utc(record)[11:23]} {record.levelname:<7} {record.getMessage()}{fields}"
        below = [part for part in (record.exc_text, record.stack_info) if part]
        return "\n".join([_one_line(line), *below])


class _Handler(logging.StreamHandler[TextIO]):
    """Be recognisable, so that a second set-up replaces the first one and nobody else's handler."""


class LogOptions(Protocol):
    """Name the settings that logging reads."""

    @property
    def log_level(self) -> str:
        """Return debug, info, warning or error."""
        ...

    @property
    def log_format(self) -> str:
        """Return json or text."""
        ...


def setup_logging(
    options: LogOptions, redactor: Redactor | None = None, stream: TextIO | None = None, **fields: str
) -> Redactor:
    """Send all logs through one redacting handler to `stream` (stdout); return the redactor to register secrets with.

    `fields` stand on every JSON line. What nobody caught, in any thread, is logged too instead of being printed raw.
    """
    redactor = redactor or Redactor()
    handler = _Handler(stream or sys.stdout)
    handler.setFormatter(TextFormatter() if options.log_format == "text" else JsonFormatter(fields))
    handler.addFilter(RedactingFilter(redactor))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(options.log_level.upper())
    quieten(CHATTY)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    return redactor


def quieten(names: Iterable[str]) -> None:
    """Let only warnings of these loggers through, whatever the level of the rest is."""
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError, IndexError):
        return f"{record.msg} {record.args!r}"  # arguments that do not fit must not cost the line


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _utc(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logger.critical("[process] ended by an error that nobody caught", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    error = given.exc_value or given.exc_type()
    logger.critical(
        "[thread] ended by an error that nobody caught", exc_info=(given.exc_type, error, given.exc_traceback)
    )
