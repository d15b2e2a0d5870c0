"""The writer thread: scripts, groups, isolation, a full queue, cancellation."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.store.sqlite_support import Gate, add_item, as_one_group, handle, names, opened, queued, run

from vallum.refusals import BUSY, CONFLICT, Refusal
from vallum.store.ports import Script, Statement, Violation, WithSession
from vallum.store.sqlite import SqliteDatabase


async def test_a_script_is_sent_rows_and_returns_its_outcome(database: SqliteDatabase) -> None:
    """Rows of a read and of RETURNING arrive in the script, its return value at the caller."""

    def script() -> Script[tuple[Any, Any, Any]]:
        made = yield Statement("INSERT INTO item (name, size) VALUES ('a', 3) RETURNING id, size", ())
        seen = yield Statement("SELECT name FROM item WHERE size = ?", [3])
        nothing = yield Statement("UPDATE item SET size = 4", ())
        return made, seen, nothing

    assert await database.write(script) == ([(1, 3)], [("a",)], [])


async def test_a_group_is_one_transaction(path: Path, database: SqliteDatabase) -> None:
    """Of two scripts in a group the second sees what the first wrote; another process sees neither until both are done."""

    def second() -> Script[tuple[Any, list[str]]]:
        inside = yield Statement("SELECT name FROM item", ())
        outside = yield WithSession(lambda _: names(path))
        return inside, outside

    first, seen = await as_one_group(database, add_item("a"), second)
    assert (first, seen) == (1, ([("a",)], []))
    assert names(path) == ["a"]


async def test_a_group_has_a_largest_size(path: Path) -> None:
    """With two in a commit, the third script of five finds the first two committed."""

    def look() -> Script[list[str]]:
        found: list[str] = yield WithSession(lambda _: names(path))
        return found

    async with opened(path, write_group=2) as database:
        found = await as_one_group(database, add_item("a"), add_item("b"), look, add_item("c"), look)
    assert found[2] == ["a", "b"]
    assert found[4] == ["a", "b", "c"]


async def test_a_slow_member_does_not_hold_the_others_up(path: Path) -> None:
    """A commit is not put off for further members once its time is over."""
    async with opened(path, write_group_seconds=0.0) as database:
        found = await as_one_group(database, add_item("a"), handle(lambda _: names(path)))
    assert found[1] == ["a"]


async def test_an_error_undoes_its_own_script_only(path: Path, database: SqliteDatabase) -> None:
    """Before, in and after a failing script: its own two inserts vanish, those of its neighbours stay."""

    def failing() -> Script[None]:
        yield Statement("INSERT INTO item (name) VALUES ('x')", ())
        yield Statement("INSERT INTO item (name) VALUES ('y')", ())
        raise Refusal(CONFLICT)

    first, refused, last = await as_one_group(database, add_item("a"), failing, add_item("b"))
    assert isinstance(refused, Refusal)
    assert refused.reason is CONFLICT
    assert {first, last} == {1, 2}
    assert names(path) == ["a", "b"]


async def test_a_wrong_statement_is_an_error_of_the_program(path: Path, database: SqliteDatabase) -> None:
    """Bad SQL is no refusal: it surfaces as what it is, and its neighbours do not notice."""
    found = await as_one_group(database, add_item("a"), run("INSERT INTO nowhere VALUES (1)"), add_item("b"))
    assert isinstance(found[1], sqlite3.OperationalError)
    assert names(path) == ["a", "b"]


async def test_a_script_may_handle_a_violation_and_go_on(path: Path, database: SqliteDatabase) -> None:
    """The violation is thrown in at its statement; only that statement is undone."""
    await database.write(add_item("taken"))

    def script() -> Script[str]:
        yield Statement("INSERT INTO item (name) VALUES ('before')", ())
        try:
            yield Statement("INSERT INTO item (name) VALUES ('taken')", ())
        except Violation as violation:
            yield Statement("INSERT INTO item (name) VALUES ('after')", ())
            return violation.kind
        return "nothing"

    assert await database.write(script) == "unique"
    assert names(path) == ["after", "before", "taken"]


async def test_a_full_queue_refuses(path: Path) -> None:
    """With room for two, the third waiting write is refused at once and the others are done."""
    async with opened(path, write_queue=2) as database:
        gate = Gate()
        first = await gate.hold(database)
        waiting = await queued(database, add_item("a"), add_item("b"))
        with pytest.raises(Refusal) as caught:
            await database.write(add_item("c"))
        gate.leave.set()
        await asyncio.gather(first, *waiting)
    assert caught.value.reason is BUSY
    assert caught.value.retry_after_seconds == 1
    assert names(path) == ["a", "b"]


async def test_a_write_that_cannot_begin_is_refused_in_time(path: Path) -> None:
    """A handler that takes long does not hold the waiting ones for ever, and none of them happens afterwards."""
    async with opened(path, write_wait_seconds=0.05) as database:
        gate = Gate()
        slow = await gate.hold(database)
        with pytest.raises(Refusal) as caught:
            await database.write(add_item("late"))
        gate.leave.set()
        await slow
        assert caught.value.reason is BUSY
    assert names(path) == []


async def test_a_write_cancelled_in_the_queue_does_not_begin(path: Path, database: SqliteDatabase) -> None:
    """Its client is gone before anything happened; the rest of the group is done."""
    gate = Gate()
    first = await gate.hold(database)
    kept, dropped, last = await queued(database, add_item("a"), add_item("b"), add_item("c"))
    dropped.cancel()
    await asyncio.sleep(0)
    gate.leave.set()
    await asyncio.gather(first, kept, last)
    with pytest.raises(asyncio.CancelledError):
        await dropped
    assert names(path) == ["a", "c"]


async def test_a_write_cancelled_after_it_began_is_finished(path: Path, database: SqliteDatabase) -> None:
    """Once begun it commits with its group, whoever listens."""
    gate = Gate()

    def script() -> Script[None]:
        yield Statement("INSERT INTO item (name) VALUES ('a')", ())
        yield WithSession(gate.wait)
        yield Statement("INSERT INTO item (name) VALUES ('b')", ())

    task = asyncio.create_task(database.write(script))
    await gate.reached()
    (neighbour,) = await queued(database, add_item("c"))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    gate.leave.set()
    await neighbour
    assert names(path) == ["a", "b", "c"]


async def test_an_error_that_nobody_waits_for_is_logged(
    database: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a write whose client is gone does not vanish."""
    gate = Gate()

    def work(_: object) -> None:
        gate.wait()
        raise LookupError("a bug")

    task = asyncio.create_task(database.write(handle(work)))
    await gate.reached()
    task.cancel()
    gate.leave.set()
    await database.write(add_item("a"))
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]


