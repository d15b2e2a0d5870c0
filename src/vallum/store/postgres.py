"""PostgreSQL through asyncpg: the same statements and scripts as SQLite's adapter runs.

A pool of our own thrift: asyncpg's resets each connection on release, which doubles the time of a point read.
Nothing here leaves session state behind, so there is nothing to reset; a connection whose transaction did not end
is closed, not returned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeVar, final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from vallum import defaults
from vallum.declare.dialect import DialectName
from vallum.refusals import BUSY, QUERY_TIMEOUT, Refusal
from vallum.store import principals
from vallum.store.ports import Principal, Row, Script, Statement, Violation, WithSession

T = TypeVar("T")

_VIOLATIONS: Final[tuple[tuple[type[Exception], Literal["unique", "foreign", "check", "not_null"]], ...]] = (
    (asyncpg.UniqueViolationError, "unique"),
    (asyncpg.ForeignKeyViolationError, "foreign"),
    (asyncpg.CheckViolationError, "check"),
    (asyncpg.NotNullViolationError, "not_null"),
)
_UNREACHABLE: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.TooManyConnectionsError,
)


@final
class PostgresDatabase:
    """A `Database` and `Principals` (see `ports`) on a PostgreSQL server."""

    dialect: DialectName = "postgresql"

    def __init__(self, dsn: str, connections: int = defaults.POSTGRES_CONNECTIONS) -> None:
        self._dsn = dsn
        self._connections = connections
        self._pool: asyncpg.Pool | None = None

    async def start(self) -> None:
        """Connect."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=self._connections,
            reset=_nothing,
            command_timeout=defaults.READ_SECONDS,
            server_settings={"jit": "off", "application_name": "vallum"},
        )

    async def stop(self) -> None:
        """Finish what runs and disconnect."""
        if self._pool is not None:
            await self._pool.close()

    async def read(self, statement: Statement) -> list[Row]:
        """Run one SELECT.

        Raises:
            Refusal: QUERY_TIMEOUT, BUSY.
        """
        async with self._connection() as connection:
            rows: list[Row] = await connection.fetch(statement.text, *statement.arguments)
            return rows

    async def write(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in one transaction.

        Raises:
            Refusal: what the script raised, QUERY_TIMEOUT, BUSY.
        """
        async with self._connection() as connection, connection.transaction():
            return await _drive(script(), connection)

    async def load(self, name: str) -> Principal | None:
        """The principal, or None when it is unknown or disabled."""
        rows = await self.read(principals.load(name, "postgresql"))
        return principals.principal(rows[0]) if rows else None

    async def epoch(self, name: str) -> int | None:
        """Its present epoch, or None when it is unknown or disabled."""
        rows = await self.read(principals.epoch(name, "postgresql"))
        return rows[0][0] if rows else None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        if self._pool is None:
            raise RuntimeError("start() first")
        try:
            async with self._pool.acquire(timeout=defaults.POSTGRES_ACQUIRE_SECONDS) as connection:
                yield connection
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            raise Refusal(QUERY_TIMEOUT, retry_after_seconds=1) from error
        except _UNREACHABLE as error:
            raise Refusal(BUSY, retry_after_seconds=1) from error


async def _nothing(_: Any) -> None:
    """In place of the pool's reset: no statement of ours leaves anything behind."""


async def _drive(script: Script[T], connection: Any) -> T:
    """Run a script's statements one after the other; what stopped one is thrown into it where it happened."""
    answer: Any = None
    stopped: Violation | Refusal | None = None
    try:
        while True:
            request = script.send(answer) if stopped is None else script.throw(stopped)
            stopped = None
            try:
                answer = await _run(request, connection)
            except tuple(error for error, _ in _VIOLATIONS) as error:
                stopped = _violation(error)
            except (TimeoutError, asyncpg.QueryCanceledError):
                stopped = Refusal(QUERY_TIMEOUT, retry_after_seconds=1)
    except StopIteration as stop:
        outcome: T = stop.value
        return outcome


async def _run(request: Statement | WithSession, connection: Any) -> Any:
    if isinstance(request, Statement):
        return await connection.fetch(request.text, *request.arguments)
    return await _in_session(request.work, connection)


@final
class _Lent:
    """The borrowed connection as SQLAlchemy gets it: everything but its end."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def close(self, **_: Any) -> None:
        """Nothing: the pool closes."""

    def terminate(self) -> None:
        """Nothing: the pool terminates."""


async def _in_session(work: Callable[[Session], Any], connection: Any) -> Any:
    """Run a handler with a Session on the borrowed connection; its commits end only savepoints.

    Raises:
        asyncpg.PostgresError: what SQLAlchemy made of it is undone.
    """

    async def lend() -> Any:
        return _Lent(connection)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lend, poolclass=NullPool)

    def run(sync_connection: Any) -> Any:
        with Session(sync_connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            result = work(session)
            session.commit()
            return result

    try:
        # Inside the script's transaction its own begin and commit are those of a savepoint.
        async with engine.begin() as opened:
            return await opened.run_sync(run)
    except DBAPIError as error:
        cause = None if error.orig is None else error.orig.__cause__
        if isinstance(cause, asyncpg.PostgresError):
            raise cause from error
        raise


def _violation(error: Exception) -> Violation:
    kind = next(kind for known, kind in _VIOLATIONS if isinstance(error, known))
    column = getattr(error, "column_name", None)
    return Violation(
        kind,
        getattr(error, "table_name", None),
        () if column is None else (column,),
        getattr(error, "constraint_name", None),
    )
