"""Nothing is left behind: no thread, no descriptor, no Session, no place in a queue."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.orm import Session
from tests.unit.store.sqlite_support import ENDLESS, Item, add_item, handle, opened, queued

from vallum.refusals import CONFLICT, Refusal
from vallum.store.errors import StoreError
from vallum.store.ports import Statement
from vallum.store.sqlite import SqliteDatabase

DESCRIPTORS: Final = Path("/dev/fd")


def threads(before: set[int] | None = None) -> set[str]:
    """Our threads by name, without those that other tests of this process had left running."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("vallum")]
    return {thread.name for thread in ours if thread.ident not in (before or set())}


def running() -> set[int]:
    return {thread.ident for thread in threading.enumerate() if thread.ident is not None}


def files_below(directory: Path) -> list[str]:
    """Of this directory, those that the process has open."""
    found = []
    for descriptor in DESCRIPTORS.iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            found.append(descriptor.readlink())
    return sorted(file.name for file in found if file.is_relative_to(directory))


async def test_stop_closes_everything(path: Path) -> None:
    """Five rounds of inline reads, reads in threads, cancelled reads and writes: every thread and file is gone."""
    before = running()
    for _ in range(5):
        async with opened(path, read_seconds=0.05) as database:
            results = await asyncio.gather(
                *(database.read(Statement(ENDLESS, ())) for _ in range(6)),
                *(database.write(add_item("same")) for _ in range(6)),
                return_exceptions=True,
            )
            assert any(isinstance(result, Refusal) for result in results)
            cancelled = asyncio.create_task(database.read(Statement(ENDLESS, ())))
            await asyncio.sleep(0)
            cancelled.cancel()
            assert threads(before) >= {"vallum-write"}
            assert files_below(path.parent)
        assert threads(before) == set()
        assert files_below(path.parent) == []


@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_a_start_that_is_cancelled(path: Path, seconds: float) -> None:
    """While the writer's thread opens the file, or when it just has and the event loop does not know yet: it ends."""
    before = running()
    starting = asyncio.create_task(SqliteDatabase(path).start())
    await asyncio.sleep(0)
    time.sleep(seconds)  # noqa: ASYNC251  # the event loop is to stand still
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert threads(before) == set()
    assert files_below(path.parent) == []


async def test_a_failed_start_closes_everything(path: Path) -> None:
    """The database is of another version: the writer had opened it already."""
    before = running()
    async with opened(path) as database:
        await database.write(handle(lambda s: s.connection().exec_driver_sql("UPDATE vallum_meta SET value = '99'")))
    with pytest.raises(StoreError):
        await SqliteDatabase(path).start()
    assert threads(before) == set()
    assert files_below(path.parent) == []


async def test_sessions_and_their_objects_are_freed(database: SqliteDatabase) -> None:
    """Whether their handler returned, raised, or left its transaction open."""
    alive: weakref.WeakSet[Session | Item] = weakref.WeakSet()

    def work(session: Session) -> None:
        item = Item(name=f"n{len(alive)}")
        session.add(item)
        session.flush()
        alive.update((session, item))
        if len(alive) % 3 == 0:
            raise Refusal(CONFLICT)
        if len(alive) % 3 == 1:
            session.begin_nested()

    for _ in range(30):
        await asyncio.gather(database.write(handle(work)), return_exceptions=True)
    gc.collect()
    assert len(alive) == 0


async def test_a_cancelled_write_leaves_nothing_in_the_queue(database: SqliteDatabase) -> None:
    """A thousand clients that hang up at once: the queue is empty again and the next write is done."""
    for task in (tasks := await queued(database, *(add_item(f"n{i}") for i in range(1000)))):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await database.write(add_item("last")) > 0
    assert database._writer._queue.qsize() == 0


async def test_descriptors_do_not_grow_with_use(database: SqliteDatabase) -> None:
    """After the first of each kind, a hundred more open nothing."""

    async def use() -> None:
        await asyncio.gather(
            *(database.write(add_item("same")) for _ in range(20)),
            *(database.read(Statement("SELECT count(*) FROM item", ())) for _ in range(20)),
            return_exceptions=True,
        )

    await use()
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(5):
        await use()
    assert len(list(DESCRIPTORS.iterdir())) == before
