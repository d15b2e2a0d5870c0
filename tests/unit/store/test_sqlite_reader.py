"""Reads: inline while short, in bounded threads when long."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.store.sqlite_support import ENDLESS, add_item, opened, run

from vallum.refusals import BUSY, QUERY_INVALID, QUERY_TIMEOUT, Refusal
from vallum.store.ports import WIDE, Statement
from vallum.store.sqlite import SqliteDatabase
from vallum.store.sqlite_reader import SqliteReader

ENDLESS_READ = Statement(ENDLESS, ())
COUNT_TO = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n"
LONG, SHORT = Statement(COUNT_TO, (40_000,)), Statement(COUNT_TO, (10,))
"""About 500,000 steps, and 120."""


def reader_of(database: SqliteDatabase) -> Any:
    reader: SqliteReader = database._reader
    return reader


async def turns_of_the_loop(task: asyncio.Task[Any]) -> int:
    """How often the event loop comes round until the task is done."""
    turns = 0
    while not task.done():
        await asyncio.sleep(0.001)
        turns += 1
    return turns


async def outcome(database: SqliteDatabase, statement: Statement) -> Any:
    return (await asyncio.gather(database.read(statement), return_exceptions=True))[0]


async def test_a_short_read_stays_on_the_event_loop(database: SqliteDatabase) -> None:
    """The answer is there without the loop having turned, and no thread was started."""
    await database.write(add_item("a", 5))
    turned = asyncio.get_running_loop().call_soon(lambda: None)
    rows = database.read(Statement("SELECT name, size FROM item WHERE size = ?", [5]))
    with pytest.raises(StopIteration) as done:
        rows.send(None)
    turned.cancel()
    assert done.value.value == [("a", 5)]
    assert not any(thread.name.startswith("vallum-read") for thread in threading.enumerate())


async def test_a_read_sees_every_write_that_was_acknowledged(database: SqliteDatabase) -> None:
    """No old snapshot is kept between two reads."""
    for i in range(50):
        await database.write(add_item(f"n{i}"))
        assert await database.read(Statement("SELECT count(*) FROM item", ())) == [(i + 1,)]


async def test_a_long_read_leaves_the_event_loop(database: SqliteDatabase) -> None:
    """The loop goes on turning while the same statement is run again in a thread."""
    task = asyncio.create_task(database.read(Statement(COUNT_TO, (400_000,))))
    assert await turns_of_the_loop(task) > 2
    assert await task == [(400_000,)]


async def test_a_read_that_never_ends_is_refused(path: Path) -> None:
    """After READ_SECONDS the thread is free again and the caller has a refusal."""
    async with opened(path, read_seconds=0.2, read_threads=1) as database:
        began = time.monotonic()
        task = asyncio.create_task(outcome(database, ENDLESS_READ))
        assert await turns_of_the_loop(task) > 10
        refused = await task
        assert isinstance(refused, Refusal)
        assert refused.reason is QUERY_TIMEOUT
        assert time.monotonic() - began < 2
        assert await database.read(LONG) == [(40_000,)]


async def test_a_slow_text_goes_to_a_thread_at_once_until_it_is_quick_again(path: Path) -> None:
    """It is remembered after one slow run and forgotten after so many quick ones in a row."""
    async with opened(path, slow_pardon=3) as database:
        slow = reader_of(database)._slow
        await database.read(SHORT)
        assert list(slow) == []
        await database.read(LONG)
        assert list(slow) == [COUNT_TO]
        await database.read(SHORT)
        await database.read(SHORT)
        await database.read(LONG)
        for left in (2, 1):
            assert await database.read(SHORT) == [(10,)]
            assert slow[COUNT_TO] == 3 - left
        await database.read(SHORT)
        assert list(slow) == []
        await database.read(SHORT)
        assert list(slow) == []


async def test_quick_reads_are_never_taken_for_a_slow_one(path: Path) -> None:
    """SQLite counts a statement's steps over all its runs; only those of this run count here."""
    async with opened(path, inline_read_steps=1_000, inline_progress_steps=100) as database:
        for _ in range(2_000):
            await database.read(SHORT)
            assert not reader_of(database)._slow


async def test_few_steps_over_large_values_leave_the_event_loop(path: Path) -> None:
    """Steps do not say how long they take: inline a read has a bound in time too."""
    rows = Statement("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT sum(s) FROM"
                     " (SELECT length(hex(zeroblob(200000 + i))) AS s FROM n)", (400,))  # fmt: skip
    async with opened(path, inline_progress_steps=50, inline_read_seconds=0.005) as database:
        task = asyncio.create_task(database.read(rows))
        assert await turns_of_the_loop(task) > 2
        assert rows.text in reader_of(database)._slow
        assert await task == [(160_160_400,)]


async def test_a_search_in_texts_begins_in_a_thread(database: SqliteDatabase) -> None:
    """A pattern and a text can be made so that each row takes milliseconds; the event loop has none to give."""
    assert await database.read(Statement("SELECT instr(?, ?)", ("aab", "b"))) == [(3,)]
    assert any(thread.name.startswith("vallum-read") for thread in threading.enumerate())


