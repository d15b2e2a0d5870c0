"""Scripts that only read: one snapshot, beside somebody who writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.store.sqlite_support import run

from vallum.store import sqlite
from vallum.store.errors import StoreError
from vallum.store.ports import Script, Statement, WithSession
from vallum.store.sqlite import SqliteFile
from vallum.store.sqlite_limits import SqliteLimits
from vallum.store.sqlite_transaction import NEVER

COMMAND_LIMITS = SqliteLimits(write_seconds=NEVER, write_group_seconds=NEVER)
COUNT = Statement("SELECT count(*) FROM vallum_meta", ())


def test_a_script_sees_one_moment(path: Path) -> None:
    """What is committed between two of its statements is not there for it, and nobody had to wait."""
    with SqliteFile(path) as file:

        def script() -> Script[tuple[Any, Any]]:
            before = yield COUNT
            file.write(run("INSERT INTO vallum_meta (key, value) VALUES ('x', 'y')"))
            return before, (yield COUNT)

        before, after = file.look(script)
        assert before == after
        assert file.read(COUNT)[0][0] == before[0][0] + 1


def test_it_cannot_write(path: Path) -> None:
    """It says so, and the next one is as good as before."""
    with SqliteFile(path) as file:
        with pytest.raises(StoreError, match="readonly"):
            file.look(run("DELETE FROM vallum_meta"))
        with pytest.raises(TypeError):
            file.look(session)
        assert file.look(count)[0][0] > 0


def count() -> Script[Any]:
    return (yield COUNT)


def session() -> Script[None]:
    yield WithSession(lambda _: None)


def test_a_text_that_is_none_is_shown_all_the_same(path: Path) -> None:
    """Whoever looks for falsifications must not stop at one; texts of the same statement are what they are."""
    with SqliteFile(path) as file:
        file.write(run("INSERT INTO vallum_meta (key, value) VALUES ('é', CAST(x'61ff' AS TEXT))"))

        def script() -> Script[Any]:
            return (yield Statement("SELECT key, value FROM vallum_meta WHERE key = 'é'", ()))

        assert file.look(script) == [("é", "a\udcff")]


def test_a_file_that_another_program_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator reads a sentence with SQLite's own words, and no traceback; so when it is gone."""
    monkeypatch.setattr(sqlite, "_COMMAND_LIMITS", replace(COMMAND_LIMITS, busy_seconds=0.01))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"database-busy.*locked"):
            SqliteFile(path)
    with SqliteFile(path) as file:
        path.unlink()
        with pytest.raises(StoreError, match=r"database-busy.*unable to open"):
            file.look(count)


def test_a_mistake_in_a_statement_stays_one(path: Path) -> None:
    """It is the program's, and no operator could mend it."""
    with SqliteFile(path) as file, pytest.raises(sqlite3.OperationalError, match="no such table"):
        file.look(run("SELECT 1 FROM nowhere"))
