"""Scripts that only read, on one snapshot of the file, beside a server that writes.

The write-ahead log keeps what the snapshot needs, so nobody waits for it; the log cannot be cut back meanwhile.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from vallum import defaults
from vallum.store.ports import Script, Statement, WithSession
from vallum.store.sqlite_connection import connect

T = TypeVar("T")


def look(path: Path, script: Script[T]) -> T:
    """Run the script; what it raises is raised.

    Raises:
        sqlite3.Error: the file cannot be read, or the script tried to write.
    """
    with closing(connect(path, "read", busy_seconds=defaults.BUSY_SECONDS)) as connection:
        connection.execute("BEGIN")
        answer: Any = None
        try:
            while True:
                answer = _rows(connection, script.send(answer))
        except StopIteration as stop:
            outcome: T = stop.value
            return outcome


def _rows(connection: sqlite3.Connection, request: Statement | WithSession) -> list[Any]:
    if not isinstance(request, Statement):
        raise TypeError("a snapshot has no Session")
    try:
        return connection.execute(request.text, request.arguments).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    # A text that is no UTF-8: nothing of ours, so somebody's. Who verifies must be able to see it.
    connection.text_factory = _shown
    try:
        return connection.execute(request.text, request.arguments).fetchall()
    finally:
        connection.text_factory = str


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
