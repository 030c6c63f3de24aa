"""Say in one sentence what is wrong with the store's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import StoreError, StoreUnavailable

_KNOWN: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreUnavailable, "is locked by another process"),
    sqlite3.SQLITE_LOCKED: (StoreUnavailable, "is locked by another connection"),
    sqlite3.SQLITE_PROTOCOL: (StoreUnavailable, "is locked by too many processes"),
    sqlite3.SQLITE_FULL: (StoreUnavailable, "cannot grow: the disk is full"),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, "cannot be read or written: the disk refuses"),
    sqlite3.SQLITE_NOMEM: (StoreUnavailable, "cannot be used: no memory is left"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreUnavailable,
        "cannot be opened: it must be a file that this user may read and write, as must its directory",
    ),
    sqlite3.SQLITE_READONLY: (StoreError, "may not be written by this user"),
    sqlite3.SQLITE_PERM: (StoreError, "may not be used by this user"),
    sqlite3.SQLITE_CORRUPT: (StoreError, "is damaged: restore a copy, or move it away to begin anew"),
    sqlite3.SQLITE_NOTADB: (StoreError, "is not a SQLite database: set STATE_DB to another file"),
}


def explain(path: Path, error: sqlite3.Error) -> StoreError:
    """Return the error to raise for `error`; StoreUnavailable when trying again may help."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    kind, words = _KNOWN.get(code, (StoreError, "cannot be used"))
    return kind(f"STATE_DB={path} {words} ({error})")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into this project's."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(path, error) from error
