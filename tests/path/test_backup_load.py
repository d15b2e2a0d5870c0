"""A backup of a served library under write load: a prefix of what was acknowledged, whole, and nobody had to wait long."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from tests.path.load import Load, library
from tests.unit.serve.served import Served

from vallum import defaults
from vallum.testing.wire import freshness

pytestmark = pytest.mark.stores("sqlite")
"""A backup is of the file; of a server its own tools make one (docs/backup.md)."""

SEEDED = 6
BACKUPS = 3
LONGEST_SECONDS = 3.0
"""What a write may take on a machine that is busy with other things too."""


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def backed_up(server: Served, number: int) -> tuple[float, float, Path]:
    """When it was begun and ended, and the file."""
    file = server.place / f"backup-{number}.db"
    began = time.time()
    done = server.run("backup", str(file), "--json")
    assert done.code == 0, done.err
    assert done.json()["audit"]["whole"]
    return began, time.time(), file


def test_a_backup_under_load_is_a_prefix_of_what_was_acknowledged(tmp_path: Path) -> None:
    """Everything acknowledged before it began, nothing begun after it ended; rows and audit agree; it restores and serves."""
    with library(tmp_path) as server:
        token = server.token("wim")
        with Load(server, token, "POST", "/books", "load", lambda mark: {"title": mark}) as load:
            time.sleep(0.7)
            backups = [backed_up(server, number) for number in range(BACKUPS)]
            time.sleep(0.3)
        assert {one.status for one in load.asked} == {201}
        assert max(one.ended - one.began for one in load.asked) < LONGEST_SECONDS
        assert len(load.asked) > 50, "the load was none"
        order = [title for (title,) in rows(server.place / "data" / "vallum.db", f"{TITLES} ORDER BY id")]
        for began, ended, file in backups:
            titles = [title for (title,) in rows(file, f"{TITLES} ORDER BY id")]
            assert titles == order[: len(titles)]
            assert {one.mark for one in load.asked if one.ended < began} <= set(titles)
            assert not {one.mark for one in load.asked if one.began > ended} & set(titles)
            assert rows(file, CREATED) == rows(file, f"SELECT id FROM books WHERE id > {SEEDED} ORDER BY id")
            assert rows(file, "PRAGMA integrity_check") == [("ok",)]
        check_restored(server, backups[1][2], token)
    assert server.run("audit", "verify").code == 0


TITLES = f"SELECT title FROM books WHERE id > {SEEDED}"
CREATED = "SELECT row_key ->> 'id' FROM vallum_audit WHERE resource = 'books' AND verb = 'create' ORDER BY 1"


def check_restored(server: Served, file: Path, token: str) -> None:
    """Beside the server that goes on: into another directory, served from there, where the token of before is void."""
    count = len(rows(file, TITLES))
    server.stop()
    done = server.run("restore", str(file), "--data", "restored", "--dev", "--json")
    assert done.code == 0, done.err
    assert done.json()["audit"]["whole"]
    restored = time.time()
    (server.place / "data").rename(server.place / "before")
    (server.place / "restored").rename(server.place / "data")
    server.start()
    assert server.ask("GET", "/books", token)[0] == 401
    time.sleep(max(0.0, restored + 2.5 - time.time()))  # tokens of the second of the restore are void
    new = server.token("wim")
    # Timestamps are taken from half a minute after the restore on: that is now for a client whose clock is so far ahead.
    ahead = freshness(time.time() + defaults.FRESH_SKEW_SECONDS - 0.5)
    assert server.ask("POST", "/books", new, {"title": "after"}, ahead)[0] == 201
    assert len(rows(server.place / "data" / "vallum.db", TITLES)) == count + 1
    assert server.run("audit", "verify").code == 0
