"""The database file: made for its owner alone, and refused when others could read or replace it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from vallum.own_files import OTHERS, OTHERS_WRITE, sync_directory
from vallum.store.errors import StoreError

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
BESIDE: Final = ("-wal", "-shm")
"""SQLite makes these with the mode of the database; a file whose mode was mended later may have old ones."""
EXISTS: Final = (
    "Use another place (`--data`), or remove this directory when nothing in it is needed; "
    "after an upgrade: `vallum db migrate`."
)


def make_file(path: Path) -> None:
    """An empty file with mode 0600, in a directory with mode 0700 if that is new too.

    Raises:
        StoreError: `database-exists`.
    """
    path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    # O_EXCL follows no link either (open(2)).
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
    try:
        # Only a file that is new is opened here: closing an old one would drop the locks of every
        # connection that this process has on it (sqlite.org/howtocorrupt.html §2.2).
        descriptor = os.open(path, flags, FILE_MODE)
    except FileExistsError:
        raise StoreError("database-exists", str(path), EXISTS) from None
    os.close(descriptor)
    sync_directory(path.parent)


def check_file(path: Path) -> None:
    """Steps: 1. it is there; 2. nobody else reads or writes it; 3. nobody else can replace it.

    Raises:
        StoreError: `database-missing`, `database-mode`, `database-owner`, `directory-mode`.
    """
    if not path.is_file():
        raise StoreError("database-missing", str(path), "Make it with `vallum db create`.")
    for file in (path, *(path.with_name(path.name + suffix) for suffix in BESIDE)):
        if file.exists():
            _check_alone(file)
    directory = path.resolve().parent
    if directory.stat().st_mode & OTHERS_WRITE:
        raise StoreError("directory-mode", str(directory), f"Others may write there: `chmod 700 {directory}`.")


def _check_alone(file: Path) -> None:
    status = file.stat()
    if status.st_mode & OTHERS:
        raise StoreError("database-mode", str(file), f"Others may read or write it: `chmod 600 {file}`.")
    if os.geteuid() not in {0, status.st_uid}:
        raise StoreError("database-owner", str(file), "Run Vallum as the user that owns the file.")
