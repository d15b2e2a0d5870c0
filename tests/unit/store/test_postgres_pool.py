"""What happens to PostgreSQL and its connections: each failure ends in an answer within a bound, and in nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests import stores
from vallum.refusals import BUSY, CONFLICT, QUERY_TIMEOUT, Reason, Refusal
from vallum.store import postgres_session
from vallum.store.errors import StoreError
from vallum.store.ports import Script, Statement, Violation, WithSession
from vallum.store.postgres import PostgresDatabase
from vallum.store.postgres_address import parse
from vallum.store.postgres_limits import PostgresLimits

QUICK = PostgresLimits(
    connections=2,
    connect_seconds=1.0,
    acquire_seconds=0.5,
    read_seconds=1.0,
    write_seconds=1.0,
    grace_seconds=0.3,
    look_seconds=0.05,
)
PATIENT = PostgresLimits(connections=2, acquire_seconds=5.0, read_seconds=30.0, write_seconds=30.0)
SLEEP = Statement("SELECT pg_sleep(20)", ())
ONE = Statement("SELECT 1", ())
MINE = Statement("SELECT pg_backend_pid()", ())


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    """A database with a table that is shared by these tests, which all leave it as they found it."""
    server = stores.server()
    found = server.database()
    server.rows(found, "CREATE TABLE kept (id int PRIMARY KEY, word text)")
    yield found
    server.drop(found)


@pytest.fixture(autouse=True)
def empty(name: str) -> None:
    """Without rows."""
    stores.server().rows(name, "TRUNCATE kept")


@asynccontextmanager
async def opened(name: str, limits: PostgresLimits = QUICK, server: Any = None) -> AsyncIterator[PostgresDatabase]:
    """Connected to it."""
    database = PostgresDatabase(parse((server or stores.server()).url(name)), limits)
    await database.connect()
    try:
        yield database
    finally:
        await database.stop()


def sql(text: str, *arguments: Any) -> Callable[[], Script[Any]]:
    """A script of one statement."""

    def script() -> Script[Any]:
        return (yield Statement(text, arguments))

    return script


async def refused(work: Any, reason: Reason, within: float) -> None:
    """It is refused for this reason, with `Retry-After`, in time."""
    began = time.monotonic()
    with pytest.raises(Refusal) as caught:
        await work
    assert caught.value.reason is reason
    assert caught.value.retry_after_seconds == 1
    assert time.monotonic() - began < within


async def asked(name: str, text: str) -> list[tuple[Any, ...]]:
    """Rows, past the adapter."""
    return await asyncio.to_thread(stores.server().rows, name, text)


async def becomes(holds: Callable[[], Any], seconds: float = 5.0) -> bool:
    """Whether it does in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if await holds():
            return True
        await asyncio.sleep(0.02)
    return False


