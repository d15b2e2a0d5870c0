"""How each connection to the file behaves, and what its errors mean to the stages."""

from __future__ import annotations

import logging
import re
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, Literal, NoReturn

from vallum import defaults
from vallum.refusals import BUSY, QUERY_TIMEOUT, Refusal
from vallum.store.errors import StoreError
from vallum.store.ports import Violation
from vallum.store.sqlite_functions import add_functions

log = logging.getLogger(__name__)

OLDEST_SQLITE: Final = (3, 38, 0)
"""JSON functions are always there from 3.38 on, RETURNING from 3.35."""

Use = Literal["read", "write", "command"]

_EVERYWHERE: Final = (
    "PRAGMA synchronous = FULL",  # a commit is on disk when it returns
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",  # triggers and views call no function that was not made for it
    "PRAGMA cell_size_check = ON",  # a damaged page is noticed when it is read
    "PRAGMA temp_store = MEMORY",  # sorts and the journals of savepoints touch no disk
    f"PRAGMA cache_size = -{defaults.SQLITE_CACHE_KIB}",
    f"PRAGMA journal_size_limit = {defaults.WAL_BYTES}",
    f"PRAGMA analysis_limit = {defaults.ANALYSIS_ROWS}",
)
_BY_USE: Final[dict[Use, tuple[str, ...]]] = {
    "read": ("PRAGMA query_only = ON",),
    "write": (),
    # SQLite before 3.51.3 can lose a commit when one connection commits while another makes a
    # checkpoint just after a complete one (sqlite.org/wal.html#walresetbug). The server's writer is the
    # only one that makes them; a command leaves its pages to it, or to the last close of the file.
    "command": ("PRAGMA wal_autocheckpoint = 0",),
}


def connect(path: Path, use: Use, *, busy_seconds: float, any_thread: bool = False) -> sqlite3.Connection:
    """Open the file, which exists, in autocommit.

    Args:
        busy_seconds: how long SQLite itself waits for a lock of another connection.
        any_thread: it is handed from one thread to another, never used by two at once.

    Raises:
        StoreError: `sqlite-version`, `sqlite-journal`, `sqlite-foreign-keys`.
        sqlite3.Error: the file cannot be opened or is no database.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError("sqlite-version", sqlite3.sqlite_version, "Use a Python with SQLite 3.38 or newer.")
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw",  # without `c`: a missing file is an error, not an empty database
        uri=True,
        isolation_level=None,
        timeout=busy_seconds,
        cached_statements=defaults.SQLITE_STATEMENTS,
        check_same_thread=not any_thread,
    )
    try:
        _configure(connection, use, str(path), busy_seconds)
    except BaseException:
        connection.close()
        raise
    return connection


def patiently(connection: sqlite3.Connection, text: str, arguments: Sequence[Any], seconds: float) -> list[Any]:
    """Run a statement, again and again while another process holds the lock that it needs.

    SQLite's own waits grow to 0.1 s, so a busy server would starve a command; and some locks it does not wait for.
    """
    until = monotonic() + seconds
    while True:
        try:
            return connection.execute(text, arguments).fetchall()
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
        sleep(defaults.BUSY_POLL_SECONDS)


def _configure(connection: sqlite3.Connection, use: Use, place: str, busy_seconds: float) -> None:
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal" and use != "read":
        # Needs the file alone, and fails at once when another connection does the same.
        mode = patiently(connection, "PRAGMA journal_mode = WAL", (), busy_seconds)[0][0]
    if mode != "wal":
        raise StoreError("sqlite-journal", place, "The write-ahead log needs a local file system.")
    for pragma in (*_EVERYWHERE, *_BY_USE[use]):
        connection.execute(pragma).fetchall()
    if connection.execute("PRAGMA foreign_keys").fetchone() != (1,):
        raise StoreError("sqlite-foreign-keys", sqlite3.sqlite_version, "This SQLite was built without foreign keys.")
    add_functions(connection)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; -1 when Python's module raised it by itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def meaning(error: sqlite3.Error) -> Exception:
    """What the stages are told: a Violation, a Refusal, or the error itself when the program is wrong."""
    if isinstance(error, sqlite3.IntegrityError):
        return violation(error)
    code = primary_code(error)
    if code == sqlite3.SQLITE_INTERRUPT:
        return Refusal(QUERY_TIMEOUT)
    if code in _UNAVAILABLE:
        log.error("The database is not available: %s", error.sqlite_errorname)
        return busy()
    return error


def surface(error: sqlite3.Error) -> NoReturn:
    """Raise its :func:`meaning`."""
    told = meaning(error)
    if told is error:
        raise error
    raise told from error


def busy() -> Refusal:
    """Come again in a moment."""
    return Refusal(BUSY)


_KINDS: Final[dict[int, Literal["unique", "foreign", "not_null"]]] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: "unique",
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: "unique",
    sqlite3.SQLITE_CONSTRAINT_ROWID: "unique",
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: "foreign",
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: "not_null",
}
_FAILED: Final = " constraint failed: "
_INDEX: Final = re.compile(r"index '(.*)'")


def violation(error: sqlite3.IntegrityError) -> Violation:
    """Read SQLite's message: `UNIQUE constraint failed: t.a, t.b`, `… failed: index 'i'`, `CHECK … failed: name`.

    A value of the wrong type and a trigger that raised count as a check without a name.
    """
    code = getattr(error, "sqlite_errorcode", None)
    _, _, named = str(error).partition(_FAILED)
    kind = _KINDS.get(-1 if code is None else code)
    if kind is None:
        return Violation("check", name=named if code == sqlite3.SQLITE_CONSTRAINT_CHECK and named else None)
    if index := _INDEX.fullmatch(named):  # an index over expressions has no columns to name
        return Violation(kind, name=index[1].replace("''", "'"))
    if not named:
        return Violation(kind)
    pairs = [part.rpartition(".") for part in named.split(", ")]
    return Violation(kind, pairs[0][0], tuple(column for _, _, column in pairs))
