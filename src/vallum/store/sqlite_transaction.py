"""Scripts in groups: one transaction, a savepoint for each script, one commit for all.

1. A script that raises undoes what it did and nothing else.
2. No script is settled before the commit of its group is on disk.
3. SQLite itself may give up a whole transaction for one statement (an interrupted write, a full disk, ON CONFLICT
   ROLLBACK). Then that script gets its error and the others are made anew and run again: nobody has been told
   anything yet.
4. Nobody but this module begins or ends a transaction; SQLite's authorizer refuses it to scripts and handlers.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, final

from vallum import defaults
from vallum.refusals import QUERY_TIMEOUT, Refusal
from vallum.store.ports import Script, Statement, WithSession
from vallum.store.sqlite_connection import Use, busy, connect, meaning, patiently, surface
from vallum.store.sqlite_limits import SqliteLimits
from vallum.store.sqlite_session import Sessions

log = logging.getLogger(__name__)

NEVER: Final = float("inf")
SAVEPOINT: Final = "vallum_script"

# The comment keeps the prepared statements apart from any that a handler may write: those must be asked about.
_BEGIN: Final = "BEGIN IMMEDIATE -- vallum"
_COMMIT: Final = "COMMIT -- vallum"
_ROLLBACK: Final = "ROLLBACK -- vallum"
_ENTER: Final = f"SAVEPOINT {SAVEPOINT} -- vallum"
_UNDO: Final = f"ROLLBACK TO {SAVEPOINT} -- vallum"
_LEAVE: Final = f"RELEASE {SAVEPOINT} -- vallum"

_LOOKING: Final = frozenset(
    {
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
"""Pragmas with an argument that change nothing; SQLAlchemy's inspector uses them."""


@final
class Job:
    """One script on its way through the writer.

    Attributes:
        make: makes the script; called again when its transaction was given up.
        future: of who waits for it, on the event loop; None in a command.
        outcome, error: one of them, as soon as it ran.
        started: from then on it is finished even if nobody waits for it any more.
        settled: told to who waits.
    """

    __slots__ = ("error", "future", "make", "outcome", "settled", "started")

    def __init__(self, make: Callable[[], Script[Any]], future: asyncio.Future[Any] | None = None) -> None:
        self.make = make
        self.future = future
        self.outcome: Any = None
        self.error: BaseException | None = None
        self.started = False
        self.settled = False

    def is_abandoned(self) -> bool:
        """Nobody waits for it any more, and it has not begun."""
        return not self.started and self.future is not None and self.future.cancelled()


Settle = Callable[[Sequence[Job]], None]


