"""A SQLAlchemy Session inside a script, on the writer's own connection.

A handler gets an ordinary Session. What it cannot do is end the script's transaction: SQLAlchemy is lent a
connection whose commit, rollback and close do nothing, and the Session works in savepoints.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, final
from weakref import WeakSet

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from vallum.store.ports import VIOLATION, Violation
from vallum.store.sqlite_connection import violation


@final
class LentConnection:
    """All that SQLAlchemy needs of a connection; the transaction itself is not lent."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.isolation_level = None
        self.lent = False
        self._connection = connection
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self) -> sqlite3.Cursor:
        """A cursor that is closed when the connection is given back."""
        if self.lent and not self._connection.in_transaction:
            # SQLite gave the transaction up: a further statement would commit by itself.
            raise sqlite3.OperationalError("the transaction is over")
        cursor = self._connection.cursor()
        self._cursors.add(cursor)
        return cursor

    def give_back(self) -> None:
        """An open result would keep its snapshot, and with it the next transaction from beginning."""
        self.lent = False
        for cursor in list(self._cursors):
            cursor.close()
        self._cursors.clear()

    def commit(self) -> None:
        """Nothing: the writer commits."""

    def rollback(self) -> None:
        """Nothing: the writer rolls back."""

    def close(self) -> None:
        """Nothing: the writer closes."""

    def create_function(self, *_: Any, **__: Any) -> None:
        """Nothing: `add_functions` has registered what SQLAlchemy asks for."""


@final
class Sessions:
    """Runs handlers on one connection, one after the other."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._lent = LentConnection(connection)
        self._engine = create_engine("sqlite://", creator=self._borrow, poolclass=StaticPool)
        with self._engine.connect():
            pass  # the first one asks for the version and rolls back: not inside somebody's transaction

    def run(self, work: Callable[[Session], Any]) -> Any:
        """What `work` returns; its changes are flushed, and the objects it leaves are detached.

        Raises:
            sqlite3.Error: what SQLAlchemy made of it is undone.
            Exception: whatever `work` raised; what it changed since its last commit is undone.
        """
        self._lent.lent = True
        try:
            with self._engine.connect() as connection, connection.begin():
                # A commit of the handler expires nothing: nobody else writes meanwhile.
                session = Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
                session.info[VIOLATION] = _violation
                with session:
                    result = work(session)
                    session.commit()
                return result
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                raise error.orig from error
            raise
        finally:
            self._lent.give_back()

    def _borrow(self) -> Any:
        return self._lent


def _violation(error: DBAPIError) -> Violation | None:
    return violation(error.orig) if isinstance(error.orig, sqlite3.IntegrityError) else None
