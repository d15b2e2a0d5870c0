"""A handler's Session: what its commit and rollback mean, and that nothing of it outlives its script."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Result, inspect, select, text
from sqlalchemy.exc import DatabaseError, IntegrityError, ResourceClosedError
from sqlalchemy.orm import Session
from tests.unit.store.sqlite_support import Item, Shelf, add_item, as_one_group, handle, names, opened, run

from vallum.refusals import CONFLICT, QUERY_TIMEOUT, Refusal
from vallum.store.ports import Script, Statement, Violation, WithSession
from vallum.store.sqlite import SqliteDatabase


def kinds(found: list[Any]) -> list[str]:
    return [type(one).__name__ for one in found]


async def test_changes_without_a_commit_are_flushed_and_kept(path: Path, database: SqliteDatabase) -> None:
    """A handler need not commit: what it changed is part of its script."""

    def work(session: Session) -> int:
        item = Item(name="a", size=1)
        session.add(item)
        session.flush()
        item.size = 2
        return item.id

    number = await database.write(handle(work))
    assert await database.read(Statement("SELECT id, name, size FROM item", ())) == [(number, "a", 2)]


async def test_session_and_statements_share_one_transaction(database: SqliteDatabase) -> None:
    """Each sees what the other has done before."""

    def script() -> Script[tuple[Any, Any]]:
        yield Statement("INSERT INTO item (name) VALUES ('statement')", ())
        seen = yield WithSession(lambda session: session.scalars(select(Item.name)).all())
        yield WithSession(lambda session: session.add(Item(name="session")))
        rows = yield Statement("SELECT name FROM item ORDER BY id", ())
        return seen, rows

    assert await database.write(script) == (["statement"], [("statement",), ("session",)])


async def test_a_commit_ends_only_a_savepoint(path: Path, database: SqliteDatabase) -> None:
    """What the handler committed is still undone with its script, and no other process saw it."""
    seen: list[list[str]] = []

    def work(session: Session) -> None:
        session.add(Item(name="a"))
        session.commit()
        seen.append(names(path))
        session.add(Item(name="b"))
        session.commit()
        raise Refusal(CONFLICT)

    first, refused, last = await as_one_group(database, add_item("x"), handle(work), add_item("y"))
    assert isinstance(refused, Refusal)
    assert (type(first), type(last)) == (int, int)
    assert seen == [[]]
    assert names(path) == ["x", "y"]


async def test_a_rollback_undoes_the_handler_only(path: Path, database: SqliteDatabase) -> None:
    """It goes back to the handler's last commit; the statements of its script and its neighbours stay."""

    def work(session: Session) -> str:
        session.add(Item(name="committed"))
        session.commit()
        session.add(Item(name="dropped"))
        session.flush()
        session.rollback()
        session.add(Item(name="afterwards"))
        return "went on"

    def script() -> Script[str]:
        yield Statement("INSERT INTO item (name) VALUES ('statement')", ())
        answer: str = yield WithSession(work)
        return answer

    found = await as_one_group(database, add_item("x"), script)
    assert found[1] == "went on"
    assert names(path) == ["afterwards", "committed", "statement", "x"]


async def test_savepoints_of_the_handler(path: Path, database: SqliteDatabase) -> None:
    """begin_nested works, and one that is left open is kept with the rest."""

    def work(session: Session) -> None:
        with suppress(IntegrityError), session.begin_nested():
            session.add_all([Item(name="same"), Item(name="same")])
        session.begin_nested()
        session.add(Item(name="left open"))

    await database.write(handle(work))
    assert names(path) == ["left open"]


async def test_a_script_may_catch_what_its_handler_raised(path: Path, database: SqliteDatabase) -> None:
    """The handler's changes are undone then, those of the script before and after it are not."""

    def work(session: Session) -> None:
        session.add(Item(name="handler"))
        session.flush()
        raise LookupError

    def script() -> Script[str]:
        yield Statement("INSERT INTO item (name) VALUES ('before')", ())
        try:
            yield WithSession(work)
        except LookupError:
            yield Statement("INSERT INTO item (name) VALUES ('after')", ())
        return "caught"

    assert await database.write(script) == "caught"
    assert names(path) == ["after", "before"]


@pytest.mark.parametrize("flushes", [True, False])
async def test_violations_inside_surface_as_ours(database: SqliteDatabase, flushes: bool) -> None:
    """Whether the handler's own flush met the constraint or the one at its end."""
    await database.write(add_item("taken"))

    def work(session: Session) -> None:
        session.add(Item(name="taken"))
        if flushes:
            session.flush()

    with pytest.raises(Violation) as caught:
        await database.write(handle(work))
    assert (caught.value.kind, caught.value.table, caught.value.columns) == ("unique", "item", ("name",))


async def test_a_handler_may_handle_its_violation(path: Path, database: SqliteDatabase) -> None:
    """It sees SQLAlchemy's own error, rolls back and goes on, as with any Session."""
    await database.write(add_item("taken"))

    def work(session: Session) -> None:
        session.add(Item(name="taken"))
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()
        session.add(Item(name="other"))

    await database.write(handle(work))
    assert names(path) == ["other", "taken"]


async def test_what_a_handler_returns_can_be_read_afterwards(database: SqliteDatabase) -> None:
    """Its objects are detached with what they had loaded; their key is known."""

    def work(session: Session) -> Item:
        item = Item(name="a", size=4)
        session.add(item)
        session.commit()
        return item

    item = await database.write(handle(work))
    assert (item.name, item.size, inspect(item).identity, inspect(item).detached) == ("a", 4, (1,), True)


