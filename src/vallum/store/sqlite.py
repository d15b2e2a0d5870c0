"""SQLite: the application's tables and Vallum's own in one file.

:class:`SqliteDatabase` serves the event loop, :class:`SqliteFile` the commands. Both may have the same
file open, in one process or in several.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar, final

from vallum.declare.dialect import DialectName
from vallum.store import migrations, principals
from vallum.store.errors import StoreError, for_operator
from vallum.store.ports import Principal, Row, Script, Statement
from vallum.store.sqlite_connection import meaning
from vallum.store.sqlite_file import check_file, make_file
from vallum.store.sqlite_limits import SqliteLimits
from vallum.store.sqlite_reader import SqliteReader
from vallum.store.sqlite_snapshot import look
from vallum.store.sqlite_transaction import NEVER, Job, Transactions
from vallum.store.sqlite_writer import SqliteWriter

T = TypeVar("T")

_LIMITS: Final = SqliteLimits()
_COMMAND_LIMITS: Final = SqliteLimits(write_seconds=NEVER, write_group_seconds=NEVER)
"""Seeding takes as long as it takes."""


@final
class SqliteDatabase:
    """A `Database` and `Principals` (see `ports`) on one file, for one event loop."""

    dialect: DialectName = "sqlite"

    def __init__(self, path: Path, limits: SqliteLimits = _LIMITS) -> None:
        self._path = path
        self._reader = SqliteReader(path, limits)
        self._writer = SqliteWriter(path, limits)

    async def start(self) -> None:
        """Open the file.

        Raises:
            StoreError: it is missing, open to others, or of another version; `mend` says what to do.
        """
        check_file(self._path)
        await self._writer.start()
        try:
            self._reader.open()
            migrations.check(await self._writer.write(migrations.version(self.dialect)), str(self._path))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish the queued writes, end the running reads, close."""
        await self._writer.stop()
        self._reader.close()

    @property
    def opaque(self) -> None:
        """SQLite has no statement that writes and goes on."""

    def read(self, statement: Statement) -> Coroutine[Any, Any, list[Row]]:
        return self._reader.read(statement)

    def run(self, statement: Statement) -> Coroutine[Any, Any, list[Row]]:
        def script() -> Script[list[Row]]:
            rows: list[Row] = yield statement
            return rows

        return self._writer.write(script)

    def write(self, script: Callable[[], Script[T]]) -> Coroutine[Any, Any, T]:
        return self._writer.write(script)

    async def load(self, name: str, token_id: str = "") -> Principal | None:
        rows = await self._reader.read(principals.load(name, "sqlite", token_id))
        return principals.principal(rows[0]) if rows else None

    async def epoch(self, name: str) -> int | None:
        rows = await self._reader.read(principals.epoch(name, "sqlite"))
        return rows[0][0] if rows else None


@final
class SqliteFile:
    """The same file without an event loop, for commands. A context manager; used by one thread.

    Raises:
        StoreError: it is missing or open to others, or too busy.
    """

    dialect: DialectName = "sqlite"

    def __init__(self, path: Path) -> None:
        check_file(path)
        self._path = path
        with _told(path):
            self._transactions = Transactions(path, "command", _COMMAND_LIMITS)

    @classmethod
    def create(cls, path: Path) -> SqliteFile:
        """Make the file, with no table in it yet (`migrations.create` makes those).

        Raises:
            StoreError: `database-exists`, or the directory is open to others.
        """
        make_file(path)
        return cls(path)

    def read(self, statement: Statement) -> list[Row]:
        """Run one SELECT."""
        with _told(self._path):
            return self._transactions.read(statement)

    def look(self, script: Callable[[], Script[T]]) -> T:
        """Run a script that only reads, on one snapshot, without keeping a server from writing."""
        with _told(self._path):
            return look(self._path, script())

    def write(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in a transaction of its own; what it raised is raised, and nothing is written."""
        job = Job(script)
        with _told(self._path):
            self._transactions.run([job], _heard)
            if job.error is not None:
                raise job.error
        outcome: T = job.outcome
        return outcome

    def analyze(self) -> None:
        """Count what is in the tables, so that SQLite chooses the right index; after seeding."""
        self._transactions.optimize(thoroughly=True)

    def close(self) -> None:
        self._transactions.close()

    def __enter__(self) -> SqliteFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _heard(_: Sequence[Job]) -> None:
    pass


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What a request would be told to come again for, said to a command, with the words of SQLite where there are any.

    Raises:
        StoreError: `database-busy`.
    """
    try:
        with for_operator(str(path)):
            yield
    except sqlite3.Error as error:
        if meaning(error) is error:
            raise
        mend = f"SQLite says: {error}. Somebody else may hold the file, or it is damaged: see which, and try again."
        raise StoreError("database-busy", str(path), mend) from error
