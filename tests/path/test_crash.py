"""kill -9 under write load over TLS: what was acknowledged is there once, and the counters lose no more than a second."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.path.load import Asked, Load, library
from tests.unit.serve.served import Served, eventually

pytestmark = pytest.mark.stores("sqlite")
"""It looks into the file; a killed PostgreSQL is in test_postgres_faults.py."""

ROUNDS = 3
LOAD_SECONDS = 1.3
LOST_SECONDS = 1.0
"""What the counters may lose (see `defaults.COUNTER_FLUSH_SECONDS`)."""
SEEDED = 6
HOUR_UNITS = 10_000_000
"""Of the plan `load`."""


def kill(server: Served) -> float:
    """SIGKILL for the worker and, before it could start another, for its parent; the moment before that."""
    workers = server.workers()
    at = time.time()
    os.kill(server.pid, signal.SIGKILL)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    return at


def rows(server: Served, sql: str) -> list[tuple[Any, ...]]:
    """A SELECT on the database file itself."""
    path = server.place / "data" / "vallum.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def check_rows(server: Served, asked: list[Asked]) -> None:
    """Acknowledged: once. Cut off: once or not at all. Nothing else, and an audit row for each."""
    titles = Counter(title for (title,) in rows(server, f"SELECT title FROM books WHERE id > {SEEDED}"))
    acknowledged = {one.mark for one in asked if one.status == 201}
    assert set(titles.values()) <= {1}
    assert acknowledged <= titles.keys() <= {one.mark for one in asked}
    written = rows(server, f"SELECT id FROM books WHERE id > {SEEDED} ORDER BY id")
    audited = "SELECT row_key ->> 'id' AS book FROM vallum_audit WHERE resource = 'books' AND verb = 'create'"
    assert rows(server, f"{audited} AND principal = 'wim' ORDER BY book") == written
    assert rows(server, "SELECT count(*) FROM vallum_audit") == [(len(written),)]
    assert rows(server, "PRAGMA integrity_check") == [("ok",)]
    audit = server.run("audit", "verify", "--json")
    assert audit.code == 0, audit.out
    assert audit.json()["entries"] + audit.json()["unsealed"] >= len(written)


def check_counters(server: Served, asked: list[Asked], kills: list[float]) -> None:
    """Each unit that was used a second before a kill, or earlier, is on disk; none was counted that nobody asked for."""
    found = dict(rows(server, "SELECT policy, count FROM vallum_window WHERE key = 'wim'"))
    began = dict(rows(server, "SELECT policy, start FROM vallum_window WHERE key = 'wim'"))
    for policy in ("hour", "day"):
        certain = [
            one
            for one in asked
            if one.status == 201
            and one.began >= began[policy]
            and not any(kill - LOST_SECONDS < one.ended <= kill for kill in kills)
        ]
        assert 0 < len(certain) <= found[policy] <= len(asked)


def used(server: Served, token: str) -> int:
    """Units of the hour, as the server says it; the question is one of them."""
    _, headers, _ = server.ask("GET", "/shelves", token)
    return HOUR_UNITS - int(headers["ratelimit"].split(";")[1].removeprefix("r="))


def key_of(mark: str) -> dict[str, str]:
    """Every second thread sends its requests under an Idempotency-Key."""
    keyed = int(mark.split("-")[2]) % 2
    return {"Idempotency-Key": f'"{mark}"'} if keyed else {}


def repeated(server: Served, token: str, asked: list[Asked]) -> list[Asked]:
    """What a client does after a crash: those with a key again, if they were cut off, and for once some others too."""
    again = []
    keyed = [one for one in asked if key_of(one.mark)]
    for one in [one for one in keyed if not one.status] + keyed[-5:]:
        began = time.time()
        status, headers, content = server.ask("POST", "/books", token, {"title": one.mark}, key_of(one.mark))
        again.append(Asked(began, time.time(), status, one.mark))
        assert status == 201
        assert one.status == 0 or (content, headers["idempotent-replayed"]) == (one.content, "true")
    return again


def test_kill_9_under_write_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Three times: acknowledged rows are there exactly once, with their audit rows, and the quota goes on counting.

    A request under an Idempotency-Key that was cut off and is sent again is there exactly once, too.
    """
    asked: list[Asked] = []
    kills: list[float] = []
    with library(tmp_path) as server:
        token, other = server.token("wim"), server.token("rita")
        for number in range(ROUNDS):
            load = Load(server, token, "POST", "/books", f"round-{number}", lambda mark: {"title": mark})
            load.headers = key_of
            with load:
                time.sleep(LOAD_SECONDS)
                kills.append(kill(server))
            assert {one.status for one in load.asked} == {201, 0}
            asked += load.asked
            server.start()
            check_rows(server, asked)
            check_counters(server, asked, kills)
            # Timestamps of the last moments before a kill are refused, and a start may be quicker than they are old.
            assert eventually(lambda: server.ask("GET", "/shelves", other)[0] == 200)
            ((counted,),) = rows(server, "SELECT count FROM vallum_window WHERE key = 'wim' AND policy = 'hour'")
            # A new hour may have begun on the clock since then.
            assert used(server, token) in {counted + 1, 1}
            assert len(load.asked) > 50, "the load was none"
            asked += repeated(server, token, load.asked)
            check_rows(server, asked)
