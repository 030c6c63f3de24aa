"""The SQLite store's file: how it is made, migrated, shared, refused and lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import SchemaTooNew, StoreError, StoreUnavailable
from core.state.sqlite.migrations import migrate, migrations, newest
from core.state.sqlite_store import SqliteStore
from tests.contract.samples import address, opportunity, warned

ROOT = Path(__file__).parents[2]


async def open_and_close(path: Path) -> None:
    await (await SqliteStore.open(path, busy_seconds=0.1)).close()


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def remove_all(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert list(migrations()) == list(range(1, newest() + 1))


def test_migrating_makes_the_file_and_says_from_where_to_where(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert migrate(path) == (0, newest())
    assert migrate(path) == (newest(), newest())
    assert pragma(path, "user_version") == newest()
    assert pragma(path, "journal_mode") == "wal"


async def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    before = os.umask(0)
    try:
        store = await SqliteStore.open(path)
    finally:
        os.umask(before)
    await store.outbox.append([warned("a")], now=1.0)
    assert names(tmp_path) == ["state.db", "state.db-shm", "state.db-wal"]
    assert {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in names(tmp_path)} == {0o600}
    await store.close()
    assert names(tmp_path) == ["state.db"]


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"STATE_DB=.*no/such.*directory .*no/such does not exist"):
        await SqliteStore.open(tmp_path / "no" / "such" / "state.db")
    assert names(tmp_path) == []


async def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a directory"):
        await SqliteStore.open(tmp_path)


async def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {newest() + 3}")
    with pytest.raises(SchemaTooNew) as caught:
        await SqliteStore.open(path)
    assert f"STATE_DB={path} has schema {newest() + 3}" in str(caught.value)
    assert f"up to {newest()}" in str(caught.value)
    assert "run the newer version, or set STATE_DB to another file" in str(caught.value)
    assert pragma(path, "user_version") == newest() + 3


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(StoreError, match="another program's database"):
        await SqliteStore.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]
    assert pragma(path, "journal_mode") == "delete"


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("dear diary\n" * 500)
    with pytest.raises(StoreError, match="is not a SQLite database"):
        await SqliteStore.open(path)
    assert path.read_text() == "dear diary\n" * 500


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch()
    await open_and_close(path)
    assert pragma(path, "user_version") == newest()


async def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    await store.journal.record([opportunity(number) for number in range(1, 200)], now=1.0)
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with pytest.raises(StoreError, match=r"STATE_DB=.*is damaged: restore a copy"):
        store = await SqliteStore.open(path)
    assert size == path.stat().st_size


async def test_a_lock_is_waited_for_and_then_named_and_nothing_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, busy_seconds=0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"STATE_DB=.*is locked by another process"):
            await store.outbox.append([warned("a")], now=1.0)
        assert await store.outbox.read(0) == []
        waiting = asyncio.create_task(store.outbox.append([warned("b")], now=1.0))
        await asyncio.sleep(0.05)
        blocker.execute("COMMIT")
        await waiting
    assert [event for _, event in await store.outbox.read(0)] == [warned("b")]
    await store.close()


async def test_a_lock_while_opening_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="is locked"):
            await SqliteStore.open(path, busy_seconds=0.1)
        blocker.execute("COMMIT")
    await open_and_close(path)


async def test_a_lost_file_is_noticed_and_its_return_too(tmp_path: Path) -> None:
    path, away = tmp_path / "state.db", tmp_path / "away.db"
    store = await SqliteStore.open(path)
    await store.outbox.append([warned("a")], now=1.0)
    path.rename(away)
    with pytest.raises(StoreUnavailable, match="is gone"):
        await store.outbox.append([warned("b")], now=1.0)
    with pytest.raises(StoreUnavailable, match="is gone"):
        await store.outbox.read(0)
    away.rename(path)
    await store.outbox.append([warned("c")], now=1.0)
    assert [event for _, event in await store.outbox.read(0)] == [warned("a"), warned("c")]
    await store.close()


async def test_a_replaced_file_is_noticed_and_has_another_epoch(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    remove_all(tmp_path)
    remade = await SqliteStore.open(path)
    assert remade.epoch != store.epoch
    with pytest.raises(StoreError, match="was replaced by another file"):
        await store.outbox.append([warned("b")], now=1.0)
    await store.close()
    await remade.outbox.append([warned("a")], now=1.0)
    await remade.close()


def python(code: str, *arguments: str | Path, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


OPEN = """
import asyncio, sys
from core.state.sqlite_store import SqliteStore
async def main():
    print("up", flush=True)
    sys.stdin.read()
    store = await SqliteStore.open(sys.argv[1])
    print(store.epoch)
    await store.close()
