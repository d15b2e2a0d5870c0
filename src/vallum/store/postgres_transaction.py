"""Scripts on a connection of the pool, each in a transaction of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, final

from vallum.store.ports import Row, Script, Statement, WithSession
from vallum.store.postgres_catalog import DEFER
from vallum.store.postgres_connection import begins_anew, is_lost
from vallum.store.postgres_limits import PostgresLimits, milliseconds
from vallum.store.postgres_pool import Lent, Pool
from vallum.store.postgres_session import OfHandler, Overdue, Sessions

log = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE: Final = "SET CONSTRAINTS ALL IMMEDIATE"
_SOUND: Final = "SELECT 1; "
"""An error where the author's code has passed over one: a COMMIT alone would silently be none."""
_RESET: Final = (
    "RESET SESSION AUTHORIZATION; SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL; DISCARD TEMP"
)
"""After the code of an author, which may have set what outlives a transaction."""


@final
class Again(Exception):
    """The transaction is undone through no fault of its own, and may begin anew. `__cause__` says why."""


@final
class Transactions:
    """Runs scripts.

    1. A script that raises undoes everything that it did.
    2. None is settled before its commit is on the server's disk.
    3. One that PostgreSQL chose as the loser of a deadlock, or whose connection is lost before its commit, is made anew
       (:class:`Again`). Lost in the commit itself, nobody knows: the caller is told to come again.
    4. A constraint that waits for the commit is checked with each statement, so that the script hears of it; those of a
       handler at its end.

    Attributes:
        deferrable: whether there may be such constraints; a handler may have any of these wait (`SET CONSTRAINTS`).
    """

    def __init__(self, pool: Pool, threads: Executor, limits: PostgresLimits) -> None:
        self._pool = pool
        self._threads = threads
        self._limits = limits
        self.deferrable = True
        # One round trip; the session's own setting is that of reads.
        self._begin = f"BEGIN; {_AT_ONCE}; SET LOCAL statement_timeout = {milliseconds(limits.write_seconds)}"

    async def run(self, make: Callable[[], Script[T]]) -> T:
        """Run the script once.

        Raises:
            Again: it may be run again.
            Refusal: what the script raised, QUERY_TIMEOUT, BUSY.
        """
        lent = await self._pool.acquire(self._limits.write_seconds)
        running = _Running(lent, self._threads, self._limits, deferrable=self.deferrable)
        try:
            await running.control(self._begin)
            outcome = await running.drive(make())
            try:
                await lent.connection.execute(running.ending(f"{_SOUND}COMMIT"))
            except Exception as error:  # noqa: BLE001
                lent.surface(error)
        except BaseException as error:
            await self._undo(lent, running, error)
            raise
        self._pool.release(lent)
        return outcome

    async def run_one(self, statement: Statement) -> list[Row]:
        """Run a statement that is a transaction of its own. Lost on its way, nobody knows what became of it.

        Raises:
            Again: it is undone and may be run again.
            Violation, Refusal: nothing is written.
        """
        lent = await self._pool.acquire(self._limits.read_seconds)
        try:
            rows: list[Row] = await lent.connection.fetch(statement.text, *statement.arguments)
        except BaseException as error:
            if begins_anew(error):
                self._pool.release(lent)
                raise Again from error
            self._pool.give_up(lent, error)
            lent.surface(error)
        self._pool.release(lent)
        return rows

    async def _undo(self, lent: Lent, running: _Running, error: BaseException) -> None:
        """Roll back; a connection in an unclear state is not used again, and the server rolls back when it is closed."""
        if running.lost:
            self._pool.expire()
        usable = not (running.lost or running.abandoned or lent.connection.is_closed())
        try:
            if usable and isinstance(error, Exception):
                await lent.connection.execute(running.ending("ROLLBACK"))
                self._pool.release(lent)
                return
        except Exception:  # noqa: BLE001  # the error that led here is told
            log.warning("A transaction could not be rolled back; its connection is closed.")
        except BaseException:
            self._pool.discard(lent)
            raise
        self._pool.discard(lent)


@final
class _Running:
    """One script on its connection.

    Attributes:
        lost: its connection is gone.
        abandoned: a thread may still hold its Session.
    """

    __slots__ = ("_deferrable", "_failed", "_lent", "_limits", "_threads", "_with_session", "abandoned", "lost")

    def __init__(self, lent: Lent, threads: Executor, limits: PostgresLimits, *, deferrable: bool) -> None:
        self._lent = lent
        self._threads = threads
        self._limits = limits
        self._deferrable = deferrable
        self._failed = False
        self._with_session = False
        self.lost = False
        self.abandoned = False

    def ending(self, word: str) -> str:
        return f"{word}; {_RESET}" if self._with_session else word.removeprefix(_SOUND)

    async def control(self, text: str) -> None:
        try:
            await self._lent.connection.execute(text)
        except Exception as error:
            raise self._told(error) from error

    async def drive(self, script: Script[T]) -> T:
        """Run its statements one after the other; what goes wrong is thrown into it where it happened."""
        try:
            request = next(script)
            while True:
                try:
                    answer = await self._answer(request)
                except OfHandler as raised:
                    self._failed = True
                    request = script.throw(raised.error)
                except Exception as error:  # the script decides what it means
                    self._failed = True
                    told = self._told(error)
                    if isinstance(told, Again):
                        raise told from error
                    told.__cause__ = None if told is error else error
                    request = script.throw(told)
                else:
                    request = script.send(answer)
        except StopIteration as stop:
            if self._failed:
                raise RuntimeError("the script went on after its transaction was given up") from None
            outcome: T = stop.value
            return outcome

    async def _answer(self, request: Statement | WithSession) -> Any:
        connection = self._lent.connection
        if isinstance(request, Statement):
            return await connection.fetch(request.text, *request.arguments)
        self._with_session = True
        if not self._deferrable:
            return await self._handled(request)
        defer = await connection.fetchval(DEFER)
        if defer is not None:
            await connection.execute(defer)
        result = await self._handled(request)
        await connection.execute(_AT_ONCE)
        return result

    async def _handled(self, request: WithSession) -> Any:
        if self._lent.sessions is None:
            self._lent.sessions = Sessions(self._lent.connection)
        self.abandoned = True
        try:
            result = await self._lent.sessions.run(request.work, self._threads, self._limits.write_seconds)
        except Overdue:
            self._lent.overdue = True
            raise
        except Exception:
            self.abandoned = False
            raise
        self.abandoned = False
        return result

    def _told(self, error: Exception) -> BaseException:
        lent = self._lent
        self.lost = not lent.overdue and is_lost(error, closed=lent.connection.is_closed())
        return Again() if self.lost or begins_anew(error) else lent.meaning(error)
