"""The mark on disk: what it covers, when it is written, and that it never goes back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.property.test_freshness import Silent

from vallum import defaults
from vallum.refusals import NONCES_UNAVAILABLE, Refusal
from vallum.serve import alone as one_server
from vallum.serve import high_water
from vallum.serve.alone import take_turn
from vallum.serve.high_water import HighWater
from vallum.serve.shared_nonces import KEPT_SECONDS, SharedNonces
from vallum.store import migrations
from vallum.store.nonce_rows import claim_row, forget_old
from vallum.store.nonces import Nonces
from vallum.store.ports import Script, Statement
from vallum.store.sqlite import SqliteDatabase, SqliteFile

BEGIN = 1_800_000_000.0


class Counting:
    """A real database that counts what is written."""

    dialect = "sqlite"

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.read = database.read
        self.writes = 0
        self.now = BEGIN

    async def write(self, script: Callable[[], Script[Any]]) -> Any:
        """One more."""
        self.writes += 1
        return await self._database.write(script)

    async def mark(self) -> int:
        """On disk."""
        ((mark,),) = await self._database.read(Statement("SELECT mark FROM vallum_mark", ()))
        return int(mark)

    async def kept(self) -> list[int]:
        """Seconds of the rows."""
        return [s for (s,) in await self.read(Statement("SELECT second FROM vallum_nonce ORDER BY second", ()))]

    async def begin(self, window: int = 180) -> HighWater:
        """A process; its own rounds are not waited for."""
        store: Any = self
        made = HighWater(Nonces(window), store, Silent(), lambda: self.now)
        await made.start()
        return made


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Counting]:
    """A database of this test's own."""
    path = tmp_path / "vallum.db"
    with SqliteFile.create(path) as file:
        file.write(migrations.create("sqlite"))
    database = SqliteDatabase(path)
    await database.start()
    yield Counting(database)
    await database.stop()


def one(statement: Statement) -> Callable[[], Script[list[Any]]]:
    """A script of it."""

    def script() -> Script[list[Any]]:
        rows: list[Any] = yield statement
        return rows

    return script


async def accepted(process: HighWater, nonce: str, at: float, now: float) -> bool:
    """Whether it was, and covered."""
    with contextlib.suppress(Refusal):
        row = process.nonces.claim("ann", nonce.encode(), at, now)
        if row is not None:
            await process.cover(row, now)
        return True
    return False


async def test_a_hundred_that_wait_for_the_mark_wait_for_one_write(store: Counting) -> None:
    """After a quiet hour the first requests find the mark behind the clock; what is ahead of it is written by itself."""
    process = await store.begin()
    store.now += 3600
    store.writes = 0
    found = await asyncio.gather(*(accepted(process, str(n), store.now, store.now) for n in range(100)))
    assert (all(found), store.writes) == (True, 1)
    assert await store.mark() == store.now + defaults.MARK_AHEAD_SECONDS
    assert await accepted(process, "ahead", store.now + 29.5, store.now)
    assert store.writes == 2
    assert await store.kept() == [BEGIN + 3630]
    await process.stop()


