"""One look into the file without SQLAlchemy: loading that takes longer than a whole short command."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from vallum import defaults
from vallum.store.sqlite_file import check_file


def peek(path: Path, text: str, *arguments: Any) -> list[Any]:
    """The rows of one SELECT.

    Raises:
        StoreError: the file is missing or open to others.
        sqlite3.Error: it is no database of ours.
    """
    check_file(path)
    address = f"{path.resolve().as_uri()}?mode=rw"  # not `ro`: that cannot make the files beside a log
    with closing(sqlite3.connect(address, uri=True, isolation_level=None, timeout=defaults.BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `sqlite_connection`: the server makes them
        return connection.execute(text, arguments).fetchall()