@final
class Transactions:
    """The connection that writes. Used by one thread, the one that made it."""

    def __init__(self, path: Path, use: Use, limits: SqliteLimits) -> None:
        self._limits = limits
        self._deadline = NEVER
        self._controlling = False
        self._connection = connect(path, use, busy_seconds=limits.busy_seconds)
        self._sessions = Sessions(self._connection)
        self._connection.execute("PRAGMA busy_timeout = 0")  # `patiently` waits instead
        self._connection.set_progress_handler(self._is_late, defaults.PROGRESS_STEPS)
        self._connection.set_authorizer(self._authorize)

    def close(self) -> None:
        self._connection.close()

    def run(self, jobs: Sequence[Job], settle: Settle) -> None:
        """Run every job; `settle` gets those that are decided, once that is on disk.

        Raises:
            sqlite3.Error: the connection is of no use any more; jobs that are not settled are not written.
        """
        waiting = list(jobs)
        most = len(waiting)
        while waiting:
            group = waiting[:most]
            try:
                decided = self._transaction(group)
            except sqlite3.IntegrityError as error:
                # Only a deferred constraint speaks at the commit, and it does not say whose statement it was.
                most = 1
                if len(group) > 1:
                    continue
                group[0].error = meaning(error)
                decided = group
            settle(decided)
            waiting = [job for job in waiting if job not in decided]

    def read(self, statement: Statement) -> list[Any]:
        """One statement outside any transaction."""
        try:
            return patiently(self._connection, statement.text, statement.arguments, self._limits.busy_seconds)
        except sqlite3.Error as error:
            surface(error)

    def optimize(self, *, thoroughly: bool = False) -> None:
        """Let SQLite sample the tables where it thinks it worth while, or count all of them."""
        try:
            if thoroughly:
                self._control("PRAGMA analysis_limit = 0")
            self._control("ANALYZE" if thoroughly else "PRAGMA optimize")
        except sqlite3.Error as error:
            log.warning("Statistics of the database are not renewed: %s", error)

    def _transaction(self, group: Sequence[Job]) -> Sequence[Job]:
        """The jobs that are decided: committed, or refused."""
        members: list[Job] = []
        try:
            self._control(_BEGIN)
            for job in self._in_time(group):
                members.append(job)
                self._member(job)
                if not self._connection.in_transaction:
                    return self._given_up(job)
            self._control(_COMMIT)
        except sqlite3.IntegrityError:
            self._rollback()
            raise
        except sqlite3.Error as error:
            log.error("A group of writes is not committed: %s", error)  # noqa: TRY400  # no bug of ours to trace
            self._rollback()
            for job in members or group:
                job.outcome, job.error = None, busy()
            return members or group
        return members

    def _in_time(self, group: Sequence[Job]) -> Iterator[Job]:
        """Those that still fit into this commit, at least the first."""
        until = monotonic() + self._limits.write_group_seconds
        for index, job in enumerate(group):
            if index and monotonic() > until:
                return
            yield job

    def _given_up(self, job: Job) -> Sequence[Job]:
        """SQLite rolled back everything for this one; the others are as if they had never run."""
        if job.error is None:
            job.error = RuntimeError("The script went on after its transaction was given up.")
        return [job]

    def _member(self, job: Job) -> None:
        if job.is_abandoned():
            return
        job.started = True
        job.outcome = job.error = None
        self._control(_ENTER)
        self._deadline = monotonic() + self._limits.write_seconds
        try:
            job.outcome = self._drive(job.make())
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to who waits for this script
            job.error = error
        finally:
            self._deadline = NEVER
        if self._connection.in_transaction:
            if job.error is not None:
                self._control(_UNDO)
            self._control(_LEAVE)

    def _drive(self, script: Script[Any]) -> Any:
        try:
            request = next(script)
            while True:
                try:
                    answer = self._answer(request)
                except BaseException as error:  # noqa: BLE001  # the script decides what it means
                    request = script.throw(error)
                else:
                    request = script.send(answer)
        except StopIteration as stop:
            return stop.value

    def _answer(self, request: Statement | WithSession) -> Any:
        if not self._connection.in_transaction:  # a further statement would commit by itself
            raise RuntimeError("the transaction was given up")
        if monotonic() > self._deadline:
            raise Refusal(QUERY_TIMEOUT)
        try:
            if isinstance(request, Statement):
                return self._connection.execute(request.text, request.arguments).fetchall()
            return self._sessions.run(request.work)
        except sqlite3.Error as error:
            surface(error)

    def _control(self, text: str) -> None:
        self._controlling = True
        try:
            patiently(self._connection, text, (), self._limits.busy_seconds)
        finally:
            self._controlling = False

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._control(_ROLLBACK)

    def _is_late(self) -> bool:
        return monotonic() > self._deadline

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        """Asked once for each statement that is prepared."""
        if self._controlling:
            return sqlite3.SQLITE_OK
        match action:
            case sqlite3.SQLITE_TRANSACTION | sqlite3.SQLITE_ATTACH | sqlite3.SQLITE_DETACH:
                return sqlite3.SQLITE_DENY
            case sqlite3.SQLITE_SAVEPOINT if second == SAVEPOINT:
                return sqlite3.SQLITE_DENY
            case sqlite3.SQLITE_PRAGMA if second is not None and (first or "").lower() not in _LOOKING:
                return sqlite3.SQLITE_DENY  # it would stay set for everyone
            case _:
                return sqlite3.SQLITE_OK
