"""Several processes on one file, and one that is killed in the middle of its work."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.orm import Session
from tests.unit.store.sqlite_support import SOURCE, Item, create, handle, run

from vallum.store.errors import StoreError
from vallum.store.ports import Script, Statement
from vallum.store.sqlite import SqliteDatabase, SqliteFile
from vallum.store.sqlite_connection import connect
from vallum.store.sqlite_limits import SqliteLimits

HEAD: Final = """
import asyncio, sys
from itertools import count
from pathlib import Path
from vallum.store.ports import Statement
from vallum.store.sqlite import SqliteDatabase

async def main(path, tag):
    database = SqliteDatabase(Path(path))
    await database.start()
    await asyncio.gather(*(work(database, f"{tag}-{n}") for n in range(16)))
    await database.stop()
"""

ACKNOWLEDGING: Final = (
    HEAD
    + """
def pair(name):
    yield Statement("INSERT INTO log (name) VALUES (?)", (name,))
    yield Statement("INSERT INTO item (name) VALUES (?)", (name,))

async def work(database, who):
    for i in count():
        name = f"{who}-{i}"
        await database.write(lambda: pair(name))
        print(name, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""
)

COUNTING: Final = (
    HEAD
    + """
def increment():
    rows = yield Statement("SELECT size FROM item WHERE name = 'counter'", ())
    yield Statement("UPDATE item SET size = ? WHERE name = 'counter'", (rows[0][0] + 1,))

async def work(database, who):
    for _ in range(10):
        await database.write(increment)

asyncio.run(main(*sys.argv[1:]))
"""
)


@contextmanager
def started(code: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own; whatever happens, it does not outlive the test."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def rows_of(path: Path, text: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(text).fetchall()
    finally:
        connection.close()


def increment() -> Script[None]:
    rows = yield Statement("SELECT size FROM item WHERE name = 'counter'", ())
    yield Statement("UPDATE item SET size = ? WHERE name = 'counter'", (rows[0][0] + 1,))


def test_kill_9_loses_nothing_acknowledged_and_doubles_nothing(path: Path) -> None:
    """Three times a process is killed under load: what it acknowledged is there once, and no half of a script is."""
    with SqliteFile(path) as file:
        file.write(run("CREATE TABLE log (name TEXT)"))
    acknowledged: list[str] = []
    for round_, enough in enumerate((1, 200, 500)):
        with started(ACKNOWLEDGING, path, f"r{round_}") as process:
            assert process.stdout is not None
            acknowledged += [process.stdout.readline().decode().strip() for _ in range(enough)]
            process.send_signal(signal.SIGKILL)
            rest, _ = process.communicate()
        # The last line may be cut short; a whole one was acknowledged like the others.
        acknowledged += [line.decode().strip() for line in rest.splitlines(keepends=True) if line.endswith(b"\n")]
        assert process.returncode == -signal.SIGKILL
        assert len(acknowledged) == len(set(acknowledged)) >= enough
        logged = [str(name) for (name,) in rows_of(path, "SELECT name FROM log")]
        assert len(logged) == len(set(logged))
        assert set(acknowledged) <= set(logged)
        assert sorted(logged) == [name for (name,) in rows_of(path, "SELECT name FROM item ORDER BY name")]
        assert rows_of(path, "PRAGMA integrity_check") == [("ok",)]


async def test_two_servers_and_a_command_write_at_once(path: Path) -> None:
    """Each reads and then writes the same row: with no update lost, nobody wrote between another's read and write."""
    with SqliteFile(path) as file:
        file.write(run("INSERT INTO item (name, size) VALUES ('counter', 0)"))
        with started(COUNTING, path, "a") as first, started(COUNTING, path, "b") as second:
            ours = 0
            while first.poll() is None or second.poll() is None:
                file.write(increment)
                ours += 1
                await asyncio.sleep(0.002)
        assert [first.returncode, second.returncode] == [0, 0]
        assert file.read(Statement("SELECT size FROM item WHERE name = 'counter'", ())) == [(320 + ours,)]


async def test_a_busy_server_does_not_starve_a_command(path: Path, database: SqliteDatabase) -> None:
    """Sixty-four writes are always waiting in the server; a command that disables somebody still gets its turn."""
    await database.write(run("INSERT INTO item (name, size) VALUES ('counter', 0)"))
    stopping = False

    async def press() -> None:
        while not stopping:
            await database.write(increment)

    def command() -> None:
        with SqliteFile(path) as file:
            for _ in range(10):
                file.write(increment)

    pressing = [asyncio.create_task(press()) for _ in range(64)]
    await asyncio.to_thread(command)
    stopping = True
    await asyncio.gather(*pressing)


async def test_a_command_is_seen_by_the_next_read(path: Path, database: SqliteDatabase) -> None:
    """There is no delay between another process's commit and our readers."""
    with SqliteFile(path) as file:
        for number in range(5):
            file.write(run("INSERT INTO shelf VALUES (?)", number))
            assert await database.read(Statement("SELECT count(*) FROM shelf", ())) == [(number + 1,)]


def test_a_command_beside_a_writer_that_does_not_end(path: Path) -> None:
    """It is told in words of an operator, and reads go on."""
    with SqliteFile(path) as file, closing(sqlite3.connect(path, isolation_level=None)) as other:
        file._transactions._limits = SqliteLimits(busy_seconds=0.05)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="database-busy"):
            file.write(run("INSERT INTO shelf VALUES (1)"))
        assert file.read(Statement("SELECT count(*) FROM shelf", ())) == [(0,)]


def test_turning_the_log_on_waits_for_who_does_the_same(tmp_path: Path) -> None:
    """It needs the file alone, and SQLite by itself gives up at once when another connection is about to write."""
    path = tmp_path / "new.db"
    path.touch(0o600)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        connect(path, "command", busy_seconds=0.05)
    release = threading.Timer(0.1, other.close)
    release.start()
    connect(path, "command", busy_seconds=10.0).close()
    release.join()
    assert rows_of(path, "PRAGMA journal_mode") == [("wal",)]


def test_a_command_undoes_what_failed(file: SqliteFile, path: Path) -> None:
    """Without an event loop the same rules hold: an error undoes its script, the next one works."""
    with pytest.raises(KeyboardInterrupt):
        file.write(handle(_interrupted))
    file.write(run("INSERT INTO item (name) VALUES ('b')"))
    assert rows_of(path, "SELECT name FROM item") == [("b",)]


def _interrupted(session: Session) -> None:
    session.add(Item(name="a"))
    session.commit()
    raise KeyboardInterrupt


def test_analyze_counts_what_is_there(file: SqliteFile) -> None:
    """After seeding, SQLite knows how selective each index is."""
    file.write(run("INSERT INTO item (name) SELECT 'n' || value FROM json_each('[1,2,3,4]')"))
    file.analyze()
    rows = file.read(Statement("SELECT idx, stat FROM sqlite_stat1 WHERE tbl = 'item'", ()))
    assert rows == [("sqlite_autoindex_item_1", "4 1")]


def test_create_then_use_in_one_process(tmp_path: Path) -> None:
    """`db create` followed by other commands on the same file."""
    path = tmp_path / "new" / "vallum.db"
    create(path)
    with SqliteFile(path) as first, SqliteFile(path) as second:
        first.write(run("INSERT INTO shelf VALUES (1)"))
        assert second.read(Statement("SELECT id FROM shelf", ())) == [(1,)]
