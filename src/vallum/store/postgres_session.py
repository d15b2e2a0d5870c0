"""A SQLAlchemy Session inside a script, on a connection of the pool.

A handler is ordinary code that waits, so it runs in a thread; the event loop and everybody else go on. What it executes
comes back to the loop, where the connection lives. What it cannot do is end the script's transaction: SQLAlchemy is lent
a connection whose transactions do nothing, and the Session works in savepoints.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Final, TypeVar, final

from sqlalchemy import Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from sqlalchemy.util import greenlet_spawn

from vallum.store.ports import VIOLATION, Violation
from vallum.store.postgres_connection import VIOLATIONS, violation

T = TypeVar("T")

_ENDS: Final = re.compile(r"(?:BEGIN|START|COMMIT|END|ABORT|PREPARE|ROLLBACK(?!\s+TO\b))\b", re.IGNORECASE)
"""Statements that begin or end a transaction; SQLAlchemy's own savepoints are none."""
_NOTHING: Final = re.compile(r"[\s;]+|--[^\r\n]*|(/\*)")
"""What may stand before a statement, up to the next comment."""
_COMMENT: Final = re.compile(r"(?s:.*?)(/\*|\*/)")
"""Up to the next mark: comments nest (PostgreSQL documentation, §4.1.5)."""


@final
class Overdue(Exception):
    """A handler took longer than it may."""


@final
class OfHandler(Exception):
    """What the author's code raised, whatever it was: not to be taken for an error of the connection."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@final
class LentConnection:
    """What SQLAlchemy's dialect calls of asyncpg's connection, from a thread; the transaction itself is not lent.

    Attributes:
        lent: whether anything is executed.
        failure: the last error of the connection itself; any other is the author's.
    """

    def __init__(self, connection: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._running: Future[Any] | None = None
        self.lent = False
        self.failure: Exception | None = None

    def wait(self, begin: Callable[..., Awaitable[T]], *arguments: Any, **named: Any) -> T:
        """Run it on the event loop, and wait for it here."""
        if not self.lent:
            raise RuntimeError("the transaction of this Session is over")
        work = self._inside(partial(begin, *arguments, **named))
        running = self._running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            found: T = running.result()
        except Exception as error:
            self.failure = error
            raise
        return found

    async def _inside(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Whatever way out of the transaction a statement finds, none comes after it: it would be committed by itself."""
        try:
            return await begin()
        finally:
            self.lent = self.lent and not self.is_outside()

    def is_outside(self) -> bool:
        """Whether the transaction has ended, on a connection that is there."""
        return not self._connection.is_closed() and not self._connection.is_in_transaction()

    def give_back(self) -> None:
        """From now on nothing is executed; what runs is cancelled."""
        self.lent = False
        if self._running is not None:
            self._running.cancel()

    async def prepare(self, text: str, *, name: str | None = None) -> LentStatement:
        """A statement of the connection."""
        _refuse_ending(text)
        return LentStatement(self.wait(self._connection.prepare, text, name=name), self)

    async def executemany(self, text: str, arguments: Any) -> Any:
        """One statement for many rows."""
        _refuse_ending(text)
        return self.wait(self._connection.executemany, text, arguments)

    async def fetchrow(self, text: str) -> Any:
        """SQLAlchemy asks whether the connection lives."""
        _refuse_ending(text)
        return self.wait(self._connection.fetchrow, text)

    async def reload_schema_state(self) -> None:
        """SQLAlchemy has seen a change of the schema."""
        self.wait(self._connection.reload_schema_state)

    async def set_type_codec(self, *_: Any, **__: Any) -> None:
        """Nothing: `postgres_codecs` has set those that SQLAlchemy asks for."""

    def transaction(self, **_: Any) -> LentTransaction:
        """The script's."""
        return LentTransaction()

    def is_closed(self) -> bool:
        """Whether it is gone."""
        return not self.lent or bool(self._connection.is_closed())

    async def close(self, **_: Any) -> None:
        """Nothing: the pool closes."""

    def terminate(self) -> None:
        """Nothing: the pool terminates."""


def _refuse_ending(text: str) -> None:
    """Look at the first word, which may stand behind blanks, empty statements and comments.

    Raises:
        RuntimeError: the statement would begin or end a transaction.
    """
    at, depth = 0, 0
    while mark := (_COMMENT if depth else _NOTHING).match(text, at):
        at = mark.end()
        if mark[1]:
            depth += 1 if mark[1] == "/*" else -1
    if _ENDS.match(text, at):
        raise RuntimeError("the transaction is not the handler's to begin or end")


