"""Bring the store's file to the schema that this version knows."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from importlib import resources
from pathlib import Path

from core.errors import SchemaTooNew, StoreError
from core.state.sqlite.trouble import explained

APPLICATION_ID = 0x4C514254
"""Marks the file as ours ("LQBT"), so that another program's database is never written to."""

BUSY_SECONDS = 5.0
"""How long a statement waits for another process's lock."""


@cache
def migrations() -> dict[int, str]:
    """Return the SQL of every migration by its number; the numbers begin at 1 and have no gap."""
    files = (file for file in resources.files("core.state").iterdir() if file.name.startswith("schema_"))
    found = {int(file.name.removeprefix("schema_").removesuffix(".sql")): file.read_text("utf-8") for file in files}
    return dict(sorted(found.items()))


def newest() -> int:
    """Return the number of the newest schema that this version knows."""
    return max(migrations())


def migrate(path: Path, busy_seconds: float = BUSY_SECONDS) -> tuple[int, int]:
    """Create the file if there is none, apply what is missing, and return (schema before, schema after).

    Safe to run in several processes at once. A new file is readable and writable by its owner only. Raise SchemaTooNew
    for a file of a newer version, StoreError for one that is not a store, StoreUnavailable when it is locked.
    """
    _create(path)
    with explained(path), closing(sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)) as connection:
        before = _version(connection)
        _refuse_foreign(path, connection, before)
        _use_wal(path, connection, busy_seconds)
        connection.execute("PRAGMA synchronous = FULL")
        for number, sql in migrations().items():
            if number > before:
                _apply(connection, number, sql)
        after = _version(connection)
        _try_writing(connection, after)
        return before, after


def _create(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreError(f"STATE_DB={path}: its directory {path.parent} does not exist; create it or set STATE_DB")
    if path.is_dir():
        raise StoreError(f"STATE_DB={path} is a directory: set STATE_DB to a file")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        # Opening it again here and closing it would drop the locks of this process's other connections to it.
        return
    except OSError as error:
        raise StoreError(f"STATE_DB={path} cannot be created: {error.strerror}") from error


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_foreign(path: Path, connection: sqlite3.Connection, version: int) -> None:
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"STATE_DB={path} is another program's database: set STATE_DB to another file")
    if version > newest():
        raise SchemaTooNew(
            f"STATE_DB={path} has schema {version}, and this version of liquidbot knows schemas up to {newest()}: "
            "run the newer version, or set STATE_DB to another file"
        )


def _use_wal(path: Path, connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch the file to write-ahead logging; SQLite does not wait for locks in this statement, so wait here."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            break
    if mode != "wal":
        raise StoreError(f"STATE_DB={path} is on a disk that cannot be shared (no write-ahead log): use a local disk")


def _apply(connection: sqlite3.Connection, number: int, sql: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) < number:  # another process may have been faster
            for statement in _statements(sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _try_writing(connection: sqlite3.Connection, version: int) -> None:
    """Refuse a file that may only be read now, and not at the first event."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(f"PRAGMA user_version = {version}")
    finally:
        connection.rollback()


def _statements(sql: str) -> Iterator[str]:
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