async def test_a_session_is_of_no_use_after_its_script(path: Path, database: SqliteDatabase) -> None:
    """A handler that keeps it can change nothing any more, from whichever thread it tries."""
    kept: list[Session] = []
    await database.write(handle(kept.append))
    kept[0].add(Item(name="late"))
    with pytest.raises(ResourceClosedError):
        kept[0].commit()
    await database.write(add_item("a"))
    assert names(path) == ["a"]


async def test_an_open_result_keeps_nothing_open(path: Path, database: SqliteDatabase) -> None:
    """A result that was not read to its end would hold its snapshot and block the next transaction behind another's write."""
    await database.write(run("INSERT INTO item (name) SELECT 'n' || value FROM json_each('[1,2,3,4,5,6,7,8,9]')"))
    kept: list[Result[Any]] = []

    def work(session: Session) -> None:
        result = session.connection(execution_options={"stream_results": True}).execute(text("SELECT name FROM item"))
        assert result.fetchone()
        kept.append(result)

    await database.write(handle(work))
    other = sqlite3.connect(path)
    with other:
        other.execute("INSERT INTO item (name) VALUES ('theirs')")
    other.close()
    assert await database.write(add_item("ours")) > 0
    with pytest.raises((sqlite3.ProgrammingError, ResourceClosedError, DatabaseError)):
        kept[0].fetchall()


async def test_a_raw_savepoint_that_is_left_open_is_gone(path: Path, database: SqliteDatabase) -> None:
    """Whatever a handler opened by hand ends with its script."""

    def work(session: Session) -> None:
        session.execute(text("SAVEPOINT mine"))
        session.add(Item(name="inside"))

    def release(session: Session) -> None:
        session.execute(text("RELEASE mine"))

    found = await as_one_group(database, handle(work), handle(release), add_item("a"))
    assert kinds(found) == ["NoneType", "OperationalError", "int"]
    assert names(path) == ["a", "inside"]


@pytest.mark.parametrize(
    "statement", ["COMMIT", "ROLLBACK", "BEGIN", "PRAGMA foreign_keys = OFF", "PRAGMA query_only = 1"]
)
async def test_a_handler_cannot_reach_the_transaction_itself(
    path: Path, database: SqliteDatabase, statement: str
) -> None:
    """Not by SQL, and not by the connection underneath."""

    def work(session: Session) -> None:
        session.add(Item(name="x"))
        session.flush()
        with suppress(DatabaseError):
            session.execute(text(statement))
        raw = session.connection().connection.dbapi_connection
        assert raw is not None
        raw.commit()
        raw.rollback()
        raw.close()
        session.connection().invalidate()
        raise Refusal(CONFLICT)

    first, refused, last = await as_one_group(database, add_item("a"), handle(work), add_item("b"))
    assert isinstance(refused, Refusal)
    assert (type(first), type(last)) == (int, int)
    assert names(path) == ["a", "b"]
    with pytest.raises(Violation):
        await database.write(run("INSERT INTO item (name, shelf_id) VALUES ('dangling', 99)"))


async def test_a_handler_that_goes_on_after_its_time_writes_nothing(path: Path) -> None:
    """SQLite gave the transaction up; a handler that swallows the error can no longer reach the database."""
    endless = "INSERT INTO item (name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"

    def work(session: Session) -> None:
        with suppress(Exception):
            session.execute(text(endless))
        with suppress(Exception):
            session.rollback()
        with suppress(Exception):
            session.execute(text("INSERT INTO item (name) VALUES ('outside')"))
        with suppress(Exception):
            cursor = session.connection().connection.cursor()
            cursor.execute("INSERT INTO item (name) VALUES ('outside, too')")

    async with opened(path, write_seconds=0.2, write_group_seconds=10.0) as database:
        found = await as_one_group(database, add_item("a"), handle(work), add_item("b"))
    assert isinstance(found[1], Exception)
    assert names(path) == ["a", "b"]


async def test_a_slow_statement_of_a_handler_is_refused(path: Path) -> None:
    """The bound on a script's time holds inside a Session as well, and reads as our refusal."""
    slow = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    async with opened(path, write_seconds=0.2) as database:
        with pytest.raises(Refusal) as caught:
            await database.write(handle(lambda session: session.execute(slow)))
    assert caught.value.reason is QUERY_TIMEOUT


async def test_handlers_in_one_group_are_apart(path: Path, database: SqliteDatabase) -> None:
    """Twenty handlers, every third fails after a commit: the others are there, once, and no object crosses over."""

    def handler(number: int) -> Any:
        def work(session: Session) -> int:
            assert not list(session.identity_map.values())
            session.add(Shelf(id=number))
            session.commit()
            session.add(Item(name=f"n{number:02}", shelf_id=number))
            session.flush()
            if number % 3 == 0:
                raise Refusal(CONFLICT)
            return number

        return handle(work)

    found = await as_one_group(database, *(handler(i) for i in range(20)))
    kept = [i for i in range(20) if i % 3]
    assert [one for one in found if isinstance(one, int)] == kept
    assert names(path) == [f"n{i:02}" for i in kept]
    assert await database.read(Statement("SELECT id FROM shelf ORDER BY id", ())) == [(i,) for i in kept]