@final
class LentStatement:
    """A prepared statement, from a thread."""

    def __init__(self, statement: Any, connection: LentConnection) -> None:
        self._statement = statement
        self._connection = connection
        self.get_attributes = statement.get_attributes
        self.get_statusmsg = statement.get_statusmsg

    async def fetch(self, *arguments: Any) -> Any:
        """All rows."""
        return self._connection.wait(self._statement.fetch, *arguments)

    async def cursor(self, *arguments: Any) -> LentCursor:
        """Rows by and by (`yield_per`)."""
        return LentCursor(self._connection.wait(self._statement.cursor, *arguments), self._connection)


@final
class LentCursor:
    """A cursor in the server, from a thread."""

    def __init__(self, cursor: Any, connection: LentConnection) -> None:
        self._cursor = cursor
        self._connection = connection

    async def fetch(self, number: int) -> Any:
        """The next rows."""
        return self._connection.wait(self._cursor.fetch, number)


@final
class LentTransaction:
    """The script's transaction, which SQLAlchemy neither begins nor ends."""

    async def start(self) -> None:
        """Nothing: it has begun."""

    async def commit(self) -> None:
        """Nothing: it ends with the script."""

    async def rollback(self) -> None:
        """Nothing: a script whose Session failed is undone whole."""


@final
class Sessions:
    """Runs handlers on one connection, one after the other. Its engine, and what that has prepared, stays with it."""

    def __init__(self, connection: Any) -> None:
        self._lent = LentConnection(connection, asyncio.get_running_loop())
        self._engine: Engine | None = None

    async def run(self, work: Callable[[Session], Any], threads: Executor, seconds: float) -> Any:
        """What `work` returns; its changes are flushed, and the objects it leaves are detached.

        Raises:
            Overdue: it took longer; its thread is not waited for, and can execute nothing any more.
            OfHandler: what `work` itself raised.
            Exception: of the connection, out of what SQLAlchemy made of it.
        """
        self._lent.lent, self._lent.failure = True, None
        bound = asyncio.timeout(seconds or None)
        try:
            async with bound:
                found = await asyncio.get_running_loop().run_in_executor(threads, self._driven, work)
                if self._lent.is_outside():
                    raise RuntimeError("a handler has ended the transaction")
                return found
        except Exception as error:
            if bound.expired():
                raise Overdue from error
            cause = _cause(error) if isinstance(error, DBAPIError) else error
            if cause is None or cause is not self._lent.failure:
                raise OfHandler(error) from error
            raise cause from error
        finally:
            self._lent.give_back()

    def _driven(self, work: Callable[[Session], Any]) -> Any:
        """SQLAlchemy's adapter awaits; all that it awaits is waited for in this thread, so it never suspends."""
        running = greenlet_spawn(self._inside, work)
        try:
            running.send(None)
        except StopIteration as stop:
            return stop.value
        except Exception:
            raise
        except BaseException as error:  # sys.exit() in a handler must not end the server, nor be taken for a hang-up
            raise RuntimeError(f"a handler raised {type(error).__name__}") from error
        running.close()
        raise RuntimeError("a handler waited for something else than its Session")

    def _inside(self, work: Callable[[Session], Any]) -> Any:
        if self._engine is None:
            self._engine = create_engine(
                "postgresql+asyncpg://",
                poolclass=StaticPool,
                pool_reset_on_return=None,
                connect_args={"async_creator_fn": self._borrow},
            )
            event.listen(self._engine, "handle_error", _stays)
        with self._engine.connect() as connection, connection.begin():
            # A commit of the handler expires nothing: what it has written, nobody else writes meanwhile.
            with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
                session.info[VIOLATION] = _violation
                result = work(session)
                session.commit()
            return result

    async def _borrow(self) -> LentConnection:
        return self._lent


def _stays(context: ExceptionContext) -> None:
    """A connection that is lost is the pool's to close. SQLAlchemy would do it on an event loop of this thread."""
    context.is_disconnect = False


def _cause(error: DBAPIError) -> BaseException | None:
    """The driver's own error: SQLAlchemy's adapter raises another one in between."""
    return error if error.orig is None else error.orig.__cause__


def _violation(error: DBAPIError) -> Violation | None:
    cause = _cause(error)
    return violation(cause) if isinstance(cause, VIOLATIONS) else None