asyncio.run(main())
"""


def test_processes_that_make_the_file_at_once_share_one_store(tmp_path: Path) -> None:
    processes = [python(OPEN, tmp_path / "state.db", stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], answers
    assert len({epoch for epoch, _ in answers}) == 1


FULL = """
import asyncio, resource, sys
from core.errors import StoreUnavailable
from core.state.sqlite_store import SqliteStore
from tests.contract.samples import opportunity
async def main():
    store = await SqliteStore.open(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    saved = 0
    try:
        while True:
            await store.journal.record([opportunity(saved + 1)], 1.0)
            saved += 1
    except StoreUnavailable as error:
        print(error)
    assert len(await store.journal.opportunities(limit=10**6)) == saved > 0
    assert len(await store.outbox.read(0, limit=10**6)) == saved
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.journal.record([opportunity(saved + 1)], 1.0)
    assert len(await store.journal.opportunities(limit=10**6)) == saved + 1
    await store.close()
asyncio.run(main())
"""


def test_a_disk_that_takes_no_more_is_named_and_survived(tmp_path: Path) -> None:
    process = python(FULL, tmp_path / "state.db")
    said, trouble = process.communicate(timeout=60)
    assert process.returncode == 0, trouble
    assert said.startswith(f"STATE_DB={tmp_path}/state.db cannot")


READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
from core.errors import StoreError, StoreUnavailable
from core.state.sqlite_store import SqliteStore
async def main(path):
    try:
        store = await SqliteStore.open(path)
        await store.close()
    except StoreError as error:
        print(type(error).__name__, error)
if os.geteuid() == 0:  # root may do everything, so become somebody else, with all modules loaded
    asyncio.run(main(sys.argv[2]))
    os.setuid(65534)
asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("arrange", "directory_mode", "said"),
    [
        (lambda path: path.chmod(0o444), 0o777, "may not be written by this user"),
        (lambda path: (path.write_bytes(b""), path.chmod(0o444)), 0o777, "may not be written by this user"),
        (lambda path: path.chmod(0o444), 0o555, "may not be written by this user"),
        (lambda path: path.chmod(0o000), 0o777, "cannot be opened"),
        (lambda path: path.unlink(), 0o555, "cannot be created: Permission denied"),
    ],
)
def test_missing_permissions_are_named(
    tmp_path: Path, arrange: Callable[[Path], object], directory_mode: int, said: str
) -> None:
    with tempfile.TemporaryDirectory() as name:  # anybody may come here, which pytest's own directories forbid
        path = Path(name, "state.db")
        migrate(path)
        arrange(path)
        path.parent.chmod(directory_mode)
        process = python(READ_ONLY, path, tmp_path / "warm-up.db")
        answer, trouble = process.communicate(timeout=60)
    assert process.returncode == 0, trouble
    assert said in answer
    assert answer.count("\n") == 1


async def test_a_copy_taken_with_sqlite_is_a_store(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    await store.borrowers.add([address(1)], to_block=7)
    with closing(sqlite3.connect(tmp_path / "state.db")) as source, closing(sqlite3.connect(tmp_path / "copy")) as copy:
        source.backup(copy)
    await store.close()
    shutil.move(tmp_path / "copy", tmp_path / "state.db")
    again = await SqliteStore.open(tmp_path / "state.db")
    assert await again.borrowers.all() == [address(1)]
    await again.close()
