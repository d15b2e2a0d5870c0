"""A consistent copy of the file while others write in it, and whether a copy is what SQLite made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from vallum import defaults
from vallum.store.errors import StoreError
from vallum.store.sqlite_connection import connect
from vallum.store.sqlite_file import BESIDE, make_file

_ENTRY: Final = "SELECT value FROM vallum_meta WHERE key = ?"
_SET: Final = (
    "INSERT INTO vallum_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"


def copy(source: Path, target: Path) -> None:
    """Copy what was committed up to one moment; nobody who writes has to wait.

    All pages are taken in one step under one snapshot. (In several steps SQLite begins again with every commit of
    another process, and under load it would never come to an end.)

    Raises:
        StoreError: `database-exists`.
    """
    make_file(target)
    with (
        closing(connect(source, "read", busy_seconds=defaults.BUSY_SECONDS)) as origin,
        closing(sqlite3.connect(target, isolation_level=None)) as made,
    ):
        origin.backup(made, pages=-1)
    settle(target)


def label(path: Path, key: str, value: str) -> None:
    """Write a word about the copy into it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_SET, (key, value))


def labelled(path: Path, key: str, place: Path) -> str | None:
    """That word; None when there is none. `place` is the file that the operator knows.

    Raises:
        StoreError: `backup-damaged`: this is no database of ours.
    """
    try:
        with closing(_opened(path)) as connection:
            row = connection.execute(_ENTRY, (key,)).fetchone()
    except sqlite3.Error:
        raise damaged(place) from None
    return None if row is None else str(row[0])


def counted(path: Path, place: Path) -> dict[str, int]:
    """Rows of each table, after every page and index was looked at. `place` is the file that the operator knows.

    Raises:
        StoreError: `backup-damaged`.
    """
    try:
        with closing(_opened(path)) as connection:
            if connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
                raise damaged(place)
            names = [name for (name,) in connection.execute(_TABLES)]
            quoted = {name: '"' + name.replace('"', '""') + '"' for name in names}
            return {name: connection.execute(f"SELECT count(*) FROM {quoted[name]}").fetchone()[0] for name in names}
    except sqlite3.Error:
        raise damaged(place) from None


def damaged(path: Path) -> StoreError:
    """What is said of a file that is no whole database."""
    return StoreError("backup-damaged", str(path), "It is no whole database of Vallum: use another backup.")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def settle(path: Path) -> None:
    """One file without a log beside it, whatever looked at it meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def remove(path: Path) -> None:
    """A file and what SQLite made beside it, if they are there."""
    for suffix in ("", "-journal", *BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