async def test_who_is_idle_writes_nothing(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark moves while requests come, and rests when none do."""
    monkeypatch.setattr(defaults, "MARK_SECONDS", 0.001)
    process = await store.begin()
    for used, expected in ((True, 1), (False, 0)):
        store.now += 1
        process.nonces.used, store.writes = used, 0
        for _ in range(20):
            await asyncio.sleep(0.002)
        assert store.writes == expected
    await process.stop()


async def test_the_mark_never_goes_back(store: Counting) -> None:
    """Two crashes while the clock is wrong do not bring back what was accepted when it was right."""
    process = await store.begin()
    assert await accepted(process, "x", BEGIN, BEGIN)
    for back in (200, 300):
        store.now = BEGIN - back
        process = await store.begin()
        assert await store.mark() == BEGIN + 2
        assert not await accepted(process, "y", store.now, store.now), "refused until the clock has caught up"
    store.now = BEGIN + 1
    process = await store.begin()
    assert not await accepted(process, "x", BEGIN, store.now)
    store.now = BEGIN + 3
    assert await accepted(process, "z", store.now, store.now)
    await process.stop()


async def test_rows_go_when_nobody_asks_for_them(store: Counting) -> None:
    """At the next move of the mark after their window; not while they could still be accepted."""
    process = await store.begin()
    assert await accepted(process, "ahead", BEGIN + 20, BEGIN)
    for seconds, expected in ((200, [BEGIN + 20]), (201, [])):
        store.now = BEGIN + seconds
        assert await accepted(process, str(seconds), store.now, store.now)
        await process._moved(store.now + 1)
        assert await store.kept() == expected
    await process.stop()


async def test_a_stop_leaves_a_row_of_each_and_a_mark_that_refuses_nothing_else(store: Counting) -> None:
    """More rows than one transaction takes; the next process knows them, and accepts what is older and new."""
    process = await store.begin()
    count = defaults.NONCE_ROWS + 1
    for n in range(count):
        process.nonces.claim("ann", str(n).encode(), BEGIN - n % 100, BEGIN)
    await process.stop()
    assert len(await store.kept()) == count
    assert await store.mark() < BEGIN - 180
    process = await store.begin()
    assert len(process.nonces) == count
    assert not await accepted(process, "0", BEGIN, BEGIN)
    assert await accepted(process, "old", BEGIN - 179, BEGIN)
    await process.stop()


async def test_rows_of_several_servers_go_by_the_clock_of_the_database(store: Counting) -> None:
    """A minute longer than any server could accept them, however long its window is."""
    ((now,),) = await store.read(Statement("SELECT CAST(strftime('%s', 'now') AS INTEGER)", ()))
    for age in (0, KEPT_SECONDS - 5, KEPT_SECONDS + 5):
        statement = claim_row(("ann", f"{age:030x}", now - age), "sqlite")
        for is_first in (True, False):
            assert bool(await store.write(one(statement))) is is_first
    await store.write(forget_old(KEPT_SECONDS, "sqlite"))
    assert len(await store.kept()) == 2
    assert KEPT_SECONDS >= defaults.FRESH_SECONDS_MAX + 2 * defaults.FRESH_SKEW_SECONDS


async def test_several_servers_forget_by_themselves(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round after round; a store that fails is asked again in the next."""
    monkeypatch.setattr(defaults, "FRESH_SECONDS_MIN", 0.001)
    third = asyncio.Event()
    rounds = itertools.count(1)

    async def failing(_: object) -> None:
        if next(rounds) == 3:
            third.set()
        raise OSError("not now")

    shared: Any = store
    server = SharedNonces(Nonces(), shared, Silent())
    monkeypatch.setattr(store, "write", failing)
    monkeypatch.setattr(store, "run", failing, raising=False)
    await server.start()
    await third.wait()
    row = server.nonces.claim("ann", b"x", BEGIN, BEGIN)
    assert row is not None
    with pytest.raises(Refusal) as refused:
        await server.cover(row, BEGIN)
    assert refused.value.reason is NONCES_UNAVAILABLE
    await server.stop()


async def test_a_process_waits_for_its_turn(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the one before serves, the new one begins without the mark, and its requests wait; then it knows all."""
    old = await store.begin()
    monkeypatch.setattr(high_water, "AT_ONCE_SECONDS", 0.01)
    ended = asyncio.Event()
    made: Any = store
    new = HighWater(Nonces(), made, Silent(), lambda: store.now)
    new.turn = lambda: _wait(ended)
    await new.start()
    assert not new.nonces.is_open
    waiting = asyncio.create_task(new.opened())
    assert await accepted(old, "x", BEGIN, BEGIN)
    assert not waiting.done()
    await old.stop()
    ended.set()
    await waiting
    assert not await accepted(new, "x", BEGIN, BEGIN)
    assert await accepted(new, "y", BEGIN, BEGIN)
    await new.stop()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_mark_that_cannot_be_taken_over_is_tried_again(
    store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then requests are told that it cannot be; afterwards they are accepted, without a restart."""
    monkeypatch.setattr(high_water, "AT_ONCE_SECONDS", 0.01)
    monkeypatch.setattr(high_water, "OPENED_SECONDS", 0.02)
    monkeypatch.setattr(defaults, "MARK_SECONDS", 0.001)

    async def failing(_: object) -> None:
        raise OSError("not now")

    made: Any = store
    process = HighWater(Nonces(), made, Silent(), lambda: store.now)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write", failing)
        await process.start()
        with pytest.raises(Refusal) as refused:
            await process.opened()
        assert refused.value.reason is NONCES_UNAVAILABLE
    monkeypatch.setattr(high_water, "OPENED_SECONDS", 10)
    await process.opened()
    assert await accepted(process, "x", BEGIN, BEGIN)
    await process.stop()


async def test_a_turn_is_given_back_by_who_dies_and_not_waited_for_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel holds the lock: closing the descriptor is enough. Who never ends is not waited for."""
    first = await take_turn(tmp_path)
    second = asyncio.create_task(take_turn(tmp_path))
    await asyncio.sleep(0.1)
    assert not second.done()
    os.close(first)
    monkeypatch.setattr(one_server, "TURN_SECONDS", 0.05)
    held = await second
    os.close(await take_turn(tmp_path))
    os.close(held)