async def test_a_statement_of_too_many_levels_is_a_fault_of_the_query(database: SqliteDatabase) -> None:
    """Relations that are followed through nested rules: on the event loop and in a thread."""
    deep = "-(" * 1_500 + "1" + ")" * 1_500
    for text in (f"SELECT {deep}", f"SELECT {deep} AS {WIDE}"):
        with pytest.raises(Refusal) as refused:
            await database.read(Statement(text, ()))
        assert refused.value.reason is QUERY_INVALID
        assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [("#query", "too_deep")]


async def test_relations_to_long_texts_begin_in_a_thread(database: SqliteDatabase) -> None:
    """A few steps of such a read may put megabytes together."""
    assert await database.read(Statement(f"SELECT 1 AS {WIDE}", ())) == [(1,)]
    assert any(thread.name.startswith("vallum-read") for thread in threading.enumerate())


async def test_slow_texts_are_forgotten_in_the_order_of_their_use(path: Path) -> None:
    """The memory is bounded, so varying the text of a slow query is no attack on it."""
    async with opened(path, slow_statements=3) as database:
        for i in range(5):
            await database.read(Statement(f"{COUNT_TO} -- {i}", (40_000,)))
        assert [text[-1] for text in reader_of(database)._slow] == ["2", "3", "4"]


async def test_a_full_pool_refuses(path: Path) -> None:
    """One running and one waiting fill two places; the third is refused at once, and short reads go on."""
    async with opened(path, read_threads=1, read_queue=2, read_seconds=0.3) as database:
        tasks = [asyncio.create_task(outcome(database, ENDLESS_READ)) for _ in range(2)]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        refused = await outcome(database, ENDLESS_READ)
        assert time.monotonic() - began < 0.1
        assert isinstance(refused, Refusal)
        assert refused.reason is BUSY
        assert await database.read(SHORT) == [(10,)]
        found = await asyncio.gather(*tasks)
        assert [refusal.reason for refusal in found] == [QUERY_TIMEOUT] * 2
        assert await database.read(LONG) == [(40_000,)]


async def test_a_cancelled_read_frees_its_thread(path: Path) -> None:
    """Nobody waits for it any more: it stops long before its time is over."""
    async with opened(path, read_threads=1, read_queue=1, read_seconds=60.0) as database:
        task = asyncio.create_task(database.read(ENDLESS_READ))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        found: Any = None
        for _ in range(500):
            found = await outcome(database, LONG)
            if found == [(40_000,)]:
                break
            await asyncio.sleep(0.01)
        assert found == [(40_000,)]


async def test_stop_ends_running_reads(path: Path) -> None:
    """A read of a minute does not keep the server from stopping."""
    database = SqliteDatabase(path)
    await database.start()
    task = asyncio.create_task(outcome(database, ENDLESS_READ))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await database.stop()
    assert time.monotonic() - began < 2
    assert isinstance(await task, Refusal)


async def test_a_reader_cannot_write(path: Path, database: SqliteDatabase) -> None:
    """Neither inline nor in a thread."""
    for text in ("INSERT INTO shelf VALUES (1)", "DELETE FROM shelf", "DROP TABLE shelf"):
        assert isinstance(await outcome(database, Statement(text, ())), Refusal)
    reader_of(database)._slow["INSERT INTO shelf VALUES (2)"] = 0
    assert isinstance(await outcome(database, Statement("INSERT INTO shelf VALUES (2)", ())), Refusal)
    assert await database.read(Statement("SELECT id FROM shelf", ())) == []


async def test_wrong_sql_is_an_error_of_the_program(database: SqliteDatabase) -> None:
    """No refusal hides a bug."""
    assert isinstance(await outcome(database, Statement("SELECT nothing FROM nowhere", ())), sqlite3.OperationalError)


async def test_a_lock_is_waited_for_in_a_thread(path: Path, database: SqliteDatabase) -> None:
    """Somebody holds the file exclusively: the event loop does not wait for it, the read does."""
    await database.read(SHORT)
    statement = Statement("SELECT count(*) FROM item", ())
    text = statement.text
    assert await database.read(Statement("PRAGMA busy_timeout", ())) == [(0,)]
    reader = reader_of(database)
    inline = reader._inline

    class Locked:
        """Stands for the inline connection at the moment of a lock, which SQLite takes for microseconds only."""

        def begin(self) -> None:
            """Nothing is counted."""

        def execute(self, *_: object) -> None:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error

    reader._inline = Locked()
    try:
        assert await database.read(statement) == [(0,)]
    finally:
        reader._inline = inline
    assert text not in reader._slow


async def test_reads_go_on_while_a_write_waits_for_the_disk(database: SqliteDatabase) -> None:
    """A transaction that is open does not keep the readers out."""
    wide = run(
        "INSERT INTO item (name) SELECT 'n' || value FROM json_each(?)", "[" + ",".join(map(str, range(20_000))) + "]"
    )
    task = asyncio.create_task(database.write(wide))
    seen = set()
    while not task.done():
        seen.add((await database.read(Statement("SELECT count(*) FROM item", ())))[0][0])
        await asyncio.sleep(0)
    assert seen <= {0, 20_000}
    assert await database.read(Statement("SELECT count(*) FROM item", ())) == [(20_000,)]