async def sleepers(name: str) -> int:
    """Statements that sleep in the server."""
    text = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(%' AND pid <> pg_backend_pid()"
    return int((await asked(name, f"{text} AND datname = '{name}'"))[0][0])


async def backends(name: str) -> list[int]:
    """Processes of the server that serve `vallum`."""
    found = await asked(
        name, "SELECT pid FROM pg_stat_activity WHERE application_name = 'vallum' ORDER BY backend_start"
    )
    return [pid for (pid,) in found]


async def end(name: str, *pids: int) -> None:
    """Kill them, as an administrator does."""
    for pid in pids or await backends(name):
        await asked(name, f"SELECT pg_terminate_backend({pid}, 5000)")


# What a request costs ----------------------------------------------------------------------


async def test_a_read_is_one_statement_that_is_prepared_once(name: str) -> None:
    """No reset, no BEGIN, no question whether the connection lives."""
    async with opened(name) as database:
        lent = await database._pool.acquire(1.0)
        seen: list[str] = []
        lent.connection.add_query_logger(lambda record: seen.append(record.query))
        database._pool.release(lent)
        for _ in range(3):
            await database.read(ONE)
        await asyncio.sleep(0)  # the logger is called by the loop
        assert seen == [ONE.text] * 3
        prepared = Statement("SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement = $1", ())
        assert [tuple(row) for row in await database.read(prepared._replace(arguments=[ONE.text]))] == [(3,)]


async def test_nothing_stays_set_in_a_session(name: str) -> None:
    """Not after reads, writes, refusals or violations."""
    changed = Statement("SELECT name FROM pg_settings WHERE source = 'session'", ())
    async with opened(name) as database:
        for number in (1, 1, 2):
            with contextlib.suppress(Violation):
                await database.write(sql("INSERT INTO kept VALUES ($1, 'x')", number))
        assert await database.read(changed) == []
        timeouts = "SELECT current_setting('statement_timeout')"
        assert (await database.read(Statement(timeouts, ())))[0][0] == "1s"
        assert (await database.write(sql(timeouts)))[0][0] == "1s"


async def test_a_schema_that_is_open_to_every_role_is_refused() -> None:
    """CVE-2018-1058: a function of such a role that fits better than PostgreSQL's own runs as us, in any filter."""
    server = stores.server()
    found = server.database()
    for schema in ("public", "postgres"):  # `postgres` is who connects: the search_path is "$user", public
        server.rows(found, f"CREATE SCHEMA IF NOT EXISTS {schema}")
        server.rows(found, f"GRANT CREATE ON SCHEMA {schema} TO PUBLIC")
        with pytest.raises(StoreError, match=f"database-schema-open.*schema {schema}"):
            await PostgresDatabase(parse(server.url(found)), QUICK).connect()
        server.rows(found, f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC")
    server.rows(found, "CREATE SCHEMA elsewhere")
    server.rows(found, "GRANT CREATE ON SCHEMA elsewhere TO PUBLIC")
    async with opened(found) as database:
        assert await database.read(ONE) == [(1,)]
    server.drop(found)


def watches() -> bool:
    """Whether a pool's watch runs."""
    return any("Pool._look" in repr(task) for task in asyncio.all_tasks())


@pytest.mark.parametrize("connected", [False, True])
async def test_a_start_that_is_cancelled(name: str, connected: bool) -> None:
    """While it connects, and while it asks what server that is: neither a task nor a connection stays."""
    database = PostgresDatabase(parse(stores.server().url(name)), QUICK)
    starting = asyncio.create_task(database.start())
    await asyncio.sleep(0.001)
    for _ in range(100_000):
        if watches() or not connected:
            break
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not watches()

    async def gone() -> bool:
        return not await backends(name)

    assert await becomes(gone)


async def test_what_a_handler_sets_is_gone_with_its_transaction(name: str) -> None:
    """Role, settings, locks, cursors, temporary tables: the next one finds none of it, after a refusal neither."""

    def work(db: Session, fails: bool) -> None:
        for line in (
            "SET search_path = pg_catalog",
            "SELECT pg_advisory_lock(7)",
            "CREATE TEMPORARY TABLE mine (id int)",
            "LISTEN mine",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "SET ROLE pg_monitor",
        ):
            db.connection().exec_driver_sql(line)
        if fails:
            raise Refusal(CONFLICT)

    def script(fails: bool) -> Script[None]:
        yield WithSession(partial(work, fails=fails))

    left = "SELECT current_user, current_setting('search_path'), to_regclass('pg_temp.mine'), (SELECT count(*) FROM pg_cursors WHERE name <> ''),"
    left += (
        " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_listening_channels())"
    )
    async with opened(name, PostgresLimits(connections=1)) as database:
        await database.write(partial(script, False))
        assert tuple((await database.read(Statement(left, ())))[0]) == ("postgres", '"$user", public', None, 0, 0, 0)
        with pytest.raises(Refusal):
            await database.write(partial(script, True))
        assert tuple((await database.read(Statement(left, ())))[0]) == ("postgres", '"$user", public', None, 0, 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        "COMMIT",
        "  commit",
        "ROLLBACK",
        "BEGIN",
        "END",
        "abort",
        "START TRANSACTION",
        ";COMMIT",
        "/* x */ COMMIT",
        "/* x /* y */ z */;\t/**/COMMIT",
        "-- x\nCOMMIT",
        "-- /*\r;--*/\nROLLBACK",
    ],
)
async def test_a_handler_cannot_end_the_transaction(name: str, line: str) -> None:
    """What it wrote before is undone with everything else."""

    def work(db: Session) -> None:
        db.execute(text("INSERT INTO kept VALUES (1, 'x')"))
        db.execute(text(line))

    def script() -> Script[None]:
        yield WithSession(work)

    async with opened(name) as database:
        with pytest.raises(RuntimeError):
            await database.write(script)
        assert await database.read(Statement("SELECT * FROM kept", ())) == []


async def test_a_transaction_that_a_handler_ends_all_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a way that nobody knows: nothing is executed after it, and it is no success, although the handler goes on."""
    monkeypatch.setattr(postgres_session, "_ENDS", re.compile("no such word"))

    def work(db: Session) -> None:
        db.connection().exec_driver_sql("COMMIT")
        for _ in range(2):
            with contextlib.suppress(Exception):
                db.connection().exec_driver_sql("INSERT INTO kept VALUES (1, 'x')")

    def script() -> Script[None]:
        yield WithSession(work)

    async with opened(name) as database:
        with pytest.raises(RuntimeError):
            await database.write(script)
        assert await asked(name, "SELECT * FROM kept") == []
        await database.write(sql("INSERT INTO kept VALUES (2, 'x')"))
        assert await asked(name, "SELECT id FROM kept") == [(2,)]


@pytest.mark.parametrize(
    "line",
    ["SAVEPOINT s", "ROLLBACK TO SAVEPOINT s", "-- COMMIT\nSELECT 1", "/* ; COMMIT */ SELECT 1", "SELECT 1 -- END"],
)
async def test_what_ends_no_transaction_is_executed(name: str, line: str) -> None:
    """A savepoint, and the words where they are none."""

    def work(db: Session) -> None:
        db.execute(text("SAVEPOINT s"))
        db.execute(text(line))

    def script() -> Script[str]:
        yield WithSession(work)
        return "done"

    async with opened(name) as database:
        assert await database.write(script) == "done"


async def test_rows_by_and_by(name: str) -> None:
    """What a handler reads in portions comes from a cursor in the server, each of them over the event loop."""
    many = text("SELECT generate_series(1, 50)").execution_options(yield_per=20)

    def script() -> Script[int]:
        found: int = yield WithSession(lambda db: sum(db.execute(many).scalars()))
        return found

    async with opened(name) as database:
        assert await database.write(script) == 1275


async def test_many_rows_cannot_end_the_transaction(name: str) -> None:
    """A statement with a list of parameters comes to the connection by another way."""

    def script() -> Script[None]:
        yield WithSession(lambda db: db.connection().exec_driver_sql("COMMIT", [(), ()]))

    async with opened(name) as database:
        with pytest.raises(RuntimeError, match="not the handler's"):
            await database.write(script)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1), asyncio.CancelledError()])
async def test_what_a_handler_raises_never_ends_the_server(name: str, error: BaseException) -> None:
    """sys.exit() and its like reach the caller as an error of the program; nothing is written, and the next write works."""

    def work(db: Session) -> None:
        db.execute(text("INSERT INTO kept VALUES (1, 'x')"))
        raise error

    def script() -> Script[None]:
        yield WithSession(work)

    async with opened(name, PostgresLimits(connections=1)) as database:
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(database.write(script), 5)
        await database.write(sql("INSERT INTO kept VALUES (2, 'x')"))
        assert await asked(name, "SELECT id FROM kept") == [(2,)]


async def test_a_script_cannot_go_on_after_a_violation(name: str) -> None:
    """PostgreSQL has given its transaction up: a commit would be none, and that is not taken for one."""

    def script() -> Script[str]:
        yield Statement("INSERT INTO kept VALUES (1, 'x')", ())
        try:
            yield Statement("INSERT INTO kept VALUES (1, 'y')", ())
        except Violation:
            return "as if nothing were"
        return "no violation"

    async with opened(name) as database:
        with pytest.raises(RuntimeError, match="given up"):
            await database.write(script)
        assert await database.read(Statement("SELECT * FROM kept", ())) == []


async def test_a_value_is_not_taken_for_a_column(name: str) -> None:
    """The server quotes the client's value behind the expression of an index, and the value may look like its columns."""
    await asked(name, "CREATE UNIQUE INDEX once ON kept (lower(word))")
    try:
        async with opened(name) as database:
            for values, columns in (("(1, 'a'), (1, 'b')", ("id",)), ("(1, '(id)=(x'), (2, '(ID)=(X')", ())):
                with pytest.raises(Violation) as caught:
                    await database.run(Statement(f"INSERT INTO kept VALUES {values}", ()))
                assert (caught.value.kind, caught.value.columns) == ("unique", columns)
    finally:
        await asked(name, "DROP INDEX once")


async def test_a_connection_in_a_transaction_is_not_lent_again(name: str) -> None:
    """Whoever gave it back like that: the next one has another."""
    async with opened(name, PostgresLimits(connections=1)) as database:
        lent = await database._pool.acquire(1.0)
        await lent.connection.execute("BEGIN; INSERT INTO kept VALUES (1, 'x')")
        database._pool.release(lent)
        await database.write(sql("INSERT INTO kept VALUES (2, 'x')"))
        assert await asked(name, "SELECT id FROM kept") == [(2,)]


async def test_a_table_that_changes_under_a_prepared_statement(name: str) -> None:
    """Reads and writes prepare it anew, by themselves."""
    everything = Statement("SELECT * FROM kept", ())
    change = "ALTER TABLE kept ALTER word TYPE varchar({0})"
    async with opened(name, PostgresLimits(connections=1)) as database:
        for length in (10, 20):
            await database.read(everything)
            assert await database.write(sql("INSERT INTO kept VALUES ($1, 'x') RETURNING *", length))
            await asked(name, change.format(length))
            await asked(name, f"ALTER TABLE kept ADD COLUMN c{length} int")
            assert await database.write(sql("INSERT INTO kept VALUES ($1, 'x') RETURNING *", length + 1))
            assert len((await database.read(everything))[0]) > 2
    await asked(name, "ALTER TABLE kept DROP COLUMN c10, DROP COLUMN c20, ALTER word TYPE text")


# Bounds ------------------------------------------------------------------------------------


async def test_a_statement_that_runs_over_is_cancelled_in_the_server(name: str) -> None:
    """Reads and writes by bounds of their own; the connection is good for the next one."""
    limits = PostgresLimits(connections=1, read_seconds=0.2, write_seconds=0.6)
    async with opened(name, limits) as database:
        mine = (await database.read(MINE))[0][0]
        await refused(database.read(SLEEP), QUERY_TIMEOUT, 0.6)
        assert await database.write(sql("SELECT pg_sleep(0.3)"))
        await refused(database.write(sql(SLEEP.text)), QUERY_TIMEOUT, 1.2)
        assert await sleepers(name) == 0
        assert (await database.read(MINE))[0][0] == mine


async def test_a_handler_that_takes_too_long_is_left_alone(name: str) -> None:
    """Its request is refused in time; it can execute nothing any more, and what it has written is undone."""
    after: list[Exception] = []

    def work(db: Session) -> None:
        db.execute(text("INSERT INTO kept VALUES (1, 'x')"))
        time.sleep(1.0)
        try:
            db.execute(text("INSERT INTO kept VALUES (2, 'x')"))
        except Exception as error:
            after.append(error)
            raise

    def script() -> Script[None]:
        yield WithSession(work)

    async with opened(name, PostgresLimits(write_seconds=0.3, connections=1)) as database:
        await refused(database.write(script), QUERY_TIMEOUT, 0.8)
        assert await database.read(ONE)
        await asyncio.sleep(0.9)
        assert len(after) == 1
        assert await database.read(Statement("SELECT * FROM kept", ())) == []


async def test_a_handler_does_not_hold_up_the_event_loop(name: str) -> None:
    """While one waits for something else, reads go on."""

    def script() -> Script[None]:
        yield WithSession(lambda _: time.sleep(0.5))

    async with opened(name) as database:
        waiting = asyncio.create_task(database.write(script))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        for _ in range(5):
            await database.read(ONE)
        assert time.monotonic() - began < 0.4
        await waiting


async def test_a_server_that_does_not_answer_is_given_up(name: str) -> None:
    """Its process stands still, as behind a broken network: past the bound and the grace nobody waits."""
    limits = PostgresLimits(connections=1, read_seconds=0.3, grace_seconds=0.3, look_seconds=0.05)
    async with opened(name, limits) as database:
        pid = (await database.read(MINE))[0][0]
        os.kill(pid, signal.SIGSTOP)
        try:
            await refused(database.read(ONE), QUERY_TIMEOUT, 1.5)
            assert (await database.read(MINE))[0][0] != pid
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_an_exhausted_pool(name: str) -> None:
    """Who waits too long is refused, who is too many at once; who can wait gets the connection that is given back."""
    limits = PostgresLimits(connections=1, acquire_seconds=0.3, queue=2, read_seconds=5.0)
    async with opened(name, limits) as database:
        held = await database._pool.acquire(5.0)
        waiting = [asyncio.create_task(database.read(ONE)) for _ in range(2)]
        await asyncio.sleep(0)
        await refused(database.read(ONE), BUSY, 0.1)
        for task in waiting:
            await refused(task, BUSY, 0.6)
        patient = asyncio.create_task(database.read(ONE))
        await asyncio.sleep(0.05)
        database._pool.release(held)
        assert await patient
        assert len(await backends(name)) == 1


async def test_there_are_never_more_connections_than_allowed(name: str) -> None:
    """Whatever is asked at once, and however much of it is cancelled."""
    async with opened(name, PATIENT) as database:
        for _ in range(5):
            tasks = [asyncio.create_task(database.read(Statement("SELECT pg_sleep(0.01)", ()))) for _ in range(20)]
            await asyncio.sleep(0.02)
            for task in tasks[::2]:
                task.cancel()
            assert len(await backends(name)) <= PATIENT.connections
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await becomes(lambda: _open(database, 0))
        assert database._pool._open <= PATIENT.connections
        assert await database.read(ONE)


async def _open(database: PostgresDatabase, closing: int) -> bool:
    return len(database._pool._closing) == closing


# Cancelled ---------------------------------------------------------------------------------


async def test_a_cancelled_read_ends_in_the_server_too(name: str) -> None:
    """Its connection is not lent again, and another takes its place."""
    async with opened(name, PostgresLimits(connections=1, read_seconds=30.0)) as database:
        before = (await database.read(MINE))[0][0]
        task = asyncio.create_task(database.read(SLEEP))
        assert await becomes(lambda: sleepers(name))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await becomes(lambda: _none(name))
        assert (await database.read(MINE))[0][0] != before


async def _none(name: str) -> bool:
    return await sleepers(name) == 0


async def test_a_cancelled_write_leaves_nothing(name: str) -> None:
    """No row, no lock, no transaction that the next one would be in."""

    def script() -> Script[None]:
        yield Statement("INSERT INTO kept VALUES (1, 'x')", ())
        yield SLEEP

    async with opened(name, PostgresLimits(connections=1, write_seconds=30.0)) as database:
        task = asyncio.create_task(database.write(script))
        assert await becomes(lambda: sleepers(name))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await database.read(Statement("SELECT * FROM kept", ())) == []
        assert await database.write(sql("INSERT INTO kept VALUES (1, 'x') RETURNING 1"))
        assert await asked(name, "SELECT * FROM kept") == [(1, "x")]


async def test_a_cancelled_handler_leaves_nothing(name: str) -> None:
    """It is cancelled where it executes, and may clean up behind itself."""
    ended: list[str] = []

    def work(db: Session) -> None:
        db.execute(text("INSERT INTO kept VALUES (1, 'x')"))
        try:
            db.execute(text(SLEEP.text))
        finally:
            ended.append("yes")

    def script() -> Script[None]:
        yield WithSession(work)

    async with opened(name, PATIENT) as database:
        task = asyncio.create_task(database.write(script))
        assert await becomes(lambda: sleepers(name))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await becomes(lambda: _none(name))
        assert await database.read(Statement("SELECT * FROM kept", ())) == []
        assert ended == ["yes"]


async def test_who_is_cancelled_while_waiting_takes_nothing_along(name: str) -> None:
    """The connection that came for it goes to the next."""
    async with opened(name, PostgresLimits(connections=1)) as database:
        pool = database._pool
        held = await pool.acquire(5.0)
        first, second = (asyncio.create_task(pool.acquire(5.0)) for _ in range(2))
        await asyncio.sleep(0)
        pool.release(held)
        first.cancel()
        assert await second is held
        with pytest.raises(asyncio.CancelledError):
            await first
        pool.release(held)
        assert pool._open == 1


async def test_a_free_place_is_for_who_has_waited_for_it(name: str) -> None:
    """Not for who comes in the moment in which it becomes free; whoever is cancelled hands it on."""
    async with opened(name, PostgresLimits(connections=1)) as database:
        pool = database._pool
        held = await pool.acquire(5.0)
        served: list[str] = []

        async def work(who: str) -> None:
            lent = await pool.acquire(5.0)
            served.append(who)
            pool.release(lent)

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            impatient = tasks.create_task(work("impatient"))
            await asyncio.sleep(0)
            tasks.create_task(work("waiter"))
            await asyncio.sleep(0)
            await held.connection.close()
            tasks.create_task(work("newcomer"))
            pool.discard(held)
            impatient.cancel()
        assert served == ["waiter", "newcomer"]
        assert pool._open == 1


# Killed ------------------------------------------------------------------------------------


async def test_killed_backends_are_not_noticed_by_readers(name: str) -> None:
    """Idle ones are replaced, and a read that ran runs again; twice in a row is refused."""
    async with opened(name, PATIENT) as database:
        await asyncio.gather(*(database.read(Statement("SELECT pg_sleep(0.05)", ())) for _ in range(2)))
        await end(name)
        assert await database.read(ONE)
        task = asyncio.create_task(database.read(Statement("SELECT pg_sleep(0.4)", ())))
        assert await becomes(lambda: sleepers(name))
        await end(name)
        assert await task
        task = asyncio.create_task(database.read(SLEEP))
        for _ in range(2):
            assert await becomes(lambda: sleepers(name))
            await end(name)
        await refused(task, BUSY, 5.0)
        assert await database.read(ONE)


async def test_a_write_whose_backend_is_killed_begins_anew(name: str) -> None:
    """Once it is made and no more; killed each time, it is refused and nothing is written."""
    tries: list[int] = []

    def script(kills: int) -> Script[None]:
        tries.append(1)
        rows = yield Statement("INSERT INTO kept VALUES (1, 'x') RETURNING pg_backend_pid()", ())
        if len(tries) <= kills:
            stores.server().rows(name, f"SELECT pg_terminate_backend({rows[0][0]}, 5000)")
        yield ONE

    async with opened(name, PATIENT) as database:
        await database.write(partial(script, 2))
        assert (len(tries), await asked(name, "SELECT count(*) FROM kept")) == (3, [(1,)])
        await asked(name, "DELETE FROM kept")
        tries.clear()
        await refused(database.write(partial(script, 9)), BUSY, 5.0)
        assert (len(tries), await asked(name, "SELECT count(*) FROM kept")) == (3, [(0,)])


async def test_a_connection_that_is_lost_in_the_commit(name: str) -> None:
    """Nobody knows what became of it: it is refused, and not carried out a second time."""
    await asked(
        name,
        "CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$",
    )
    await asked(
        name,
        "CREATE CONSTRAINT TRIGGER ends AFTER INSERT ON kept DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ends()",
    )
    tries: list[int] = []

    def script() -> Script[None]:
        tries.append(1)
        yield Statement("SET CONSTRAINTS ALL DEFERRED", ())
        yield Statement("INSERT INTO kept VALUES (1, 'x')", ())

    try:
        async with opened(name, PATIENT) as database:
            await refused(database.write(script), BUSY, 5.0)
            assert len(tries) == 1
            assert await database.read(ONE)
    finally:
        await asked(name, "DROP FUNCTION ends CASCADE")


async def test_the_loser_of_a_deadlock_begins_anew(name: str) -> None:
    """Two writes that lock two rows the other way round are both made."""
    await asked(name, "INSERT INTO kept VALUES (1, ''), (2, '')")

    def script(first: int, second: int) -> Script[None]:
        change = "UPDATE kept SET word = word || $2 WHERE id = $1"
        yield Statement(change, (first, str(first)))
        yield Statement("SELECT pg_sleep(0.2)", ())
        yield Statement(change, (second, str(first)))

    async with opened(name, PATIENT) as database:
        await asyncio.gather(database.write(partial(script, 1, 2)), database.write(partial(script, 2, 1)))
    found = await asked(name, "SELECT id, length(word) FROM kept ORDER BY id")
    assert found == [(1, 2), (2, 2)]
