"""What the tests of the SQLite adapter share: a small application and scripts for it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import vallum
from vallum.store import migrations
from vallum.store.ports import Script, Statement, WithSession
from vallum.store.sqlite import SqliteDatabase, SqliteFile
from vallum.store.sqlite_limits import SqliteLimits

SOURCE: Final = Path(vallum.__path__[0]).parent
ENDLESS: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
"""A read that ends only when it is stopped."""


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)


class Item(Base):
    __tablename__ = "item"
    __table_args__ = (CheckConstraint("size >= 0", name="item_size"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    size: Mapped[int] = mapped_column(server_default="0")
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelf.id"))


def create(path: Path) -> None:
    """A database with the tables above and Vallum's."""
    with SqliteFile.create(path) as file:
        file.write(migrations.create("sqlite", [Base.metadata]))


def add_item(name: str, size: int = 0) -> Callable[[], Script[int]]:
    """A script that inserts one item and returns its id."""

    def script() -> Script[int]:
        rows = yield Statement("INSERT INTO item (name, size) VALUES (?, ?) RETURNING id", (name, size))
        return int(rows[0][0])

    return script


def run(text: str, *arguments: Any) -> Callable[[], Script[list[Any]]]:
    """A script of one statement."""

    def script() -> Script[list[Any]]:
        rows: list[Any] = yield Statement(text, arguments)
        return rows

    return script


def handle(work: Callable[[Any], Any]) -> Callable[[], Script[Any]]:
    """A script of one handler."""

    def script() -> Script[Any]:
        return (yield WithSession(work))

    return script


def names(path: Path) -> list[str]:
    """The items in the file, by a connection that has nothing to do with the adapter."""
    connection = sqlite3.connect(path)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM item ORDER BY name")]
    finally:
        connection.close()


@asynccontextmanager
async def opened(path: Path, **limits: Any) -> AsyncIterator[SqliteDatabase]:
    """The database with other limits."""
    database = SqliteDatabase(path, SqliteLimits(**limits))
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


class Gate:
    """Holds the writer inside a script until it is opened, so that what is queued meanwhile makes one group."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def wait(self, _: object = None) -> None:
        self.entered.set()
        assert self.leave.wait(10)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 10)

    async def hold(self, database: SqliteDatabase) -> asyncio.Task[Any]:
        task = asyncio.create_task(database.write(handle(self.wait)))
        await self.reached()
        return task


async def queued(database: SqliteDatabase, *scripts: Callable[[], Script[Any]]) -> list[asyncio.Task[Any]]:
    """Writes that stand in the queue, in this order."""
    tasks = [asyncio.create_task(database.write(script)) for script in scripts]
    await asyncio.sleep(0)
    return tasks


async def as_one_group(database: SqliteDatabase, *scripts: Callable[[], Script[Any]]) -> list[Any]:
    """What each script came to, when all of them share one transaction."""
    gate = Gate()
    first = await gate.hold(database)
    tasks = await queued(database, *scripts)
    gate.leave.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)
