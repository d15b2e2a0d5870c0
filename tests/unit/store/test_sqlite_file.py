"""The file and its connections: who may open it, and what is switched on."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from tests.unit.store.sqlite_support import create, run

from vallum.store.errors import StoreError
from vallum.store.ports import Statement
from vallum.store.sqlite import SqliteDatabase, SqliteFile
from vallum.store.sqlite_connection import Use, connect
from vallum.store.sqlite_file import check_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        check_file(path)
    return caught.value.identifier


def test_a_new_file_and_directory_belong_to_the_owner_alone(tmp_path: Path) -> None:
    """Modes are 0600 and 0700 whatever the umask, also of the files that SQLite makes beside it."""
    path = tmp_path / "data" / "vallum.db"
    before = os.umask(0)
    try:
        create(path)
        with SqliteFile(path) as file:
            file.write(run("INSERT INTO shelf VALUES (1)"))
            beside = {p.name: mode(p) for p in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert mode(path.parent) == 0o700
    assert beside == {"vallum.db": 0o600, "vallum.db-wal": 0o600, "vallum.db-shm": 0o600}


def test_an_existing_file_is_never_made_anew(path: Path) -> None:
    """`create` on a database that is there refuses and leaves it as it is."""
    content = path.read_bytes()
    with pytest.raises(StoreError, match="database-exists"):
        SqliteFile.create(path)
    assert path.read_bytes() == content


def test_creating_follows_no_link(tmp_path: Path) -> None:
    """A symbolic link in the place of the new file is not written through."""
    (tmp_path / "vallum.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="database-exists"):
        SqliteFile.create(tmp_path / "vallum.db")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o601])
def test_a_file_open_to_others_is_refused(path: Path, bits: int) -> None:
    """One bit for group or others is enough."""
    path.chmod(bits)
    assert refused(path) == "database-mode"


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_journal_open_to_others_is_refused(path: Path, suffix: str) -> None:
    """The journal holds the newest rows, so it counts like the file itself."""
    beside = path.with_name(path.name + suffix)
    beside.touch(0o644)
    assert refused(path) == "database-mode"


@pytest.mark.parametrize(("bits", "is_refused"), [(0o770, True), (0o702, True), (0o755, False), (0o700, False)])
def test_a_directory_where_others_write_is_refused(path: Path, bits: int, is_refused: bool) -> None:
    """Who may write in the directory could put another file in the place of this one."""
    path.parent.chmod(bits)
    if is_refused:
        assert refused(path) == "directory-mode"
    else:
        check_file(path)


def test_a_missing_file_is_refused_and_not_made(tmp_path: Path) -> None:
    """A wrong path must not become an empty database, neither by the check nor by SQLite."""
    path = tmp_path / "none.db"
    assert refused(path) == "database-missing"
    with pytest.raises(sqlite3.OperationalError):
        connect(path, "read", busy_seconds=0.0)
    assert not path.exists()


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    """A path is a path: `?`, `#`, `%` and spaces in it mean nothing to SQLite's URI."""
    path = tmp_path / "a ?mode=ro#%20" / "v.db"
    create(path)
    assert [p.name for p in sorted(path.parent.iterdir())] == ["v.db"]


@pytest.mark.parametrize("use", ["read", "write", "command"])
def test_what_every_connection_has_switched_on(path: Path, use: Use) -> None:
    """Durable commits, foreign keys, no functions from the schema, page checks; readers cannot write."""
    connection = connect(path, use, busy_seconds=1.5)
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check", "query_only")
    }
    timeout = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.close()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "query_only": int(use == "read"),
    }
    assert timeout == 1500


def test_a_command_makes_no_checkpoint(path: Path) -> None:
    """Two processes that make checkpoints can lose a commit in SQLite before 3.51.3; only the server makes them."""
    pages = {}
    for use in ("write", "command"):
        connection = connect(path, use, busy_seconds=1.0)
        pages[use] = connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
        connection.close()
    assert pages == {"write": 1000, "command": 0}


async def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    """The start fails, and nothing is left running that would hinder a second one."""
    path = tmp_path / "vallum.db"
    path.touch(0o600)
    path.write_bytes(b"not a database at all, but long enough to be asked for its header" * 20)
    database = SqliteDatabase(path)
    with pytest.raises(sqlite3.DatabaseError):
        await database.start()


async def test_a_database_without_our_tables_stops_the_start(tmp_path: Path) -> None:
    """Somebody else's SQLite file is not served."""
    path = tmp_path / "vallum.db"
    SqliteFile.create(path).close()
    database = SqliteDatabase(path)
    with pytest.raises(StoreError, match="schema-missing"):
        await database.start()


async def test_stop_leaves_no_journal_behind(path: Path) -> None:
    """After the last close everything is in the one file."""
    database = SqliteDatabase(path)
    await database.start()
    await database.write(run("INSERT INTO shelf VALUES (7)"))
    assert await database.read(Statement("SELECT id FROM shelf", ())) == [(7,)]
    await database.stop()
    assert [p.name for p in path.parent.iterdir()] == ["vallum.db"]