async def test_stop_finishes_what_is_queued(path: Path) -> None:
    """Everything that was taken in is written; what comes later is refused."""
    database = SqliteDatabase(path)
    await database.start()
    tasks = await queued(database, *(add_item(f"n{i:03}") for i in range(200)))
    await database.stop()
    assert len(await asyncio.gather(*tasks)) == 200
    assert len(names(path)) == 200
    for late in (database.write(add_item("late")), database.read(Statement("SELECT 1", ()))):
        with pytest.raises(Refusal) as caught:
            await late
        assert caught.value.reason is BUSY
    await database.stop()  # once more does no harm


@pytest.mark.parametrize(
    "text",
    [
        "COMMIT",
        "ROLLBACK",
        "END",
        "BEGIN",
        "/* a comment */ commit",
        "COMMIT -- vallum ",
        "RELEASE vallum_script",
        "ROLLBACK TO vallum_script",
        "PRAGMA synchronous = OFF",
        "PRAGMA query_only(1)",
        "PRAGMA busy_timeout = 1",
        "ATTACH ':memory:' AS other",
    ],
)
async def test_a_script_cannot_end_the_transaction(path: Path, database: SqliteDatabase, text: str) -> None:
    """What would reach the neighbours, or stay set for everyone, is refused by SQLite itself."""

    def script() -> Script[None]:
        yield Statement("INSERT INTO item (name) VALUES ('x')", ())
        yield Statement(text, ())

    first, refused, last = await as_one_group(database, add_item("a"), script, add_item("b"))
    assert isinstance(refused, sqlite3.DatabaseError)
    assert "not authorized" in str(refused)
    assert {first, last} == {1, 2}
    assert names(path) == ["a", "b"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1), asyncio.CancelledError()])
async def test_what_a_handler_raises_never_ends_the_server(path: Path, database: SqliteDatabase, error: Any) -> None:
    """sys.exit() and its like reach the caller as an error of the program; nothing is written, and the next write works."""

    def work(session: Any) -> None:
        session.connection().exec_driver_sql("INSERT INTO item (name) VALUES ('x')")
        raise error

    with pytest.raises(RuntimeError):
        await database.write(handle(work))
    await database.write(add_item("a"))
    assert names(path) == ["a"]


async def test_a_script_that_cannot_be_made(path: Path, database: SqliteDatabase) -> None:
    """An error before the first statement belongs to its caller like any other."""

    def broken() -> Script[None]:
        sys.exit(1)

    found = await as_one_group(database, broken, add_item("a"))
    assert isinstance(found[0], RuntimeError)
    assert names(path) == ["a"]
