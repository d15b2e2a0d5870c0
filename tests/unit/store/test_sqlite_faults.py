"""When a group cannot be committed as it is: full disk, too long, rolled back by SQLite, another process."""

from __future__ import annotations

import asyncio
import logging
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.unit.store.sqlite_support import ENDLESS, Gate, add_item, as_one_group, handle, names, opened, queued, run

from vallum.refusals import BUSY, QUERY_TIMEOUT, Refusal
from vallum.store.ports import Script, Statement, Violation, WithSession
from vallum.store.sqlite import SqliteDatabase


@contextmanager
def no_file_grows() -> Iterator[None]:
    """As on a full disk: a write beyond what the log holds already fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_failed_commit_refuses_its_whole_group(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The disk is full at the commit: nobody of the group is told success, also not who was told no, and nothing is there."""
    caplog.set_level(logging.ERROR, "vallum")
    wide = "w" * 3000
    async with opened(path) as database:
        for i in range(10):
            await database.write(add_item(f"{i}{wide}"))
        gate = Gate()
        first = await gate.hold(database)
        tasks = await queued(
            database, add_item("a" + wide), run("INSERT INTO shelf VALUES (NULL, 2)"), add_item("b" + wide)
        )
        with no_file_grows():
            gate.leave.set()
            await first  # it wrote nothing
            found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [e.reason for e in found if isinstance(e, Refusal)] == [BUSY] * 3
        assert len({id(e) for e in found}) == 3
        assert len(names(path)) == 10
        assert any("not committed" in record.message for record in caplog.records)
        assert await database.write(add_item("later")) > 0
    assert "later" in names(path)


async def test_a_write_that_takes_too_long_takes_nobody_along(path: Path) -> None:
    """SQLite gives up the whole transaction for an interrupted INSERT; its neighbours are run again and are there once."""
    endless = run(f"INSERT INTO item (name) {ENDLESS.replace('count(*)', 'i')}")
    runs: list[str] = []

    def counted(name: str) -> Callable[[], Script[int]]:
        def script() -> Script[int]:
            runs.append(name)
            return (yield from add_item(name)())

        return script

    async with opened(path, write_seconds=0.2, write_group_seconds=10.0) as database:
        first, refused, last = await as_one_group(database, counted("a"), endless, counted("b"))
    assert isinstance(refused, Refusal)
    assert refused.reason is QUERY_TIMEOUT
    assert (first, last) == (1, 2)
    assert names(path) == ["a", "b"]
    assert runs == ["a", "a", "b"]


async def test_a_read_in_a_script_is_bounded_too(path: Path) -> None:
    """An interrupted SELECT leaves the transaction whole: nothing has to be run again."""
    async with opened(path, write_seconds=0.2, write_group_seconds=10.0) as database:
        found = await as_one_group(database, add_item("a"), run(ENDLESS), add_item("b"))
    assert isinstance(found[1], Refusal)
    assert found[1].reason is QUERY_TIMEOUT
    assert names(path) == ["a", "b"]


async def test_many_short_statements_are_bounded_together(path: Path) -> None:
    """The time is that of the script, not of each statement."""

    def script() -> Script[None]:
        yield Statement("INSERT INTO item (name) VALUES ('x')", ())
        for number in count():
            yield Statement(f"SELECT {number}", ())

    async with opened(path, write_seconds=0.1, write_group_seconds=10.0) as database:
        found = await as_one_group(database, script, add_item("a"))
    assert isinstance(found[0], Refusal)
    assert found[0].reason is QUERY_TIMEOUT
    assert names(path) == ["a"]


async def test_what_was_begun_is_finished_though_its_group_is_given_up(path: Path, database: SqliteDatabase) -> None:
    """Its client hung up meanwhile; run anew with the others, it is still written."""
    await database.write(add_item("taken"))
    gate = Gate()

    def begun() -> Script[None]:
        yield WithSession(gate.wait)
        yield Statement("INSERT INTO item (name) VALUES ('begun')", ())

    before = Gate()
    first = await before.hold(database)
    task, culprit = await queued(database, begun, run("INSERT OR ROLLBACK INTO item (name) VALUES ('taken')"))
    before.leave.set()
    await gate.reached()
    task.cancel()
    await asyncio.sleep(0)
    gate.leave.set()
    await asyncio.gather(first, task, culprit, return_exceptions=True)
    await database.write(add_item("later"))
    assert names(path) == ["begun", "later", "taken"]


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_rollback_inside_takes_nobody_along(path: Path, database: SqliteDatabase, swallows: bool) -> None:
    """ON CONFLICT ROLLBACK ends the transaction; a script that goes on regardless can no longer write."""
    await database.write(add_item("taken"))

    def script() -> Script[None]:
        try:
            yield Statement("INSERT OR ROLLBACK INTO item (name) VALUES ('taken')", ())
        except Violation:
            if not swallows:
                raise
        with suppress(RuntimeError):
            yield Statement("INSERT INTO item (name) VALUES ('outside any transaction')", ())

    found = await as_one_group(database, add_item("a"), script, add_item("b"))
    assert isinstance(found[1], RuntimeError if swallows else Violation)
    assert names(path) == ["a", "b", "taken"]


async def test_a_deferred_constraint_fails_its_own_script(path: Path, database: SqliteDatabase) -> None:
    """Such constraints are refused at start-up; should there be one, the group is taken apart and only its script fails."""
    await database.write(run("CREATE TABLE late (s INTEGER REFERENCES shelf (id) DEFERRABLE INITIALLY DEFERRED)"))
    found = await as_one_group(database, add_item("a"), run("INSERT INTO late VALUES (99)"), add_item("b"))
    assert isinstance(found[1], Violation)
    assert found[1].kind == "foreign"
    assert {type(found[0]), type(found[2])} == {int}
    assert names(path) == ["a", "b"]


async def test_a_connection_of_no_use_is_replaced(path: Path, database: SqliteDatabase) -> None:
    """Whatever happened to it, the writes at hand are refused and the next ones get another connection."""
    gate = Gate()

    def spoil(_: object) -> None:
        gate.wait()
        transactions: Any = database._writer._transactions
        transactions._connection.close()

    task = asyncio.create_task(database.write(handle(spoil)))
    await gate.reached()
    (next_one,) = await queued(database, add_item("a"))
    gate.leave.set()
    found = await asyncio.gather(task, next_one, return_exceptions=True)
    assert isinstance(found[0], Refusal)
    assert found[0].reason is BUSY
    assert names(path) == ["a"]


@pytest.mark.parametrize(("held", "is_refused"), [(0.05, False), (0.6, True)])
async def test_another_process_that_writes(path: Path, held: float, is_refused: bool) -> None:
    """The writer waits for it as long as it may, then refuses; reads go on all the while."""
    async with opened(path, busy_seconds=0.3) as database:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO item (name) VALUES ('theirs')")
        task = asyncio.create_task(database.write(add_item("ours")))
        await asyncio.sleep(held)
        assert await database.read(Statement("SELECT count(*) FROM item", ())) == [(0,)]
        other.execute("COMMIT")
        other.close()
        (found,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(found, Refusal) is is_refused
    assert names(path) == (["theirs"] if is_refused else ["ours", "theirs"])
